"""GitHub and GitHub Enterprise: commit statuses, deployments and their statuses (its OpenAPI description, 2022-11-28),
and webhooks (docs.github.com, "Validating webhook deliveries").
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from greenroom.sources.forges.kind import Call, Request, api_at, github_status, number_of, signs
from greenroom.sources.rules import Place
from greenroom.sources.rules.reports import Told

SIGNATURE = re.compile(r"sha256=[0-9a-f]{64}\Z")
HOSTS = ("github.com", "ssh.github.com")
DEPLOYMENT = {
    "pending": "in_progress",
    "success": "success",
    "failure": "failure",
    "error": "error",
    "cancelled": "inactive",
    "inactive": "inactive",
}


class GitHubDeployments:
    """Deployments and their statuses."""

    def find(self, root: str, repo: str, sha: str, environment: str) -> Request:
        """Find existing deployments: an earlier attempt whose response was lost may have created one."""
        query = f"sha={sha}&environment={quote(environment, safe='')}&per_page=100"
        return Request(method="GET", url=f"{root}/repos/{quote(repo)}/deployments?{query}")

    def make(self, root: str, repo: str, sha: str, environment: str, delivery: str) -> Request:
        """A deployment of exactly this commit. GitHub's required statuses are skipped: Greenroom's gate has already
        decided.
        """
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
        return Request(method="POST", url=f"{root}/repos/{quote(repo)}/deployments", body=body)

    def state(self, root: str, repo: str, number: str, told: Told, web_url: str) -> Request:
        """The deployment URL is set in the success state only."""
        body: dict[str, Any] = {
            "state": DEPLOYMENT[told.state],
            "description": told.description,
            "environment": told.context,
            "auto_inactive": True,
        }
        if told.state == "success":
            body["environment_url"] = web_url
        return Request(method="POST", url=f"{root}/repos/{quote(repo)}/deployments/{number}/statuses", body=body)

    def own(self, rows: Any, delivery: str) -> str:
        """The payload contains the delivery id; GitHub returns it as an object or as text."""
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

    def number(self, answer: Any) -> str:
        """Its id, as text."""
        return number_of(answer)


class GitHubApi:
    """Commit statuses and deployments."""

    deployments = GitHubDeployments()

    def root(self, place: Place) -> str:
        """api.github.com, or API version 3 on a GitHub Enterprise host."""
        return "https://api.github.com" if place.host in HOSTS else api_at(place, "api/v3")

    def headers(self, token: str) -> dict[str, str]:
        """A personal or installation access token, and the API version."""
        return {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }

    def status(self, root: str, repo: str, sha: str, told: Told) -> Request:
        """A commit status."""
        return github_status(root, repo, sha, told)

    def settled(self, code: int, body: bytes) -> bool:
        """Whether it is a success."""
        return 200 <= code < 300


class GitHub:
    """github.com and GitHub Enterprise."""

    name, rank, username = "github", 10, "x-access-token"
    advice = "Settings > Webhooks: this URL, content type application/json, the secret, just the push event"
    host_keys: Mapping[str, str] = {
        "github.com": "github.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl",
    }
    api = GitHubApi()

    def is_host(self, host: str) -> bool:
        """Whether it is github.com or a label of the host name is a product name."""
        return host in HOSTS or "github" in host.split(".")

    def signed(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool | None:
        """HMAC-SHA256 in X-Hub-Signature-256."""
        given = headers.get("x-hub-signature-256")
        if given is None:
            return None
        return bool(SIGNATURE.match(given)) and signs(given.removeprefix("sha256="), body, secrets)

    def call(self, headers: Mapping[str, str]) -> Call:
        """X-GitHub-Event and X-GitHub-Delivery."""
        return Call(event=headers.get("x-github-event", ""), delivery=headers.get("x-github-delivery", ""))


FORGE = GitHub()
