"""What a forge is to be told of a delivery, and in which request: facts in, values out. Pure.

GitHub: commit statuses, deployments and their statuses (its OpenAPI description, 2022-11-28). Gitea: commit statuses in
GitHub's form.
GitLab: commit statuses (docs.gitlab.com/api/commits).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from greenroom.basics.text import printable

STATES = ("pending", "success", "failure", "error", "cancelled", "inactive")
ON_ITS_WAY = {
    "received": "waiting for its build",
    "building": "building",
    "checking": "tests and scan",
    "releasing": "releasing",
    "rolling_out": "starting",
}
ENDS = {"live": "success", "held": "pending", "refused": "failure", "failed": "failure", "superseded": "cancelled"}
CHECKS = {
    "success": "success",
    "neutral": "success",
    "skipped": "success",
    "failure": "failure",
    "timed_out": "failure",
    "action_required": "failure",
    "cancelled": "cancelled",
}
GITLAB = {"pending": "running", "success": "success", "failure": "failed", "error": "failed", "cancelled": "canceled"}
GITHUB = {"cancelled": "error"}
DEPLOYMENT = {
    "pending": "in_progress",
    "success": "success",
    "failure": "failure",
    "error": "error",
    "cancelled": "inactive",
    "inactive": "inactive",
}
ATTEMPTS, FIRST_PAUSE, LONGEST_PAUSE = 12, 10, 1800
LATER = (408, 403, 409, 425, 429)
"""Refusals that may be none a little later: GitHub's limits of requests come as 403 and 429."""


@dataclass(frozen=True, kw_only=True)
class Told:
    """One thing to tell. kind: status or deployment; context: its name; state: one of STATES."""

    kind: str
    context: str
    state: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """A builtin check of the delivery's commit."""

    name: str
    status: str
    conclusion: str
    title: str


def wanted(
    *, app: str, state: str, reason: str, version: int | None, checks: Sequence[Check], deployments: bool
) -> list[Told]:
    """All that the forge should know of a delivery in this state."""
    release = f"v{version} " if version else ""
    says = (
        ON_ITS_WAY.get(state)
        or {"live": f"{release}is live", "held": f"{release}is held: its migrations are pending"}.get(state)
        or reason
        or state
    )
    found = [Told(kind="status", context=f"greenroom/{app}", state=ENDS.get(state, "pending"), description=short(says))]
    for check in checks:
        told = CHECKS.get(check.conclusion, "error") if check.status == "completed" else "pending"
        says_check = short(check.title or check.conclusion or check.status)
        found.append(Told(kind="status", context=f"greenroom/{app}/{check.name}", state=told, description=says_check))
    if deployments and version:
        found.append(Told(kind="deployment", context=app, state=ENDS.get(state, "pending"), description=short(says)))
    return found


def short(text: str) -> str:
    """One line of at most 140 characters, as GitHub takes it."""
    line = " ".join(printable(text, one_line=True).split())
    return line if len(line) <= 140 else line[:137] + "..."


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to a forge's API. body: None for none."""

    method: str
    url: str
    body: dict[str, Any] | None = None

    @property
    def data(self) -> bytes:
        """The body as it is sent."""
        return b"" if self.body is None else json.dumps(self.body).encode()


def headers_of(kind: str, token: str) -> dict[str, str]:
    """Who asks, in the forge's words."""
    own = {
        "github": {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        },
        "gitlab": {"PRIVATE-TOKEN": token, "Accept": "application/json"},
        "gitea": {"Authorization": f"token {token}", "Accept": "application/json"},
    }
    return {"User-Agent": "Greenroom", "Content-Type": "application/json", **own[kind]}


def status_request(kind: str, api: str, repo: str, sha: str, told: Told) -> Request:
    """A commit status."""
    if kind == "gitlab":
        body = {"state": GITLAB[told.state], "name": told.context, "description": told.description}
        return Request(method="POST", url=f"{api}/projects/{quote(repo, safe='')}/statuses/{sha}", body=body)
    state = GITHUB.get(told.state, told.state)
    body = {"state": state, "context": told.context, "description": told.description}
    return Request(method="POST", url=f"{api}/repos/{quote(repo)}/statuses/{sha}", body=body)


def find_deployment(api: str, repo: str, sha: str, environment: str) -> Request:
    """The deployments of a commit to an environment: one of them may be ours, from an attempt whose answer was lost."""
    return Request(
        method="GET",
        url=f"{api}/repos/{quote(repo)}/deployments?sha={sha}&environment={quote(environment, safe='')}&per_page=100",
    )


def make_deployment(api: str, repo: str, sha: str, environment: str, delivery: str) -> Request:
    """A deployment of this very commit, whatever its statuses are: Greenroom's own gate has judged it."""
    body = {
        "ref": sha,
        "task": "deploy",
        "auto_merge": False,
        "required_contexts": [],
        "payload": {"greenroom_delivery": delivery},
        "environment": environment,
        "description": "Greenroom",
        "transient_environment": False,
        "production_environment": False,
    }
    return Request(method="POST", url=f"{api}/repos/{quote(repo)}/deployments", body=body)


def deployment_status(api: str, repo: str, number: str, told: Told, web_url: str) -> Request:
    """A state of a deployment. The page's URL is told when it answers."""
    body: dict[str, Any] = {
        "state": DEPLOYMENT[told.state],
        "description": told.description,
        "environment": told.context,
        "auto_inactive": True,
    }
    if told.state == "success":
        body["environment_url"] = web_url
    return Request(method="POST", url=f"{api}/repos/{quote(repo)}/deployments/{number}/statuses", body=body)


def own_deployment(rows: Any, delivery: str) -> str:
    """The number of the deployment that was made for this delivery, empty if there is none."""
    for row in rows if isinstance(rows, list) else []:
        payload = row.get("payload") if isinstance(row, dict) else None
        if isinstance(payload, str):
            try:
                payload = json.loads(payload)
            except ValueError:
                continue
        if isinstance(payload, dict) and payload.get("greenroom_delivery") == delivery:
            return number_of(row)
    return ""


def number_of(row: Any) -> str:
    """The id of a thing in a forge's answer; empty if it has none."""
    number = row.get("id") if isinstance(row, dict) else None
    return str(number) if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**63 else ""


def settled(kind: str, code: int, text: bytes) -> bool:
    """Whether the forge knows it now. GitLab refuses to be told the same state twice; then it knew."""
    return 200 <= code < 300 or (kind == "gitlab" and code == 400 and b"Cannot transition status" in text)


def pause(code: int | None, attempts: int) -> int | None:
    """Seconds until the next attempt, None when it is given up: what is wrong with the request itself does not get
    better.
    """
    hopeless = code is not None and 300 <= code < 500 and code not in LATER
    if attempts >= ATTEMPTS or hopeless:
        return None
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempts - 1))
