"""Fetches files in Git LFS of a commit from the LFS server of its source, by the batch API and the basic transfer.

The server names the URL of each file; its address is checked like that of a source, and the content by its hash.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from greenroom.basics import disk, outgoing
from greenroom.basics.errors import UserError
from greenroom.git.drivers import additions, lfs_store
from greenroom.git.drivers.fetch import RemoteError
from greenroom.git.rules import DEFAULT_LIMITS, lfs

log = logging.getLogger(__name__)
SECONDS = 300.0
TOGETHER = 100
"""Objects of one request."""
KIND = "application/vnd.git-lfs+json"
AGAIN = "greenroom source:sync"
_NAME = re.compile(r"[A-Za-z0-9-]{1,60}\Z")
_OURS = frozenset(("host", "connection", "content-length", "transfer-encoding", "accept-encoding"))


@dataclass(frozen=True, kw_only=True)
class Server:
    """url: of the source repository. authorization: the header for it, '' for none; never shown and never stored.
    allowed: private networks that may be reached.
    """

    url: str
    authorization: str = field(default="", repr=False)
    allowed: Sequence[outgoing.Network] = ()

    @property
    def api(self) -> str:
        """The URL that git-lfs derives."""
        url = self.url.rstrip("/")
        return f"{url if url.endswith('.git') else f'{url}.git'}/info/lfs/objects/batch"


def fetch(home: Path, repo: Path, commit: str, quarantine: Path | None, server: Server, *, most: int) -> int:
    """Store the files in Git LFS of a commit that are missing, and return their number. Those that the server does not
    have stay missing. most: bytes of all objects of the app, 0 for no limit. RemoteError, UserError, DiskFullError.
    """
    pointers = additions.look(repo, commit, quarantine).pointers
    sizes = {pointer.oid: pointer.size for pointer in pointers}
    stored = lfs_store.sizes(repo, sizes)
    wanted = {oid: size for oid, size in sizes.items() if stored.get(oid) != size and not lfs.too_big(size)}
    total = sum(wanted.values())
    if not wanted or total > DEFAULT_LIMITS.tree_bytes:  # the inspection refuses the latter
        return 0
    if text := lfs.over_quota("The app", lfs_store.used(repo), total, most):
        raise UserError(text, hint=lfs.QUOTA_HINT)
    disk.guard(home, "fetches", total)
    ends, number = time.monotonic() + SECONDS, 0
    oids = sorted(wanted)
    try:
        for place in range(0, len(oids), TOGETHER):
            part = {oid: wanted[oid] for oid in oids[place : place + TOGETHER]}
            for oid, link in _links(server, part, ends).items():
                number += _download(repo, oid, part[oid], link, server, ends)
    except outgoing.OutgoingError as error:
        raise RemoteError(f"Fetching the files in Git LFS failed: {error}", hint=AGAIN) from error
    return number


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise RemoteError(f"Fetching the files in Git LFS took longer than {SECONDS:.0f} s.", hint=AGAIN)
    return left


def _links(server: Server, wanted: Mapping[str, int], ends: float) -> dict[str, dict[str, Any]]:
    """oid -> the link for its download, for the objects that the server has."""
    objects = [{"oid": oid, "size": size} for oid, size in wanted.items()]
    body = json.dumps({"operation": "download", "transfers": ["basic"], "objects": objects}).encode()
    headers = {"Accept": KIND, "Content-Type": KIND, "User-Agent": "greenroom"}
    headers |= {"Authorization": server.authorization} if server.authorization else {}
    seconds = min(30.0, _left(ends))
    answer = outgoing.request("POST", server.api, body, headers, allowed=server.allowed, seconds=seconds)
    if answer.status >= 500 or answer.status == 429:
        raise RemoteError(f"The LFS server of the source answered {answer.status}.", hint=AGAIN)
    if answer.status != 200:
        log.info("the LFS server of a source answered %s", answer.status)
        return {}
    return links(answer.body, wanted)


def links(body: bytes, wanted: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """The links in a response of the batch API, as far as they are valid and were asked for."""
    try:
        rows = json.loads(body)["objects"]
        return {
            row["oid"]: row["actions"]["download"]
            for row in rows
            if row.get("oid") in wanted and isinstance((row.get("actions") or {}).get("download", {}).get("href"), str)
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _download(repo: Path, oid: str, size: int, link: Mapping[str, Any], server: Server, ends: float) -> bool:
    href, own = str(link["href"]), urlsplit(server.url)
    if outgoing.url_problem(href, ("https", own.scheme)):
        log.info("the LFS server of a source gave a URL that is not valid")
        return False
    with lfs_store.upload(repo, oid) as upload:
        headers = headers_of(link, urlsplit(href)[:2] == own[:2], server.authorization)
        status = outgoing.download(
            href, headers, upload.write, allowed=server.allowed, seconds=_left(ends), limit=max(size, 1)
        )
        if status != 200:
            log.info("a download from the LFS server of a source answered %s", status)
            return False
        upload.keep()
    return True


def headers_of(link: Mapping[str, Any], same: bool, authorization: str) -> dict[str, str]:
    """The headers of a download: those that the server asks for, and the credential only if the host is the same."""
    given = link.get("header")
    rows = list(given.items())[:20] if isinstance(given, dict) else []
    found = {
        name: value
        for name, value in rows
        if _NAME.match(name) and name.lower() not in _OURS and isinstance(value, str) and value.isprintable()
    }
    if same and authorization and "authorization" not in {name.lower() for name in found}:
        found["Authorization"] = authorization
    return {"User-Agent": "greenroom", **found}
