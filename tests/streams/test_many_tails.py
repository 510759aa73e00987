"""Streams under real uvicorn, over real sockets: five hundred followers, slow readers, and clients that vanish."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import re
import selectors
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from greenroom.basics import logfile, signing
from tests.streams.conftest import KEY, WHO, free_port

ROOT = Path(__file__).resolve().parents[2]
APP = "0" * 32
TAILS = 500


class Server:
    """The process and its resource usage."""

    def __init__(self, home: Path) -> None:
        self.home, self.port, self.numbers = home, free_port(), itertools.count()
        self.log = home / "logs" / "apps" / APP
        self.log.mkdir(parents=True)
        argv = [sys.executable, "-m", "tests.streams.serve", str(home), KEY, str(self.port)]
        env = {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "PATH": os.environ["PATH"]}
        self.process = subprocess.Popen(argv, env=env, cwd=ROOT)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise AssertionError("the streams did not come up")

    def say(self, *texts: str) -> None:
        logfile.append(str(self.log), [(time.time(), "app", "web.1", text) for text in texts])

    def status(self, name: str) -> int:
        found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{self.process.pid}/status").read_text(), re.MULTILINE)
        return int(found[1])

    def cpu(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def connections(self) -> int:
        count = 0
        for path in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                count += os.readlink(path).startswith("socket:")
        return count

    def path(self, **payload: object) -> str:
        who = {**WHO, "account": f"a{next(self.numbers) % 10}"}
        return "/streams/logs/" + signing.sign({"app": APP, "who": who, **payload}, key=KEY, purpose="logs", seconds=60)

    def tail(self, *, buffer: int = 0, **payload: object) -> socket.socket:
        sock = socket.socket()
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        sock.connect(("127.0.0.1", self.port))
        path = self.path(tail=True, **payload)
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
        return sock


@pytest.fixture
def server(tmp_path):
    it = Server(tmp_path)
    yield it
    it.process.kill()
    it.process.wait()


def until_all_saw(socks, text, seconds=30.0):
    """Read until each client has received the text."""
    deadline = time.monotonic() + seconds
    seen = {sock: b"" for sock in socks}
    with selectors.DefaultSelector() as ready:
        for sock in socks:
            ready.register(sock, selectors.EVENT_READ)
        while ready.get_map():
            assert time.monotonic() < deadline, f"{len(ready.get_map())} of {len(socks)} did not see it"
            for key, _ in ready.select(0.5):
                data = key.fileobj.recv(65536)
                assert data
                seen[key.fileobj] = (seen[key.fileobj] + data)[-20_000:]
                if text in seen[key.fileobj]:
                    ready.unregister(key.fileobj)


def test_five_hundred_followers_cost_no_threads_little_memory_and_no_time_while_nothing_is_said(
    server, record_property
):
    server.say(*[f"line {number}" for number in range(200)])
    until_all_saw([first := server.tail(lines=10)], b"line 199")
    rss, threads = server.status("VmRSS"), server.status("Threads")
    tails = [first, *(server.tail(lines=10) for _ in range(TAILS - 1))]
    until_all_saw(tails[1:], b"line 199")
    before, began = server.cpu(), time.monotonic()
    time.sleep(2)
    idle = (server.cpu() - before) / (time.monotonic() - began)
    began = time.monotonic()
    server.say("for everybody")
    until_all_saw(tails, b"for everybody")
    spread = time.monotonic() - began
    for _ in range(20):
        server.say(*["y" * 200] * 100)
        until_all_saw(tails, b"y" * 200)
    server.say("at last")
    until_all_saw(tails, b"at last")
    figures = {
        "threads": server.status("Threads"),
        "rss": server.status("VmRSS"),
        "before": rss,
        "idle": idle,
        "spread": spread,
    }
    record_property("figures", figures)
    print(f"\n{TAILS} tails: {figures}")
    assert server.status("Threads") <= max(threads, os.cpu_count() + 6)
    assert server.status("VmRSS") - rss < 60_000
    assert idle < 0.1
    assert spread < 3


def test_a_client_that_vanishes_is_noticed_at_once(server):
    sock = server.tail()
    server.say("x")
    until_all_saw([sock], b"x")
    there = server.connections()
    sock.close()
    deadline = time.monotonic() + 1
    while server.connections() >= there:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_client_that_does_not_read_makes_nothing_grow_and_misses_nothing_that_is_still_there(server):
    slow = server.tail(buffer=4096)
    server.say("begin")
    until_all_saw([server.tail(lines=1)], b"begin")
    rss = server.status("VmRSS")
    for number in range(60):
        server.say(*[f"{number}-{part} " + "z" * 1000 for part in range(300)])
    fast = server.tail(lines=1)
    until_all_saw([fast], b"59-299 ")
    assert server.status("VmRSS") - rss < 25_000, "18 MB were said to a client that reads nothing"
    server.say("the end")
    data = bytearray()
    slow.settimeout(20)
    while b"the end" not in data[-20_000:]:
        data += slow.recv(262_144)
    numbers = re.findall(rb"]: (\d+-\d+) z", bytes(data))
    assert numbers == [b"%d-%d" % (number, part) for number in range(60) for part in range(300)]


def test_a_client_that_is_slower_than_the_logs_memory_is_told_so(server):
    slow = server.tail(buffer=4096)
    server.say("begin")
    time.sleep(0.5)
    for number in range(70):
        server.say(*[f"{number}-{part} " + "z" * 9000 for part in range(100)])
    server.say("the end")
    data = bytearray()
    slow.settimeout(20)
    while b"the end" not in data[-20_000:]:
        data += slow.recv(262_144)
    assert data.count(b"heroku[logplex]: Error L10") == 1


def test_head_tells_whether_the_stream_is_there(server):
    for path, status in ((server.path(tail=True), 200), ("/streams/logs/forged", 404)):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
        connection.request("HEAD", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (status, b"")
        connection.close()


def test_a_stream_can_only_be_read(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    connection.request("POST", server.path(), b"x")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Allow")) == (405, "GET, HEAD")
    connection.close()


def test_a_connection_is_good_for_the_next_request(server):
    server.say("one")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    for _ in range(3):
        connection.request("GET", server.path(lines=5))
        assert connection.getresponse().read().endswith(b"one\n")
    connection.close()
