"""Tests of the real Caddy with Greenroom's own configuration: it finds apps on disk, removes forged client headers, and
redirects to the right port.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer

import pytest

from greenroom.router.drivers import caddy, switch
from greenroom.router.rules import Target
from greenroom_cli.host import keys
from greenroom_cli.host.components import caddy_binary
from tests.stories.team import free_ports
from tests.websocket import Websocket, accept

SHOP, CAFE = "a" * 32, "b" * 32


class App(BaseHTTPRequestHandler):
    """Returns the request's headers, or behaves as the path says."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path.startswith("/to/"):
            scheme = self.path.split("/")[2]
            self._answer(301, b"", Location=f"{scheme}://{self.headers['Host']}/there?x=1")
        elif self.path == "/bare":
            self._answer(301, b"", Location=f"https://{self.headers['Host'].partition(':')[0]}/there")
        elif self.path == "/elsewhere":
            self._answer(302, b"", Location="https://other.example.com/")
        elif self.path == "/ws":
            answer = accept(self.headers.get("Sec-WebSocket-Key", ""))
            self._answer(101, None, Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Accept=answer)
            while data := self.connection.recv(100):
                self.connection.sendall(data)
            self.close_connection = True
        else:
            self._answer(200, json.dumps([[name, value] for name, value in self.headers.items()]).encode())

    def do_POST(self):
        self.rfile.readline()
        self._answer(200, b"")

    def _answer(self, status, body, **headers):
        self.send_response(status)
        for name, value in {**headers, "Strict-Transport-Security": "max-age=60"}.items():
            self.send_header(name.replace("_", "-"), value)
        if body is not None:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        """Log nothing."""


class Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True

    def get_request(self):
        return self.socket.accept()[0], ("dyno", 0)

    def handle_error(self, *_):
        """Ignore errors: these tests include clients that leave early."""


