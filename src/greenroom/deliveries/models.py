"""Deliveries: the queue, and the record of each one."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.accounts.models import Account
from greenroom.apps.models import App
from greenroom.builds.models import Build
from greenroom.git.models import Push
from greenroom.releases.models import Release


class Delivery(models.Model):
    """The progress of a push, config change, rollback or scaling towards a live release.

    kind: push, release (config change, rollback, add-on: starts with an existing release).
    state: received, building, checking, releasing, rolling_out, live, held, refused, failed, superseded.
    forced: a rollback that goes live although its code does not fit the database, or a promotion that goes live
    although migrations are pending.
    commands: outcomes of the release command and the postdeploy script ({"release": "ok", "attempt": 1}).
    seq: order of the app's deliveries.
    transcript: its output file (``logs/deliveries/<id>.log``).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="deliveries")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=10)
    push = models.OneToOneField(Push, null=True, on_delete=models.CASCADE, related_name="delivery")
    sha = models.CharField(max_length=40, blank=True)
    build = models.ForeignKey(Build, null=True, on_delete=models.SET_NULL, related_name="deliveries")
    release = models.OneToOneField(Release, null=True, on_delete=models.SET_NULL, related_name="delivery")
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=12, default="received")
    reason = models.TextField(blank=True)
    forced = models.BooleanField(default=False)
    commands = models.JSONField(default=dict)
    said = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "seq"], name="one_delivery_per_seq")]
        indexes = [
            models.Index(fields=["finished_at"]),
            models.Index(fields=["updated_at"], name="deliveries_changed"),
        ]

    @property
    def transcript(self) -> str:
        """Path of the transcript, relative to home."""
        return f"logs/deliveries/{self.id.hex}.log"
