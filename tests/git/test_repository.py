"""A repository is created by the first process that needs it; web and worker may race."""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from greenroom.git.drivers import repository


def test_many_make_the_same_repository_at_once_and_there_is_one(tmp_path: Path) -> None:
    repository.write_launchers(tmp_path)
    for turn in range(5):
        repo = tmp_path / "git" / f"{turn}.git"
        repo.parent.mkdir(exist_ok=True)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _, repo=repo: repository._initialise(repo), range(8)))
        said = subprocess.run(
            ["git", "-C", str(repo), "rev-parse", "--is-bare-repository"], capture_output=True, text=True, check=True
        )
        assert said.stdout.strip() == "true"
        assert [path.name for path in repo.parent.iterdir() if path.name.startswith(repo.name)] == [repo.name]


def test_what_a_killed_process_left_is_removed_and_what_is_being_made_is_not(tmp_path: Path) -> None:
    repo = tmp_path / "git" / "shop.git"
    left, current = repo.with_name("shop.git.new-left"), repo.with_name("shop.git.new-current")
    for draft in (left, current):
        draft.mkdir(parents=True)
        (draft / "config.lock").touch()
    old = time.time() - repository.FORSAKEN_SECONDS - 1
    os.utime(left, (old, old))
    repository.make(repo, home=tmp_path, branch="master")
    assert (repo / "HEAD").read_text() == "ref: refs/heads/master\n"
    assert not left.exists()
    assert current.exists()
