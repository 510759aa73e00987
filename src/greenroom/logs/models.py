"""Log sessions and drains; the lines themselves stand in segments on disk."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.apps.models import App


class LogDrain(models.Model):
    """A URL to which the app's lines are sent."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="log_drains")
    url = models.TextField()
    token = models.CharField(max_length=60, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
