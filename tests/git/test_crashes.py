"""Tests of kills during a push: receive-pack, the web process, both. No accepted push is lost or forgotten."""

from __future__ import annotations

import contextlib
import glob
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from django.db import connection

from greenroom.apps.models import App
from greenroom.entrypoints.git_http import hooks_server
from greenroom.git import actions, queries
from greenroom.git.drivers import repository, runner
from greenroom.git.inside import hook
from greenroom.git.models import Push
from tests.postgres import free_port

from .conftest import Checkout, token_of

KILLS = 50
SEED = int(os.environ.get("GREENROOM_SEED", "20261123"))


def receive_packs(repo):
    """The processes that are receiving a push to ``repo``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"receive-pack" in words and b"--advertise-refs" not in words and str(repo).encode() in words:
                found.append(int(path.parent.name))
    return found


def kill_during_push(checkout, repo, when):
    """Push, and kill receive-pack as soon as ``when()`` is true; returns the push's exit code, and whether a process
    was killed.
    """
    done, hit = threading.Event(), []

    def nemesis():
        while not done.is_set():
            if found := receive_packs(repo):
                while not when() and not done.is_set():
                    time.sleep(0.0005)
                for pid in found:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        hit.append(pid)
                return

    thread = threading.Thread(target=nemesis)
    thread.start()
    code, _ = checkout.push()
    done.set()
    thread.join()
    return code, bool(hit)


def duration_of_a_push(checkout):
    begun = time.monotonic()
    checkout.push()
    return time.monotonic() - begun


def later(seconds):
    begun = []

    def when():
        begun.append(time.monotonic())
        return time.monotonic() - begun[0] >= seconds

    return when


def wait_for(condition, seconds=15.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not within its time"
        time.sleep(0.02)


def holders(repo):
    """The processes that have the repository's lock file open: receive-pack, and hooks that outlive it."""
    found = []
    for link in glob.iglob("/proc/[0-9]*/fd/*"):  # unlike pathlib's, it skips a process that has ended meanwhile
        with contextlib.suppress(OSError):
            if os.readlink(link) == str(repo / repository.LOCK):
                found.append(link.split("/")[2])
    return found


def reconciled(home, repo):
    def quiet():
        if holders(repo):
            return False
        actions.reconcile(home=home)
        return not Push.objects.filter(state="intent").exists()

    wait_for(quiet)


def assert_sound(repo, app, home, acknowledged):
    recorded = {push.after for push in Push.objects.filter(app=app, state="recorded")}
    assert queries.head(app, home) in {*recorded, None}
    assert acknowledged <= recorded
    assert not Push.objects.filter(state="intent").exists()
    for sha in recorded:
        assert queries.is_ancestor(app, home, sha, queries.head(app, home))
    result = runner.run(repo, ["fsck", "--strict", "--no-dangling"], timeout=60)
    assert result.code == 0, result.err


def test_receive_pack_killed_at_random_moments_loses_and_forgets_nothing(alices, shop, home, stored, server):
    choose = random.Random(SEED)
    acknowledged, pushes, killed, moved_unheard = set(), 0, 0, 0
    usual = duration_of_a_push(alices)
    while killed < KILLS and pushes < 4 * KILLS:
        pushes += 1
        before = queries.head(shop, home)
        sha = alices.commit()
        code, hit = kill_during_push(alices, stored, later(choose.uniform(0, usual * 0.7)))
        killed += hit
        if code == 0:
            acknowledged.add(sha)
        moved = queries.head(shop, home) == sha
        assert moved or queries.head(shop, home) == before
        assert moved or code
        moved_unheard += moved and code != 0
        if moved and code and choose.random() < 0.5:
            assert "up-to-date" in alices.push()[1]
        reconciled(home, stored)
        assert not moved or Push.objects.get(after=sha, state="recorded")
    assert_sound(stored, shop, home, acknowledged)
    print(
        f"seed {SEED}: {pushes} pushes, {killed} killed, {len(acknowledged)} acknowledged, {moved_unheard} moved"
        " unheard"
    )
    assert killed >= KILLS
    assert alices.push()[0] == 0


def test_a_ref_that_moved_just_before_the_kill_is_recorded_once(alices, shop, home, stored, server):
    alices.push()
    unheard = 0
    for _ in range(8):
        sha = alices.commit()
        code, _ = kill_during_push(
            alices, stored, lambda sha=sha: repository.ref_on_disk(stored, "refs/heads/master") == sha
        )
        unheard += code != 0
        reconciled(home, stored)
        assert Push.objects.filter(after=sha, state="recorded").count() == 1
    assert unheard
    assert_sound(stored, shop, home, set())


def test_a_push_that_is_up_to_date_settles_the_one_before(alices, shop, home):
    alices.push()
    Push.objects.update(state="intent")
    assert "up-to-date" in alices.push()[1]
    assert Push.objects.get().state == "recorded"


