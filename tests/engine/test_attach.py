"""An attached dyno: one client on its socket, with a terminal or without."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import uuid
from collections.abc import Iterator

import pytest

from greenroom.basics import unixsock
from greenroom.basics.processes import identity, wait_gone
from tests.engine.machine import PYTHON, Machine, until_nobody, with_word


class Client:
    """The client at the other end."""

    def __init__(self, machine: Machine, dyno_id: str) -> None:
        self.sock = unixsock.connect(machine.folder(dyno_id) / "attach.sock", timeout=20)
        self.door = machine.folder(dyno_id) / "resume.sock"
        self.seen = b""

    def type(self, data: bytes) -> None:
        self.sock.sendall(data)

    def until(self, text: bytes) -> bytes:
        while text not in self.seen:
            data = self.sock.recv(65536)
            assert data, self.seen
            self.seen += data
        found, _, self.seen = self.seen.partition(text)
        return found + text

    def rest(self) -> bytes:
        with contextlib.suppress(ConnectionResetError):
            while data := self.sock.recv(65536):
                self.seen += data
        return self.seen

    def end_of_input(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def leave(self) -> None:
        """Like the rendezvous for a client that has left."""
        with contextlib.suppress(OSError), unixsock.connect(self.door, timeout=20) as door:
            door.sendall(b"\xff" * 8)
        self.sock.close()

    def is_lost(self) -> None:
        """Like a web process that died."""
        self.sock.close()

    def has_all(self) -> None:
        """Like the rendezvous when the client has closed after the dyno's end."""
        with unixsock.connect(self.door, timeout=20) as door:
            door.sendall(b"\xff" * 7 + b"\xfe")

    def come_back(self, seen: int) -> int:
        """Reconnect to the same dyno; returns the amount of input received."""
        self.sock = unixsock.connect(self.door, timeout=20)
        self.sock.sendall(seen.to_bytes(8, "big"))
        self.seen = b""
        return int.from_bytes(self.sock.recv(8), "big")


@contextlib.contextmanager
def _attached(machine: Machine, *command: str, **values: object) -> Iterator[tuple[str, Client]]:
    state = machine.start(*command, attach=True, **values)
    assert state.phase == "starting"
    machine.until(state.id, lambda _: (machine.folder(state.id) / "attach.sock").exists())
    client = Client(machine, state.id)
    yield state.id, client
    client.leave()
    machine.engine.forget(state.id)


def test_nothing_runs_before_the_client_comes(machine: Machine) -> None:
    word = f"5{uuid.uuid4().int % 10**8}"
    state = machine.start("/bin/sleep", word, attach=True)
    time.sleep(0.2)
    assert not [pid for pid in with_word(word)]
    assert machine.engine.describe(state.id).phase == "starting"  # type: ignore[union-attr]
    machine.engine.signal(state.id, "KILL")
    state = machine.until_exited(state.id)
    assert (state.exit_code, state.reason) == (127, "signal")
    assert not (machine.folder(state.id) / "attach.sock").exists()


def test_without_a_client_the_dyno_ends_with_r13(machine: Machine) -> None:
    state = machine.run("/bin/cat", attach=True, limits={"timeout": 0.3})
    assert (state.exit_code, state.reason) == (127, "start")
    assert "R13 (Attach error)" in state.detail


def test_piped_input_and_its_end_reach_the_command(machine: Machine) -> None:
    with _attached(machine, "/usr/bin/sort") as (dyno_id, client):
        client.type(b"b\na\n")
        client.end_of_input()
        assert client.rest() == b"a\nb\n"
        state = machine.engine.describe(dyno_id)
        assert state
        assert (state.phase, state.exit_code) == ("exited", 0)


def test_the_exit_code_is_known_when_the_connection_closes(machine: Machine) -> None:
    for code in (0, 1, 42):
        with _attached(machine, "/bin/sh", "-c", f"echo out; echo err >&2; exit {code}") as (dyno_id, client):
            assert client.rest() == b"out\nerr\n"
            assert machine.engine.describe(dyno_id).exit_code == code  # type: ignore[union-attr]


def test_large_output_arrives_whole_at_a_slow_reader(machine: Machine) -> None:
    with _attached(machine, "/bin/sh", "-c", "head -c 5000000 /dev/zero; echo end") as (_, client):
        time.sleep(0.5)
        data = client.rest()
        assert len(data) == 5_000_004
        assert data.endswith(b"end\n")


def test_large_input_arrives_whole_at_a_slow_reader(machine: Machine) -> None:
    with _attached(machine, "/bin/sh", "-c", "sleep 0.5; wc -c") as (_, client):
        client.type(b"y" * 3_000_000)
        client.end_of_input()
        assert client.rest().strip() == b"3000000"


