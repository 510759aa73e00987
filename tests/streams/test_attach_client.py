"""Tests of Greenroom's client for attached dynos, as a separate process: pipes, a terminal, and all ways of leaving."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest

from tests.streams.conftest import read_all
from tests.streams.test_rendezvous import Listener, echo, says

SOURCE = Path(__file__).resolve().parents[2] / "src"
PROGRAM = """
import signal
import sys
# A test run in the background of a script is told to ignore SIGINT.
signal.signal(signal.SIGINT, signal.default_int_handler)
from greenroom_cli.attach import attach
from greenroom_cli.errors import CliError
try:  # noqa: SIM105 (contextlib is heavy)
    attach(sys.argv[1], sys.argv[2], tty=sys.argv[3] == "tty", stdin=sys.stdin.buffer, stdout=sys.stdout.buffer)
except CliError as error:
    sys.exit(f"{error.message} ({error.hint})")
"""
ENV = {"PYTHONPATH": str(SOURCE), "PATH": os.environ["PATH"]}


def argv(hall, dyno, *, tty=False, url="", ca=""):
    words = [url or hall.url(dyno, tty=tty), ca or str(hall.ca), "tty" if tty else "pipe"]
    return [sys.executable, "-c", PROGRAM, *words]


def run(hall, dyno, data=b"", **more):
    return subprocess.run(argv(hall, dyno, **more), input=data, capture_output=True, env=ENV, timeout=30, check=False)


# -- pipes ------------------------------------------------------------------------------------------------------------


def test_output_is_passed_on(hall):
    done = run(hall, hall.dyno(says(b"hello\n")))
    assert (done.stdout, done.stderr, done.returncode) == (b"hello\n", b"", 0)


@pytest.mark.parametrize(
    "data", [b"", b"\x04", b"\x10", b"\x10\x04", b"a\x04", b"\x10\x10\x04\x04", bytes(range(256)) * 5000]
)
def test_any_input_comes_whole_and_as_it_is(hall, data):
    listener = Listener(b"done")
    assert run(hall, hall.dyno(listener), data).stdout == b"done"
    assert listener.heard == data


def test_input_with_pauses_in_the_worst_places_is_not_cut(hall):
    listener = Listener(b"done")
    process = subprocess.Popen(argv(hall, hall.dyno(listener)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENV)
    for piece in (b"a", b"\x04", b"\x10", b"\x04"):
        process.stdin.write(piece)
        process.stdin.flush()
        time.sleep(0.5)
    out, _ = process.communicate(timeout=10)
    assert out == b"done"
    assert listener.heard == b"a\x04\x10\x04"


def test_a_large_input_and_a_large_output_at_once_do_not_block_each_other(hall):
    data = os.urandom(20_000_000)
    assert run(hall, hall.dyno(echo), data).stdout == data


def test_a_file_as_input_works(hall, tmp_path):
    file = tmp_path / "dump.sql"
    file.write_bytes(b"x" * 3_000_000)
    with file.open("rb") as stream:
        command = argv(hall, hall.dyno(lambda sock: sock.sendall(b"%d" % len(read_all(sock)))))
        done = subprocess.run(command, stdin=stream, capture_output=True, env=ENV, timeout=30, check=False)
    assert done.stdout == b"3000000"


def test_a_command_that_does_not_read_its_input_is_not_waited_for(hall):
    done = run(hall, hall.dyno(says(b"out", before=0.3)), b"y" * 5_000_000)
    assert (done.stdout, done.returncode) == (b"out", 0)


def test_a_quick_command_does_not_linger(hall):
    process = subprocess.Popen(
        argv(hall, hall.dyno(says(b"x"))), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ENV
    )
    assert process.stdout.read(1) == b"x"
    began = time.monotonic()
    process.wait(10)
    assert time.monotonic() - began < 0.4


def test_a_reader_of_ours_that_leaves_hangs_up_on_the_dyno(hall):
    ended = threading.Event()

    def work(sock):
        with contextlib.suppress(OSError):
            while True:
                sock.sendall(b"line\n" * 1000)
        ended.set()

    process = subprocess.Popen(
        argv(hall, hall.dyno(work)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV
    )
    process.stdout.read(100)
    process.stdout.close()
    assert ended.wait(5)
    assert b"BrokenPipeError" in process.stderr.read()
    process.wait(10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_client_that_is_killed_hangs_up_on_the_dyno(hall, number):
    listener = Listener()
    process = subprocess.Popen(
        argv(hall, hall.dyno(listener)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENV,
    )
    process.stdin.write(b"x")
    process.stdin.flush()
    listener.until(b"x")
    process.send_signal(number)
    assert listener.ended.wait(20)
    process.wait(10)


# -- what cannot be reached -------------------------------------------------------------------------------------------


def test_a_link_that_was_used_is_named_as_the_reason(hall):
    dyno = hall.dyno(says(b"x"))
    assert run(hall, dyno).stdout == b"x"
    done = run(hall, dyno)
    assert done.returncode == 1
    assert b"The attach URL of the dyno has expired or was already used. (run the command again" in done.stderr


def test_a_wrong_certificate_is_refused_before_the_reference_is_sent(hall, tmp_path):
    other = tmp_path / "home"
    (other / "keys").mkdir(parents=True)
    from greenroom_cli.host import keys

    keys.make_all(other, None)
    dyno = hall.dyno(echo)
    done = run(hall, dyno, ca=str(other / "keys" / "ca.pem"))
    assert done.returncode == 1
    assert b"CERTIFICATE_VERIFY_FAILED" in done.stderr
    assert (dyno.folder / "attach.sock").exists()


def test_a_server_that_is_not_there_is_named(hall):
    done = run(hall, None, url="rendezvous://localhost:1/x")
    assert done.returncode == 1
    assert b"cannot be reached at localhost:1" in done.stderr


# -- a terminal -------------------------------------------------------------------------------------------------------


class Terminal:
    """The client on a pseudo-terminal."""

    def __init__(self, hall, dyno):
        self.near, far = pty.openpty()
        self.before = termios.tcgetattr(far)
        self.far = far
        self.process = subprocess.Popen(
            argv(hall, dyno, tty=True), stdin=far, stdout=far, stderr=subprocess.PIPE, env=ENV
        )
        self.seen = b""

    def type(self, data):
        os.write(self.near, data)

    def until(self, text, seconds=10):
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.near], [], [], 0.1)[0]:
                self.seen += os.read(self.near, 65536)

    def is_raw(self):
        return not termios.tcgetattr(self.far)[3] & termios.ICANON

    def until_raw(self):
        deadline = time.monotonic() + 10
        while not self.is_raw():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self):
        code = self.process.wait(10)
        after = termios.tcgetattr(self.far)
        os.close(self.near)
        os.close(self.far)
        assert after == self.before, "the terminal is not as it was"
        return code, self.process.stderr.read().decode()


def test_keys_reach_the_dyno_one_by_one_and_the_terminal_is_given_back(hall):
    listener = Listener()

    def work(sock):
        listener.heard = sock.recv(100)
        sock.sendall(b"\x1b[31mred\x1b[0m\r\n")

    terminal = Terminal(hall, hall.dyno(work))
    terminal.until_raw()
    terminal.type(b"\x03")
    terminal.until(b"\x1b[31mred\x1b[0m\r\n")
    assert listener.heard == b"\x03"
    assert terminal.end() == (0, "")


def test_control_d_is_a_key(hall):
    listener = Listener()
    terminal = Terminal(hall, hall.dyno(listener))
    terminal.until_raw()
    terminal.type(b"\x04")
    listener.until(b"\x04")
    assert not listener.ended.wait(0.5)
    terminal.process.terminate()
    terminal.end()


def test_four_times_control_c_leaves_a_dyno_that_does_not_answer(hall):
    listener = Listener()
    terminal = Terminal(hall, hall.dyno(listener))
    terminal.until_raw()
    for number in range(4):
        terminal.type(b"\x03")
        listener.until(b"\x03" * (number + 1)) if number < 3 else None
    code, text = terminal.end()
    assert code == 1
    assert "4 times Ctrl-C" in text
    assert listener.ended.wait(5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_gives_the_terminal_back(hall, number):
    listener = Listener()
    terminal = Terminal(hall, hall.dyno(listener))
    terminal.until_raw()
    terminal.process.send_signal(number)
    assert terminal.end()[0] == 128 + number
    assert listener.ended.wait(5)


def test_a_server_that_dies_gives_the_terminal_back(hall):
    def work(sock):
        sock.recv(1)
        raise OSError

    terminal = Terminal(hall, hall.dyno(work))
    terminal.until_raw()
    terminal.type(b"x")
    assert terminal.end()[0] == 0
