"""Pending migrations of a release, rehearsals, and the migrate commands that users ran."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.accounts.models import Account
from greenroom.addons.models import Snapshot
from greenroom.apps.models import App
from greenroom.dynos.models import Dyno
from greenroom.releases.models import Release


class MigrationState(models.Model):
    """The probe's answer for one release.

    status: unknown (to be probed), ok, error (a database that is down is an error, never "pending"), none (no
    framework).
    pending, missing: lists of ``app.name``; missing = applied in the database, absent from the code.
    lacking: ``table.column`` that the code needs and the database lacks. conflicts: {app: names without a common
    successor}.
    unmade: descriptions of model changes without a migration. plan: {name, operations, reversible, atomic, statements}
    of each pending migration; rows: {table: rows} of the tables that the plan alters.
    about: {vendor, debug, insecure_key, wsgi, page} of the settings and the health path, see ``probe.Answer``.
    framework: name of a framework.
    """

    release = models.OneToOneField(Release, on_delete=models.CASCADE, related_name="migration_state")
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="migration_states")
    status = models.CharField(max_length=10, default="unknown")
    pending = models.JSONField(default=list)
    missing = models.JSONField(default=list)
    lacking = models.JSONField(default=list)
    framework = models.CharField(max_length=20, blank=True)
    conflicts = models.JSONField(default=dict)
    unmade = models.JSONField(default=list)
    plan = models.JSONField(default=list)
    rows = models.JSONField(default=dict)
    about = models.JSONField(default=dict)
    detail = models.TextField(blank=True)
    probe = models.CharField(max_length=80, blank=True)
    probes = models.PositiveIntegerField(default=0)
    probed_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField(auto_now=True)


class Rehearsal(models.Model):
    """One trial of a release's pending migrations on a copy of the app's database.

    state: wanted, running, done, failed (no result; failure has the reason). colour: green, amber, red.
    seconds: total of the migrations. step: the current step.
    previous: the release whose code is tried on the new schema. clone: the copy's name, stored before its creation.
    document: {plan, migrations, cells, reverse, seconds, bytes, limits}, as the reference page of rehearsals describes
    it.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="rehearsals")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="rehearsals")
    previous = models.ForeignKey(Release, null=True, on_delete=models.SET_NULL, related_name="+")
    number = models.PositiveIntegerField()
    by = models.CharField(max_length=254, blank=True)
    state = models.CharField(max_length=10, default="wanted")
    step = models.CharField(max_length=80, blank=True)
    pending = models.JSONField(default=list)
    attempts = models.PositiveIntegerField(default=0)
    clone = models.CharField(max_length=63, blank=True)
    colour = models.CharField(max_length=10, blank=True)
    seconds = models.FloatField(null=True, blank=True)
    document = models.JSONField(default=dict)
    failure = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "number"], name="one_rehearsal_per_number")]


class MigrationRun(models.Model):
    """A migrate command that a user ran, with the pending migrations before and after.

    snapshot: the pinned snapshot taken before. rehearsal: of the same plan, or None.
    exit_code is None during the run; finished_at is None until the new probe has answered.
    actual: measurements during the run, {migrations: [{name, seconds, locks}], seen: seconds}. health: response of the
    live release afterwards.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="migration_runs")
    release = models.ForeignKey(Release, on_delete=models.CASCADE, related_name="migration_runs")
    dyno = models.OneToOneField(Dyno, on_delete=models.CASCADE, related_name="migration_run")
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    command = models.TextField()
    snapshot = models.ForeignKey(Snapshot, null=True, on_delete=models.SET_NULL, related_name="+")
    rehearsal = models.ForeignKey(Rehearsal, null=True, on_delete=models.SET_NULL, related_name="runs")
    before = models.JSONField(default=list)
    after = models.JSONField(null=True)
    exit_code = models.IntegerField(null=True, blank=True)
    actual = models.JSONField(default=dict)
    health = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["app"], condition=models.Q(exit_code=None), name="one_running_migration"),
        ]