def test_an_intent_whose_ref_did_not_move_is_abandoned_by_the_next_push(alices, shop, home):
    alices.push()
    stale = actions.record_intent(
        app=shop, account=None, updates=[queries.rules.Update(ref="refs/heads/master", before="0" * 40, after="1" * 40)]
    )
    sha = alices.commit()
    assert alices.push()[0] == 0
    assert Push.objects.get(pk=stale[0].pk).state == "abandoned"
    assert list(Push.objects.order_by("seq").values_list("seq", "state")) == [
        (1, "recorded"),
        (2, "abandoned"),
        (3, "recorded"),
    ]
    assert Push.objects.get(seq=3).after == sha


def test_reconcile_leaves_a_push_alone_that_is_going_on(alices, shop, home, stored):
    alices.push()
    Push.objects.update(state="intent")
    with repository.locked(stored) as ours:
        assert ours
        assert actions.reconcile(home=home) == []
    assert [push.seq for push in actions.reconcile(home=home)] == [1]


def test_a_ref_that_no_push_accounts_for_gets_one(alices, shop, home, stored):
    alices.push()
    before = queries.head(shop, home)
    sha = alices.commit()
    alices.push("HEAD:other")
    (stored / "refs" / "heads" / "master").write_text(sha + "\n")
    (push,) = actions.reconcile(home=home)
    assert (push.ref, push.before, push.after, push.account) == ("refs/heads/master", before, sha, None)
    assert actions.reconcile(home=home) == []


def test_an_older_commit_restored_from_a_backup_is_not_a_new_push(alices, shop, home, stored):
    alices.push()
    old = queries.head(shop, home)
    alices.commit()
    alices.push()
    (stored / "refs" / "heads" / "master").write_text(old + "\n")
    assert actions.reconcile(home=home) == []


def test_locks_that_a_killed_push_left_do_not_block_the_next(alices, shop, home, stored):
    alices.push()
    (stored / "refs" / "heads" / "master.lock").touch()
    (stored / "packed-refs.lock").touch()
    alices.commit()
    code, said = alices.push()
    assert code == 0, said
    assert not list(stored.rglob("*.lock")) or [path.name for path in stored.rglob("*.lock")] == ["greenroom.lock"]


def test_objects_that_nobody_will_accept_are_swept_after_an_hour(alices, shop, home, stored):
    alices.push()
    old, new = stored / "objects" / "tmp_objdir-incoming-old", stored / "objects" / "tmp_objdir-incoming-new"
    for folder in (old, new):
        (folder / "pack").mkdir(parents=True)
        (folder / "pack" / "tmp_pack_x").write_bytes(b"x")
    past = time.time() - 3700
    for path in (old / "pack" / "tmp_pack_x", old / "pack", old):
        os.utime(path, (past, past))
    actions.reconcile(home=home)
    assert not old.exists()
    assert new.exists()


def test_many_pushes_are_packed_now_and_then(alices, shop, home, stored):
    for _ in range(42):
        alices.commit()
        alices.git("push", "-q", str(stored), "HEAD:master")  # past the hooks: only the packs matter here
    alices.commit()
    assert alices.push()[0] == 0
    wait_for(lambda: len(list((stored / "objects" / "pack").glob("*.pack"))) < 10)
    assert queries.head(shop, home) == alices.git("rev-parse", "HEAD")


# -- the web process
# -----------------------------------------------------------------------------------------------------


