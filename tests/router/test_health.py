"""The health check sends the same request as a visitor, and its outcome is judged."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from greenroom.app_migrations.drivers import recorder
from greenroom.basics import unixsock
from greenroom.router.drivers import health_gate

HOST = "shop.localhost"
OK, BROKEN = "200 OK", "500 Internal Server Error"


class App:
    """A dyno's socket; ``answer`` gets (scheme in the header, host, path) and returns ``200 OK``, or ``301`` with a
    location.
    """

    def __init__(self, folder, answer):
        self.path, self.answer, self.asked, self.heads = folder / "dyno", answer, [], []
        self.listener = unixsock.bind(self.path)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            head = client.recv(65536).decode()
            fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            asked = (fields["X-Forwarded-Proto"], fields["Host"], head.split(" ")[1])
            self.asked.append(asked)
            self.heads.append(fields)
            said = self.answer(*asked)
            status, _, location = said.partition(" to ")
            more = f"Location: {location}\r\n" if location else ""
            client.sendall(f"HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n".encode())
            client.close()


@pytest.fixture
def app(tmp_path):
    made = []

    def make(answer):
        made.append(App(tmp_path, answer))
        return made[-1]

    yield make
    for one in made:
        one.listener.close()


def ask(app, path="/", **more):
    return health_gate.ask(app.path, host=HOST, path=path, **more)


def ssl_redirect(behind):
    """Django's SECURE_SSL_REDIRECT with SECURE_PROXY_SSL_HEADER, and the pages' responses."""
    return lambda scheme, host, path: behind if scheme == "https" else f"301 Moved to https://{host}{path}"


def test_an_app_that_answers_is_healthy_and_is_asked_as_the_router_asks(app):
    it = app(lambda *_: OK)
    answer = ask(it, "/healthz?x=1")
    assert (answer.healthy, answer.https, answer.detail) == (
        True,
        False,
        f"GET /healthz?x=1 (Host: {HOST}) answered 200",
    )
    assert it.asked[0] == ("https", HOST, "/healthz?x=1")
    first = it.heads[0]
    assert first.keys() >= {
        "X-Forwarded-For",
        "X-Forwarded-Port",
        "X-Forwarded-Host",
        "X-Request-Id",
        "X-Request-Start",
        "Via",
    }


def test_a_release_of_500s_behind_an_ssl_redirect_is_not_healthy(app):
    answer = ask(app(ssl_redirect(BROKEN)))
    assert not answer.healthy
    assert answer.detail.endswith("answered 500")


def test_a_release_that_works_behind_an_ssl_redirect_is_healthy_and_its_address_is_https(app):
    answer = ask(app(ssl_redirect(OK)))
    assert (answer.healthy, answer.https) == (True, True)


def test_an_app_that_does_not_see_https_redirects_for_ever_and_is_told_the_setting(app):
    answer = ask(app(lambda scheme, host, path: f"301 Moved to https://{host}{path}"))
    assert not answer.healthy
    assert "in a circle" in answer.detail
    assert "SECURE_PROXY_SSL_HEADER" in answer.text


@pytest.mark.parametrize(
    "goal",
    [
        "http://{host}/",
        "https://www.{host}/",
        "/home/",
        "//{host}/home/",
        "https://{host}:8443/home/",
        "https://shop.example.com/home/",
    ],
)
@pytest.mark.parametrize(("end", "healthy"), [(OK, True), (BROKEN, False), ("404 Not Found", False)])
def test_a_redirect_of_scheme_host_or_slash_is_judged_by_its_end(app, goal, end, healthy):
    first = []

    def answer(scheme, host, path):
        if not first:
            first.append(1)
            return f"301 Moved to {goal.format(host=HOST)}"
        return end

    start = "/home" if "home" in goal else "/"
    healthy = healthy or (start == "/" and end.startswith("404"))
    assert ask(app(answer), start, known=["shop.example.com"]).healthy is healthy


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "404 Not Found", "405 Method Not Allowed"])
def test_an_api_without_a_page_is_healthy_unless_the_team_named_the_page(app, status):
    answer = ask(app(lambda *_: status))
    assert (answer.healthy, answer.https) == (True, False)
    answer = ask(app(lambda *_: status), "/healthz")
    assert not answer.healthy
    assert "health_path in greenroom.toml" in answer.text


@pytest.mark.parametrize("status", ["400 Bad Request", "410 Gone", "429 Too Many Requests", "503 Service Unavailable"])
def test_other_errors_are_no_answer_of_a_release_that_works(app, status):
    assert not ask(app(lambda *_: status)).healthy


@pytest.mark.parametrize(("end", "healthy"), [(OK, True), ("403 Forbidden", True), (BROKEN, False)])
def test_a_redirect_to_another_page_of_the_app_must_not_end_in_a_500(app, end, healthy):
    answer = ask(
        app(
            lambda scheme, host, path: (
                end if path == "/accounts/login/?next=/" else "302 Found to /accounts/login/?next=/"
            )
        )
    )
    assert answer.healthy is healthy
    assert "/accounts/login/?next=/" in answer.detail


@pytest.mark.parametrize(
    "goal", ["https://login.example.org/", "https://shop.localhost.evil.example/", "mailto:x@example.org", ""]
)
def test_a_redirect_to_another_site_is_healthy_and_not_followed(app, goal):
    it = app(lambda scheme, host, path: f"302 Found to {goal}")
    assert ask(it).healthy
    assert len(it.asked) == 2, "the question itself, and how plain HTTP is answered"


def test_redirects_are_followed_a_few_times_only(app):
    it = app(lambda scheme, host, path: f"302 Found to {path}x")
    assert ask(it).healthy
    assert len(it.asked) < 10


def test_a_host_name_that_is_not_allowed_is_told_with_the_setting(app):
    answer = ask(app(lambda *_: "400 Bad Request"))
    assert not answer.healthy
    assert "ALLOWED_HOSTS" in answer.remedy
    assert HOST in answer.remedy


def test_odd_locations_are_neither_a_crash_nor_a_forged_request(app):
    for location in ("http://[", "/\u00e4 b\x00", "https://shop.localhost/a b\tc", "///", "?"):
        it = health_gate.health_check._goal(f"https://{HOST}/", location)
        assert not set(it) & set(" \t\x00\r\n")


@pytest.mark.parametrize("drip", [b"HTTP/1.1 200 OK\r\nX: ", b""])
def test_an_app_that_drips_its_answer_has_no_more_time_than_another(tmp_path, drip):
    listener = unixsock.bind(tmp_path / "dyno")

    def serve():
        client, _ = listener.accept()
        try:
            client.sendall(drip)
            while True:
                client.sendall(b"x" if drip else b"")
                time.sleep(0.05)
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    answer = health_gate.ask(tmp_path / "dyno", host=HOST, path="/", timeout=0.5)
    assert not answer.healthy
    assert "timed out" in answer.detail
    listener.close()


def test_headers_without_an_end_are_bounded(tmp_path):
    listener = unixsock.bind(tmp_path / "dyno")

    def serve():
        client, _ = listener.accept()
        client.recv(65_536)  # closing with an unread request resets the connection
        with suppress(OSError):  # the response is not read to its end
            client.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000)
        client.close()

    threading.Thread(target=serve, daemon=True).start()
    assert "longer than" in health_gate.ask(tmp_path / "dyno", host=HOST, path="/", timeout=20).detail
    listener.close()


@pytest.mark.neighbours
@pytest.mark.parametrize(("status", "state"), [(OK, "ok"), (BROKEN, "fails")])
def test_a_rehearsal_asks_the_same_question_from_within_the_dyno(tmp_path, status, state):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = (
        "import http.server as h, sys\n"
        "class A(h.BaseHTTPRequestHandler):\n"
        " def do_GET(s):\n"
        "  ok = s.headers['X-Forwarded-Proto'] == 'https' and s.path == '/there/'\n"
        f"  s.send_response({status.split()[0]} if ok else 301)\n"
        "  s.send_header('Location', 'https://shop.localhost/there/')\n"
        "  s.end_headers()\n"
        f"h.HTTPServer(('127.0.0.1', {port}), A).serve_forever()"
    )
    job = {
        "web": [sys.executable, "-c", server],
        "smoke": [],
        "port": port,
        "path": "/there",
        "host": HOST,
        "known": [],
        "patience": 60 if state == "ok" else 8,
    }
    done = subprocess.run(
        [sys.executable, "-", str(tmp_path)],
        input=recorder.cell_script(job),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "cell.json").read_text()
    assert f'"state": "{state}"' in text
    assert f"answered {status.split()[0]}" in text
