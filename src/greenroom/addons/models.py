"""Add-ons and their attachments."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.apps.models import App


class Addon(models.Model):
    """A resource of one kind (``postgres``) made for an app. ``data``: what the kind needs to find it; ``sealed``: its secrets, encrypted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="addons")
    kind = models.CharField(max_length=40)
    name = models.CharField(max_length=80, unique=True)
    plan = models.CharField(max_length=80)
    state = models.CharField(max_length=20, default="provisioning")
    data = models.JSONField(default=dict)
    sealed = models.BinaryField(default=b"")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class Attachment(models.Model):
    """The name under which an app sees an add-on: DATABASE gives DATABASE_URL."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    addon = models.ForeignKey(Addon, on_delete=models.CASCADE, related_name="attachments")
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="attachments")
    name = models.CharField(max_length=60)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "name"], name="one_attachment_per_name")]
