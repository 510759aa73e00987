"""The proxy maps the Heroku CLI's fixed host names to one port, and no other name to anything."""

from __future__ import annotations

import asyncio

import pytest

from greenroom.entrypoints.streams import proxy
from greenroom_cli.host import keys
from tests.streams.conftest import free_port


def ask(head: bytes, then: bytes = b"", *, silent: int = 0) -> bytes:
    """The response to a request through the proxy, in front of an echo server. silent: number of idle connections."""

    async def echo(reader, writer):
        while data := await reader.read(100):
            writer.write(b"<" + data + b">")
        writer.close()

    async def main():
        inner, port = await asyncio.start_server(echo, "127.0.0.1", 0), free_port()
        serving = asyncio.create_task(
            proxy.serve("127.0.0.1", port, inner.sockets[0].getsockname()[1], proxy.Clients())
        )
        for _ in range(100):
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                break
            except OSError:
                await asyncio.sleep(0.02)
        crowd = [await asyncio.open_connection("127.0.0.1", port) for _ in range(silent)]
        if crowd:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        got = await reader.readuntil(b"\r\n\r\n")
        if then:
            writer.write(then)
            got += await reader.readexactly(len(then) + 2)
        writer.write_eof()
        got += await reader.read()
        serving.cancel()
        inner.close()
        for _, silent_writer in crowd:
            silent_writer.close()
        return got

    return asyncio.run(asyncio.wait_for(main(), 20))


@pytest.mark.parametrize("host", ["kolkrabbi.heroku.com:443", "api.heroku.com:5050", "HEROKU.com:443"])
def test_herokus_names_lead_here_whatever_their_port(host):
    assert ask(f"CONNECT {host} HTTP/1.1\r\nHost: x\r\n\r\n".encode(), b"hello").endswith(b"<hello>")


def test_a_crowd_that_says_nothing_keeps_nobody_out():
    assert ask(b"CONNECT api.heroku.com:443 HTTP/1.1\r\n\r\n", b"hello", silent=300).endswith(b"<hello>")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"CONNECT example.com:443 HTTP/1.1\r\n\r\n", b"403"),
        (b"CONNECT 169.254.169.254:80 HTTP/1.1\r\n\r\n", b"403"),
        (b"CONNECT heroku.com.example.com:443 HTTP/1.1\r\n\r\n", b"403"),
        (b"CONNECT a.b.heroku.com:443 HTTP/1.1\r\n\r\n", b"403"),
        (b"CONNECT notheroku.com:443 HTTP/1.1\r\n\r\n", b"403"),
        (b"GET http://api.heroku.com/ HTTP/1.1\r\n\r\n", b"405"),
        (b"nonsense\r\n\r\n", b"405"),
        (b"x" * 20_000 + b"\r\n\r\n", b"400"),
    ],
)
def test_everything_else_is_refused(head, status):
    assert ask(head).startswith(b"HTTP/1.1 " + status)


def test_the_certificate_names_heroku_only_while_there_is_a_proxy(tmp_path):
    from cryptography import x509

    (tmp_path / "keys").mkdir()

    def names():
        known = x509.load_pem_x509_certificate((tmp_path / "keys" / "tls.pem").read_bytes())
        return known.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )

    keys.make_all(tmp_path, None)
    assert names() == ["localhost", "*.localhost"]
    keys.make_all(tmp_path, None, proxied=True)
    assert names() == ["localhost", "*.localhost", "heroku.com", "*.heroku.com"]
    before = (tmp_path / "keys" / "tls.pem").read_bytes()
    keys.make_all(tmp_path, None, proxied=True)
    assert (tmp_path / "keys" / "tls.pem").read_bytes() == before, "not made anew without a reason"
    keys.make_all(tmp_path, None)
    assert names() == ["localhost", "*.localhost"]