class Router:
    """Caddy on ports of its own, and one app behind it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.plain = free_ports(2)
        self.secure = self.plain + 1
        for folder in ("run/sockets", "logs/router", "caddy", "keys"):
            (home / folder).mkdir(parents=True, exist_ok=True)
        keys.make_all(home, None)
        self.server = Server(os.path.relpath(home / "run/sockets/shop"), App)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        switch.lead_hosts(home, {"shop.localhost": SHOP, "*.example.com": SHOP})
        switch.apply(home, SHOP, Target(sockets=("run/sockets/shop",)), "shop")
        caddy.write_pages(home)
        self.config = caddy.render({"bind": "127.0.0.1", "http_port": self.plain, "https_port": self.secure})
        (home / "caddy/config.json").write_text(json.dumps(self.config))
        env = {"HOME": str(home / "caddy"), "PATH": os.environ["PATH"]}
        self.process = subprocess.Popen(
            [str(caddy_binary()), "run", "--config", "caddy/config.json"], cwd=home, env=env, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.secure)):
                return
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def ask(self, path="/", host="shop.localhost", tls=False, **headers):
        """(status, headers in lower case, body); a host name without a port gets the port of the request."""
        port = self.secure if tls else self.plain
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        made = (
            http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
            if tls
            else http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        )
        made.request("GET", path, headers={"Host": f"{host}:{port}", **headers})
        answer = made.getresponse()
        body = answer.read()
        made.close()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body

    def seen(self, **more):
        """The headers that the app received: name in lower case -> values."""
        found = {}
        for name, value in json.loads(self.ask(**more)[2]):
            found.setdefault(name.lower(), []).append(value)
        return found


@pytest.fixture(scope="module")
def router(tmp_path_factory):
    it = Router(tmp_path_factory.mktemp("router"))
    yield it
    it.process.terminate()
    it.process.wait(20)
    it.server.shutdown()


PRETENDED = (
    "X-Real-Ip",
    "Forwarded",
    "X-Forwarded-User",
    "X-Forwarded-Email",
    "X-Forwarded-Ssl",
    "Proxy",
    "X-Remote-User",
    "Remote-User",
    "X_Forwarded_Proto",
    "X_Remote_User",
    "X-Auth-Request-User",
    "True-Client-Ip",
    "X-Client-Ip",
    "X-Original-Url",
    "X-Script-Name",
    "X-Greenroom-Host",
)


@pytest.mark.parametrize("name", PRETENDED)
def test_what_a_client_pretends_about_itself_does_not_reach_the_app(router, name):
    assert name.lower() not in router.seen(**{name: "root"})


@pytest.mark.parametrize("tls", [False, True])
def test_the_app_is_told_the_truth_about_the_request(router, tls):
    lies = {
        "X-Forwarded-For": "1.2.3.4",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Port": "1",
    }
    seen = router.seen(tls=tls, **lies)
    port = router.secure if tls else router.plain
    assert seen["x-forwarded-for"] == ["127.0.0.1"]
    assert seen["x-forwarded-proto"] == ["https" if tls else "http"]
    assert seen["x-forwarded-host"] == [f"shop.localhost:{port}"]
    assert seen["x-forwarded-port"] == [str(port)]


def test_the_forwarded_port_is_the_routers_own_also_when_the_host_names_none(router):
    seen = router.seen(Host="shop.localhost")
    assert seen["x-forwarded-port"] == [str(router.plain)]


def test_ordinary_headers_of_a_client_reach_the_app(router):
    seen = router.seen(
        **{"X-Auth-Token": "t", "X-Requested-With": "x", "X-Client-Version": "1", "Cookie": "a=b", "X-CSRFToken": "c"}
    )
    assert seen.keys() >= {"x-auth-token", "x-requested-with", "x-client-version", "cookie", "x-csrftoken"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [("0123456789abcdefABCD+/=-", True), ("short", False), ("x" * 201, False), ('0123456789 0123456789"', False)],
)
def test_a_clients_request_id_is_kept_when_it_is_valid(router, given, kept):
    (told,) = router.seen(**{"X-Request-Id": given})["x-request-id"]
    assert (told == given) is kept
    assert re.fullmatch("[A-Za-z0-9+/=-]{20,200}", told)
    deadline = time.monotonic() + 20
    while f'"request_id":"{told}"' not in (router.home / "logs/router/access.log").read_text():
        assert time.monotonic() < deadline, "the log names the same one"
        time.sleep(0.05)


@pytest.mark.parametrize(
    "host", ["shop.localhost", "Shop.LocalHost", "shop.localhost.", "any.example.com", "ANY.example.com"]
)
def test_an_app_is_found_by_its_names(router, host):
    assert router.ask(host=host)[0] == 200


@pytest.mark.parametrize(
    "host",
    [
        "nosuch.localhost",
        "localhost",
        "a.b.example.com",
        "example.com",
        "..",
        "_.example.com",
        "hosts",
        "127.0.0.1",
        SHOP,
    ],
)
def test_no_other_name_leads_anywhere(router, host):
    status, headers, body = router.ask(host=host)
    assert (status, headers["greenroom-error"]) == (404, "H01")
    assert b"<code" not in body


def test_an_app_and_its_names_come_and_go_without_a_reload_and_keep_others_websockets(router):
    with socket.create_connection(("127.0.0.1", router.plain), timeout=30) as sock:
        sock.sendall(b"GET /ws HTTP/1.1\r\nHost: shop.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert b"101" in sock.recv(4096)
        names = {"shop.localhost": SHOP, "*.example.com": SHOP}
        switch.lead_hosts(router.home, {**names, "cafe.localhost": CAFE, "www.cafe.example": CAFE})
        switch.apply(router.home, CAFE, Target(sockets=("run/sockets/shop",)), "cafe")
        assert [router.ask(host=host)[0] for host in ("cafe.localhost", "www.cafe.example")] == [200, 200]
        switch.lead_hosts(router.home, names)
        assert [router.ask(host=host)[0] for host in ("cafe.localhost", "www.cafe.example")] == [404, 404]
        caddy.load(
            router.home,
            {
                **router.config,
                "apps": {**router.config["apps"], "http": {**router.config["apps"]["http"], "grace_period": "1s"}},
            },
        )
        time.sleep(2)  # the old configuration is no longer in use
        sock.sendall(b"ping")
        assert sock.recv(100) == b"ping", "a certificate does reload, and cuts no websocket either"


def test_https_speaks_http_2_and_leaves_websockets_to_http_1(router):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = socket.create_connection(("127.0.0.1", router.secure), timeout=30)
    with context.wrap_socket(plain, server_hostname="shop.localhost") as sock:
        assert sock.selected_alpn_protocol() == "h2"
        name = f"shop.localhost:{router.secure}".encode()
        fields = b"\x82\x87\x84\x41" + bytes([len(name)]) + name  # RFC 7541: GET, https, /, and the name
        sock.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(1, 5, 1, fields))
        with sock.makefile("rb") as file:
            frames = {}
            while 0 not in frames:
                head = file.read(9)
                frames.setdefault(head[3], file.read(int.from_bytes(head[:3], "big")))
    assert frames[1][0] == 0x88, "the status is 200"
    assert dict(json.loads(frames[0]))["X-Forwarded-Proto"] == "https"
    settings = [int.from_bytes(frames[4][at : at + 2], "big") for at in range(0, len(frames[4]), 6)]
    assert 8 not in settings, "browsers open websockets over HTTP/1.1, as there is no extended CONNECT (RFC 8441)"
    with Websocket(router.secure, "shop.localhost", "/ws", tls=True) as chat:
        chat.sock.sendall(b"ping")
        assert chat.file.read(4) == b"ping"


def _frame(kind, flags, stream, data):
    """A frame of RFC 9113."""
    return len(data).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + data


def test_a_page_is_shown_while_its_file_lies_there(router):
    (router.home / "run/router" / SHOP / "H80.html").write_text("closed")
    status, headers, body = router.ask()
    (router.home / "run/router" / SHOP / "H80.html").unlink()
    assert (status, headers["greenroom-error"], headers["retry-after"], body) == (503, "H80", "5", b"closed")
    assert router.ask()[0] == 200


@pytest.mark.parametrize(
    ("path", "tls", "goal"),
    [
        ("/to/https", False, "https://shop.localhost:{secure}/there?x=1"),
        ("/bare", False, "https://shop.localhost:{secure}/there"),
        ("/to/http", False, "http://shop.localhost:{plain}/there?x=1"),
        ("/to/https", True, "https://shop.localhost:{secure}/there?x=1"),
        ("/bare", True, "https://shop.localhost:{secure}/there"),
        ("/to/http", True, "http://shop.localhost:{plain}/there?x=1"),
        ("/elsewhere", False, "https://other.example.com/"),
    ],
)
def test_a_redirect_leads_to_the_port_where_its_scheme_is_spoken(router, path, tls, goal):
    _, headers, _ = router.ask(path, tls=tls)
    assert headers["location"] == goal.format(plain=router.plain, secure=router.secure)
    assert "strict-transport-security" not in headers, "a browser would speak TLS to the plain port from then on"


def test_who_comes_by_another_port_is_left_alone(router):
    _, headers, _ = router.ask("/bare", Host="shop.localhost")
    assert headers["location"] == "https://shop.localhost/there"
    assert headers["strict-transport-security"] == "max-age=60"


def test_with_the_usual_ports_no_redirect_is_changed():
    text = json.dumps(caddy.render({"bind": "127.0.0.1", "http_port": 80, "https_port": 443}))
    assert "Location" not in text
    assert "Strict-Transport" not in text


def test_plain_http_on_the_tls_port_is_led_to_https(router):
    made = http.client.HTTPConnection("127.0.0.1", router.secure, timeout=30)
    made.request("GET", "/x", headers={"Host": f"shop.localhost:{router.secure}"})
    answer = made.getresponse()
    assert (answer.status, answer.getheader("Location")) == (308, f"https://shop.localhost:{router.secure}/x")
    made.close()


def test_a_client_that_breaks_the_protocol_is_told_so_and_the_app_is_not_blamed(router):
    with socket.create_connection(("127.0.0.1", router.plain), timeout=30) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: shop.localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\nabc\r\n")
        answer = sock.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"Greenroom-Error" not in answer


def test_an_answer_that_comes_too_late_is_h12_and_one_that_breaks_off_h13():
    late, other = caddy.caddy_routes.errors()["routes"][1:]
    assert late["handle"][0]["response"]["set"]["Greenroom-Error"] == ["H12"]
    assert other["handle"][0]["response"]["set"]["Greenroom-Error"] == ["H13"]


def test_only_a_trusted_proxy_describes_the_client(router):
    told = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "shop.example.com"}
    ports = {"bind": "127.0.0.1", "http_port": router.plain, "https_port": router.secure}
    try:
        for network, believed in (("127.0.0.0/8", True), ("10.0.0.0/8", False)):
            caddy.load(router.home, caddy.render({**ports, "trusted_proxies": [network]}))
            seen = router.seen(**told, **{"X-Forwarded-User": "root"})
            assert seen["x-forwarded-for"] == ["203.0.113.9, 127.0.0.1" if believed else "127.0.0.1"]
            assert seen["x-forwarded-proto"] == ["https" if believed else "http"]
            assert (seen["x-forwarded-host"] == ["shop.example.com"]) is believed
            assert "x-forwarded-user" not in seen
    finally:
        caddy.load(router.home, router.config)
