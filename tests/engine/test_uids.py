"""Each home of a host has its own uids: new homes, old ones that clash, copied, moved and removed ones."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import pytest

from greenroom.engine.local import uids
from tests.engine.machine import IS_ROOT


@pytest.fixture
def registry(tmp_path: Path) -> str:
    return str(tmp_path / "host" / "uids.json")


def _home(tmp_path: Path, name: str, *, old: bool = False) -> str:
    home = tmp_path / name
    (home / ("logs/app" if old else ".")).mkdir(parents=True, exist_ok=True)
    return str(home)


def test_two_homes_never_share_a_uid_and_each_keeps_its_own(tmp_path: Path, registry: str) -> None:
    homes = [_home(tmp_path, name) for name in ("one", "two", "three")]
    given = [uids.first_uid(home, living=False, registry=registry) for home in homes]
    assert all(problem == "" for _, problem in given)
    firsts = sorted(first for first, _ in given)
    assert all(second - first > uids.SIZE for first, second in itertools.pairwise(firsts))
    assert firsts[-1] + uids.SIZE < 2**31
    assert [uids.first_uid(home, living=True, registry=registry) for home in homes] == given


def test_a_range_is_free_again_when_its_home_has_gone(tmp_path: Path, registry: str) -> None:
    first = uids.first_uid(_home(tmp_path, "one"), living=False, registry=registry)
    shutil.rmtree(tmp_path / "one")
    assert uids.first_uid(_home(tmp_path, "two"), living=False, registry=registry) == first


def test_a_home_that_was_moved_keeps_its_uids(tmp_path: Path, registry: str) -> None:
    uids.first_uid(_home(tmp_path, "other"), living=False, registry=registry)
    before = uids.first_uid(_home(tmp_path, "one"), living=False, registry=registry)
    os.rename(tmp_path / "one", tmp_path / "elsewhere")
    assert uids.first_uid(str(tmp_path / "elsewhere"), living=False, registry=registry) == before


@pytest.mark.skipif(not IS_ROOT, reason="needs root")
def test_a_copied_home_gets_uids_of_its_own_and_its_apps_keep_their_files(tmp_path: Path, registry: str) -> None:
    home = _home(tmp_path, "one", old=True)
    first, _ = uids.first_uid(home, living=False, registry=registry)
    log = Path(home, "logs/app/1.log")
    log.write_text("x")
    os.symlink("/etc/passwd", Path(home, "logs/link"))
    for path in (log.parent, log, Path(home, "logs/link")):
        os.chown(path, first + 7, first + 7, follow_symlinks=False)
    shutil.copytree(home, tmp_path / "two", symlinks=True)
    for path in Path(tmp_path, "two").rglob("*"):
        facts = os.lstat(home / path.relative_to(tmp_path / "two"))
        os.chown(path, facts.st_uid, facts.st_gid, follow_symlinks=False)
    second, problem = uids.first_uid(str(tmp_path / "two"), living=False, registry=registry)
    assert (second != first, problem) == (True, "")
    for name in ("logs/app", "logs/app/1.log", "logs/link"):
        assert os.lstat(tmp_path / "two" / name).st_uid == second + 7
        assert os.lstat(Path(home, name)).st_uid == first + 7
    assert os.stat("/etc/passwd").st_uid == 0


def test_two_old_homes_that_clash_are_parted_at_the_first_start_without_dynos(tmp_path: Path, registry: str) -> None:
    one, two = _home(tmp_path, "one", old=True), _home(tmp_path, "two", old=True)
    assert uids.first_uid(one, living=True, registry=registry) == (uids.FIRST, "")
    first, problem = uids.first_uid(two, living=True, registry=registry)
    assert first == uids.FIRST
    assert "shares its uids" in problem
    assert uids.first_uid(two, living=False, registry=registry)[0] != uids.FIRST
    assert uids.first_uid(one, living=False, registry=registry) == (uids.FIRST, "")


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_registry_that_cannot_be_read_is_a_problem_and_no_home_takes_anothers_uids_by_it(
    tmp_path: Path, registry: str, text: str
) -> None:
    os.makedirs(os.path.dirname(registry))
    Path(registry).write_text(text)
    first, problem = uids.first_uid(_home(tmp_path, "one"), living=False, registry=registry)
    assert first == uids.FIRST
    assert registry in problem
    assert Path(registry).read_text() == text


def test_a_move_that_is_broken_off_keeps_its_range_and_is_gone_on_with(
    tmp_path: Path, registry: str, monkeypatch
) -> None:
    first, _ = uids.first_uid(_home(tmp_path, "one", old=True), living=False, registry=registry)
    two = _home(tmp_path, "two", old=True)
    moves: list[tuple[int, int]] = []

    def broken_off(home: str, before: int, after: int) -> None:
        moves.append((before, after))
        if len(moves) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(uids, "move", broken_off)
    with pytest.raises(KeyboardInterrupt):
        uids.first_uid(two, living=False, registry=registry)
    three, _ = uids.first_uid(_home(tmp_path, "three"), living=False, registry=registry)
    second, problem = uids.first_uid(two, living=False, registry=registry)
    assert (problem, len({first, second, three})) == ("", 3)
    assert moves == [(first, second), (first, second)]
