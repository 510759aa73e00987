"""Gitea and Forgejo (docs.gitea.com, "Webhooks" and "API Usage"). Commit statuses have GitHub's format."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from greenroom.sources.forges.kind import Call, Request, api_at, github_status, signs
from greenroom.sources.rules import Place
from greenroom.sources.rules.reports import Told

SIGNATURE = re.compile(r"[0-9a-f]{64}\Z")


class GiteaApi:
    """Commit statuses."""

    deployments = None

    def root(self, place: Place) -> str:
        """API version 1 on the repository's host."""
        return api_at(place, "api/v1")

    def headers(self, token: str) -> dict[str, str]:
        """A token in Gitea's own scheme."""
        return {"Authorization": f"token {token}", "Accept": "application/json"}

    def status(self, root: str, repo: str, sha: str, told: Told) -> Request:
        """A commit status."""
        return github_status(root, repo, sha, told)

    def settled(self, code: int, body: bytes) -> bool:
        """Whether it is a success."""
        return 200 <= code < 300


class Gitea:
    """Gitea, Forgejo and codeberg.org."""

    name, rank, username = "gitea", 30, "greenroom"
    advice = "Settings > Webhooks > Gitea: this URL, POST, application/json, the secret, push events"
    host_keys: Mapping[str, str] = {}
    api = GiteaApi()

    def is_host(self, host: str) -> bool:
        """Whether it is codeberg.org or a label of the host name is a product name."""
        return host == "codeberg.org" or bool({"gitea", "forgejo"} & set(host.split(".")))

    def signed(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool | None:
        """HMAC-SHA256 in X-Gitea-Signature, without a prefix."""
        given = headers.get("x-gitea-signature")
        return None if given is None else bool(SIGNATURE.match(given)) and signs(given, body, secrets)

    def call(self, headers: Mapping[str, str]) -> Call:
        """X-Gitea-Event and X-Gitea-Delivery."""
        return Call(event=headers.get("x-gitea-event", ""), delivery=headers.get("x-gitea-delivery", ""))


FORGE = Gitea()
