"""Webhooks, the events of apps, and the delivery of each event to each webhook."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.apps.models import App


class Webhook(models.Model):
    """A URL that receives an app's events. ``secret`` and ``authorization`` are encrypted.

    include: kinds of rules.INCLUDES; level: notify (one attempt) or sync (attempts until one succeeds).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="webhooks")
    url = models.TextField()
    include = models.JSONField(default=list)
    level = models.CharField(max_length=10)
    secret = models.BinaryField()
    authorization = models.BinaryField(default=b"")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class Cursor(models.Model):
    """The id of the last processed row of the audit log."""

    position = models.BigIntegerField(default=0)


class Seen(models.Model):
    """A recorded state of an object of an app; ``key`` is KIND/ID/STATE. A new state causes an event."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=120)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "key"], name="one_seen_per_key")]


class Event(models.Model):
    """An event of an app in the form that its webhooks receive; never changed."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="webhook_events")
    include = models.CharField(max_length=40)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)


class WebhookDelivery(models.Model):
    """One event for one webhook, with Heroku's name. The row is written before the first request.

    status: pending, retrying, succeeded, failed. next_attempt_at: when it is due; during a request, when it is retried
    if this process dies. attempt: id of the last attempt; code and error: its result.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="deliveries")
    status = models.CharField(max_length=10, default="pending")
    num_attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    attempt = models.UUIDField(null=True, blank=True)
    attempted_at = models.DateTimeField(null=True, blank=True)
    code = models.PositiveIntegerField(null=True, blank=True)
    error = models.CharField(max_length=60, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "webhooks_telling"  # the table name is older than the class name
        constraints = [models.UniqueConstraint(fields=["webhook", "event"], name="one_telling_per_event")]
        indexes = [models.Index(fields=["status", "next_attempt_at"], name="tellings_due")]
