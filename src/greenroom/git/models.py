"""Pushes: each accepted change of a ref, with its intent written before the ref moves."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.accounts.models import Account
from greenroom.apps.models import App


class Push(models.Model):
    """An update of a ref, or the intent to update it. ``seq`` orders the pushes of an app.

    state: intent (written by pre-receive), recorded (the ref has moved), abandoned (it has not).
    ref: as stored; a push to ``main`` has ``refs/heads/master``. before, after: 40 hex digits, zeros for "none".
    address: the IP address of the push, for the audit log. origin: the URL of the source repository of a fetch, empty
    for a push by a user. forced: ``after`` does not contain ``before``.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="pushes")
    seq = models.PositiveIntegerField()
    ref = models.CharField(max_length=255)
    before = models.CharField(max_length=40)
    after = models.CharField(max_length=40)
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    address = models.CharField(max_length=45, blank=True)
    origin = models.CharField(max_length=500, blank=True)
    forced = models.BooleanField(default=False)
    state = models.CharField(max_length=10, default="intent")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "seq"], name="one_push_per_seq")]
        indexes = [
            models.Index(fields=["app", "ref", "after"], name="push_by_ref"),
            models.Index(fields=["created_at"], condition=models.Q(state="intent"), name="push_intents"),
        ]
