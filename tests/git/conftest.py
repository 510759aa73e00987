"""A Greenroom that serves only git: real uvicorn on its own port, real git as the client, the suite's PostgreSQL."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from greenroom.accounts import actions as accounts
from greenroom.accounts.actions.authentication import by_token
from greenroom.accounts.models import Account
from greenroom.accounts.rules import PLATFORM
from greenroom.apps import queries as apps
from greenroom.entrypoints.git_http import app as git_http
from greenroom.entrypoints.git_http import hooks_server
from greenroom.entrypoints.git_http.threads import in_thread
from greenroom.git import actions
from greenroom.git.drivers import runner
from tests.postgres import free_port

NEED = {"read": "view", "write": "push"}


async def authenticate(headers: dict[str, str], address: str = "") -> Any:
    kind, _, rest = headers.get("authorization", "").partition(" ")
    plain = base64.b64decode(rest).decode().partition(":")[2] if kind == "Basic" else rest
    return await in_thread(by_token, plain, address=address)


async def authorise(actor: Any, name: str, need: str) -> Any:
    return await in_thread(apps.authorise, actor, name, NEED[need])


class Server:
    """git over HTTP for ``home``, in a thread. ``follow`` may be replaced while it runs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.follow: Any = None
        self.followed: list[Any] = []
        self.uvicorn: uvicorn.Server | None = None
        self.thread = threading.Thread(target=lambda: asyncio.run(self._main()), daemon=True)

    async def _main(self) -> None:
        app = git_http.make_app(self.home, authenticate, authorise)
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=self.port,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=5,
        )
        self.uvicorn = uvicorn.Server(config)
        hooks = asyncio.create_task(hooks_server.serve(self.home, self._follow))
        await self.uvicorn.serve()
        hooks.cancel()
        await asyncio.gather(hooks, return_exceptions=True)

    async def _follow(self, push: Any) -> Any:
        self.followed.append(push)
        if self.follow:
            async for line in self.follow(push):
                yield line

    def start(self) -> Server:
        self.thread.start()
        deadline = time.monotonic() + 20
        while not (self.uvicorn and self.uvicorn.started):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        assert self.uvicorn
        self.uvicorn.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()

    def url(self, app: str, token: str) -> str:
        return f"http://any:{token}@127.0.0.1:{self.port}/{app}.git"


@pytest.fixture
def server(home, transactional_db):
    (home / "run").mkdir()
    running = Server(home).start()
    yield running
    running.stop()


def token_of(actor: Any) -> str:
    account = Account.objects.get(pk=actor.account_id)
    return accounts.create_token(actor=PLATFORM, account=account)[1]


class Checkout:
    """A user's clone: plain git, with that user's token."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.env = {
            **runner.environment(folder / ".git"),
            "HOME": str(folder.parent),
            "GIT_AUTHOR_NAME": "Alice",
            "GIT_AUTHOR_EMAIL": "alice@example.com",
            "GIT_COMMITTER_NAME": "Alice",
            "GIT_COMMITTER_EMAIL": "alice@example.com",
        }
        for name in ("GIT_DIR", "GIT_CONFIG_COUNT", "GIT_NO_REPLACE_OBJECTS", "GIT_LITERAL_PATHSPECS"):
            del self.env[name]
        folder.mkdir()
        self.git("init", "-q", "-b", "master")

    def git(self, *words: str, check: bool = True, stdin: bytes = b"", **env: str) -> str:
        result = self.call(*words, stdin=stdin, **env)
        assert not check or result.returncode == 0, result.stderr.decode("utf-8", "replace")
        return result.stdout.decode("utf-8", "replace").strip()

    def call(self, *words: str, stdin: bytes = b"", **env: str) -> subprocess.CompletedProcess[bytes]:
        argv = ["git", *words]
        return subprocess.run(
            argv, cwd=self.folder, env={**self.env, **env}, input=stdin, capture_output=True, check=False, timeout=60
        )

    def commit(self, name: str = "app.py", content: str = "", subject: str = "change") -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content or f"print({time.monotonic_ns()})\n")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", subject)
        return self.git("rev-parse", "HEAD")

    def push(self, *refs: str, options: tuple[str, ...] = (), url: str = "") -> tuple[int, str]:
        """(exit code, all of git's output)."""
        result = self.call("push", *options, url or self.url, *(refs or ("HEAD:master",)))
        return result.returncode, (result.stdout + result.stderr).decode("utf-8", "replace")

    def tree(self, entries: bytes) -> str:
        """A tree object with any entries, valid or not."""
        return self.git("mktree", "-z", "--missing", stdin=entries)

    def commit_tree(self, tree: str, *parents: str) -> str:
        words = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *words, "-m", "crafted")

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)


@pytest.fixture
def alices(server, alice, shop, home, tmp_path):
    """Alice's checkout of ``shop``, with one unpushed commit."""
    actions.create_repository(app=shop, home=home)
    checkout = Checkout(tmp_path / "alices", server.url("shop", token_of(alice)))
    checkout.commit()
    return checkout


@pytest.fixture
def stored(home, shop):
    """The server's repository of ``shop``."""
    return home / shop.repo_folder


@pytest.fixture(autouse=True)
def no_children_are_left():
    """Every test leaves neither a zombie nor a git process behind."""
    yield
    deadline = time.monotonic() + 15
    while (left := _children()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def _children() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")
        except OSError:
            continue
        name = fields[0].partition("(")[2]
        if int(fields[2].split()[1]) == os.getpid() and name.startswith("git"):
            found.append(f"{path.parent.name} {name} {fields[2].split()[0]}")
    return found