def test_binary_bytes_and_control_characters_pass_unchanged_without_a_terminal(machine: Machine) -> None:
    data = bytes(range(256)) * 100
    with _attached(machine, "/bin/cat") as (_, client):
        client.type(data)
        client.end_of_input()
        assert client.rest() == data


def test_a_python_shell_on_a_terminal_answers_and_survives_control_c(machine: Machine) -> None:
    with _attached(machine, PYTHON, "-q", tty=True, rows=30, columns=100, env={"TERM": "dumb"}) as (dyno_id, client):
        client.until(b">>> ")
        client.type(b"import os; print(os.get_terminal_size(), os.isatty(0), os.getpgrp() == os.tcgetpgrp(0))\n")
        assert b"columns=100, lines=30) True True" in client.until(b"True\r\n>>> ")
        client.type(b"while True: pass\n\n")
        time.sleep(0.3)
        client.type(b"\x03")
        client.until(b"KeyboardInterrupt")
        client.until(b">>> ")
        client.type(b"exit(9)\n")
        client.rest()
        assert machine.engine.describe(dyno_id).exit_code == 9  # type: ignore[union-attr]


def test_control_d_ends_a_shell_on_a_terminal(machine: Machine) -> None:
    with _attached(machine, "/bin/sh", "-i", tty=True) as (dyno_id, client):
        client.until(b"$ ")
        client.type(b"\x04")
        client.rest()
        assert machine.engine.describe(dyno_id).exit_code == 0  # type: ignore[union-attr]


def test_job_control_works_on_a_terminal(machine: Machine) -> None:
    with _attached(machine, "/bin/bash", "--norc", "-i", tty=True) as (_, client):
        client.until(b"$ ")
        client.type(b"sleep 100\n")
        time.sleep(0.3)
        client.type(b"\x1a")
        client.until(b"Stopped")
        client.type(b"kill -KILL %1; wait; exit\nexit\n")
        assert b"no job control" not in client.rest()


def test_control_c_ends_a_command_on_a_terminal_with_130(machine: Machine) -> None:
    with _attached(machine, "/bin/sleep", "60", tty=True) as (dyno_id, client):
        machine.until_running(dyno_id)
        client.type(b"\x03")
        client.rest()
        assert machine.engine.describe(dyno_id).exit_code == 130  # type: ignore[union-attr]


@pytest.mark.parametrize("tty", [False, True])
def test_when_the_client_goes_away_the_command_is_hung_up(machine: Machine, tty: bool) -> None:
    word = f"4{uuid.uuid4().int % 10**8}"
    with _attached(machine, "/bin/sleep", word, tty=tty, limits={"grace": 2.0}) as (dyno_id, client):
        machine.until_running(dyno_id)
        client.leave()
        state = machine.until_exited(dyno_id)
        assert (state.exit_code, state.reason) == (129, "signal")
        until_nobody(word)


def test_a_command_that_ignores_the_hang_up_is_killed_after_the_grace(machine: Machine) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGHUP, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
    )
    with _attached(machine, python=script, limits={"grace": 0.3}) as (dyno_id, client):
        client.until(b"deaf")
        client.leave()
        assert machine.until_exited(dyno_id).exit_code == 137


def test_a_client_that_was_lost_comes_back_and_misses_nothing(machine: Machine) -> None:
    script = "import sys\nfor line in sys.stdin: print('got', line.strip(), flush=True)\nprint('end')"
    with _attached(machine, python=script) as (dyno_id, client):
        client.type(b"one\n")
        seen = len(client.until(b"got one\n"))
        client.type(b"two\nth")
        client.until(b"got two\n")
        client.is_lost()
        assert client.come_back(seen) == 10
        client.until(b"got two\n")
        client.type(b"ree\n")
        client.until(b"got three\n")
        client.is_lost()
        assert client.come_back(seen + 18) == 14
        client.end_of_input()
        assert client.rest() == b"end\n"
        assert machine.until_exited(dyno_id).exit_code == 0


def test_a_command_that_ends_while_its_client_is_lost_keeps_output_and_code_for_it(machine: Machine) -> None:
    with _attached(machine, "/bin/sh", "-c", "echo a; sleep 0.3; head -c 600000 /dev/zero; echo z; exit 7") as (
        dyno_id,
        client,
    ):
        client.until(b"a\n")
        client.is_lost()
        machine.run("/bin/sleep", "0.6")
        assert machine.engine.describe(dyno_id).phase == "running"  # type: ignore[union-attr]
        client.come_back(2)
        assert client.rest() == bytes(600_000) + b"z\n"
        assert machine.until_exited(dyno_id).exit_code == 7


