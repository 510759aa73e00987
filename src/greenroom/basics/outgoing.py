"""Requests to addresses that people name (webhooks, forges, log drains): never to this machine or its network unless
the installation allows it; no redirects.

The name is resolved anew for each request, every address is judged, and the connection goes to a judged address itself:
a name that changes
its mind between the question and the connection gains nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import ipaddress
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
MAX_URL = 2000
NO_DNS = "no-name-server"
NOBODY_ASKED = (socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM)
"""What says nothing about the name: its servers, or this machine's, did not answer."""


class OutgoingError(Exception):
    """The request was refused or got no response. ``kind``: a short code for logs, such as ``refused-address``."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks of an installation's setting, each like ``10.0.0.0/8``. ValueError for one that is none."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def may_connect(address: Address, allowed: Sequence[Network] = ()) -> bool:
    """Whether requests to the address are allowed: it is public, or in one of the allowed networks."""
    if any(address in network for network in allowed if network.version == address.version):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return may_connect(address.ipv4_mapped, allowed)
        if address.sixtofour or address.teredo or any(address in network for network in NAT64):
            return False
    return address.is_global and not address.is_multicast


def url_problem(url: str, schemes: Sequence[str] = ("https", "http")) -> str:
    """Why the URL cannot be a target by its form alone; empty if it can."""
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
        return f"must be a URL of at most {MAX_URL} printable ASCII characters without spaces"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "has an invalid port or host"
    if parts.scheme not in schemes or not parts.hostname:
        return f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)} and a host name"
    if parts.username is not None or parts.password is not None:
        return "must not contain a user or password: URLs are shown in lists"
    return "must have a port of 1 to 65535" if port == 0 else ""


def host_problem(host: str, allowed: Sequence[Network] = ()) -> str:
    """Why a URL of this host could never be used, as far as it can be said without asking for its address; empty if it
    may be.

    Each spelling of an address counts: ``127.1``, ``2130706433`` and ``0x7f.1`` are all this machine.
    """
    bare = host.partition("%")[0].rstrip(".").lower()
    try:
        address = ipaddress.ip_address(bare)
    except ValueError:
        try:
            address = ipaddress.ip_address(socket.inet_aton(bare))
        except (OSError, ValueError):
            local = bare == "localhost" or bare.endswith(".localhost")
            return f"leads to {host[:80]}, which is this machine" if local and not allowed else ""
    return "" if may_connect(address, allowed) else f"leads to {host[:80]}, which is not a public address"


def allow_hint(host: str) -> str:
    """How an operator lets requests reach a host that ``host_problem`` refuses."""
    try:
        network = str(ipaddress.ip_network(socket.inet_ntoa(socket.inet_aton(host)) if ":" not in host else host))
    except (OSError, ValueError):
        network = "127.0.0.0/8"
    return f'use a public host; or the operator allows it: GREENROOM_PRIVATE_TARGETS="{network}" greenroom up'


def resolve(host: str, port: int, allowed: Sequence[Network] = ()) -> list[str]:
    """The addresses of the host. OutgoingError when it has none, when nobody can be asked, or when one of them may not
    be connected to.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        if isinstance(error, socket.gaierror) and error.errno in NOBODY_ASKED:
            raise OutgoingError(
                NO_DNS, f"The host {host} could not be looked up: this machine's name servers gave no answer."
            ) from error
        raise OutgoingError("unknown-host", f"The host {host} has no address.") from error
    texts = list(dict.fromkeys(str(row[4][0]) for row in found))
    for text in texts:
        if not may_connect(ipaddress.ip_address(text.partition("%")[0]), allowed):
            raise OutgoingError("refused-address", f"The host {host} leads to {text}, which is not a public address.")
    return texts


def port_of(parts: SplitResult) -> int:
    """The port of the URL, else that of its scheme."""
    return parts.port or {"https": 443, "syslog": 514, "syslog+tls": 6514}.get(parts.scheme, 80)


@dataclass(frozen=True)
class Answer:
    """A server's response: any status, and the first bytes of the body."""

    status: int
    body: bytes = b""


def post(
    url: str, body: bytes, headers: Mapping[str, str], *, allowed: Sequence[Network] = (), seconds: float = 10
) -> int:
    """Send the body and return the status of the answer, whatever it is; its text is not read. A redirect is an answer
    like others.

    OutgoingError when there is no answer within ``seconds`` in all, or the address may not be connected to.
    """
    return request("POST", url, body, headers, allowed=allowed, seconds=seconds, limit=0).status


