"""Any other git server: it has no API and no webhook of its own. A hook can post a push in GitHub's form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from greenroom.sources.forges.kind import Call


class Git:
    """The forge of every host that no other forge recognises."""

    name, rank, username = "git", 100, "greenroom"
    advice = "a post-receive hook that posts a push in GitHub's form, signed with the secret in X-Hub-Signature-256"
    host_keys: Mapping[str, str] = {}
    api = None

    def is_host(self, host: str) -> bool:
        """Every host."""
        return True

    def signed(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool | None:
        """No signature of its own."""
        return None

    def call(self, headers: Mapping[str, str]) -> Call:
        """No headers of its own."""
        return Call()


FORGE = Git()
