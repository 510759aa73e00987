"""Log drains. The lines themselves are in segment files."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.apps.models import App


class LogDrain(models.Model):
    """A URL that receives the app's log lines, with its position in the log.

    sealed: the user and password of an https URL, encrypted; they are not in ``url``. segment, offset: the position up
    to which the receiver has accepted the app's log. failures: attempts since the last success, including a running
    one; error: the last failure.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="log_drains")
    url = models.TextField()
    token = models.CharField(max_length=60, unique=True)
    sealed = models.BinaryField(null=True)
    segment = models.PositiveIntegerField(default=0)
    offset = models.PositiveBigIntegerField(default=0)
    sent = models.PositiveBigIntegerField(default=0)
    sent_at = models.DateTimeField(null=True, blank=True)
    failures = models.PositiveIntegerField(default=0)
    error = models.CharField(max_length=200, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "url"], name="one_drain_per_url")]