def request(
    method: str,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allowed: Sequence[Network] = (),
    seconds: float = 10,
    limit: int = 1_000_000,
) -> Answer:
    """The same for any method, with up to ``limit`` bytes of the answer's text."""
    with _responding(method, url, body, headers, allowed, seconds) as answer:
        return Answer(answer.status, answer.read(limit) if limit else b"")


def download(
    url: str,
    headers: Mapping[str, str],
    write: Callable[[bytes], object],
    *,
    allowed: Sequence[Network] = (),
    seconds: float,
    limit: int,
) -> int:
    """GET the URL and pass the text of an answer 200 to ``write``, piece by piece. Returns the status. OutgoingError as
    for ``post``, and for a text above ``limit`` bytes.
    """
    with _responding("GET", url, b"", headers, allowed, seconds) as answer:
        left = limit
        while answer.status == 200 and (piece := answer.read(65536)):
            left -= len(piece)
            if left < 0:
                raise OutgoingError("too-large", f"The answer has more than {limit:,} bytes.")
            write(piece)
        return answer.status


@contextlib.contextmanager
def _responding(
    method: str, url: str, body: bytes, headers: Mapping[str, str], allowed: Sequence[Network], seconds: float
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a request, which must be read within ``seconds`` in all."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", port_of(parts)
    sock = _connect(resolve(host, port, allowed), host, port, seconds)
    held = [sock]
    deadline = threading.Timer(seconds, _cut, (held,))
    deadline.daemon = True
    deadline.start()
    try:
        if parts.scheme == "https":
            wrapped = ssl.create_default_context().wrap_socket(
                sock, server_hostname=host, do_handshake_on_connect=False
            )
            held.append(wrapped)
            wrapped.do_handshake()
        yield _exchange(held[-1], parts, method, body, headers)
    except (OSError, http.client.HTTPException, ValueError) as error:
        kind = "bad-certificate" if isinstance(error, ssl.SSLCertVerificationError) else "no-answer"
        raise OutgoingError(kind, f"{host} gave no answer: {type(error).__name__}") from error
    finally:
        deadline.cancel()
        held[-1].close()


def _connect(targets: Sequence[str], host: str, port: int, seconds: float) -> socket.socket:
    """A connection to the first of the judged addresses that takes one; a few are tried."""
    trouble: OSError | None = None
    for target in targets[:3]:
        try:
            return socket.create_connection((target, port), timeout=seconds)
        except OSError as error:
            trouble = error
    raise OutgoingError("no-connection", f"{host} could not be connected to: {trouble}")


def _exchange(
    sock: socket.socket, parts: SplitResult, method: str, body: bytes, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection(parts.hostname or "", port_of(parts))
    connection.sock = sock
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    named = {"Host": parts.netloc, "Content-Length": str(len(body)), "Connection": "close", **headers}
    connection.request(method, path, body=body, headers=named)
    return connection.getresponse()


def _cut(held: list[socket.socket]) -> None:
    try:
        held[-1].shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def stream(
    host: str, port: int, *, context: ssl.SSLContext | None = None, allowed: Sequence[Network] = (), seconds: float = 10
) -> socket.socket:
    """A connection that stays, over TLS when a context is given. OutgoingError when the address may not be connected to
    or nobody answers.
    """
    sock = _connect(resolve(host, port, allowed), host, port, seconds)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if context is None:
        return sock
    try:
        return context.wrap_socket(sock, server_hostname=host)
    except OSError as error:
        sock.close()
        kind = "bad-certificate" if isinstance(error, ssl.SSLCertVerificationError) else "no-answer"
        raise OutgoingError(
            kind, f"no TLS with {host}: {getattr(error, 'verify_message', '') or type(error).__name__}"
        ) from error


def has_ended(sock: socket.socket) -> bool:
    """Whether the other side has closed the connection; what it said meanwhile is thrown away."""
    sock.settimeout(0)
    try:
        while sock.recv(4096):
            pass
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return False
    except OSError:
        return True
    return True


def wait_acknowledged(sock: socket.socket, seconds: float) -> None:
    """Return when the other side's system has acknowledged every byte that was sent. OutgoingError when it has not in
    time.
    """
    deadline = time.monotonic() + seconds
    pause = 0.001
    while struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0]:
        if time.monotonic() > deadline or has_ended(sock):
            raise OutgoingError("no-answer", "the receiver acknowledged nothing more")
        time.sleep(pause)
        pause = min(0.05, pause * 2)
