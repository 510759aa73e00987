"""GitLab: commit statuses (docs.gitlab.com/api/commits) and webhooks (GitLab's webhook documentation)."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from greenroom.sources.forges.kind import Call, Request, api_at
from greenroom.sources.rules import Place
from greenroom.sources.rules.reports import Told

STATES = {"pending": "running", "success": "success", "failure": "failed", "error": "failed", "cancelled": "canceled"}
EVENTS = {"Push Hook": "push", "Tag Push Hook": "tag", "tag_push": "tag"}


class GitLabApi:
    """Commit statuses."""

    deployments = None

    def root(self, place: Place) -> str:
        """API version 4 on the repository's host."""
        return api_at(place, "api/v4")

    def headers(self, token: str) -> dict[str, str]:
        """A personal, project or group access token."""
        return {"PRIVATE-TOKEN": token, "Accept": "application/json"}

    def status(self, root: str, repo: str, sha: str, told: Told) -> Request:
        """A commit status."""
        body = {"state": STATES[told.state], "name": told.context, "description": told.description}
        return Request(method="POST", url=f"{root}/projects/{quote(repo, safe='')}/statuses/{sha}", body=body)

    def settled(self, code: int, body: bytes) -> bool:
        """Whether it is a success, or the error for a repeated state, which GitLab already knows."""
        return 200 <= code < 300 or (code == 400 and b"Cannot transition status" in body)


class GitLab:
    """gitlab.com and self-hosted instances."""

    name, rank, username = "gitlab", 20, "oauth2"
    advice = "Settings > Webhooks: this URL, the secret as secret token, push events"
    host_keys: Mapping[str, str] = {
        "gitlab.com": "gitlab.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf",
    }
    api = GitLabApi()

    def is_host(self, host: str) -> bool:
        """Whether a label of the host name is a product name."""
        return "gitlab" in host.split(".")

    def signed(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool | None:
        """The secret itself in X-Gitlab-Token."""
        given = headers.get("x-gitlab-token")
        if given is None:
            return None
        return any([hmac.compare_digest(given.encode(), secret.encode()) for secret in secrets if secret])

    def call(self, headers: Mapping[str, str]) -> Call:
        """X-Gitlab-Event, an event name in GitLab's format, and X-Gitlab-Event-UUID."""
        event = headers.get("x-gitlab-event", "")
        return Call(event=EVENTS.get(event, event), delivery=headers.get("x-gitlab-event-uuid", ""))


FORGE = GitLab()
