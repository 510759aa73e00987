"""An attached dyno and its client, over real TLS: the Heroku CLI's protocol, its quirks, and disconnects."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import threading
import time

import pytest

from greenroom.basics import unixsock
from greenroom.basics.errors import PlatformError
from greenroom.engine.local.session import IN_FLIGHT
from greenroom.entrypoints.streams import rendezvous
from greenroom.entrypoints.streams.rendezvous import Doorman
from tests.streams.conftest import Rendezvous, read_all

MARKER = "\uffff heroku-command-exit-status: "


def echo(sock):
    """A ``cat``."""
    while data := sock.recv(65536):
        sock.sendall(data)
    return 0


def says(text, code=0, before=0.0):
    def work(sock):
        time.sleep(before)
        sock.sendall(text)
        return code

    return work


class Listener:
    """A dyno that records its input, and how the input ended."""

    def __init__(self, answer=b""):
        self.heard, self.ended, self.answer = b"", threading.Event(), answer

    def __call__(self, sock):
        with contextlib.suppress(ConnectionError):
            while data := sock.recv(65536):
                self.heard += data
        self.ended.set()
        sock.sendall(self.answer)
        return 0

    def until(self, data, seconds=5.0):
        deadline = time.monotonic() + seconds
        while self.heard != data:
            assert time.monotonic() < deadline, self.heard
            time.sleep(0.01)


# -- the first words --------------------------------------------------------------------------------------------------


def test_the_hello_is_a_record_of_its_own_even_when_output_follows_at_once(hall):
    for _ in range(5):
        client = hall.join(hall.dyno(says(b"output")))
        assert client.rest() == b"output"


def test_a_client_that_sends_no_line_end_is_understood(hall):
    client = hall.connect(hall.token(hall.dyno(says(b"out"))).encode())
    assert client.record() == b"rendezvous\r\n"
    assert client.rest() == b"out"


def test_a_reference_may_come_in_pieces(hall):
    token = hall.token(hall.dyno(says(b"out"))).encode()
    client = hall.connect(token[:20])
    time.sleep(0.1)
    client.send(token[20:] + b"\r\n")
    assert client.rest() == b"rendezvous\r\nout"


@pytest.mark.parametrize("first", [b"nonsense\r\n", b"\r\n", b"a.b\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 3000])
def test_who_has_no_reference_learns_nothing(hall, first):
    with contextlib.suppress(ConnectionError):
        assert hall.connect(first).rest() == b""


def test_an_expired_reference_opens_nothing(hall):
    dyno = hall.dyno(echo)
    assert hall.connect(hall.token(dyno, seconds=-61).encode() + b"\r\n").rest() == b""


def test_a_reference_is_good_for_one_client(hall):
    dyno = hall.dyno(echo)
    first = hall.join(dyno, tty=True)
    first.send(b"x")
    assert first.record() == b"x"
    assert hall.connect(hall.token(dyno).encode() + b"\r\n").rest() == b""
    first.leave()
    dyno.join()


@pytest.mark.parametrize("name", ["../../../etc", "", "gone", "A b"])
def test_even_a_signed_reference_leads_to_waiting_dynos_alone(hall, name):
    assert hall.connect(hall.token(name).encode() + b"\r\n").rest() == b""


def test_one_account_does_not_take_all_places(tmp_path, monkeypatch):
    monkeypatch.setattr(rendezvous, "MEETINGS_EACH", 2)
    hall = Rendezvous(tmp_path)
    dynos = [hall.dyno(echo) for _ in range(4)]
    mine = [hall.join(dyno, tty=True) for dyno in dynos[:2]]
    refused = hall.join(dynos[2], marker=True).rest().decode()
    assert "Your account has 2 attached dynos open already." in refused
    assert refused.endswith(f"{MARKER}1\n")
    others = hall.join(dynos[3], tty=True, account="b")
    for client, dyno in ((mine[0], dynos[0]), (mine[1], dynos[1]), (others, dynos[3])):
        client.leave()
        dyno.join()
    time.sleep(0.3)
    again = hall.join(dynos[2], tty=True)
    again.send(b"x")
    assert again.record() == b"x", "the same reference is good once there is room"
    again.leave()
    dynos[2].join()
    hall.close()


def test_a_dyno_whose_socket_is_not_there_yet_is_waited_for(hall):
    folder = hall.home / "run/dynos/late"
    folder.mkdir(parents=True)
    client = hall.connect(hall.token("late").encode() + b"\r\n")
    time.sleep(0.2)
    late = hall.dyno(says(b"here"))
    for name in ("state.json", "attach.sock"):
        os.rename(late.folder / name, folder / name)
    late.folder.rmdir()
    late.folder = folder
    assert client.rest() == b"rendezvous\r\nhere"


def test_a_stranger_without_tls_does_no_harm(hall):
    with socket.create_connection(("127.0.0.1", hall.port)) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while plain.recv(1000):
                pass
    assert hall.join(hall.dyno(says(b"fine"))).rest() == b"fine"


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01"])
def test_a_crowd_of_silent_connections_keeps_no_client_out(hall, first):
    silent = [socket.create_connection(("127.0.0.1", hall.port)) for _ in range(200)]
    for sock in silent:
        with contextlib.suppress(OSError):
            sock.sendall(first)
    assert hall.join(hall.dyno(says(b"here"))).rest() == b"here"
    for sock in silent:
        sock.close()


def test_a_client_that_does_not_trust_the_certificate_gets_no_further(hall):
    with socket.create_connection(("127.0.0.1", hall.port)) as plain, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")


def test_who_guesses_is_slowed_down_and_nobody_else():
    now = [0.0]
    doorman = Doorman(clock=lambda: now[0])
    assert [doorman.delay_after_bad("10.0.0.1") for _ in range(6)] == [0, 0, 0, 0, Doorman.SECONDS, Doorman.SECONDS]
    assert doorman.delay_after_bad("10.0.0.2") == 0
    now[0] = 61.0
    assert doorman.delay_after_bad("10.0.0.1") == 0


def test_the_doorman_remembers_a_bounded_number_of_addresses():
    doorman = Doorman()
    for number in range(5_000):
        doorman.delay_after_bad(f"10.0.{number // 250}.{number % 250}")
    assert len(doorman._bad) == Doorman.MOST


# -- coming back ------------------------------------------------------------------------------------------------------


def come_back(hall, token, seen=0):
    return hall.connect(f"{token}?eof=escaped&seen={seen}\r\n".encode())


def test_who_comes_back_to_a_dyno_that_has_ended_is_told_so(hall):
    dyno = hall.dyno(says(b"x"))
    assert hall.join(dyno).rest() == b"x"
    assert come_back(hall, hall.token(dyno), 1).rest() == b"ended\r\n"


def test_who_comes_back_with_a_bad_reference_is_told_so(hall):
    assert come_back(hall, "a.b").rest() == b"ended\r\n"


def test_who_comes_back_while_the_database_is_away_hears_nothing_and_may_try_again(hall, monkeypatch):
    async def away(holders):
        raise PlatformError("PostgreSQL does not answer.")

    monkeypatch.setattr(hall.holders, "_ask", away)
    with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
        assert come_back(hall, hall.token("gone")).rest() == b""


def test_who_comes_back_to_a_dyno_that_does_not_answer_hears_nothing_and_may_try_again(hall):
    dyno = hall.dyno(echo)
    door = unixsock.bind(dyno.folder / "resume.sock")
    threading.Thread(target=lambda: door.accept()[0].close(), daemon=True).start()
    with contextlib.suppress(ConnectionError, ssl.SSLEOFError):
        assert come_back(hall, hall.token(dyno)).rest() == b""
    door.close()


def test_who_comes_back_for_output_that_is_not_kept_any_more_is_told_so(hall):
    dyno = hall.dyno(echo)
    door = unixsock.bind(dyno.folder / "resume.sock")

    def answer():
        sock, _ = door.accept()
        with sock:
            assert sock.recv(8) == (5).to_bytes(8, "big")
            sock.sendall(b"\xff" * 8)

    threading.Thread(target=answer, daemon=True).start()
    assert come_back(hall, hall.token(dyno), 5).rest() == b"lost\r\n"
    door.close()


@pytest.mark.parametrize("leaves", [False, True])
def test_the_engine_hears_whether_the_client_has_everything(hall, leaves):
    words = []
    go = threading.Event()

    def work(sock):
        sock.sendall(b"x")
        go.wait(10 if leaves else 0)

    dyno = hall.dyno(work)
    door = unixsock.bind(dyno.folder / "resume.sock")
    listening = threading.Thread(target=lambda: words.append(door.accept()[0].recv(8)), daemon=True)
    listening.start()
    client = hall.join(dyno)
    assert client.record() == b"x"
    if not leaves:
        assert client.rest() == b""
        time.sleep(0.3)
        assert words == []
    client.leave()
    listening.join(5)
    go.set()
    assert words == [b"\xff" * 8 if leaves else b"\xff" * 7 + b"\xfe"]


# -- output -----------------------------------------------------------------------------------------------------------


def test_output_comes_whole_and_as_it_is(hall):
    data = bytes(range(256)) * 40_000
    assert hall.join(hall.dyno(says(data))).rest() == data


def test_a_slow_client_slows_the_dyno_down(hall):
    sent = []

    def work(sock):
        for _ in range(400):
            sock.sendall(b"x" * 65536)
            sent.append(65536)
        return 0

    client = hall.join(hall.dyno(work))
    time.sleep(1.0)
    waiting = sum(sent)
    assert waiting < IN_FLIGHT, "more than the engine can say again would be lost with the web process"
    assert len(client.rest()) == 400 * 65536


def test_output_survives_input_that_nobody_read(hall):
    """A command like ``head -1`` ends while its input still arrives: closing at that point would discard output in
    transit.
    """

    def work(sock):
        sock.recv(10)
        sock.sendall(b"first line\n" * 1000)
        return 0

    client = hall.join(hall.dyno(work))
    stop = threading.Event()

    def flood():
        with contextlib.suppress(OSError):
            while not stop.is_set():
                client.send(b"y" * 65536)

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    time.sleep(0.3)
    data = b""
    with contextlib.suppress(ConnectionResetError):
        data = client.rest()
    stop.set()
    client.leave()
    thread.join()
    assert data == b"first line\n" * 1000


# -- the exit code ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 3, 255])
def test_the_marker_carries_the_exit_code_in_a_record_of_its_own(hall, code):
    client = hall.join(hall.dyno(says(b"no line end", code)), marker=True)
    assert client.record() == b"no line end"
    assert client.record().decode() == f"{MARKER}{code}\n"
    assert client.record() == b""


def test_a_dyno_that_was_lost_has_code_255(hall):
    def work(sock):
        dyno.say("lost")
        raise OSError

    dyno = hall.dyno(work)
    assert hall.join(dyno, marker=True).rest().decode() == f"{MARKER}255\n"


def test_without_the_wish_there_is_no_marker(hall):
    assert hall.join(hall.dyno(says(b"x", 3))).rest() == b"x"


# -- the end of the input ---------------------------------------------------------------------------------------------


def test_a_lone_0x04_ends_the_input(hall):
    listener = Listener(b"done")
    client = hall.join(hall.dyno(listener))
    client.send(b"a\nb\n")
    client.send(b"\x04")
    assert client.rest() == b"done"
    assert listener.heard == b"a\nb\n"


def test_0x04_at_once_is_an_empty_input(hall):
    listener = Listener(b"done")
    client = hall.join(hall.dyno(listener))
    client.send(b"\x04")
    assert client.rest() == b"done"
    assert listener.heard == b""


def test_0x04_at_the_end_of_other_data_is_data_however_long_the_silence(hall):
    listener = Listener()
    client = hall.join(hall.dyno(listener))
    client.send(b"binary\x04")
    time.sleep(0.8)
    assert not listener.ended.is_set()
    client.send(b"more")
    listener.until(b"binary\x04more")
    client.send(b"\x04")
    assert listener.ended.wait(3)
    assert listener.heard == b"binary\x04more"


def test_a_lone_0x04_followed_by_more_is_data(hall):
    listener = Listener()
    client = hall.join(hall.dyno(listener))
    for piece in (b"a", b"\x04", b"\x04", b"b", b"\x04"):
        client.send(piece)
        time.sleep(0.05)
    assert listener.ended.wait(3)
    assert listener.heard == b"a\x04\x04b"


def test_on_a_terminal_0x04_is_a_key(hall):
    listener = Listener()
    dyno = hall.dyno(listener)
    client = hall.join(dyno, tty=True)
    client.send(b"\x04")
    listener.until(b"\x04")
    time.sleep(0.6)
    assert not listener.ended.is_set()
    client.leave()
    dyno.join()


def test_input_comes_whole_and_as_it_is(hall):
    data = os.urandom(3_000_000)
    listener = Listener()
    client = hall.join(hall.dyno(listener))
    client.send(data)
    client.send(b"\x04")
    assert listener.ended.wait(10)
    assert listener.heard == data


def test_a_dyno_that_reads_slowly_slows_the_client_down(hall):
    go = threading.Event()

    def work(sock):
        go.wait(10)
        sock.sendall(b"%d" % len(read_all(sock)))
        return 0

    client = hall.join(hall.dyno(work))
    client.sock.settimeout(1.0)
    sent = 0
    with pytest.raises(TimeoutError):
        while sent < 50_000_000:
            client.sock.sendall(b"x" * 16384)
            sent += 16384
    assert sent < 20_000_000
    go.set()
    client.leave()


# -- parting ----------------------------------------------------------------------------------------------------------


def test_a_quick_command_lingers_until_the_client_has_said_its_end(hall):
    """The Heroku CLI writes 0x04 right after the first record, and fails with EPIPE if we have closed by then."""
    client = hall.join(hall.dyno(says(b"x")))
    began = time.monotonic()
    assert client.record() == b"x"
    client.sock.settimeout(0.3)
    with pytest.raises(TimeoutError):
        client.record()
    client.sock.settimeout(10)
    client.send(b"\x04")
    assert client.record() == b""
    assert time.monotonic() - began < 0.55


def test_a_client_that_never_says_its_end_is_let_go(hall):
    began = time.monotonic()
    assert hall.join(hall.dyno(says(b"x"))).rest() == b"x"
    assert 0.5 < time.monotonic() - began < 1.5


@pytest.mark.parametrize("tty", [True, False])
def test_a_client_that_leaves_hangs_up_on_the_dyno(hall, tty):
    listener = Listener()
    dyno = hall.dyno(listener)
    client = hall.join(dyno, tty=tty)
    client.send(b"x")
    listener.until(b"x")
    began = time.monotonic()
    client.leave()
    assert listener.ended.wait(5)
    dyno.join()
    assert time.monotonic() - began < 1


def test_a_client_that_leaves_after_its_end_of_input_hangs_up_too(hall):
    left = threading.Event()

    def work(sock):
        read_all(sock)
        with contextlib.suppress(OSError):
            while True:
                time.sleep(0.05)
                sock.sendall(b".")
        left.set()
        return 0

    client = hall.join(hall.dyno(work))
    client.send(b"\x04")
    assert client.record()[:1] == b"."
    client.leave()
    assert left.wait(5)


def test_a_client_that_leaves_while_the_dyno_does_not_read_hangs_up_too(hall):
    gone = threading.Event()

    def work(sock):
        poll = threading.Event()
        while not poll.wait(0.05):
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                break
            try:
                sock.sendall(b".")
            except OSError:
                break
        gone.set()
        return 0

    client = hall.join(hall.dyno(work))
    client.sock.settimeout(1.0)
    with pytest.raises(TimeoutError):
        while True:
            client.sock.sendall(b"x" * 16384)
    client.leave()
    assert gone.wait(10)


def test_a_reset_connection_hangs_up_too(hall):
    listener = Listener()
    dyno = hall.dyno(listener)
    client = hall.join(dyno, tty=True)
    client.send(b"x")
    listener.until(b"x")
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.leave()
    assert listener.ended.wait(5)
    dyno.join()


def test_twenty_dynos_at_once_do_not_wait_for_each_other(hall):
    clients = [hall.join(hall.dyno(echo), tty=True) for _ in range(20)]
    for number, client in enumerate(clients):
        client.send(b"%d" % number)
    assert [client.record() for client in clients] == [b"%d" % number for number in range(20)]
    for client in clients:
        client.leave()


def test_a_client_waits_for_a_dyno_that_is_still_to_be_started(hall):
    dyno = hall.dyno(says(b"x"))
    hall.starts.waiting.add(dyno.id)
    client = hall.connect(f"{hall.token(dyno)}\r\n".encode())
    for _ in range(3):
        assert hall.starts.asked.acquire(timeout=10)
    assert dyno.thread.is_alive(), "it has no client yet"
    hall.starts.waiting.clear()
    assert client.rest() == b"rendezvous\r\nx"
    dyno.join()


def test_a_client_that_leaves_before_the_start_cancels_it(hall):
    hall.starts.waiting.add("a1-v2-run.9002-0badcafe")
    client = hall.connect(f"{hall.token('a1-v2-run.9002-0badcafe')}\r\n".encode())
    assert hall.starts.asked.acquire(timeout=10)
    client.leave()
    deadline = time.monotonic() + 10
    while not hall.starts.cancelled:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert hall.starts.cancelled == ["a1-v2-run.9002-0badcafe"]


@pytest.mark.parametrize("own", [False, True])
def test_a_client_is_told_why_its_dyno_never_started(hall, own):
    name = "a1-v2-run.9003-0badcafe"
    hall.starts.waiting.add(name)
    hello = hall.token(name, marker=True) + ("?eof=escaped" if own else "")
    client = hall.connect(f"{hello}\r\n".encode())
    assert hall.starts.asked.acquire(timeout=10)
    hall.starts.refused[name] = "The snapshot b001 failed."
    text = b"" if own else b" !    The snapshot b001 failed.\r\n !    hint: greenroom run --no-snapshot ...\r\n"
    marker = "\uffff heroku-command-exit-status: 1\n".encode()
    said = b""
    while not said.endswith(marker):
        said += client.record()
    began = time.monotonic()
    client.send(b"\x04")  # the Heroku CLI's end of input; it crashes if the connection is closed before
    assert (said, client.rest()) == (b"rendezvous\r\n" + text + marker, b"")
    assert own or time.monotonic() - began > 0.3, "it has time for that"
