"""A branch of another repository is fetched, and checked and accepted like a push: with real git on both sides."""

from __future__ import annotations

import subprocess
import time
from types import SimpleNamespace

import pytest

from greenroom.git import actions, rules
from greenroom.git.drivers import fetch, repository
from greenroom.git.models import Push
from greenroom.git.rules import Limits
from tests.sources.forge import Repo, forging

pytestmark = pytest.mark.django_db


@pytest.fixture
def forge(tmp_path):
    with forging(tmp_path / "forge") as made:
        yield made


@pytest.fixture
def repo(forge):
    return Repo(forge)


@pytest.fixture
def stored(shop, home):
    return actions.create_repository(app=shop, home=home)


def remote(repo):
    return fetch.Remote(url=repo.url, scheme="http")


def take(shop, home, stored, repo, **options):
    with fetch.fetched(stored, remote(repo), branch="master") as (commit, quarantine):
        return actions.take(app=shop, home=home, commit=commit, quarantine=quarantine, origin=repo.url, **options)


def left(stored):
    return [path.name for path in (stored / "objects").iterdir() if path.name.startswith(("incoming", "tmp"))]


def test_a_branch_becomes_a_push_and_leaves_nothing_behind(shop, home, stored, repo):
    first = repo.commit("one")
    assert take(shop, home, stored, repo).accepted
    second = repo.commit("two")
    assert fetch.branches(remote(repo)) == {"master": second}
    assert take(shop, home, stored, repo).accepted
    assert take(shop, home, stored, repo).accepted  # nothing new: nothing done
    rows = list(Push.objects.order_by("seq"))
    assert [(row.before[:7], row.after, row.state, row.origin, row.forced) for row in rows] == [
        ("0000000", first, "recorded", repo.url, False),
        (first[:7], second, "recorded", repo.url, False),
    ]
    assert repository.ref_on_disk(stored, "refs/heads/master") == second
    assert left(stored) == []


def test_a_rewritten_branch_is_taken_by_decision_alone(shop, home, stored, repo):
    first = repo.commit("one")
    take(shop, home, stored, repo)
    repo.git("commit", "-q", "--amend", "-m", "another one")
    other = repo.push()
    answer = take(shop, home, stored, repo)
    assert not answer.accepted
    assert first[:8] in " ".join(answer.lines)
    assert Push.objects.count() == 1
    assert take(shop, home, stored, repo, forced=True).accepted
    row = Push.objects.get(seq=2)
    assert (row.after, row.forced) == (other, True)


@pytest.mark.parametrize("mode", ["smart", "dumb"])
def test_what_a_push_could_not_bring_cannot_be_fetched_either(shop, home, stored, forge, repo, mode):
    blob = repo.git("hash-object", "-w", "--stdin", stdin=b"x")
    tree = repo.git("mktree", "-z", "--missing", stdin=f"100644 blob {blob}\t.git\0".encode())
    repo.push(commit=repo.git("commit-tree", tree, "-m", "evil"))
    forge.mode = mode
    with pytest.raises(fetch.RemoteError, match="hasDotgit"):
        take(shop, home, stored, repo)
    assert not Push.objects.exists()
    assert left(stored) == []


def test_the_limits_of_a_push_hold(shop, home, stored, repo):
    repo.commit("big", big__txt="x" * 5000)
    answer = take(shop, home, stored, repo, limits=Limits(file_bytes=1000))
    assert not answer.accepted
    assert repository.ref_on_disk(stored, "refs/heads/master") is None
    with (
        pytest.raises(fetch.RemoteError, match="MB"),
        fetch.fetched(stored, remote(repo), branch="master", most=100),
    ):
        pass
    assert left(stored) == []


def test_a_branch_that_is_too_large_while_it_comes_is_told_to_shrink_and_a_slow_one_to_try_again(tmp_path):
    (tmp_path / "pack").write_bytes(b"x" * 3_000_000)

    class Running:
        def wait(self, seconds):
            raise subprocess.TimeoutExpired("git", seconds)

    ended = SimpleNamespace(wait=lambda _: 0)
    for child in (Running(), ended):
        trouble = fetch._watch(child, tmp_path, time.monotonic() + 60, 1_000_000)
        assert trouble.message.endswith("; the limit is 1 MB.")
        assert trouble.hint == rules.KEEP_OUT
    slow = fetch._watch(Running(), tmp_path, time.monotonic() - 1, 9_000_000)
    assert (slow.message, slow.hint) == (
        "Fetching from the source repository timed out.",
        "retry with greenroom source:sync",
    )
    assert fetch._watch(ended, tmp_path, time.monotonic() + 60, 9_000_000) is None


def test_a_redirect_is_not_followed_and_no_other_protocol_is_spoken(stored, forge, repo):
    repo.commit()
    forge.mode = "redirect"
    with pytest.raises(fetch.RemoteError, match="redirect"):
        fetch.branches(remote(repo))
    for url in (str(repo.bare), f"file://{repo.bare}", "ext::sh -c date", "git://127.0.0.1/x"):
        with pytest.raises(fetch.RemoteError):
            fetch.branches(fetch.Remote(url=url, scheme="https"))


def test_a_push_that_holds_the_repository_is_waited_for(shop, home, stored, repo):
    repo.commit()
    with repository.locked(stored):
        assert take(shop, home, stored, repo) is None
    assert take(shop, home, stored, repo).accepted


def test_a_kill_between_the_intent_and_the_ref_loses_and_doubles_nothing(shop, home, stored, repo, monkeypatch):
    commit = repo.commit()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(fetch, "keep", killed)
        with pytest.raises(KeyboardInterrupt):
            take(shop, home, stored, repo)
    actions.reconcile(home=home, only=shop)
    assert [row.state for row in Push.objects.all()] == ["abandoned"]
    assert take(shop, home, stored, repo).accepted
    assert [(row.after, row.state) for row in Push.objects.order_by("seq")] == [
        (commit, "abandoned"),
        (commit, "recorded"),
    ]
