"""A fake Greenroom on a real port, and the command, run in this process or as the installed program."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenroom_cli import client
from greenroom_cli.main import cli
from tests.cli.fake import TOKEN, FakeGreenroom

PROGRAM = Path(sys.executable).parent / "greenroom"
Greenroom = Callable[..., Result]


@pytest.fixture
def server() -> Iterator[FakeGreenroom]:
    fake = FakeGreenroom()
    yield fake
    fake.close()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Isolate the tests from the user's environment: no variables, home or git configuration, an empty folder, and no
    waiting for an unreachable server.
    """
    monkeypatch.setattr(client, "FIRST_PATIENCE", 0.0)
    for name in list(os.environ):
        if name.startswith(("GREENROOM_", "HEROKU_", "GIT_")) or name in ("NO_COLOR", "NODE_EXTRA_CA_CERTS"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.setenv("GIT_TERMINAL_PROMPT", "0")
    monkeypatch.setenv("TZ", "UTC")
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path / "folder")


@pytest.fixture
def at_server(monkeypatch: pytest.MonkeyPatch, server: FakeGreenroom) -> FakeGreenroom:
    """Point the environment to the fake, with Alice's token."""
    monkeypatch.setenv("GREENROOM_URL", server.url)
    monkeypatch.setenv("GREENROOM_TOKEN", TOKEN)
    return server


@pytest.fixture
def greenroom() -> Greenroom:
    """Call the command in this process: ``greenroom("apps", "--json")`` -> Result with exit_code, stdout and stderr."""

    def call(*words: str, stdin: str | bytes = "") -> Result:
        result = CliRunner().invoke(cli, list(words), input=stdin)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def program() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Call the installed program as a child process."""

    def call(*words: str, stdin: str = "", **settings: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(PROGRAM), *words], input=stdin, capture_output=True, text=True, check=False, timeout=30, **settings
        )  # type: ignore[call-overload]

    return call


def git(*words: str, stdin: str = "") -> str:
    """Run real git in the current folder."""
    done = subprocess.run(["git", *words], input=stdin, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout


@pytest.fixture
def checkout() -> Path:
    """The current folder as a git checkout with one commit."""
    git("init", "-q", "-b", "master")
    git("config", "user.email", "alice@example.com")
    git("config", "user.name", "Alice")
    Path("Procfile").write_text("web: gunicorn payslip.wsgi\n")
    git("add", ".")
    git("commit", "-qm", "first")
    return Path.cwd()
