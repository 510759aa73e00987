"""Greenroom's client after a lost connection: it reconnects to the dyno, or reports what it does not know."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading

import pytest

from greenroom.project import served_tls
from tests.streams.test_attach_client import ENV, argv


class Web:
    """A web process that dies when the test wants it to: one step for each connection of the client."""

    def __init__(self, hall, *steps):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.context = served_tls.context(hall.home)
        self.lines: list[bytes] = []
        threading.Thread(target=self._serve, args=(steps,), daemon=True).start()

    def _serve(self, steps):
        for step in steps:
            plain, _ = self.listener.accept()
            with contextlib.suppress(OSError):
                if step is None:
                    plain.close()
                    continue
                sock = self.context.wrap_socket(plain, server_side=True)
                self.lines.append(sock.recv(1000))
                if step:
                    sock.sendall(step.removesuffix(b"$"))
                if step.endswith(b"$"):
                    sock.unwrap()
                sock.close()
        self.listener.close()


def run(hall, *steps):
    """The client's output and its connections. A step: the output before the web process dies; $: it ends normally."""
    web = Web(hall, *steps)
    url = f"rendezvous://localhost:{web.listener.getsockname()[1]}/token"
    done = subprocess.run(
        argv(hall, None, url=url), stdin=subprocess.DEVNULL, capture_output=True, env=ENV, timeout=30, check=False
    )
    return done, web.lines


@pytest.mark.parametrize("trouble", [None, b""], ids=["in the handshake", "before the hello"])
def test_a_web_process_that_dies_again_is_tried_again(hall, trouble):
    done, lines = run(hall, b"rendezvous\r\nhalf", trouble, b"rendezvous 0\r\n and half$")
    assert (done.stdout, done.returncode) == (b"half and half", 0)
    assert lines[-1] == b"token?eof=escaped&seen=4\r\n"


def test_a_first_visit_that_is_cut_off_in_the_handshake_is_named(hall):
    done, _ = run(hall, None)
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr


def test_a_dyno_that_has_ended_meanwhile_is_no_success(hall):
    done, _ = run(hall, b"rendezvous\r\nhalf", b"ended\r\n$")
    assert (done.stdout, done.returncode) == (b"half", 1)
    assert b"The end of its output may be missing" in done.stderr


def test_lost_output_is_named_beside_the_output_and_is_no_success(hall):
    done, _ = run(hall, b"rendezvous\r\nhalf", b"lost\r\n$")
    assert (done.stdout, done.returncode) == (b"half", 1)
    assert b"Output was lost" in done.stderr
