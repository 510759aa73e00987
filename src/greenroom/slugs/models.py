"""Slugs."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.apps.models import App
from greenroom.engine import names


class Slug(models.Model):
    """The result of building a commit: files at ``slugs/<digest>/app``, environment at ``envs/<env_key>``. Immutable.

    manifest: {commit, tree, interpreter, python_version, package_manager, requirements, tools, files, env_size ...}.
    app_json: the app.json of the commit, as read; process_types: {type: command}.
    migrations_digest: changes when a migration file or the lock changes.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="slugs")
    digest = models.CharField(max_length=64)
    commit = models.CharField(max_length=40)
    env_key = models.CharField(max_length=80)
    process_types = models.JSONField(default=dict)
    app_json = models.JSONField(default=dict)
    settings = models.JSONField(default=dict)
    manifest = models.JSONField(default=dict)
    is_django = models.BooleanField(default=False)
    migrations_digest = models.CharField(max_length=64, blank=True)
    size = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "digest", "commit"], name="one_slug_per_commit")]

    @property
    def folder(self) -> str:
        """The app's files, relative to home."""
        return f"slugs/{self.digest}/app"

    @property
    def artefact(self) -> str:
        """The app's files, by the engine's name."""
        return names.slug(self.digest)

    @property
    def env_folder(self) -> str:
        """The Python environment, relative to home."""
        return self.env_folders[0]

    @property
    def env_folders(self) -> list[str]:
        """The Python environment and the layers over it, relative to home."""
        return [f"envs/{key}" for key in self.env_keys]

    @property
    def env_keys(self) -> tuple[str, ...]:
        """The keys of the Python environment and of the layers over it, lowest first."""
        return (self.env_key, *self.manifest.get("layers", ()))
