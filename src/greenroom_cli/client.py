"""The HTTP side: JSON requests to the API with its errors as exceptions, and text streams by signed URL.

It uses http.client because importing a larger library would cost more time than most commands take.
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
"""By this the server knows whose commands its hints are to name."""
ANSWER_SECONDS = 180
PATIENCE = 20.0
"""Seconds that a command puts up with a control plane that does not answer any more: it may be restarted."""
FIRST_PATIENCE = 3.0
"""The same before it has answered this command at all: perhaps it does not run."""


class Answer(NamedTuple):
    """What the server said: JSON data and headers (names in lower case)."""

    status: int
    data: Any
    headers: dict[str, str]


class Client:
    """The API of one installation."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.heard = False

    def get(self, path: str, **query: object) -> Any:
        """GET: the JSON, of a list the first page. Raises ApiError, UnreachableError."""
        return self.send("GET", path, query=query).data

    def everything(self, path: str, **query: object) -> list[Any]:
        """All pages of a list."""
        answer = self.send("GET", path, query=query)
        rows = list(answer.data)
        while answer.status == 206 and answer.headers.get("next-range") and answer.data:
            answer = self.send("GET", path, query=query, headers={"Range": answer.headers["next-range"]})
            rows += answer.data
        return rows

    def post(self, path: str, body: dict[str, Any] | None = None, *, seconds: float = ANSWER_SECONDS) -> Any:
        """POST with a JSON body. seconds: how long the server may be silent before it answers."""
        return self.send("POST", path, body or {}, seconds=seconds).data

    def patch(self, path: str, body: dict[str, Any]) -> Answer:
        """PATCH with a JSON body; the whole answer, for its headers."""
        return self.send("PATCH", path, body)

    def delete(self, path: str) -> Any:
        """DELETE."""
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
        """One request. ``query`` values of None or '' are left out. seconds: how long the server may be silent."""
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
        """PUT to a signed link that the API gave: the link is the credential, so no token goes with it. Raises
        ApiError, UnreachableError.
        """
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
        """Send until there is an answer, for some seconds: reads, and whatever did not reach a control plane that is
        being restarted.
        """
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
        """GET again and again until ``done`` likes the answer or ``seconds`` have passed; the last answer either way.

        A control plane that does not answer for PATIENCE seconds is waited for. Raises ApiError, UnreachableError.
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
        """The lines behind a signed URL as they come, without their ends. Raises ApiError, UnreachableError."""
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
                raise UnreachableError(f"The stream from {_origin(url)} broke off: {error}.") from error
            except Exception as error:
                raise _cut_short(error, url) from error


def _may_retry(method: str, error: UnreachableError | ApiError) -> bool:
    """Whether the same request may be sent again, and may then be answered."""
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
    """The answer, its body unread. seconds: how long the server may be silent; None: for ever. Raises
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
    """Send it. A server that refuses a large body answers and closes before it has read all: what it said is still
    there to be read.
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
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise CliError(f"The CA certificate {ca_file} cannot be read: {error}.", hint="set GREENROOM_CA") from error


def _unreachable(target: Target, url: str, error: Exception) -> UnreachableError:
    place = _origin(url)
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(f"Greenroom does not answer at {place}: nothing listens there.", hint=target.start_hint)
    if isinstance(error, TimeoutError):
        return UnreachableError(f"Greenroom did not answer at {place} in time.", hint=target.look_hint)
    name = type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        hint = "GREENROOM_CA must name the installation's keys/ca.pem"
        untrusted = UnreachableError(f"The certificate of {place} is not trusted.", hint=hint)
        untrusted.temporary = False
        return untrusted
    unreachable = UnreachableError(
        f"Greenroom does not answer at {place}: {str(error) or name}.", hint=target.look_hint
    )
    unreachable.temporary = isinstance(error, OSError)  # else something that speaks no HTTP has answered
    return unreachable


def _cut_short(error: Exception, url: str) -> Exception:
    from http.client import HTTPException

    if isinstance(error, HTTPException):
        return UnreachableError(f"The answer of {_origin(url)} broke off.")
    return error


def _read(response: http.client.HTTPResponse, url: str) -> str:
    try:
        return response.read().decode("utf-8", "replace")
    except Exception as error:
        if isinstance(error, OSError):
            raise UnreachableError(f"The answer of {_origin(url)} broke off: {error}.") from error
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
    """The JSON of a good answer. ApiError for a refusal, and for an answer that is not the API's."""
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
    missing = " and not as Greenroom's API does" if not said else ""
    raise ApiError(f"{what}{missing}{said}.".replace("..", "."), hint=target.look_hint, status=response.status)


def _refusal(target: Target, status: int, data: dict[str, Any]) -> ApiError:
    hint = data["hint"] if isinstance(data.get("hint"), str) else ""
    message = data["message"].removesuffix(f"\nhint: {hint}") if hint else data["message"]
    if status == 401:
        message = f"{message.rstrip('.')} (the token came from {target.token_source})."
        hint = target.token_hint
    return ApiError(
        message, hint=hint, status=status, id=str(data.get("id") or ""), resource=str(data.get("resource") or "")
    )
