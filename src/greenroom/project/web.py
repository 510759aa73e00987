"""The web process: API and pages (Django), git and streams (plain ASGI) over HTTP and TLS, and the rendezvous server.

One asyncio loop; database access runs in threads.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from greenroom.basics import handover, unixsock
from greenroom.basics.waiting_limits import Crowd
from greenroom.project import connections, listening, served_tls
from greenroom.router.rules import public_names

if TYPE_CHECKING:
    from greenroom.engine.contract import Engine
    from greenroom.entrypoints.streams.link_holders import Holders

log = logging.getLogger("greenroom.web")


def make_app(home: Path, key: str, holders: Holders) -> Any:
    """The ASGI application: routes git and streams by path, and everything else to Django."""
    from django.core.asgi import get_asgi_application

    from greenroom.entrypoints.git_http import app as git_http
    from greenroom.entrypoints.streams import app as streams
    from greenroom.entrypoints.streams import sign_in, uploads
    from greenroom.project.wiring import authenticate, authorise, collect_sign_in

    django_app = connections.bounded(get_asgi_application(), _most)
    git_app = git_http.make_app(home, authenticate, authorise, holders.watch)
    stream_app = streams.make_app(home, key, holders)
    upload_app = uploads.make_app(home, key, holders)

    async def application(scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return await _lifespan(receive, send)
        path = scope.get("path", "")
        if scope["type"] == "http" and ".git/" in path:
            return await git_app(scope, receive, send)
        if scope["type"] == "http" and path.startswith("/streams/sources/"):
            return await upload_app(scope, receive, send)
        if scope["type"] == "http" and path.startswith("/streams/"):
            return await stream_app(scope, receive, send)
        if scope["type"] == "http" and path.startswith(sign_in.PREFIX):
            return await sign_in.respond(scope, receive, send, collect_sign_in)
        await django_app(scope, receive, send)

    return application


def _most(path: str) -> int:
    """Maximum size of a request body, in bytes."""
    return 26_000_000 if path.startswith("/hooks/") else 6_000_000


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def _server(app: Any, http: Any, *, bind: str = "", port: int = 0, behind_router: bool = False) -> uvicorn.Server:
    """A server. behind_router: its requests come from the router, which sets X-Forwarded-For and -Proto."""
    config = uvicorn.Config(
        app,
        host=bind,
        port=port,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_keep_alive=connections.KEEP_ALIVE,
        timeout_graceful_shutdown=5,
        proxy_headers=behind_router,
        forwarded_allow_ips="*" if behind_router else None,
        server_header=False,
        http=http,
        ws="none",
        backlog=512,
    )
    return uvicorn.Server(config)


async def serve(home: Path, key: str, installation: dict[str, Any], engine: Engine) -> None:
    """Run all servers until the process stops."""
    from greenroom.accounts.actions import access
    from greenroom.entrypoints.git_http import hooks_server
    from greenroom.entrypoints.streams import proxy, rendezvous
    from greenroom.entrypoints.streams.link_holders import Holders
    from greenroom.project.wiring import Starts, follow, guard, still_allowed

    holders = Holders(still_allowed)
    app = make_app(home, key, holders)
    bind = installation["bind"]
    api_bind = installation["api_bind"] or bind
    crowd = Crowd(connections.EACH, connections.MOST)
    clients = proxy.Clients()
    plain = _server(app, connections.protocol(crowd), bind=api_bind, port=installation["api_port"])
    tls = connections.protocol(crowd, served_tls.context(home), clients.take)
    secure = _server(app, tls, bind=api_bind, port=installation["tls_port"])
    routed = _server(app, connections.protocol(Crowd(connections.MOST, connections.MOST)), behind_router=True)
    rendezvous_tls = served_tls.with_public_names(home, installation)
    hooks = asyncio.create_task(hooks_server.serve(home, follow, guard))
    taken = handover.take(home)  # of the web process before an upgrade
    own = taken.get(installation["rendezvous_port"])
    attach = asyncio.create_task(
        rendezvous.serve(
            engine, key, bind, installation["rendezvous_port"], rendezvous_tls, holders, Starts(), listener=own
        )
    )
    leavers = asyncio.create_task(listening.listen(access.CHANNEL, holders.check))
    others = [hooks, attach, leavers]
    if installation["proxy_port"]:
        others.append(
            asyncio.create_task(proxy.serve(bind, installation["proxy_port"], installation["tls_port"], clients))
        )
    for task in others:
        task.add_done_callback(_report)
    socket = unixsock.bind(home / public_names.SOCKET, mode=0o600)
    given = [[taken[port]] if (port := server.config.port) in taken else None for server in (plain, secure)]
    await asyncio.gather(plain.serve(given[0]), secure.serve(given[1]), routed.serve([socket]))
    for task in others:
        task.cancel()


def _report(task: asyncio.Task) -> None:
    if not task.cancelled() and task.exception():
        log.error("a server of the web process ended: %r", task.exception())
        os._exit(1)


def main() -> int:
    """Start the web process with the settings from the environment."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenroom.project.settings")
    os.umask(0o022)
    import django

    django.setup()
    from django.conf import settings

    from greenroom.entrypoints.api.drivers import use_engine
    from greenroom.project.drivers import make_engine

    engine = make_engine(settings.HOME)
    use_engine(engine)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(serve(settings.HOME, settings.SECRET_KEY, settings.INSTALLATION, engine))
    return 0


if __name__ == "__main__":
    sys.exit(main())
