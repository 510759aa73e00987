"""The contract of a forge, and the values that it builds. Pure."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from greenroom.sources.rules import Place
from greenroom.sources.rules.reports import Told


@dataclass(frozen=True, kw_only=True)
class Call:
    """A webhook call. event: ping, push, tag or the forge's own name; delivery: its id. Both empty if unknown."""

    event: str = ""
    delivery: str = ""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to a forge's API. body: None for none."""

    method: str
    url: str
    body: dict[str, Any] | None = None

    @property
    def data(self) -> bytes:
        """The serialised body."""
        return b"" if self.body is None else json.dumps(self.body).encode()


class Deployments(Protocol):
    """A forge's record of deployments. ``root``: the API's root; ``repo``: the path of the repository."""

    def find(self, root: str, repo: str, sha: str, environment: str) -> Request:
        """The deployments of a commit to an environment."""

    def make(self, root: str, repo: str, sha: str, environment: str, delivery: str) -> Request:
        """A new deployment that carries the id of Greenroom's delivery."""

    def state(self, root: str, repo: str, number: str, told: Told, web_url: str) -> Request:
        """A new state of a deployment."""

    def own(self, rows: Any, delivery: str) -> str:
        """The id of the delivery's deployment, from the response to ``find``; empty if there is none."""

    def number(self, answer: Any) -> str:
        """The id of a deployment, from the response to ``make``; empty if it has none."""


class Api(Protocol):
    """The API of a forge."""

    @property
    def deployments(self) -> Deployments | None:
        """Deployments; None for a forge without them."""

    def root(self, place: Place) -> str:
        """The URL of the API for a repository."""

    def headers(self, token: str) -> dict[str, str]:
        """Credentials, and the API version."""

    def status(self, root: str, repo: str, sha: str, told: Told) -> Request:
        """A commit status."""

    def settled(self, code: int, body: bytes) -> bool:
        """Whether the response means that the forge has the status or deployment."""


class Forge(Protocol):
    """One kind of forge: ``FORGE`` of its package."""

    @property
    def name(self) -> str:
        """Lower case, at most 10 characters: the ``kind`` of a source."""

    @property
    def rank(self) -> int:
        """Order of lists and of host detection."""

    @property
    def username(self) -> str:
        """The user name for a token over https if the user gives none."""

    @property
    def advice(self) -> str:
        """Instructions for adding the webhook."""

    @property
    def host_keys(self) -> Mapping[str, str]:
        """{host: line of known_hosts} with the published ssh keys."""

    @property
    def api(self) -> Api | None:
        """The API; None for a forge without one."""

    def is_host(self, host: str) -> bool:
        """Whether the host name alone identifies this forge."""

    def signed(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool | None:
        """Whether the call's signature of this forge is valid for one of the secrets; None if there is no such
        signature.
        """

    def call(self, headers: Mapping[str, str]) -> Call:
        """The event and the delivery id from the forge's own headers."""


def api_at(place: Place, path: str) -> str:
    """``path`` on the host of the repository. An ssh port is dropped: it does not apply to https."""
    host = f"[{place.host}]" if ":" in place.host else place.host
    port = f":{place.port}" if place.port and place.scheme != "ssh" else ""
    scheme = "http" if place.scheme == "http" else "https"
    return f"{scheme}://{host}{port}/{path}"


def github_status(root: str, repo: str, sha: str, told: Told) -> Request:
    """A commit status in GitHub's format, which other forges have adopted."""
    state = "error" if told.state == "cancelled" else told.state
    body = {"state": state, "context": told.context, "description": told.description}
    return Request(method="POST", url=f"{root}/repos/{quote(repo)}/statuses/{sha}", body=body)


def signs(given: str, body: bytes, secrets: Sequence[str]) -> bool:
    """Whether ``given`` is the hexadecimal HMAC-SHA256 of the body with one of the secrets."""
    wanted = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets if secret]
    return any([hmac.compare_digest(given, one) for one in wanted])


def number_of(row: Any) -> str:
    """The id of an object in a forge's response; empty if it has none."""
    number = row.get("id") if isinstance(row, dict) else None
    return str(number) if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 2**63 else ""
