"""Git over HTTP: ``/<app>.git`` for clone, fetch and push, as an ASGI function beside Django.

It authenticates and authorises the request (both functions are passed in); ``service`` then streams the data to and
from git.
"""

from __future__ import annotations

import logging
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from django.conf import settings

from greenroom.accounts.rules import Actor
from greenroom.apps.models import App
from greenroom.basics import client_commands, disk, signing
from greenroom.basics.database import judged
from greenroom.basics.errors import GreenroomError, PlatformError, UnauthorizedError, UserError
from greenroom.entrypoints.git_http import access, lfs
from greenroom.entrypoints.git_http.access import Watch
from greenroom.entrypoints.git_http.pkt_lines import Prologue
from greenroom.entrypoints.git_http.service import Exchange, RequestError
from greenroom.entrypoints.git_http.threads import in_thread
from greenroom.git import actions, queries, rules
from greenroom.git.drivers import repository, runner
from greenroom.git.inside import hook

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

PATH = re.compile(r"/([A-Za-z0-9-]{1,60})\.git/(.*)", re.DOTALL)
SERVICES = {"git-upload-pack": "read", "git-receive-pack": "write"}
PERMISSIONS = {"git-upload-pack": "view", "git-receive-pack": "push"}
PURPOSE = "git-push"
TOKEN_SECONDS = 24 * 3600
PUSHES_PER_APP = 8
CHILDREN = 40
NO_CACHE = [(b"cache-control", b"no-cache, max-age=0, must-revalidate"), (b"expires", b"Fri, 01 Jan 1980 00:00:00 GMT")]


class DumbProtocolError(UserError):
    """A request of git's dumb HTTP protocol, or of a browser."""

    id = "forbidden"
    status = 403


class BusyError(PlatformError):
    """The limit of concurrent git processes is reached."""

    id = "busy"


