"""Pipelines with their couplings, promotions, test runs and review apps."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from greenroom.accounts.models import Account
from greenroom.apps.models import App
from greenroom.builds.models import Build
from greenroom.checks.models import CheckRun
from greenroom.releases.models import Release


class Pipeline(models.Model):
    """The apps of one product. The name is unique per owner."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=30)
    owner = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="pipelines")
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["owner", "name"], name="one_pipeline_per_name")]


class Coupling(models.Model):
    """An app in a pipeline; an app is in at most one. stage: review, development, staging or production."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="couplings")
    app = models.OneToOneField(App, on_delete=models.CASCADE, related_name="coupling")
    stage = models.CharField(max_length=12)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class StageConfig(models.Model):
    """The config vars of a pipeline's stage ``test`` or ``review``, encrypted as one map; names are in clear text."""

    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="configs")
    stage = models.CharField(max_length=12)
    sealed = models.BinaryField()
    names = models.JSONField(default=list)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pipeline", "stage"], name="one_config_per_stage")]


class Promotion(models.Model):
    """A promotion of a release's slug to other apps. forced: targets that do not wait for pending migrations."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="promotions")
    source = models.ForeignKey(App, null=True, on_delete=models.SET_NULL, related_name="+")
    source_release = models.ForeignKey(Release, null=True, on_delete=models.SET_NULL, related_name="+")
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    forced = models.JSONField(default=list)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class PromotionTarget(models.Model):
    """One target app of a promotion with its new release. The delivery of that release determines the outcome."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    promotion = models.ForeignKey(Promotion, on_delete=models.CASCADE, related_name="targets")
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="+")
    release = models.ForeignKey(Release, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["promotion", "app"], name="one_target_per_app")]


class TestRun(models.Model):
    """A check run ``tests`` of one of the pipeline's apps, with its number for ``heroku ci``.

    check: None until the code of an uploaded run is built. uploaded: from a user's archive, not from a push; ``sha`` is
    then the commit created from the archive, and ``commit_sha`` is unverified client input. state, of an uploaded run
    only: pending, building, running, ended; message: why it ended without a check run. node: the id of its only test
    node. place: bytes already copied from its test dyno's output; told: both of its files are complete.
    """

    __test__ = False  # not a pytest class
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    node = models.UUIDField(default=uuid.uuid4, editable=False)
    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="test_runs")
    number = models.PositiveIntegerField()
    app = models.ForeignKey(App, on_delete=models.CASCADE, related_name="+")
    check_run = models.ForeignKey(CheckRun, null=True, on_delete=models.SET_NULL, related_name="test_runs")
    build = models.ForeignKey(Build, null=True, on_delete=models.SET_NULL, related_name="test_runs")
    uploaded = models.BooleanField(default=False)
    sha = models.CharField(max_length=40)
    commit_sha = models.CharField(max_length=64)
    commit_branch = models.CharField(max_length=255, blank=True)
    commit_message = models.CharField(max_length=500, blank=True)
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    state = models.CharField(max_length=10, default="pending")
    message = models.TextField(blank=True)
    told = models.BooleanField(default=False)
    place = models.BigIntegerField(default=0)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["pipeline", "number"], name="one_test_run_per_number"),
            models.UniqueConstraint(
                fields=["pipeline", "check_run"], condition=Q(check_run__isnull=False), name="one_test_run_per_check"
            ),
        ]
        indexes = [models.Index(fields=["state"], name="test_runs_by_state")]

    @property
    def setup(self) -> str:
        """The path of its set-up output, relative to home."""
        return f"logs/deliveries/{self.id.hex}.log"

    @property
    def output(self) -> str:
        """The path of its test output, relative to home."""
        return f"logs/deliveries/{self.node.hex}.log"


class ReviewAppConfig(models.Model):
    """The review app settings of a pipeline. stale_days: days without changes until deletion; parent: the app whose
    branches get review apps.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pipeline = models.OneToOneField(Pipeline, on_delete=models.CASCADE, related_name="review_config")
    parent = models.ForeignKey(App, on_delete=models.CASCADE, related_name="+")
    automatic = models.BooleanField(default=False)
    destroy_stale = models.BooleanField(default=False)
    stale_days = models.PositiveIntegerField(default=5)
    wait_for_ci = models.BooleanField(default=False)
    base_name = models.CharField(max_length=20, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)


class ReviewApp(models.Model):
    """An app for a branch of another app's repository. state: pending, creating, created, deleting, deleted, errored.

    app_name: chosen with the row, so that an interrupted creation continues with the same app; empty in a row that
    records why no app was created. sha: the branch's commit that was pushed or refused. environment: its own config
    vars, encrypted.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="review_apps")
    parent = models.ForeignKey(App, null=True, on_delete=models.SET_NULL, related_name="+")
    app = models.OneToOneField(App, null=True, on_delete=models.SET_NULL, related_name="review_app")
    app_name = models.CharField(max_length=30)
    branch = models.CharField(max_length=200)
    sha = models.CharField(max_length=40, blank=True)
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, related_name="+")
    environment = models.BinaryField(default=b"")
    wait_for_ci = models.BooleanField(default=False)
    state = models.CharField(max_length=10, default="pending")
    message = models.TextField(blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)
    touched_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["pipeline", "branch"],
                condition=Q(state__in=("pending", "creating", "created")),
                name="one_review_app_per_branch",
            )
        ]
