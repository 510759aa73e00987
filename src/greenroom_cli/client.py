"""The HTTP client: JSON requests to the API, API errors as exceptions, and text streams from signed URLs.

It uses http.client, because importing a larger library takes longer than most commands run.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from greenroom_cli.errors import ApiError, CliError, UnreachableError

if TYPE_CHECKING:
    import http.client
    from collections.abc import Callable, Iterator

    from greenroom_cli.target import Target

ACCEPT = "application/vnd.heroku+json; version=3"
CONNECT_SECONDS = 10
AGENT = "greenroom"
"""User-Agent: the server's hints then name greenroom commands instead of heroku ones."""
ANSWER_SECONDS = 180
PATIENCE = 20.0
"""Retry time, in seconds, after the server has answered once: it may be restarting."""
FIRST_PATIENCE = 3.0
"""Retry time, in seconds, before the server's first answer: it may not be running at all."""


class Answer(NamedTuple):
    """A response: status, JSON data, headers (names in lower case)."""

    status: int
    data: Any
    headers: dict[str, str]


class Client:
    """An API client for one installation."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.heard = False

    def get(self, path: str, **query: object) -> Any:
        """GET: the JSON data; for a list, the first page. Raises ApiError, UnreachableError."""
        return self.send("GET", path, query=query).data

    def everything(self, path: str, **query: object) -> list[Any]:
        """GET: all pages of a list. Raises ApiError, UnreachableError."""
        answer = self.send("GET", path, query=query)
        rows = list(answer.data)
        while answer.status == 206 and answer.headers.get("next-range") and answer.data:
            answer = self.send("GET", path, query=query, headers={"Range": answer.headers["next-range"]})
            rows += answer.data
        return rows

    def post(self, path: str, body: dict[str, Any] | None = None, *, seconds: float = ANSWER_SECONDS) -> Any:
        """POST with a JSON body; the JSON data. seconds: the read timeout."""
        return self.send("POST", path, body or {}, seconds=seconds).data

    def patch(self, path: str, body: dict[str, Any]) -> Answer:
        """PATCH with a JSON body; the complete response, for its headers."""
        return self.send("PATCH", path, body)

    def delete(self, path: str) -> Any:
        """DELETE; the JSON data."""
        return self.send("DELETE", path).data

    def send(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        query: dict[str, object] | None = None,
        headers: dict[str, str] | None = None,
        seconds: float = ANSWER_SECONDS,
    ) -> Answer:
        """Send a request. ``query`` values of None or '' are left out. seconds: the read timeout."""
        wanted = {key: value for key, value in (query or {}).items() if value not in (None, "")}
        url = self.target.url + path + ("?" + urlencode(wanted) if wanted else "")
        sent = {
            "Accept": ACCEPT,
            "Authorization": f"Bearer {self.target.token}",
            "User-Agent": AGENT,
            **(headers or {}),
        }
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        return self._retry(method, lambda: self._send(method, url, sent, data, seconds))

    def upload(self, url: str, data: bytes) -> None:
        """PUT to a signed URL. The URL is the credential, so no token is sent. Raises ApiError, UnreachableError."""
        response = _open(
            self.target, "PUT", url, {"Content-Type": "application/octet-stream", "User-Agent": AGENT}, data
        )
        with response:
            text = _read(response, url)
        if response.status < 300:
            return
        message, _, hint = text.strip().partition("\nhint: ")
        if message and response.getheader("Content-Type", "").startswith("text/plain"):
            raise ApiError(message, hint=hint, status=response.status)
        _parse(self.target, "PUT", url, response, text)

    def _send(self, method: str, url: str, headers: dict[str, str], data: bytes | None, seconds: float) -> Answer:
        response = _open(self.target, method, url, headers, data, seconds=seconds)
        with response:
            text = _read(response, url)
        self.heard = True
        answered = {name.lower(): value for name, value in response.getheaders()}
        _print_warnings(answered)
        return Answer(response.status, _parse(self.target, method, url, response, text), answered)

    def _retry(self, method: str, send: Callable[[], Answer]) -> Answer:
        """Retry for some seconds: reads, and requests that were never sent because the server is restarting."""
        began, pause = time.monotonic(), 0.2
        while True:
            try:
                return send()
            except (UnreachableError, ApiError) as error:
                patience = PATIENCE if self.heard else FIRST_PATIENCE
                if not _may_retry(method, error) or time.monotonic() - began + pause > patience:
                    raise
            time.sleep(pause)
            pause = min(pause * 1.5, 1.5)

    def poll(
        self, path: str, *, done: Callable[[Any], bool], seconds: float, pause: float = 0.15, **query: object
    ) -> Any:
        """GET repeatedly until ``done(data)`` is true or ``seconds`` have passed; returns the last data.

        Tolerates an unreachable server for PATIENCE seconds. Raises ApiError, UnreachableError.
        """
        deadline = time.monotonic() + seconds
        heard = time.monotonic()
        while True:
            try:
                data = self.get(path, **query)
                heard = time.monotonic()
                if done(data) or time.monotonic() >= deadline:
                    return data
            except (UnreachableError, ApiError) as error:
                if not _may_retry("GET", error) or time.monotonic() > min(deadline, heard + PATIENCE):
                    raise
            time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
            pause = min(pause * 1.3, 1.0)

    def stream(self, url: str, *, accept: str = "text/plain", last_id: str = "") -> Iterator[str]:
        """The lines of a signed URL as they arrive, without line ends. Raises ApiError, UnreachableError."""
        sent = {"Accept": accept, "User-Agent": AGENT}
        if last_id:
            sent["Last-Event-ID"] = last_id
        response = _open(self.target, "GET", url, sent, None, seconds=None)
        with response:
            if response.status != 200:
                _parse(self.target, "GET", url, response, _read(response, url))
                raise ApiError(f"{_origin(url)} answered {response.status}.", status=response.status)
            try:
                for line in response:
                    yield line.decode("utf-8", "replace").rstrip("\r\n")
            except OSError as error:
                raise UnreachableError(f"The stream from {_origin(url)} was interrupted: {error}.") from error
            except Exception as error:
                raise _cut_short(error, url) from error


def _may_retry(method: str, error: UnreachableError | ApiError) -> bool:
    """Whether the request is safe to send again, and likely to succeed."""
    if isinstance(error, UnreachableError):
        return error.temporary and (method == "GET" or error.unsent)
    return method == "GET" and error.status == 503


def _open(
    target: Target,
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes | None,
    *,
    seconds: float | None = ANSWER_SECONDS,
) -> http.client.HTTPResponse:
    """Send the request; the response with its body unread. seconds: the read timeout, None for no timeout. Raises
    UnreachableError.
    """
    from http.client import HTTPConnection, HTTPException, HTTPSConnection

    parts = urlsplit(url)
    connection: HTTPConnection
    if parts.scheme == "https":
        connection = HTTPSConnection(parts.netloc, timeout=CONNECT_SECONDS, context=_tls(target.ca_file))
    else:
        connection = HTTPConnection(parts.netloc, timeout=CONNECT_SECONDS)
    unsent = True
    try:
        connection.connect()
        unsent = False
        connection.sock.settimeout(seconds)
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        _request(connection, method, path, body, {**headers, "Connection": "close"})
        return connection.getresponse()
    except (OSError, HTTPException) as error:
        connection.close()
        unreachable = _unreachable(target, url, error)
        unreachable.unsent = unsent
        raise unreachable from error


def _request(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> None:
    """Send the request. A server that refuses a large body closes the connection early; its response can still be
    read, so errors while sending a body are ignored.
    """
    try:
        connection.request(method, path, body, headers)
    except TimeoutError:
        raise
    except OSError:
        if body is None:
            raise


def _tls(ca_file: str) -> Any:
    import ssl

    try:
        context = ssl.create_default_context()
        if ca_file:
            context.load_verify_locations(ca_file)
        return context
    except OSError as error:
        raise CliError(f"Cannot read the CA certificate {ca_file}: {error}.", hint="set GREENROOM_CA") from error


def _unreachable(target: Target, url: str, error: Exception) -> UnreachableError:
    origin = _origin(url)
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(f"Greenroom does not answer at {origin}: connection refused.", hint=target.start_hint)
    if isinstance(error, TimeoutError):
        return UnreachableError(f"Greenroom at {origin} timed out.", hint=target.look_hint)
    name = type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        hint = "set GREENROOM_CA to the installation's keys/ca.pem"
        untrusted = UnreachableError(f"The certificate of {origin} is not trusted.", hint=hint)
        untrusted.temporary = False
        return untrusted
    unreachable = UnreachableError(
        f"Greenroom does not answer at {origin}: {str(error) or name}.", hint=target.look_hint
    )
    unreachable.temporary = isinstance(error, OSError)  # any other error: the peer does not speak HTTP
    return unreachable


def _cut_short(error: Exception, url: str) -> Exception:
    from http.client import HTTPException

    if isinstance(error, HTTPException):
        return UnreachableError(f"The response of {_origin(url)} was interrupted.")
    return error


def _read(response: http.client.HTTPResponse, url: str) -> str:
    try:
        return response.read().decode("utf-8", "replace")
    except Exception as error:
        if isinstance(error, OSError):
            raise UnreachableError(f"The response of {_origin(url)} was interrupted: {error}.") from error
        raise _cut_short(error, url) from error


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _print_warnings(headers: dict[str, str]) -> None:
    from greenroom_cli import output

    for name in ("x-heroku-warning", "warning-message"):
        if headers.get(name):
            output.warn("\n".join(part.replace("; ", ";\n  ") for part in headers[name].split("  ")))


def _parse(target: Target, method: str, url: str, response: http.client.HTTPResponse, text: str) -> Any:
    """The JSON data of a successful response. ApiError for an API error and for a response that is not the API's."""
    try:
        data = json.loads(text) if text.strip() or method == "GET" else {}
    except ValueError:
        data = None
    if response.status >= 400 and isinstance(data, dict) and isinstance(data.get("message"), str):
        raise _refusal(target, response.status, data)
    if data is not None and response.status < 300:
        return data
    said = next((line.strip() for line in text.splitlines() if line.strip()), "")
    said = f": {said[:200]}" if said and not said.startswith(("<", "{", "[")) else ""
    what = f"{_origin(url)} answered {response.status} {response.reason}".rstrip()
    missing = ", which is not a response of Greenroom's API" if not said else ""
    raise ApiError(f"{what}{missing}{said}.".replace("..", "."), hint=target.look_hint, status=response.status)


def _refusal(target: Target, status: int, data: dict[str, Any]) -> ApiError:
    hint = data["hint"] if isinstance(data.get("hint"), str) else ""
    message = data["message"].removesuffix(f"\nhint: {hint}") if hint else data["message"]
    if status == 401:
        message = f"{message.rstrip('.')} (token from {target.token_source})."
        hint = target.token_hint
    return ApiError(
        message, hint=hint, status=status, id=str(data.get("id") or ""), resource=str(data.get("resource") or "")
    )