class Web:
    """Git over HTTP as a separate process."""

    def __init__(self, home):
        own = connection.settings_dict
        url = f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}/{own['NAME']}"
        self.port = free_port()
        self.home = home
        self.env = {**os.environ, "DATABASE_URL": url, "GREENROOM_HOME": str(home), "SECRET_KEY": "only-for-tests"}
        self.start()

    def start(self):
        root = Path(__file__).parent.parent.parent
        env = {**self.env, "PYTHONPATH": f"{root}:{root / 'src'}"}
        argv = [sys.executable, "-m", "tests.git.serve", str(self.home), str(self.port)]
        self.process = subprocess.Popen(argv, cwd=root, env=env)
        wait_for(self._listens)

    def _listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return (self.home / "run" / "git-hooks.sock").exists()
        except OSError:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def memory(self):
        """Peak resident memory, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.fixture
def web(home, shop, alice, transactional_db, tmp_path):
    (home / "run").mkdir()
    actions.create_repository(app=shop, home=home)
    process = Web(home)
    yield process
    process.kill()


@pytest.fixture
def checkout(web, alice, tmp_path):
    made = Checkout(tmp_path / "alices", f"http://any:{token_of(alice)}@127.0.0.1:{web.port}/shop.git")
    made.commit()
    return made


def test_a_push_survives_the_web_process(web, checkout, shop, home, stored):
    child = subprocess.Popen(
        ["git", "push", checkout.url, "HEAD:master"], cwd=checkout.folder, env=checkout.env, stderr=subprocess.PIPE
    )
    while b"is on its way" not in child.stderr.readline():
        assert child.poll() is None
    web.kill()
    child.stderr.read()
    child.wait(20)
    wait_for(lambda: not receive_packs(stored))
    reconciled(home, stored)
    assert Push.objects.get().state == "recorded"
    assert_sound(stored, shop, home, set())


def test_the_web_process_killed_at_random_moments_loses_nothing(web, checkout, shop, home, stored):
    choose = random.Random(SEED)
    acknowledged = set()
    (home / "go-on").touch()
    checkout.push()
    checkout.commit()
    usual = duration_of_a_push(checkout)
    for _ in range(10):
        sha = checkout.commit()
        timer = threading.Timer(choose.uniform(0.2, 1.1) * usual, web.kill)
        timer.start()
        code, _ = checkout.push()
        timer.join()
        if code == 0:
            acknowledged.add(sha)
        web.start()
        reconciled(home, stored)
    assert_sound(stored, shop, home, acknowledged)
    assert checkout.push()[0] == 0


def test_pushes_and_clones_of_200_mb_cost_the_web_process_little_memory(web, checkout, shop, home, stored, tmp_path):
    (home / "go-on").touch()
    checkout.push()
    for number in range(4):
        (checkout.folder / f"noise{number}").write_bytes(os.urandom(50_000_000))
    checkout.git("config", "core.compression", "0")
    checkout.git("config", "pack.window", "0")
    checkout.git("add", "-A")
    checkout.git("commit", "-q", "-m", "noise")
    before = web.memory()
    begun = time.monotonic()
    code, said = checkout.push("HEAD:refs/heads/big")
    assert code == 0, said
    pushed = time.monotonic() - begun
    checkout.git("clone", "-q", "--no-checkout", "--branch", "big", checkout.url, str(tmp_path / "clone"))
    print(
        f"200 MB: push {pushed:.1f} s, clone {time.monotonic() - begun - pushed:.1f} s, grew by"
        f" {(web.memory() - before) / 1e6:.1f} MB"
    )
    assert web.memory() - before < 12_000_000


@pytest.mark.neighbours
def test_without_greenroom_a_push_is_refused_before_and_kept_after(home, tmp_path):
    """Runs the hook alone: its output and exit code if nothing answers."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import hook; hook.CONNECT_SECONDS = 0.3;"
        " sys.exit(hook.main(sys.argv[2]))"
    )
    handle = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT)
    env = {"GREENROOM_PUSH": "x", "GREENROOM_SOCKET": str(home / "none.sock"), "GREENROOM_LOCK": str(handle)}
    said = {}
    for name in ("pre-receive", "post-receive"):
        argv = [sys.executable, "-I", "-S", "-c", code, str(Path(hook.__file__).parent), name]
        said[name] = subprocess.run(
            argv, env=env, input=b"", capture_output=True, pass_fds=(handle,), check=False, timeout=20
        )
    os.close(handle)
    assert said["pre-receive"].returncode == 1
    assert b"Greenroom is not answering (FileNotFoundError). Nothing was changed." in said["pre-receive"].stdout
    assert said["post-receive"].returncode == 0
    assert b"Recorded. Greenroom is not answering;" in said["post-receive"].stdout


def test_a_fault_while_settling_does_not_unsay_a_push(alices, shop, home, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("the database has gone")

    monkeypatch.setattr(actions, "settle", broken)
    alices.push()
    monkeypatch.undo()
    assert Push.objects.count() == 0  # before the ref moved: refused
    monkeypatch.setattr(hooks_server, "settle", broken)
    code, said = alices.push()
    monkeypatch.undo()
    assert code == 0
    assert "Recorded. Greenroom is not answering;" in said
    assert "Nothing was changed" not in said
    assert [push.state for push in actions.reconcile(home=home)] == ["recorded"]


def test_a_forged_or_foreign_token_moves_nothing(alices, home, shop, server):
    """A hook with somebody else's token is refused."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(home / repository.SOCKET))
        connection.sendall(f"pre-receive\nx.y\n-\n{'0' * 40} {'1' * 40} refs/heads/master\n\n".encode())
        answers = connection.makefile("rb").readlines()
    assert answers[-1] == b"exit 1\n"
    assert not Push.objects.exists()


def test_an_app_destroyed_during_a_push_ends_the_push_cleanly(web, checkout, shop, home, stored):
    (home / "go-on").touch()
    checkout.push()
    App.objects.all().delete()
    checkout.commit()
    assert checkout.push()[0]
