"""Versions of an app's config vars, with encrypted values."""

from __future__ import annotations

from django.db import models

from greenroom.accounts.models import Account
from greenroom.apps.models import App


class DataKey(models.Model):
    """The key for the values of one app, encrypted with the master key."""

    app = models.OneToOneField(App, on_delete=models.CASCADE, related_name="data_key")
    wrapped = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)


class ConfigVersion(models.Model):
    """All config vars of an app at a point in time. ``sealed`` is the encrypted JSON map; ``names`` are not secret."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="config_versions")
    number = models.PositiveIntegerField()
    sealed = models.BinaryField()
    names = models.JSONField(default=list)
    digest = models.CharField(max_length=64)
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "number"], name="one_config_per_number")]
