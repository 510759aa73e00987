"""Any other git server: it has no API and no webhook. A hook can post a push in GitHub's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from greenroom.sources.forges.kind import Call


class Git:
    """The forge of hosts that no other forge recognises."""

    name, rank, username = "git", 100, "greenroom"
    advice = "a post-receive hook that posts a push in GitHub's form, signed with the secret in X-Hub-Signature-256"
    host_keys: Mapping[str, str] = {}
    api = None

    def is_host(self, host: str) -> bool:
        """Always true."""
        return True

    def signed(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool | None:
        """None: no signature of its own."""
        return None

    def call(self, headers: Mapping[str, str]) -> Call:
        """Empty: no headers of its own."""
        return Call()


FORGE = Git()
