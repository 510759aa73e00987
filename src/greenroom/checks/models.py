"""Check runs, their annotations, verdicts and overrides."""

from __future__ import annotations

import uuid

from django.db import models

from greenroom.accounts.models import Account
from greenroom.apps.models import App
from greenroom.slugs.models import Slug


class CheckRun(models.Model):
    """One attempt of one named check on one commit. The highest attempt counts.

    status: queued, in_progress, completed; conclusion (when completed): success, failure, error, cancelled, timed_out,
    skipped,
    neutral, stale, action_required. brief: text for the verdict; notes: remarks on a success, for
    the verdict.
    dyno: the engine's id of a built-in check's dyno; empty once it has been forgotten.
    number: sequence number in the app, the integer id for GitHub's clients.
    reporter: the id of the token that reported the attempt first; None for built-in checks and password sign-ins.
    data: of tests {tests, skipped, seconds, wall, runs, flaky[], failures[{name, kind, output}], slowest[]}; of scan
    {ruff, models};
    of an external check run {text, external_id}.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="check_runs")
    sha = models.CharField(max_length=40)
    name = models.CharField(max_length=100)
    attempt = models.PositiveIntegerField(default=1)
    number = models.PositiveBigIntegerField(null=True)
    reporter = models.UUIDField(null=True, blank=True)
    builtin = models.BooleanField(default=False)
    status = models.CharField(max_length=12, default="queued")
    conclusion = models.CharField(max_length=16, blank=True)
    title = models.CharField(max_length=255, blank=True)
    brief = models.TextField(blank=True)
    notes = models.JSONField(default=list)
    summary = models.TextField(blank=True)
    url = models.TextField(blank=True)
    slug = models.ForeignKey(Slug, null=True, on_delete=models.SET_NULL, related_name="check_runs")
    dyno = models.CharField(max_length=80, blank=True)
    data = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["app", "sha", "name", "attempt"], name="one_run_per_attempt"),
            models.UniqueConstraint(fields=["app", "number"], name="one_run_per_number"),
        ]
        indexes = [
            models.Index(
                fields=["app", "sha"],
                name="unfinished_checks",
                condition=models.Q(builtin=True) & ~models.Q(status="completed"),
            )
        ]


class Annotation(models.Model):
    """A finding at a line. severity: 1 critical, 2 potential bug, 3 minor, 4 recommendation. new: not in the deployed
    commit.

    column, end_line, end_column: 0 if not reported. raw_details: the reporter's, unchanged.
    suppressed: ``inSource`` (noqa and the like) or ``external`` (an Ignore, with its reason as justification); empty if
    the finding counts.
    """

    check_run = models.ForeignKey(CheckRun, on_delete=models.CASCADE, related_name="annotations")
    path = models.TextField()
    line = models.PositiveIntegerField(default=1)
    end_line = models.PositiveIntegerField(default=0)
    column = models.PositiveIntegerField(default=0)
    end_column = models.PositiveIntegerField(default=0)
    tool = models.CharField(max_length=40)
    rule = models.CharField(max_length=255)
    severity = models.PositiveSmallIntegerField()
    message = models.TextField()
    raw_details = models.TextField(blank=True)
    fingerprint = models.CharField(max_length=64)
    new = models.BooleanField(default=True)
    suppressed = models.CharField(max_length=10, blank=True)
    justification = models.TextField(blank=True)


class Ignore(models.Model):
    """A user's decision to ignore one finding until a given time. Then it counts as new again, even if it is deployed.

    fingerprint: ``greenroom/v1``; tool, rule, path: of the finding when it was ignored. ended_at: time of revocation.
    """

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="ignores")
    fingerprint = models.CharField(max_length=64)
    tool = models.CharField(max_length=40)
    rule = models.CharField(max_length=80)
    path = models.TextField()
    reason = models.TextField()
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    actor = models.CharField(max_length=254)
    until = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["app", "fingerprint"], condition=models.Q(ended_at=None), name="one_ignore_per_finding"
            )
        ]


class GatePolicy(models.Model):
    """The gate policy of an app; without a row the defaults apply.

    two_people: the author of a push may not override its checks. stale_after: minutes without a report until a check
    is stale.
    """

    app = models.OneToOneField(App, on_delete=models.CASCADE, related_name="gate_policy")
    two_people = models.BooleanField(default=False)
    stale_after = models.PositiveIntegerField(default=120)


class Verdict(models.Model):
    """A verdict on a commit: colour (green, pending, red, blocked) with reasons. The newest counts."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="verdicts")
    sha = models.CharField(max_length=40)
    colour = models.CharField(max_length=10)
    reasons = models.JSONField(default=list)
    inputs = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)


class Override(models.Model):
    """A user's override of named checks for one commit. A newer attempt of a recorded check voids it."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="overrides")
    sha = models.CharField(max_length=40)
    checks = models.JSONField(default=list)
    attempts = models.JSONField(default=dict)
    reason = models.TextField()
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    actor = models.CharField(max_length=254)
    created_at = models.DateTimeField(auto_now_add=True)


class Status(models.Model):
    """A commit status in GitHub's terms: state is error, failure, pending or success. Append-only."""

    id = models.BigAutoField(primary_key=True)
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="statuses")
    sha = models.CharField(max_length=40)
    context = models.CharField(max_length=100)
    state = models.CharField(max_length=10)
    description = models.TextField(blank=True)
    target_url = models.TextField(blank=True)
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["app", "sha", "id"], name="statuses_of_commit")]


class Pin(models.Model):
    """Pins a check to the only token that may report it. ``name`` is normalised by ``rules.key``."""

    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="pins")
    name = models.CharField(max_length=100)
    token_id = models.UUIDField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["app", "name"], name="one_pin_per_check")]
