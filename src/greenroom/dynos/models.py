"""The desired state (formation, roll-outs) and the observed one (dynos)."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.accounts.models import Account
from greenroom.apps.models import App
from greenroom.releases.models import Release

CRASHES = 3
"""Consecutive crashes of a dyno after which its app's people are told."""


class Formation(models.Model):
    """The desired number and size of an app's dynos of one process type."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="formation")
    type = models.CharField(max_length=63)
    quantity = models.PositiveIntegerField()
    size = models.CharField(max_length=30, default="standard-1x")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "type"], name="one_formation_per_type")]


class Rollout(models.Model):
    """The request that a release has dynos. An app has at most one live roll-out; a candidate becomes live or is given
    up.

    state: candidate, watched (has the traffic for a few seconds, while the dynos of the live one stay up to take it
    back), live, held (does not answer on the present schema; without dynos until a user has migrated), retired.
    switched_at: when it got the traffic. updated_at: start of the current attempt.
    """

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="rollouts")
    release = models.OneToOneField(Release, on_delete=models.CASCADE, related_name="rollout")
    state = models.CharField(max_length=10, default="candidate")
    failure = models.TextField(blank=True)
    restart_seq = models.PositiveIntegerField(default=0)
    switched_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["app"], condition=models.Q(state="live"), name="one_live_rollout"),
            models.UniqueConstraint(fields=["app"], condition=models.Q(state="watched"), name="one_watched_rollout"),
        ]


class Dyno(models.Model):
    """One process of a release, formation or one-off. ``engine_id`` is its id on the engine.

    endpoint: the engine's socket for the router to reach a web dyno, relative to home; empty before its start.
    state: wanted (row before the side effect), starting, up, stopping, ended; crashed = ended on its own.
    healthy: the health path answered (web). last_words: the end of its output, if it ended on its own.
    restarts: consecutive crashes of its predecessors.
    attached: it belongs to a client, and ends when its account is disabled.
    leaving: to be replaced; it serves until its successor does.   https: it redirects visitors to HTTPS.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="dynos")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="dynos")
    kind = models.CharField(max_length=10)
    type = models.CharField(max_length=63)
    ordinal = models.PositiveIntegerField()
    command = models.TextField()
    engine_id = models.CharField(max_length=80, unique=True)
    endpoint = models.CharField(max_length=200, blank=True, default="", db_default="")
    size = models.CharField(max_length=30, default="standard-1x")
    state = models.CharField(max_length=10, default="wanted")
    healthy = models.BooleanField(default=False)
    health_detail = models.TextField(blank=True)
    last_words = models.TextField(blank=True)
    https = models.BooleanField(default=False)
    leaving = models.BooleanField(default=False)
    attached = models.BooleanField(default=False, db_default=False)
    restarts = models.PositiveIntegerField(default=0)
    generation = models.PositiveIntegerField(default=0)
    attach_digest = models.CharField(max_length=64, blank=True)
    attach_used_at = models.DateTimeField(null=True, blank=True)
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    exit_code = models.IntegerField(null=True, blank=True)
    exit_reason = models.CharField(max_length=20, blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(fields=["app", "state"]),
            models.Index(fields=["created_at"], condition=models.Q(restarts=CRASHES), name="dynos_that_crash_again"),
        ]

    @property
    def name(self) -> str:
        """Heroku's name: ``web.1``, ``run.4821``."""
        return f"{self.type}.{self.ordinal}"


class PlannedStart(models.Model):
    """How the worker is to start a one-off dyno that waits for something first, such as a snapshot.

    sealed: the encrypted ``StartOptions``; the row is deleted when the dyno has started or ended.
    """

    dyno = models.OneToOneField(Dyno, on_delete=models.CASCADE, primary_key=True, related_name="planned_start")
    sealed = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)
