"""Starts a copy of the application with demo data, as in a slug, and a browser. README.md explains how to run this."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

APP = Path(__file__).resolve().parent.parent
PASSWORD = "gliding-above-the-alps"  # noqa: S105
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
LEFT_OUT = shutil.ignore_patterns(
    ".git", "__pycache__", "staticfiles", "browser_tests", "scenarios", ".venv", ".hypothesis"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(address: str, process: subprocess.Popen) -> None:
    for _ in range(300):
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}")
        try:
            urllib.request.urlopen(address, timeout=1)  # noqa: S310
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{address} does not answer")


@pytest.fixture(scope="session")
def base_url(tmp_path_factory):
    folder = tmp_path_factory.mktemp("app") / "payslip"
    shutil.copytree(APP, folder, ignore=LEFT_OUT)
    environment = {
        **os.environ,
        "SECRET_KEY": "only-for-the-browser-tests-0123456789-0123456789",
        "DATABASE_URL": os.environ.get("BROWSER_DATABASE_URL", f"sqlite:///{folder}/db.sqlite3"),
        "ORGANISATION": "Alpine Flying School",
    }
    manage = [sys.executable, "manage.py"]
    for command in (
        ["collectstatic", "--noinput", "-v0"],
        ["migrate", "-v0"],
        ["seed_demo", "--password", PASSWORD],
    ):
        subprocess.run([*manage, *command], cwd=folder, env=environment, check=True)  # noqa: S603
    port = free_port()
    server = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "gunicorn", "payslip.wsgi", "--bind", f"127.0.0.1:{port}",
         "--threads", "4", "--no-control-socket"],
        cwd=folder, env=environment,
    )  # fmt: skip
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz", server)
        yield f"http://ach-payslip-staging.localhost:{port}"
    finally:
        server.terminate()
        server.wait(timeout=20)


@pytest.fixture(scope="session")
def browser():
    path = os.environ.get("CHROMIUM_PATH", "/usr/bin/chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def axe_source() -> str:
    path = os.environ.get("AXE_PATH")
    if not path:
        pytest.skip("AXE_PATH does not name an axe.min.js")
    return Path(path).read_text(encoding="utf-8")
