"""The shapes of pipelines, promotions, test runs and review apps, and of their request bodies."""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.heroku import NAMED, TIMES
from greenroom.entrypoints.api.schemas.words import declare

declare("of-pipeline", "The id of a pipeline.", {"id": "uuid"})
declare(
    "pipeline",
    "A pipeline: apps of one product.",
    {
        **NAMED,
        "owner": {"id": "uuid", "type": "text"},
        "owner_email": "email",
        "generation": ["#named", "text"],
        **TIMES,
    },
)
declare(
    "pipeline-coupling",
    "An app in a stage of a pipeline.",
    {
        "id": "uuid",
        "stage": "review|development|staging|production",
        "app": "#named",
        "pipeline": "#named",
        **TIMES,
    },
)
declare(
    "pipeline-promotion",
    "The promotion of a release to other apps. forced: targets that do not wait for pending migrations.",
    {
        "id": "uuid",
        "pipeline": "#of-pipeline",
        "status": "pending|completed",
        "source": {"app": {"id": "uuid?"}, "release": {"id": "uuid?"}},
        "forced": "[text]",
        **TIMES,
    },
)
declare(
    "promotion-target",
    "The result of a promotion in one app.",
    {
        "id": "uuid",
        "app": "#named",
        "status": "pending|succeeded|failed",
        "error_message": "text?",
        "release": "#promotion-target.release?",
        "pipeline_promotion": {"id": "uuid"},
    },
)
declare("promotion-target.release", "The new release of the app.", {"id": "uuid", "version": "integer"})
declare(
    "test-run",
    "A run of an app's tests. uploaded: from an uploaded archive, not from a push.",
    {
        "id": "uuid",
        "number": "count",
        "status": "text",
        "pipeline": "#named",
        "commit_branch": "text",
        "commit_sha": "text",
        "commit_message": "text",
        "message": "text?",
        "warning_message": "null",
        "actor_email": "text",
        "user": "#user",
        "organization": "null",
        "app_setup": "null",
        "clear_cache": "boolean",
        "debug": "boolean",
        "dyno": {"size": "text"},
        "source_blob_url": "text",
        "uploaded": "boolean",
        "app": "#named",
        **TIMES,
    },
)
declare(
    "test-node",
    "The only node of a test run, with links to the output of the set-up and of the tests.",
    {
        "id": "uuid",
        "index": "count",
        "status": "text",
        "exit_code": "integer?",
        "error_status": "null",
        "message": "text?",
        "dyno": "null",
        "pipeline": "#of-pipeline",
        "test_run": {"id": "uuid"},
        "setup_stream_url": "text",
        "output_stream_url": "text",
        **TIMES,
    },
)
declare(
    "pipeline-repository",
    "The repository of a pipeline, for older clients.",
    {
        "id": "uuid",
        "repository": {"id": "uuid", "name": "text", "type": "text"},
        "organization": "null",
        "owner": {"id": "uuid"},
        "ci": "boolean",
    },
)
declare(
    "pipeline-repo",
    "The repository of the review apps' branches.",
    {
        "id": "integer",
        "full_name": "text",
        "name": "text",
        "type": "text",
        "url": "text",
    },
)
declare("branch", "A branch of the repository.", {"name": "text", "sha": "sha", "commit": {"sha": "sha"}})
declare(
    "review-app",
    "A review app: a separate app for a branch.",
    {
        "id": "uuid",
        "status": "pending|creating|created|deleting|deleted|errored",
        "branch": "text",
        "app": "#of-app?",
        "app_name": "text",
        "pipeline": "#of-pipeline",
        "creator": {"id": "uuid?"},
        "message": "text?",
        "error_status": "text?",
        "wait_for_ci": "boolean",
        "pr_number": "null",
        "fork_repo": "null",
        "app_setup": "null",
        **TIMES,
    },
)
declare(
    "review-app-config",
    "The review app settings of a pipeline.",
    {
        "pipeline_id": "uuid",
        "repo": {"id": "integer", "full_name": "text"},
        "automatic_review_apps": "boolean",
        "destroy_stale_apps": "boolean",
        "stale_days": "count",
        "wait_for_ci": "boolean",
        "base_name": "text?",
        "deploy_target": "null",
        **TIMES,
    },
)

WHICH = ["name", {"?id": "text?", "?name": "text?"}]
"""A reference by id or name, as a string or in an object."""

declare(
    "pipeline.create", "A new pipeline, owned by the caller.", {"name": "name", "?owner": "any", "?generation": "any"}
)
declare("pipeline.update", "A new name.", {"name": "name"})
declare(
    "pipeline-coupling.create",
    "The app, the pipeline and the stage.",
    {
        "app": WHICH,
        "pipeline": WHICH,
        "stage": "review|development|staging|production",
    },
)
declare("pipeline-coupling.update", "A new stage.", {"stage": "review|development|staging|production"})
declare("filter.apps", "App ids, at most 1000.", {"in": {"id": "[text]"}})
declare(
    "pipeline-promotion.create",
    "The source app and the target apps. force: do not wait for pending migrations.",
    {
        "pipeline": WHICH,
        "source": {"app": WHICH, "?release": [*WHICH, "null"]},
        "targets": "[#pipeline-promotion.target]",
        "?force": "any",
    },
)
declare("pipeline-promotion.target", "A target app.", {"app": WHICH})
declare(
    "test-run.create",
    "An archive to test: a get_url of this installation's /sources.",
    {
        "pipeline": WHICH,
        "source_blob_url": "name",
        "commit_sha": "name",
        "commit_branch": "name",
        "?commit_message": "text?",
        "?debug": "boolean?",
    },
)
declare("test-run.update", "A cancellation: status must be cancelled.", {"status": "name", "?message": "text?"})
declare(
    "review-app-config.update",
    "Settings to change. Omitted keys keep their value.",
    {
        "?repo": "text?",
        "?automatic_review_apps": ["boolean", "null"],
        "?destroy_stale_apps": ["boolean", "null"],
        "?wait_for_ci": ["boolean", "null"],
        "?stale_days": "seconds?",
        "?base_name": "text?",
    },
)
declare(
    "review-app.create",
    "The branch. environment: config vars of this app only.",
    {
        "branch": "name",
        "pipeline": WHICH,
        "?environment": "object?",
        "?source_blob": "any",
        "?fork_repo_id": "null",
        "?pr_number": "null",
    },
)
