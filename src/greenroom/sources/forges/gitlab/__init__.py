"""GitLab: commit statuses (docs.gitlab.com/api/commits) and webhooks (its webhook documentation)."""

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
        """Version 4 on the host itself."""
        return api_at(place, "api/v4")

    def headers(self, token: str) -> dict[str, str]:
        """A personal, project or group access token."""
        return {"PRIVATE-TOKEN": token, "Accept": "application/json"}

    def status(self, root: str, repo: str, sha: str, told: Told) -> Request:
        """A commit status."""
        body = {"state": STATES[told.state], "name": told.context, "description": told.description}
        return Request(method="POST", url=f"{root}/projects/{quote(repo, safe='')}/statuses/{sha}", body=body)

    def settled(self, code: int, body: bytes) -> bool:
        """A success, or a refusal of the same state for the second time: GitLab knew it already."""
        return 200 <= code < 300 or (code == 400 and b"Cannot transition status" in body)


class GitLab:
    """gitlab.com and hosts of its own."""

    name, rank, username = "gitlab", 20, "oauth2"
    advice = "Settings > Webhooks: this URL, the secret as secret token, push events"
    host_keys: Mapping[str, str] = {
        "gitlab.com": "gitlab.com ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAfuCHKVTjquxvt6CM6tdG4SLp1Btn/nOeHHE5UOzRdf",
    }
    api = GitLabApi()

    def is_host(self, host: str) -> bool:
        """A label of the host's name says so."""
        return "gitlab" in host.split(".")

    def signed(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool | None:
        """The secret itself in X-Gitlab-Token."""
        given = headers.get("x-gitlab-token")
        if given is None:
            return None
        return any([hmac.compare_digest(given.encode(), secret.encode()) for secret in secrets if secret])

    def call(self, headers: Mapping[str, str]) -> Call:
        """X-Gitlab-Event in GitLab's words, and X-Gitlab-Event-UUID."""
        event = headers.get("x-gitlab-event", "")
        return Call(event=EVENTS.get(event, event), delivery=headers.get("x-gitlab-event-uuid", ""))


FORGE = GitLab()