def test_a_dyno_that_prints_a_lot_loses_nothing_though_its_client_is_lost_again_and_again(machine: Machine) -> None:
    with _attached(machine, "/usr/bin/seq", "-w", "0", "1999999") as (_, client):
        data = client.until(b"\n0300000\n")[:-1_500_000]  # this much was still in the buffers of the web process
        for more in (50_000, 5_000_000, 100_000):
            client.is_lost()
            time.sleep(0.5)
            client.come_back(len(data))
            while len(client.seen) < more:
                client.seen += client.sock.recv(65536)
            data += client.seen[:more]
        client.is_lost()
        client.come_back(len(data))
        data += client.rest()
    assert data == b"".join(b"%07d\n" % number for number in range(2_000_000))


def test_output_that_is_not_kept_any_more_ends_the_dyno_and_says_so_beside_the_output(machine: Machine) -> None:
    with _attached(machine, "/bin/sh", "-c", "head -c 6000000 /dev/zero; echo end; sleep 60") as (dyno_id, client):
        client.until(b"end\n")
        client.is_lost()
        assert client.come_back(0) == 2**64 - 1
        assert client.rest() == b""
        assert machine.until_exited(dyno_id).exit_code == 129


def test_output_that_the_web_process_had_taken_when_it_died_comes_after_the_end_too(machine: Machine) -> None:
    with _attached(machine, "/bin/sh", "-c", "echo a; head -c 100000 /dev/zero; echo z; exit 7") as (dyno_id, client):
        client.until(b"a\n")
        assert machine.until_exited(dyno_id).exit_code == 7
        client.is_lost()
        client.come_back(2)
        assert client.rest() == bytes(100_000) + b"z\n"
        client.come_back(100_004)
        assert client.rest() == b""


def test_a_shim_leaves_when_its_client_has_everything(machine: Machine) -> None:
    with _attached(machine, "/bin/echo", "x") as (dyno_id, client):
        assert client.rest() == b"x\n"
        who = identity(machine.shim(dyno_id))
        assert who
        client.has_all()
        assert wait_gone([who], 5) == []
        assert not client.door.exists()


@pytest.mark.parametrize("size", [550_000, 300_000], ids=["the pipe", "the shim"])
def test_what_waits_for_a_slow_reader_is_not_thrown_away_after_the_end(machine: Machine, size: int) -> None:
    with _attached(machine, "/bin/sh", "-c", f"head -c {size} /dev/zero") as (_, client):
        time.sleep(6)
        assert len(client.rest()) == size


def test_a_dyno_that_nobody_hangs_up_on_goes_on_and_prints_into_the_log(machine: Machine) -> None:
    script = (
        "import time, os\nprint('begun', flush=True)\nwhile not os.path.exists('/tmp/go'):"
        " time.sleep(0.05)\nprint('migrated')"
    )
    with _attached(machine, python=script, hang_up=False, process="run.kept") as (dyno_id, client):
        client.until(b"begun\n")
        client.leave()
        machine.until(dyno_id, lambda _: any("process continues" in line for line in machine.log(process="run.kept")))
        top = machine.folder(dyno_id).parents[1] / "scratch" / dyno_id / "_own" / "tmp"
        (top / "go").write_text("")
        assert machine.until_exited(dyno_id).exit_code == 0
    assert any(line == "app[run.kept]: migrated" for line in machine.log(process="run.kept"))


def test_only_one_client_is_let_in(machine: Machine) -> None:
    with _attached(machine, "/bin/cat") as (dyno_id, client):
        client.type(b"x\n")
        client.until(b"x\n")
        with pytest.raises(OSError):
            Client(machine, dyno_id)


def test_what_an_attached_dyno_prints_is_the_clients_alone(machine: Machine) -> None:
    with _attached(machine, "/bin/echo", "private", process="run.attached") as (_, client):
        assert client.rest() == b"private\n"
    lines = machine.log(process="run.attached")
    assert lines[0].startswith("heroku[run.attached]: Starting process with command `/bin/echo private`")
    assert not [line for line in lines if line.startswith("app[")]


def test_a_terminal_without_a_client_goes_to_the_log(machine: Machine) -> None:
    state = machine.run("/bin/sh", "-c", "tty; stty size", tty=True, rows=11, columns=22)
    printed = [line for line in machine.log(process=state.process) if line.startswith("app[")]
    assert printed[0].partition(": ")[2].startswith("/dev/")
    assert printed[1].endswith(": 11 22")


def test_input_cannot_be_pushed_into_the_terminal(machine: Machine) -> None:
    script = "import fcntl, termios\ntry: fcntl.ioctl(0, termios.TIOCSTI, b'x')\nexcept OSError as e: print(e.strerror)"
    state = machine.run(python=script, tty=True, output=True)
    assert "not permitted" in machine.output(state.id)


def test_the_socket_is_for_the_control_group_alone(machine: Machine) -> None:
    state = machine.start("/bin/cat", attach=True)
    path = machine.folder(state.id) / "attach.sock"
    machine.until(state.id, lambda _: path.exists())
    assert os.stat(path).st_mode & 0o777 == 0o660
    assert os.stat(path.parent).st_mode & 0o007 == 0
    machine.engine.forget(state.id)
