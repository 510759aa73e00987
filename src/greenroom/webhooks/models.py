"""Webhooks and notifications, the events of apps and of the installation, and the delivery of each event to each of
them.
"""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.accounts.models import Account
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


class Notification(models.Model):
    """A person or a channel that gets chosen events as a text: by e-mail or in a chat.

    app: None for all apps and the installation itself. channel: name of the channel. url: the encrypted target, which
    may contain a token; shown: the target without it. events: names of rules.notices.EVENTS. account: who added it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, null=True, on_delete=models.CASCADE, related_name="notifications")
    channel = models.CharField(max_length=20)
    url = models.BinaryField()
    shown = models.CharField(max_length=200)
    events = models.JSONField(default=list)
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class Cursor(models.Model):
    """The id of the last processed row of the audit log, and the time of the newest processed change of a delivery."""

    position = models.BigIntegerField(default=0)
    deliveries_at = models.DateTimeField(null=True, blank=True)


class Seen(models.Model):
    """A recorded state of an object of an app; ``key`` is KIND/ID/STATE. A new state causes an event."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=120)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "key"], name="one_seen_per_key")]


class Event(models.Model):
    """An event in the form that webhooks receive; never changed. app: None for an event of the installation. key: what
    happened, so that it is recorded once; None for events whose source is read once.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, null=True, on_delete=models.CASCADE, related_name="webhook_events")
    key = models.CharField(max_length=150, null=True, unique=True)
    include = models.CharField(max_length=40)
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)


class WebhookDelivery(models.Model):
    """One event for one webhook or one notification, with Heroku's name. The row is written before the first request.

    status: pending, retrying, succeeded, failed. next_attempt_at: when it is due; during a request, when it is retried
    if this process dies. attempt: id of the last attempt; code and error: its result.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    webhook = models.ForeignKey(Webhook, null=True, on_delete=models.CASCADE, related_name="deliveries")
    notification = models.ForeignKey(Notification, null=True, on_delete=models.CASCADE, related_name="deliveries")
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
        constraints = [
            models.UniqueConstraint(fields=["webhook", "event"], name="one_telling_per_event"),
            models.UniqueConstraint(fields=["notification", "event"], name="one_notification_per_event"),
            models.CheckConstraint(
                condition=models.Q(webhook=None) ^ models.Q(notification=None), name="delivered_to_one_target"
            ),
        ]
        indexes = [models.Index(fields=["status", "next_attempt_at"], name="tellings_due")]
