"""Fetches the submodules of a commit, each into a small repository of its own without history, which is kept for the
next build: ``modules/COMMIT`` in the folder of the app's repository.

Greenroom never runs ``git submodule``: it reads ``.gitmodules`` itself, and fetches each commit like a source.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from greenroom.basics import atomic, disk, outgoing
from greenroom.basics.errors import UserError
from greenroom.basics.folders import bytes_of
from greenroom.basics.text import printable
from greenroom.git import rules
from greenroom.git.drivers import additions, fetch, inspection, repository
from greenroom.git.rules import MAX_INPUT, submodules

FOLDER = "modules"
KEPT = 2_000_000_000
"""Bytes of an app's fetched submodules, above which the oldest are removed."""
RETRY = "greenroom deliveries:retry"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """hosts: see ``rules.submodules.place_of``. allowed: private networks that may be reached."""

    hosts: Collection[str] = submodules.HOSTS
    allowed: Sequence[outgoing.Network] = ()


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A submodule in the tree: its path, its commit, and the repository that contains it."""

    path: str
    sha: str
    repo: Path


class MissingError(UserError):
    """A submodule is not in the cache, and was not to be fetched."""


@dataclass
class Walk:
    """Collects the submodules of one commit, nested ones included. policy: None to fetch nothing. lfs: paths of those
    with files in Git LFS.
    """

    home: Path
    repo: Path
    policy: Policy | None
    found: list[Placed] = field(default_factory=list)
    fetched: int = 0
    size: int = 0
    lfs: list[str] = field(default_factory=list)
    ends: float = field(default_factory=lambda: time.monotonic() + submodules.SECONDS)

    def below(self, repo: Path, seen: additions.Additions, origin: str, prefix: str = "", depth: int = 1) -> None:
        """Add the submodules of a tree. origin: the URL of its repository, '' if unknown. UserError, PlatformError."""
        entries = submodules.read(seen.modules) if seen.gitlinks else {}
        for path, sha in seen.gitlinks:
            whole = f"{prefix}{path}"
            if depth > submodules.DEPTH:
                raise UserError(f"The submodule {printable(whole, 100)!r} is nested too deeply: {depth} levels.")
            if len(self.found) >= submodules.MOST:
                raise UserError(f"The commit has more than {submodules.MOST} submodules, nested ones included.")
            place = submodules.place_of(path, entries, origin=origin, hosts=self.policy.hosts) if self.policy else None
            module = self._kept(whole, sha, place)
            self.found.append(Placed(path=whole, sha=sha, repo=module))
            inner = additions.look(module, sha)
            self.size += inner.size
            self.lfs += [whole] if inner.pointers else []
            if self.size > submodules.MAX_TREE:
                most = f"{submodules.MAX_TREE / 1e6:,.0f} MB"
                raise UserError(f"The files of the submodules exceed {most} in total.", hint=rules.KEEP_OUT)
            self.below(module, inner, place.url if place else "", f"{whole}/", depth + 1)

    def _kept(self, path: str, sha: str, place: submodules.Place | None) -> Path:
        module = self.repo / FOLDER / sha
        if not (module / "HEAD").exists():
            if place is None or self.policy is None:
                text = f"The submodule {printable(path, 100)!r} is no longer in the cache."
                raise MissingError(text, hint="push another commit, whose build fetches it again")
            self._fetch(path, sha, place, module)
            self.fetched += 1
        os.utime(module)
        return module

    def _fetch(self, path: str, sha: str, place: submodules.Place, module: Path) -> None:
        assert self.policy
        disk.guard(self.home, "builds")
        module.parent.mkdir(mode=0o750, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix="incoming-", dir=self.repo / "objects"))
        named = f"The submodule {printable(path, 100)!r} ({place.url})"
        try:
            left = self.ends - time.monotonic()
            if left <= 0:
                raise UserError(f"Fetching the submodules took longer than {submodules.SECONDS:.0f} s.", hint=RETRY)
            most = max(1, MAX_INPUT - self.size)
            fetch.fetch_commit(draft, _remote(place, self.policy.allowed), sha, seconds=left, most=most)
            tree = inspection.read_tree(draft, sha, None)
            if refusals := rules.judge_tree(named, tree):
                raise UserError(refusals[0].message, hint="use another commit of the submodule")
            repository.write_attributes(draft)
            atomic.sync_path(draft / "objects" / "pack")
            if not module.exists():
                os.rename(draft, module)
        except fetch.RemoteError as error:
            raise UserError(f"{named} cannot be fetched: {error.message}", hint=_remedy(error.message, sha)) from error
        except outgoing.OutgoingError as error:
            raise UserError(f"{named} cannot be fetched: {error}", hint=_allow(error, place)) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _remote(place: submodules.Place, allowed: Sequence[outgoing.Network]) -> fetch.Remote:
    """The place for git, bound to addresses that were checked."""
    addresses = outgoing.resolve(place.host, place.port, allowed)
    listed = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
    config = [("http.curloptResolve", f"{place.host}:{place.port}:{listed}")] if addresses != [place.host] else []
    env = {"GIT_SSL_CAINFO": os.environ["SSL_CERT_FILE"]} if os.environ.get("SSL_CERT_FILE") else {}
    return fetch.Remote(url=place.url, scheme=place.scheme, env=env, config=tuple(config))


def _remedy(message: str, sha: str) -> str:
    if "denied" in message or "not found" in message:
        return "submodules are fetched without credentials: make the repository public, or commit its files"
    if "not our ref" in message or "couldn't find remote ref" in message or "unadvertised" in message:
        return f"push the commit {sha[:12]} to the repository of the submodule, then: {RETRY}"
    return RETRY


def _allow(error: outgoing.OutgoingError, place: submodules.Place) -> str:
    return outgoing.allow_hint(place.host) if error.kind == "refused-address" else RETRY


def evict(repo: Path, keep: Collection[str], most: int = KEPT) -> list[str]:
    """Remove the submodules that were not used for longest, but those in ``keep``, until the rest fits."""
    folder = repo / FOLDER
    if not folder.is_dir():
        return []
    rows = sorted((path.stat().st_mtime, path, bytes_of(path)) for path in folder.iterdir())
    total, removed = sum(size for _, _, size in rows), []
    for _, path, size in rows:
        if total <= most:
            break
        if path.name not in keep:
            shutil.rmtree(path, ignore_errors=True)
            total -= size
            removed.append(path.name)
    return removed
