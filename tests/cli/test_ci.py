"""``ci:run`` uploads this folder's commit to the server's link, over TLS with the installation's own CA, and prints the
server's message.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from greenroom_cli.host import keys
from tests.cli.fake import Reply
from tests.cli.rows import APP


@contextmanager
def uploads(
    status: int = 200, text: str = "", *, kind: str = "text/plain; charset=utf-8", certified: Path | None = None
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that accepts uploads: its URL, and the headers of the received requests."""
    came: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            came.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    if certified:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certified / "keys" / "tls.pem", certified / "keys" / "tls.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"{'https' if certified else 'http'}://localhost:{server.server_address[1]}/streams/sources/x", came
    finally:
        server.shutdown()
        server.server_close()


def offer(at_server, url: str) -> None:
    at_server.on("POST", "/sources", Reply({"source_blob": {"put_url": url, "get_url": url}}, 201))
    at_server.on("POST", "/test-runs", Reply({"id": "t12", "number": 12}, 201))


def test_the_source_goes_to_a_link_with_a_certificate_of_the_installations_own_ca(
    at_server, greenroom, checkout, tmp_path, monkeypatch
):
    home = tmp_path / "other"
    (home / "keys").mkdir(parents=True)
    keys.make_all(home, None)
    monkeypatch.setenv("GREENROOM_CA", str(home / "keys" / "ca.pem"))
    with uploads(certified=home) as (url, came):
        offer(at_server, url)
        result = greenroom("ci:run", "-a", APP)
    assert result.exit_code == 0, result.stderr
    assert len(came) == 1
    assert "authorization" not in came[0]


def test_a_certificate_of_another_ca_names_the_variable(at_server, greenroom, checkout, tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name / "keys").mkdir(parents=True)
        keys.make_all(tmp_path / name, None)
    monkeypatch.setenv("GREENROOM_CA", str(tmp_path / "one" / "keys" / "ca.pem"))
    with uploads(certified=tmp_path / "two") as (url, came):
        offer(at_server, url)
        result = greenroom("ci:run", "-a", APP)
    assert result.exit_code == 1
    assert "is not trusted" in result.stderr
    assert "hint: set GREENROOM_CA to" in result.stderr
    assert not came


@pytest.mark.parametrize(
    ("status", "said", "hint"),
    [
        (422, "The archive is too large. Limit: 1024 MB.", "leave out unnecessary files"),
        (507, "The disk has less than 1 GB left.", "greenroom doctor"),
        (404, "This link is not valid or has expired.", "request a new one"),
    ],
)
def test_what_the_server_says_to_an_upload_is_shown_with_its_hint(at_server, greenroom, checkout, status, said, hint):
    with uploads(status, f"{said}\nhint: {hint}\n") as (url, _):
        offer(at_server, url)
        result = greenroom("ci:run", "-a", APP)
    assert result.exit_code == 1
    assert f" ▸    {said}\nhint: {hint}\n" in result.stderr
    assert not at_server.asked("POST", "/test-runs")


def test_an_answer_of_something_in_between_ends_in_one_line(at_server, greenroom, checkout):
    with uploads(502, "<html>nginx</html>", kind="text/html") as (url, _):
        offer(at_server, url)
        result = greenroom("ci:run", "-a", APP)
    assert result.exit_code == 1
    assert "answered 502 Bad Gateway, which is not a response of Greenroom's API" in result.stderr


@pytest.fixture
def raw() -> Iterator[tuple[socket.socket, str]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}/streams/sources/x"


def test_a_connection_that_is_reset_ends_in_one_line(at_server, greenroom, checkout, raw):
    listener, url = raw

    def reset() -> None:
        peer, _ = listener.accept()
        peer.recv(10)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()

    thread = threading.Thread(target=reset, daemon=True)
    thread.start()
    offer(at_server, url)
    result = greenroom("ci:run", "-a", APP)
    thread.join()
    assert result.exit_code == 1
    assert "Greenroom does not answer at http://127.0.0.1:" in result.stderr


def test_a_refusal_that_comes_before_the_archive_is_read_is_shown(at_server, raw):
    """The server answers and closes; most of the body is never sent."""
    from greenroom_cli.client import Client
    from greenroom_cli.errors import ApiError
    from greenroom_cli.target import find

    listener, url = raw
    answer = b"HTTP/1.1 422 Unprocessable\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nToo much."

    def refuse() -> None:
        peer, _ = listener.accept()
        peer.sendall(answer)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(1 << 16):
            pass
        peer.close()

    thread = threading.Thread(target=refuse, daemon=True)
    thread.start()
    with pytest.raises(ApiError, match="Too much"):
        Client(find(None)).upload(url, b"x" * 3_000_000)
    thread.join()
