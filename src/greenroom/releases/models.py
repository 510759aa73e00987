"""Releases."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.accounts.models import Account
from greenroom.apps.models import App
from greenroom.config_vars.models import ConfigVersion
from greenroom.slugs.models import Slug


class Release(models.Model):
    """vN of an app: a slug (or none) with a version of the config vars. Only its status changes.

    kind: initial, deploy, config, rollback, addon, promote.
    status: pending, succeeded, failed (never served, or gave up), refused (a required config var is missing).
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="releases")
    version = models.PositiveIntegerField()
    kind = models.CharField(max_length=10)
    description = models.CharField(max_length=300)
    slug = models.ForeignKey(Slug, null=True, on_delete=models.RESTRICT, related_name="releases")
    config = models.ForeignKey(ConfigVersion, on_delete=models.RESTRICT, related_name="releases")
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    status = models.CharField(max_length=10, default="pending")
    reason = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "version"], name="one_release_per_version")]

    @property
    def output(self) -> str:
        """The output of its release command, relative to home; a ``.done`` file beside it marks it as complete."""
        return f"logs/releases/{self.id.hex}.log"
