"""Serializes statuses and check runs with the fields of GitHub's REST API (OpenAPI description of 2022-11-28)."""

from __future__ import annotations

import base64
from collections.abc import Collection
from typing import Any

from greenroom.accounts.models import Account
from greenroom.apps.models import App
from greenroom.basics.clock import heroku_time
from greenroom.checks.models import Annotation, CheckRun, Status
from greenroom.checks.rules import key
from greenroom.entrypoints.api import client_urls

CONCLUSIONS = {"error": "failure", "stale": "timed_out"}
"""Greenroom's conclusions -> those that GitHub's clients know."""

STATES = {"success": "success", "pending": "pending"}
LEVELS = {1: "failure", 2: "failure", 3: "warning", 4: "notice"}
USER_PARTS = (
    "events",
    "followers",
    "following",
    "gists",
    "organizations",
    "received_events",
    "repos",
    "starred",
    "subscriptions",
)
REPO_PARTS = (
    "archive",
    "assignees",
    "blobs",
    "branches",
    "collaborators",
    "comments",
    "commits",
    "compare",
    "contents",
    "contributors",
    "deployments",
    "downloads",
    "events",
    "forks",
    "git_commits",
    "git_refs",
    "git_tags",
    "hooks",
    "issue_comment",
    "issue_events",
    "issues",
    "keys",
    "labels",
    "languages",
    "merges",
    "milestones",
    "notifications",
    "pulls",
    "releases",
    "stargazers",
    "statuses",
    "subscribers",
    "subscription",
    "tags",
    "teams",
    "trees",
)


def root() -> str:
    """The root URL of the API."""
    return client_urls.plain("")


def repo_url(owner: str, app: App) -> str:
    """The repository's URL under /api/v3."""
    return f"{root()}/api/v3/repos/{owner}/{app.name}"


def node(kind: str, number: object) -> str:
    """An opaque global id, as GitHub's are."""
    return base64.b64encode(f"{kind}{number}".encode()).decode()


def user(row: Account | None) -> dict[str, Any] | None:
    """An account as GitHub's simple user; None if it was deleted. The number derives from its id and is stable."""
    if row is None:
        return None
    login = row.email
    url = f"{root()}/api/v3/users/{login}"
    return {
        "login": login,
        "id": row.id.int % 2**31,
        "node_id": node("User", row.id),
        "avatar_url": f"{root()}/",
        "gravatar_id": "",
        "url": url,
        "html_url": url,
        "type": "User",
        "site_admin": row.is_admin,
        **{f"{part}_url": f"{url}/{part}" for part in USER_PARTS},
    }


def repository(owner: str, app: App) -> dict[str, Any]:
    """The app as GitHub's minimal repository. Only the URLs of statuses and checks exist."""
    url = repo_url(owner, app)
    return {
        "id": app.number,
        "node_id": node("Repository", app.id),
        "name": app.name,
        "full_name": f"{owner}/{app.name}",
        "owner": user(app.owner),
        "private": True,
        "html_url": url,
        "description": None,
        "fork": False,
        "url": url,
        **{f"{part}_url": f"{url}/{part}" for part in REPO_PARTS},
    }


def simple_status(row: Status, owner: str, required: bool | None = None) -> dict[str, Any]:
    """A status inside a combined one."""
    shown = {
        "url": f"{repo_url(owner, row.app)}/statuses/{row.sha}",
        "avatar_url": None,
        "id": row.id,
        "node_id": node("Status", row.id),
        "state": row.state,
        "description": row.description or None,
        "target_url": row.target_url or None,
        "context": row.context,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.created_at),
    }
    return shown if required is None else {**shown, "required": required}


def status(row: Status, owner: str) -> dict[str, Any]:
    """A status with its reporter."""
    return {**simple_status(row, owner), "creator": user(row.account)}


def combined(
    rows: list[Status], page: list[Status], *, sha: str, owner: str, app: App, required: Collection[str]
) -> dict[str, Any]:
    """All contexts of a commit as one state: failure before pending before success; pending when there is none."""
    states = {STATES.get(row.state, "failure") for row in rows}
    order = ("failure", "pending", "success") if rows else ("pending",)
    url = repo_url(owner, app)
    return {
        "state": next(state for state in order if state in states or not rows),
        "statuses": [simple_status(row, owner, key(row.context) in required) for row in page],
        "sha": sha,
        "total_count": len(rows),
        "repository": repository(owner, app),
        "commit_url": f"{url}/commits/{sha}",
        "url": f"{url}/commits/{sha}/status",
    }


def check_run(row: CheckRun, owner: str, annotations: int) -> dict[str, Any]:
    """One attempt of a check. Conclusions unknown to GitHub are mapped: error to failure, stale to timed_out."""
    url = f"{repo_url(owner, row.app)}/check-runs/{row.number}"
    return {
        "id": row.number,
        "node_id": node("CheckRun", row.id),
        "head_sha": row.sha,
        "name": row.name,
        "external_id": row.data.get("external_id"),
        "url": url,
        "html_url": None,
        "details_url": row.url or None,
        "status": row.status,
        "conclusion": CONCLUSIONS.get(row.conclusion, row.conclusion) or None,
        "started_at": heroku_time(row.started_at),
        "completed_at": heroku_time(row.finished_at),
        "output": {
            "title": row.title or None,
            "summary": row.summary or None,
            "text": row.data.get("text"),
            "annotations_count": annotations,
            "annotations_url": f"{url}/annotations",
        },
        "check_suite": None,
        "app": None,
        "pull_requests": [],
    }


def annotation(row: Annotation, owner: str) -> dict[str, Any]:
    """An annotation of lines in a file."""
    run = row.check_run
    return {
        "path": row.path,
        "blob_href": f"{repo_url(owner, run.app)}/contents/{row.path}?ref={run.sha}",
        "start_line": row.line,
        "end_line": row.end_line or row.line,
        "start_column": row.column or None,
        "end_column": row.end_column or None,
        "title": row.rule or None,
        "annotation_level": LEVELS.get(row.severity, "notice"),
        "message": row.message,
        "raw_details": row.raw_details or None,
    }
