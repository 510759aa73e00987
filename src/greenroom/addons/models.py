"""Add-ons and their attachments."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.apps.models import App


class Addon(models.Model):
    """A resource of one kind (``postgres``) for an app. ``data``: locates the resource; ``sealed``: its encrypted
    secrets.
    """

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


class Snapshot(models.Model):
    """A dump of an add-on's database at one moment, in ``file`` (relative to home).

    kind: manual, before_migrate, scheduled, before_restore. state: wanted (the worker will make it), running,
    succeeded, failed, deleting.
    number is per app and shared with restores, like Heroku's b001 and r002. migration_state: rows of django_migrations
    as [app, name], oldest first; tables: their number. size: bytes of the file; database_size: bytes of the database.
    database_oid and writes: the OID of the database and its number of written rows at that time, to detect later
    writes.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    addon = models.ForeignKey(Addon, on_delete=models.CASCADE, related_name="snapshots")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=20)
    state = models.CharField(max_length=10, default="wanted")
    release_version = models.PositiveIntegerField(null=True, blank=True)
    migration_state = models.JSONField(default=list)
    tables = models.PositiveIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    database_size = models.BigIntegerField(default=0)
    database_oid = models.BigIntegerField(default=0)
    writes = models.BigIntegerField(default=0)
    seconds = models.FloatField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    pinned = models.BooleanField(default=False)
    by = models.CharField(max_length=254, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    failure = models.TextField(blank=True)
    file = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["addon", "number"], name="one_snapshot_per_number")]

    @property
    def name(self) -> str:
        """``b001``."""
        return f"b{self.number:03d}"


class Restore(models.Model):
    """A restore of a database from a snapshot, or (kind reset) to an empty one.

    state, in this order: wanted, loaded (``copy`` is filled), verified, saved (``saved`` is the snapshot of the
    replaced database), swapping, swapped (the restored database is live), done (the app was notified), or failed.
    ``kept``: the replaced database's name, until it is dropped.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    addon = models.ForeignKey(Addon, on_delete=models.CASCADE, related_name="restores")
    kind = models.CharField(max_length=10, default="restore")
    snapshot = models.ForeignKey(Snapshot, null=True, on_delete=models.SET_NULL, related_name="restores")
    saved = models.ForeignKey(Snapshot, null=True, on_delete=models.SET_NULL, related_name="+")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=10, default="wanted")
    attempts = models.PositiveIntegerField(default=0)
    copy = models.CharField(max_length=63)
    kept = models.CharField(max_length=63, blank=True)
    kept_until = models.DateTimeField(null=True, blank=True)
    release_version = models.PositiveIntegerField(null=True, blank=True)
    by = models.CharField(max_length=254, blank=True)
    failure = models.TextField(blank=True)
    swap_seconds = models.FloatField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["addon", "number"], name="one_restore_per_number"),
            models.UniqueConstraint(
                fields=["addon"], condition=models.Q(finished_at=None), name="one_open_restore_per_addon"
            ),
        ]

    @property
    def name(self) -> str:
        """``r002``."""
        return f"r{self.number:03d}"


class RestoreStep(models.Model):
    """The time at which a restore entered a state."""

    restore = models.ForeignKey(Restore, on_delete=models.CASCADE, related_name="steps")
    state = models.CharField(max_length=10)
    detail = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(auto_now_add=True)


class Schedule(models.Model):
    """A daily snapshot at ``hour`` (0..23) in ``timezone``; ``last_day``: the local date of the last one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    addon = models.OneToOneField(Addon, on_delete=models.CASCADE, related_name="schedule")
    name = models.CharField(max_length=80)
    hour = models.PositiveSmallIntegerField()
    timezone = models.CharField(max_length=60, default="UTC")
    last_day = models.DateField(null=True, blank=True)
    by = models.CharField(max_length=254, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class RelayedMail(models.Model):
    """A message of a mail trap for one recipient of the allow list, sent by ``outbox``.

    number: of the message in the trap. state: waiting, sent, failed. error: of the last attempt.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    addon = models.ForeignKey(Addon, on_delete=models.CASCADE, related_name="relayed_mails")
    number = models.PositiveBigIntegerField()
    recipient = models.CharField(max_length=320)
    state = models.CharField(max_length=10, default="waiting")
    num_attempts = models.PositiveIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["addon", "number", "recipient"], name="one_relayed_mail_per_recipient")
        ]
        indexes = [
            models.Index(fields=["addon", "next_attempt_at"], condition=models.Q(state="waiting"), name="waiting_mails")
        ]
