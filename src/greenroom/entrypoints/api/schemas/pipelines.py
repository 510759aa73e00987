"""The shapes of pipelines, promotions, test runs and review apps, and of the bodies that ask for them."""

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
    "An app's place in a pipeline.",
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
    "That the code of a release moves on. forced: targets whose pending migrations do not stop it.",
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
    "How a promotion went in one app.",
    {
        "id": "uuid",
        "app": "#named",
        "status": "pending|succeeded|failed",
        "error_message": "text?",
        "release": "#promotion-target.release?",
        "pipeline_promotion": {"id": "uuid"},
    },
)
declare("promotion-target.release", "The release that the app got.", {"id": "uuid", "version": "integer"})
declare(
    "test-run",
    "A run of an app's tests. uploaded: of an archive that somebody sent, not of a push.",
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
    "The one node of a test run, with links to what was said before and during its tests.",
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
    "The repository of a pipeline as older clients ask for it.",
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
    "The repository whose branches review apps are of.",
    {
        "id": "integer",
        "full_name": "text",
        "name": "text",
        "type": "text",
        "url": "text",
    },
)
declare("branch", "A branch of it.", {"name": "text", "sha": "sha", "commit": {"sha": "sha"}})
declare(
    "review-app",
    "An app of its own for a branch.",
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
    "That a pipeline has review apps, and how.",
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
"""A thing by its id or name, as text or in an object."""

declare(
    "pipeline.create", "A new pipeline; its owner is who asks.", {"name": "name", "?owner": "any", "?generation": "any"}
)
declare("pipeline.update", "Another name.", {"name": "name"})
declare(
    "pipeline-coupling.create",
    "Which app, into which stage of which pipeline.",
    {
        "app": WHICH,
        "pipeline": WHICH,
        "stage": "review|development|staging|production",
    },
)
declare("pipeline-coupling.update", "Another stage.", {"stage": "review|development|staging|production"})
declare("filter.apps", "Which apps, by their ids; at most 1000.", {"in": {"id": "[text]"}})
declare(
    "pipeline-promotion.create",
    "From which app to which others. force: in spite of their pending migrations.",
    {
        "pipeline": WHICH,
        "source": {"app": WHICH, "?release": [*WHICH, "null"]},
        "targets": "[#pipeline-promotion.target]",
        "?force": "any",
    },
)
declare("pipeline-promotion.target", "One of them.", {"app": WHICH})
declare(
    "test-run.create",
    "An archive whose tests are to run: a get_url of this installation's /sources.",
    {
        "pipeline": WHICH,
        "source_blob_url": "name",
        "commit_sha": "name",
        "commit_branch": "name",
        "?commit_message": "text?",
        "?debug": "boolean?",
    },
)
declare("test-run.update", "status: cancelled, nothing else.", {"status": "name", "?message": "text?"})
declare(
    "review-app-config.update",
    "Settings; what is left out stays as it is.",
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
    "Of which branch. environment: config vars of this app alone.",
    {
        "branch": "name",
        "pipeline": WHICH,
        "?environment": "object?",
        "?source_blob": "any",
        "?fork_repo_id": "null",
        "?pr_number": "null",
    },
)
