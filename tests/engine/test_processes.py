"""Tests of child processes with a deadline, process identity after reuse of a pid, and sockets with long names."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from greenroom.basics import processes, unixsock
from greenroom.basics.processes import Identity, identity, is_alive, run, send_signal, wait_gone

ENV = {"PATH": "/usr/bin:/bin"}


def test_code_and_both_outputs_are_captured() -> None:
    assert run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout=10, env=ENV) == (3, b"out\n", b"err\n", False)


def test_a_signal_is_a_negative_code() -> None:
    assert run(["sh", "-c", "kill -TERM $$"], timeout=10, env=ENV).code == -15


def test_at_the_deadline_the_whole_group_is_killed() -> None:
    before = time.monotonic()
    result = run(["sh", "-c", "echo begun; sleep 30.25 & sleep 30.25"], timeout=0.3, env=ENV)
    assert (result.timed_out, result.code, result.out) == (True, -9, b"begun\n")
    assert time.monotonic() - before < 2
    time.sleep(0.05)
    found = subprocess.run(["pgrep", "-f", "sleep 30.25"], capture_output=True)
    assert found.stdout == b""


def test_a_daemon_that_keeps_the_pipes_does_not_hold_us_up() -> None:
    before = time.monotonic()
    assert run(["sh", "-c", "sleep 5 & echo done"], timeout=20, env=ENV).out == b"done\n"
    assert time.monotonic() - before < 2


def test_output_is_cut_at_the_limit_and_the_child_goes_on() -> None:
    result = run(["sh", "-c", "head -c 3000000 /dev/zero; exit 4"], timeout=20, env=ENV, limit=1000)
    assert (len(result.out), result.code) == (1000, 4)


def test_large_input_is_fed_while_output_is_read() -> None:
    data = os.urandom(3_000_000)
    assert run(["cat"], timeout=20, env=ENV, stdin=data).out == data


def test_a_child_that_does_not_want_its_input_is_no_error() -> None:
    assert run(["true"], timeout=20, env=ENV, stdin=b"x" * 3_000_000).code == 0


def test_the_child_has_the_given_environment_and_nothing_else() -> None:
    text = run(
        [sys.executable, "-c", "import os; print(sorted(os.environ))"], timeout=20, env={"A": "1", "LC_CTYPE": "C"}
    ).out
    assert text == b"['A', 'LC_CTYPE']\n"


def test_a_program_that_does_not_exist_raises() -> None:
    with pytest.raises(FileNotFoundError):
        run(["/no/such/program"], timeout=5, env=ENV)


def test_no_descriptors_are_left() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        run(["cat"], timeout=5, env=ENV, stdin=b"x")
        run(["sleep", "5"], timeout=0.01, env=ENV)
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_identity_ends_with_its_process() -> None:
    child = subprocess.Popen(["sleep", "30"])
    who = identity(child.pid)
    assert who
    assert is_alive(who)
    assert not is_alive(Identity(who.pid, who.started - 1))
    assert not send_signal(Identity(who.pid, who.started - 1), 9)
    assert wait_gone([who], 0.05) == [who]
    assert send_signal(who, 9)
    assert wait_gone([who], 5) == []
    assert identity(child.pid) is None, "a zombie has ended"
    child.wait()
    assert not send_signal(who, 9)
    assert processes.open_pidfd(who) is None


def test_a_socket_with_a_very_long_path_can_be_bound_and_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    path = folder / "some.sock"
    before = len(os.listdir("/proc/self/fd"))
    with unixsock.bind(path, mode=0o600) as server, unixsock.connect(path, timeout=5) as client:
        peer, _ = server.accept()
        client.sendall(b"hello")
        assert peer.recv(10) == b"hello"
        peer.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(os.listdir("/proc/self/fd")) == before


def test_whoever_comes_the_moment_a_socket_is_replaced_is_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, rename, came = tmp_path / "s", os.rename, []

    def rename_and_come(source: str, target: str) -> None:
        rename(source, target)
        came.append(unixsock.connect(path, timeout=5))

    with unixsock.bind(path):
        monkeypatch.setattr(os, "rename", rename_and_come)
        with unixsock.bind(path):
            assert len(came) == 1
    came[0].close()


def test_binding_takes_the_place_of_a_stale_socket(tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    unixsock.bind(path).close()
    (tmp_path / f"a.sock.{os.getpid()}~").write_text("left by a killed process")
    with unixsock.bind(path), unixsock.connect(path):
        assert os.listdir(tmp_path) == ["a.sock"]


def test_a_missing_socket_and_a_name_too_long_are_plain_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        unixsock.connect(tmp_path / "none.sock")
    with pytest.raises(OSError, match="too long"):
        unixsock.connect(tmp_path / ("n" * 200))