class GitHttp:
    """The ASGI application. ``authenticate(headers, address)`` returns an actor or None; ``authorise(actor, name,
    need)`` returns the app or raises. ``watch(holder, close)`` calls ``close`` when the holder loses its access.
    """

    def __init__(self, home: Path, authenticate: Any, authorise: Any, watch: Watch) -> None:
        self.home = home
        self.watch = watch
        self.authenticate = authenticate
        self.authorise = authorise
        self.lfs = lfs.LfsHttp(home, authenticate, authorise, watch)
        self.running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def tell(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._answer(scope, receive, tell)
            return
        except RequestError as error:
            status, text = error.status, error.text
        except GreenroomError as error:
            status, text = error.status, f"{error.message}\nhint: {error.hint}" if error.hint else error.message
        except Exception as error:
            if told := judged(error):
                log.warning("git over HTTP: %s: %s", told.message, str(error).strip())
                status, text = told.status, f"{told.message} Nothing was changed.\nhint: {told.hint}"
            else:
                log.exception("git over HTTP failed")
                status, text = 500, "Internal error. Nothing was changed. See Greenroom's log."
        if not started:  # otherwise the connection is closed, the only signal left in HTTP
            await refuse(send, status, text)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = PATH.fullmatch(scope["path"])
        if match is None:
            raise RequestError(404, "Not found. Repository URLs have the form /<app>.git.")
        name, rest = match.groups()
        if place := lfs.PATH.match(rest):
            return await self.lfs.respond(scope, receive, send, name, place[1] or "")
        service, advertise = requested(scope, rest)
        headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
        address = (scope.get("client") or ("",))[0]
        actor = await self.authenticate(headers, address)
        if actor is None:
            raise UnauthorizedError("Authentication required: use any user name, and an API token as password.")
        app = await self.authorise(actor, name, SERVICES[service])
        repo = await in_thread(queries.repository_path, app, self.home)
        if service == "git-receive-pack" and advertise:
            await self._prepare(app)
        self._admit(app, service)
        self.running.update([service, f"{service} {app.pk}"])
        try:
            async with access.while_allowed(self.watch, actor, app, PERMISSIONS[service]):
                await self._exchange(app, actor, address, repo, service, advertise, headers, receive, send)
        finally:
            self.running.subtract([service, f"{service} {app.pk}"])

    async def _prepare(self, app: App) -> None:
        """Before a push: check the disk reserve and settle earlier pushes."""
        disk.guard(self.home, "pushes")
        if await in_thread(queries.open_intents, app):
            await in_thread(actions.reconcile, home=self.home, only=app)

    def _admit(self, app: App, service: str) -> None:
        pushes = self.running[f"{service} {app.pk}"] if service == "git-receive-pack" else 0
        if pushes >= PUSHES_PER_APP or self.running[service] >= CHILDREN:
            busy = (
                f"{pushes} pushes to {app.name} are" if pushes >= PUSHES_PER_APP else f"{CHILDREN} other transfers are"
            )
            raise BusyError(f"{busy} in progress. This request was refused.", hint="try again later")

    async def _exchange(
        self,
        app: App,
        actor: Actor,
        address: str,
        repo: Path,
        service: str,
        advertise: bool,
        headers: dict[str, str],
        receive: Receive,
        send: Send,
    ) -> None:
        env = runner.environment(repo, config=[("core.hooksPath", str(self.home / repository.HOOKS))])
        protocol = re.fullmatch(r"version=([12])", headers.get("git-protocol", ""))
        if protocol and service == "git-upload-pack":  # receive-pack has no version 2
            env["GIT_PROTOCOL"] = f"version={protocol.group(1)}"
        argv = ["git", service.removeprefix("git-"), "--stateless-rpc"]
        kind = "advertisement" if advertise else "result"
        reply = [(b"content-type", f"application/x-{service}-{kind}".encode()), *NO_CACHE]
        if advertise:
            prefix = b"" if env.get("GIT_PROTOCOL") == "version=2" else announcement(service)
            exchange = Exchange(receive, send, reply=reply, prefix=prefix)
            return await exchange.run([*argv, "--advertise-refs", "--", str(repo)], env=env)
        body = content(headers, service)
        lock = repository.open_lock(repo) if service == "git-receive-pack" else None
        if lock is not None:
            client = client_commands.of_credentials(headers.get("authorization", ""))
            env |= self._push_environment(app, actor, address, lock, client)
        exchange = Exchange(receive, send, reply=reply, prologue=Prologue(rules.DEFAULT_LIMITS.refs))
        await exchange.run([*argv, "--", str(repo)], env=env, lock=lock, body=body)

    def _push_environment(self, app: App, actor: Actor, address: str, lock: int, client: str) -> dict[str, str]:
        account = actor.account_id.hex if actor.account_id else ""
        payload = {"app": app.pk.hex, "account": account, "address": address, "client": client}
        return {
            "GREENROOM_PYTHON": sys.executable,
            "GREENROOM_HOOK": str(Path(hook.__file__)),
            "GREENROOM_SOCKET": str(self.home / repository.SOCKET),
            "GREENROOM_LOCK": str(lock),
            "GREENROOM_PUSH": signing.sign(payload, key=settings.SECRET_KEY, purpose=PURPOSE, seconds=TOKEN_SECONDS),
        }


def make_app(home: Path, authenticate: Any, authorise: Any, watch: Watch = access.nobody_leaves) -> GitHttp:
    """The ASGI application for the repositories in ``home``.

    authenticate: ``async (headers, address) -> Actor | None``; headers have lower-case names.
    authorise: ``async (actor, app_name, "read" | "write") -> App``; raises NotFoundError, ForbiddenError,
    UnauthorizedError.
    watch: ``(holder, close)``, a context; calls ``close`` once the holder may no longer use what is open.
    """
    return GitHttp(home, authenticate, authorise, watch)


def requested(scope: Scope, rest: str) -> tuple[str, bool]:
    """(service, whether it is the ref advertisement). Raises for all but the three URLs of the smart protocol."""
    method = scope["method"]
    if rest == "info/refs":
        service = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("service", [""])[0]
        if service in SERVICES and method == "GET":
            return service, True
    elif rest in SERVICES:
        if method == "POST":
            return rest, False
        raise RequestError(405, f"Method not allowed: {rest} requires POST.")
    raise DumbProtocolError("Only git's smart HTTP protocol is supported.", hint="git clone http://HOST:PORT/<app>.git")


def content(headers: dict[str, str], service: str) -> str:
    """The encoding of the request body: ``gzip`` or ``identity``. Raises RequestError 415 for any other encoding or
    content type.
    """
    if headers.get("content-type", "").partition(";")[0].strip().lower() != f"application/x-{service}-request":
        raise RequestError(415, f"The content type must be application/x-{service}-request.")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "x-gzip", "identity", ""):
        raise RequestError(415, "The content encoding must be gzip or none.")
    return "gzip" if "gzip" in encoding else "identity"


def announcement(service: str) -> bytes:
    """The pkt-line before the refs (gitprotocol-http(5))."""
    line = f"# service={service}\n"
    return f"{len(line) + 4:04x}{line}0000".encode()


async def refuse(send: Send, status: int, text: str) -> None:
    """Send a plain-text response, which git shows as ``remote: ...``."""
    body = text.encode("utf-8", "replace") + b"\n"
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *NO_CACHE]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="Greenroom", charset="UTF-8"'))
    if status == 503:
        headers.append((b"retry-after", b"10"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
