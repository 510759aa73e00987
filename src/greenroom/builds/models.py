"""Builds."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.accounts.models import Account
from greenroom.apps.models import App
from greenroom.slugs.models import Slug


class Build(models.Model):
    """One compilation of a commit.

    status: pending, succeeded, failed (the app's fault), errored (the platform's), cancelled. phase: the current step.
    failure_reason: an id of the buildpack's list (``install-dependencies::pip``). failure_message, failure_hint: for
    users.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="builds")
    commit = models.CharField(max_length=40)
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    status = models.CharField(max_length=10, default="pending")
    phase = models.CharField(max_length=20, default="prepare")
    slug = models.ForeignKey(Slug, null=True, on_delete=models.SET_NULL, related_name="builds")
    facts = models.JSONField(default=dict)
    failure_reason = models.CharField(max_length=80, blank=True)
    failure_message = models.TextField(blank=True)
    failure_hint = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)


class BuildCache(models.Model):
    """How often users have purged an app's cache; no row means never. Later builds share nothing with earlier ones."""

    app = models.OneToOneField(App, primary_key=True, on_delete=models.CASCADE, related_name="build_cache")
    generation = models.PositiveIntegerField(default=0)
    purged_at = models.DateTimeField()
