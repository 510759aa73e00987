"""Jobs and their runs."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.accounts.models import Account
from greenroom.apps.models import App
from greenroom.dynos.models import Dyno
from greenroom.releases.models import Release


class Job(models.Model):
    """A command with a schedule. origin: ``file`` (greenroom.toml of the live release) or ``user``.

    minutes: time limit of a run; None: until the next planned moment, see ``rules.limit``.
    next_at: the next planned moment; None while the job is paused or has ended.
    ended_at: the live release no longer has it, or a user removed it. Its runs remain for a while.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="jobs")
    name = models.CharField(max_length=40)
    origin = models.CharField(max_length=10)
    schedule = models.CharField(max_length=100)
    time_zone = models.CharField(max_length=100)
    command = models.TextField()
    size = models.CharField(max_length=30)
    overlap = models.CharField(max_length=10)
    catch_up = models.BooleanField()
    minutes = models.PositiveIntegerField(null=True)
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    paused_at = models.DateTimeField(null=True)
    paused_by = models.CharField(max_length=254, blank=True)
    ended_at = models.DateTimeField(null=True)
    next_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "name"], name="one_job_per_name")]
        indexes = [
            models.Index(fields=["next_at"], name="job_due", condition=models.Q(next_at__isnull=False)),
            models.Index(fields=["ended_at"], name="job_ended", condition=models.Q(ended_at__isnull=False)),
        ]


class JobRun(models.Model):
    """One planned moment of a job, or one that a user asked for. Written before its dyno exists.

    state: waiting, running, succeeded, failed; missed or skipped, which may stand for several moments in a row:
    ``count`` from ``planned_at`` to ``until``. reason: of ``rules.REASONS``, or why the dyno failed; detail: for users.
    trigger: schedule, catch_up or user. look_at: when to look at a waiting run again.
    number: within the app. dyno_name: ``scheduler.1234``, also after the dyno's row was deleted.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="job_runs")
    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="runs")
    number = models.PositiveIntegerField()
    trigger = models.CharField(max_length=10)
    planned_at = models.DateTimeField()
    until = models.DateTimeField()
    count = models.PositiveIntegerField(default=1)
    state = models.CharField(max_length=10)
    reason = models.CharField(max_length=20, blank=True)
    detail = models.TextField(blank=True)
    command = models.TextField(blank=True)
    release = models.ForeignKey(Release, null=True, on_delete=models.SET_NULL, related_name="+")
    dyno = models.OneToOneField(Dyno, null=True, on_delete=models.SET_NULL, related_name="job_run")
    dyno_name = models.CharField(max_length=80, blank=True)
    exit_code = models.IntegerField(null=True)
    last_lines = models.TextField(blank=True)
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    look_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "planned_at"], name="one_run_per_moment"),
            models.UniqueConstraint(fields=["app", "number"], name="one_job_run_per_number"),
        ]
        indexes = [
            models.Index(fields=["state", "look_at"], name="job_run_open", condition=models.Q(finished_at=None)),
            models.Index(fields=["created_at"], name="job_run_age"),
            models.Index(fields=["job", "number"], name="job_run_of_job"),
        ]
