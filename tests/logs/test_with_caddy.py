"""The real Caddy's log, including rotated files and failed requests, becomes router lines, once each."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from greenroom.basics import logfile
from greenroom.logs.drivers.router_log import RouterLogTail
from greenroom.router.drivers import caddy, switch
from greenroom_cli.host.components import caddy_binary

APP = "a" * 32
HOST = "shop.localhost"


class Upstream:
    """A web dyno's socket; the path selects the response."""

    def __init__(self, home: Path) -> None:
        (home / "run/sockets").mkdir(parents=True)
        slots = home / "run/router" / APP
        slots.mkdir(parents=True)
        self.listener = socket.socket(socket.AF_UNIX)
        with contextlib.chdir(home):
            self.listener.bind("run/sockets/a1-v4-web.1-603f9927")
        self.listener.listen(100)
        for number in range(12):
            (slots / str(number)).symlink_to("../../sockets/a1-v4-web.1-603f9927")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            request = client.recv(65536)
            if b"/cut" in request:
                return
            if b"/slow" in request:
                time.sleep(5)
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")


class Router:
    """Caddy with Greenroom's own configuration, except for an early log rotation."""

    def __init__(self, home: Path) -> None:
        self.home = home
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
            self.port, other = one.getsockname()[1], two.getsockname()[1]
        for folder in ("run", "logs/router", "caddy", f"logs/apps/{APP}"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        switch.lead_hosts(home, {HOST: APP})
        caddy.write_pages(home)
        install = {"bind": "127.0.0.1", "http_port": self.port, "https_port": other}
        config = caddy.render(install)
        config["logging"]["logs"]["router"]["writer"] |= {"roll_size_mb": 1, "roll_keep": 10}
        config["apps"].pop("tls")
        config["apps"]["http"]["servers"].pop("secure")
        (home / "caddy/config.json").write_text(json.dumps(config))
        env = {"HOME": str(home / "caddy"), "PATH": os.environ["PATH"]}
        argv = [str(caddy_binary()), "run", "--config", "caddy/config.json"]
        self.process = subprocess.Popen(argv, cwd=home, env=env, stderr=subprocess.DEVNULL)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        raise AssertionError("Caddy did not come up")

    def get(self, path: str, host: str = HOST, timeout: float = 30) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Host": host})
            return connection.getresponse().status
        finally:
            connection.close()

    def many(self, count: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        for number in range(count):
            connection.request("GET", f"/n/{number}", headers={"Host": HOST, "X-Long": "x" * 500})
            connection.getresponse().read()
        connection.close()

    def lines(self, holds) -> list[str]:
        """The app's lines as soon as they meet the condition."""
        deadline = time.monotonic() + 10
        while True:
            while RouterLogTail(self.home, {HOST: f"logs/apps/{APP}"}.get).turn():
                pass
            found = [line.text for line in logfile.read_last(str(self.home / "logs/apps" / APP), 100_000)[0]]
            if holds(found):
                return found
            assert time.monotonic() < deadline, found[-10:]
            time.sleep(0.1)


@pytest.fixture
def router(tmp_path):
    it = Router(tmp_path)
    it.upstream = Upstream(tmp_path)
    yield it
    it.process.terminate()
    it.process.wait(20)
    it.upstream.listener.close()


def test_what_happened_to_each_request_is_said_in_herokus_words(router):
    assert router.get("/fine?q=%22") == 200
    assert router.get("/cut") == 503
    with pytest.raises(TimeoutError):
        router.get("/slow", timeout=0.5)
    assert router.get("/", host="nobody.localhost") == 404
    fine, cut, slow = router.lines(lambda found: len(found) == 3)
    assert fine.startswith('at=info method=GET path="/fine?q=%22" host=shop.localhost request_id=')
    assert 'fwd="127.0.0.1" dyno=web.1 connect=0ms' in fine
    assert "status=200 bytes=2 protocol=http" in fine
    assert cut.startswith('at=error code=H13 desc="Connection closed without response"')
    assert slow.startswith('at=error code=H27 desc="Client Request Interrupted"')


def test_an_app_in_maintenance_is_h80(router):
    (router.home / "run/router" / APP / "H80.html").write_text("closed")
    assert router.get("/") == 503
    assert router.lines(len)[0].startswith('at=error code=H80 desc="Maintenance mode"')


def test_no_request_is_lost_or_said_twice_while_caddy_rolls_its_log(router):
    done = threading.Event()

    def follow():
        tail = RouterLogTail(router.home, {HOST: f"logs/apps/{APP}"}.get)
        while not done.is_set():
            if not tail.turn():
                time.sleep(0.02)

    thread = threading.Thread(target=follow)
    thread.start()
    router.many(3_000)
    time.sleep(0.3)
    done.set()
    thread.join()
    assert len(list((router.home / "logs/router").glob("access-*.log"))) >= 2, "the log has not been rolled"
    found = router.lines(lambda texts: len(texts) >= 3_000)
    assert [text.split('path="/n/')[1].split('"')[0] for text in found] == [str(number) for number in range(3_000)]
