"""The first steps of a build: the tar of the commit, with its submodules and its files in Git LFS.

A commit without both is archived at once. Submodules are fetched in a thread, since that takes up to minutes.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from typing import TYPE_CHECKING

from django.conf import settings

from greenroom.basics.errors import NotFoundError, UserError
from greenroom.basics.text import printable
from greenroom.buildpacks.errors import BuildError
from greenroom.builds.steps.part import Part
from greenroom.git import queries
from greenroom.git.drivers.modules import Policy
from greenroom.git.queries import Tree
from greenroom.git.rules import lfs

PATIENCE = 0.3
"""Seconds that a step may wait, so that a quick fetch needs no second call."""

_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="tree")
_running: dict[str, Future[tuple[str, list[str]]]] = {}


class Gathering(Part):
    """The steps ``prepare`` and ``tree``."""

    if TYPE_CHECKING:

        def plan_from(self, tar: str) -> bool:
            """The next step, of ``Steps``."""
            ...

    def prepare(self) -> bool:
        """Read the commit. Parts that git does not contain are added in a thread."""
        try:
            tree = queries.tree(self.build.app, self.home, self.build.commit)
        except NotFoundError:
            raise
        except UserError as error:
            raise BuildError("checkout", error.message, hint=error.hint) from error
        tar = _tar(tree)
        self.say("-----> Building on the Greenroom-1 stack")
        self._tell_parts(tree)
        if (self.home / tar).exists():
            os.utime(self.home / tar)  # protects it from the sweep of leftovers
            return self.plan_from(tar)
        if tree.found:
            return self.go("tree")
        queries.write_tree(self.build.app, self.home, tree)
        return self.plan_from(tar)

    def tree(self) -> bool:
        """Wait for the whole tree, then plan the build."""
        key = self.build.id.hex
        if key not in _running:
            _running[key] = _pool.submit(self._gather, queries.origin_of(self.build.app, self.build.commit))
        try:
            tar, pointing = _running[key].result(timeout=PATIENCE)
        except StillRunning:
            return False
        except UserError as error:
            _running.pop(key, None)
            raise BuildError("checkout::submodules", error.message, hint=error.hint) from error
        except Exception:
            _running.pop(key, None)
            raise
        _running.pop(key, None)
        if pointing:
            names = ", ".join(printable(repr(path), 120) for path in pointing[: lfs.SHOWN])
            self.say(f" !     Files in Git LFS of submodules stay pointer files: {names}")
        return self.plan_from(tar)

    def _gather(self, origin: str) -> tuple[str, list[str]]:
        """Write the tar. Returns its path below the home, and the submodules with files in Git LFS. Runs in a thread,
        without the database.
        """
        tree = queries.tree(self.build.app, self.home, self.build.commit)
        policy = Policy(hosts=settings.SUBMODULE_HOSTS, allowed=settings.PRIVATE_TARGETS)
        walk = queries.write_tree(self.build.app, self.home, tree, origin=origin, policy=policy)
        return _tar(tree), walk.lfs

    def _tell_parts(self, tree: Tree) -> None:
        here = [pointer for pointer in tree.found.pointers if pointer not in set(tree.lacking)]
        if here:
            size = sum(pointer.size for pointer in here) / 1e6
            self.say(f"-----> Git LFS: {lfs.counted(len(here), 'file')}, {size:,.1f} MB")
        if tree.lacking:
            text = lfs.lacking("The build gets pointer files", tree.lacking)
            self.say("\n".join(["", f" !     {text}", f"       hint: {lfs.BUILT_HINT}", " "]))
        if tree.found.gitlinks:
            names = [printable(repr(path), 120) for path, _ in tree.found.gitlinks]
            more = f" and {len(names) - lfs.SHOWN} more" if len(names) > lfs.SHOWN else ""
            self.say(f"-----> Fetching {lfs.counted(len(names), 'submodule')}: {', '.join(names[: lfs.SHOWN])}{more}")


def _tar(tree: Tree) -> str:
    return f"sources/{tree.key}.tar"
