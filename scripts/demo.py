"""``make demo``: runs all steps of the seed's page and verifies each; leaves a running installation to explore."""

from __future__ import annotations

import html
import http.cookiejar
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".demo"
APP = "ach-payslip-staging"
BIN = Path(sys.executable).parent
STARTED = time.monotonic()
API_PORT = os.environ.get("DEMO_API_PORT", "5000")
HTTP_PORT = os.environ.get("DEMO_HTTP_PORT", "8080")
HTTPS_PORT = os.environ.get("DEMO_HTTPS_PORT", "8443")
SITE = f"http://{APP}.localhost:{HTTP_PORT}"


def resolve_localhost() -> None:
    """Resolve names under .localhost to this machine (RFC 6761); browsers do, many C libraries do not."""
    asked = socket.getaddrinfo

    def answer(host: str | None, *words: Any, **options: Any) -> Any:
        return asked("127.0.0.1" if host and str(host).endswith(".localhost") else host, *words, **options)

    socket.getaddrinfo = answer  # type: ignore[assignment]


class DemoError(Exception):
    """A step was not verified."""


def step(text: str) -> None:
    """Print the current step, with the seconds since the start."""
    print(
        f"\n\033[1m== {text}\033[0m  ({time.monotonic() - STARTED:.1f} s)"
        if sys.stdout.isatty()
        else f"\n== {text}  ({time.monotonic() - STARTED:.1f} s)",
        flush=True,
    )


def environment() -> dict[str, str]:
    """The environment of the demo's commands, for this installation only."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("HEROKU_", "GREENROOM_", "GIT_"))}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    env |= {"GREENROOM_HOME": str(HOME), "PATH": f"{BIN}:{env['PATH']}", "GIT_TERMINAL_PROMPT": "0"}
    return env


def run(*argv: str, cwd: Path = ROOT, show: bool = True, stdin: str = "", check: bool = True) -> str:
    """Run a command as a user would, show it and its output; returns the output."""
    if show:
        print(f"$ {' '.join(argv)}", flush=True)
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(stdin)
    process.stdin.close()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if show:
            print(f"  {line.rstrip()}", flush=True)
    if process.wait() and check:
        raise DemoError(f"{' '.join(argv)} ended with {process.returncode}\n{''.join(lines)}")
    return "".join(lines)


def expect(condition: object, text: str) -> None:
    """Verify a step; on failure the demo exits with 1."""
    if not condition:
        raise DemoError(f"not observed: {text}")
    print(f"  ok: {text}", flush=True)


class Browser:
    """A minimal browser: cookies, forms, and the router's address for every name under .localhost."""

    def __init__(self) -> None:
        jar = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(strict_domain=False))
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(jar), urllib.request.ProxyHandler({})
        )

    def get(self, path: str, data: dict[str, str] | None = None) -> tuple[int, bytes, str]:
        """(status, body, final URL)."""
        url = path if path.startswith("http") else SITE + path
        body = urllib.parse.urlencode(data).encode() if data else None
        request = urllib.request.Request(url, body, {"Referer": url})  # noqa: S310 - our own http address
        try:
            with self.opener.open(request, timeout=20) as answer:
                return answer.status, answer.read(), answer.url
        except urllib.error.HTTPError as error:
            return error.code, error.read(), url

    def sign_in(self, user: str, password: str) -> bytes:
        """Fill in the sign-in form and submit it."""
        _, page, url = self.get("/sign-in/")
        token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        expect(token, "the sign-in page has its form")
        assert token is not None
        _, body, _ = self.get(url, {"username": user, "password": password, "csrfmiddlewaretoken": token[1].decode()})
        return body


def checkout() -> Path:
    """A separate git repository with the sample's files."""
    work = HOME / "work" / "payslip"
    if work.exists():
        shutil.rmtree(work)
    ignore = shutil.ignore_patterns("__pycache__", "*.pyc", "scenarios", ".pytest_cache", "staticfiles", "*.sqlite3")
    shutil.copytree(ROOT / "samples" / "payslip", work, ignore=ignore)
    wanted = (work / ".python-version").read_text().strip()
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if wanted != here and not shutil.which(f"python{wanted}"):
        print(f"  Python {wanted} is not on this machine: the copy asks for {here} instead")
        (work / ".python-version").write_text(here + "\n")
    run("git", "init", "-q", "-b", "master", cwd=work, show=False)
    run("git", "add", "-A", cwd=work, show=False)
    run(
        "git",
        "-c",
        "user.name=Alice",
        "-c",
        "user.email=alice@example.com",
        "commit",
        "-qm",
        "The payslip application",
        cwd=work,
        show=False,
    )
    return work


def start() -> None:
    step("Greenroom starts in .demo/")
    if (HOME / "installation.json").exists():
        run("greenroom", "down", "--home", str(HOME), check=False)
        shutil.rmtree(HOME)
    ports = ["--api-port", API_PORT, "--http-port", HTTP_PORT, "--https-port", HTTPS_PORT]
    run("greenroom", "up", "--home", str(HOME), "--detach", *ports)
    run("greenroom", "status")


def deploy() -> Path:
    step(f"An app, its secret, and a push of samples/payslip to {APP}")
    work = checkout()
    run("greenroom", "create", APP, cwd=work)
    secret = os.urandom(24).hex()
    print(f"$ greenroom config:set SECRET_KEY=... -a {APP}")
    run("greenroom", "config:set", f"SECRET_KEY={secret}", "-a", APP, show=False)
    output = run("git", "push", "greenroom", "HEAD:master", cwd=work)
    expect("tests" in output and "deployed to Greenroom" in output, "the push shows the checks and the deployment")
    return work


def observe(work: Path) -> None:
    sha = run("git", "rev-parse", "HEAD", cwd=work, show=False).strip()
    rows = json.loads(run("greenroom", "deliveries", "--json", "-a", APP, show=False))
    row = next(item for item in rows if item["sha"] == sha)
    expect(row["state"] == "live", f"delivery of {sha[:8]} is live")
    expect(row["verdict"]["colour"] == "green", "its verdict is green")
    run("greenroom", "checks", "-a", APP)
    status, page, url = Browser().get("/")
    expect(status == 200 and b"<form" in page, f"{url} answers with its sign-in page")


def migrate() -> None:
    step("Migrations wait for a human")
    before = json.loads(run("greenroom", "migrations", "--json", "-a", APP, show=False))
    run("greenroom", "migrations", "-a", APP)
    expect(before["pending"], f"{len(before['pending'])} migrations are pending; nothing has run them")
    run("greenroom", "run", "-a", APP, "python", "manage.py", "migrate")
    for _ in range(100):
        after = json.loads(run("greenroom", "migrations", "--json", "-a", APP, show=False))
        if after["status"] == "ok" and not after["pending"]:
            break
        time.sleep(0.1)
    expect(not after["pending"], "no migration is pending any more")


def use(password: str) -> None:
    step("Somebody signs in and reads a payslip")
    run("greenroom", "run", "-a", APP, "--", "python", "manage.py", "seed_demo", "--password", password)
    browser = Browser()
    page = browser.sign_in("stella", password)
    expect(b"stella" in page.lower() or b"sign-out" in page.lower(), "Stella is signed in")
    _, listing, _ = browser.get("/payslips/")
    link = re.search(r'href="(/payslips/\d+/)"', listing.decode())
    expect(link, "she sees her payslips")
    assert link is not None
    status, slip, url = browser.get(link[1])
    title = re.search(r"<h1[^>]*>(.*?)</h1>", slip.decode(), re.S)
    expect(
        status == 200,
        f"{url} shows: {html.unescape(re.sub('<[^>]+>', '', title[1])).strip() if title else 'a payslip'}",
    )
    status, pdf, url = browser.get(link[1].rstrip("/") + ".pdf")
    expect(status == 200 and pdf.startswith(b"%PDF"), f"{url} is a PDF of {len(pdf):,} bytes")


def farewell(password: str) -> None:
    step("All of it works. Everything is left running")
    print(
        f"""
  The app:        {SITE}/   (paula, anton or stella; password {password})
  Look around:    export GREENROOM_HOME={HOME} PATH={BIN}:$PATH
                  greenroom ps -a {APP}
                  greenroom logs --tail -a {APP}
                  greenroom releases -a {APP}
  Heroku's CLI:   eval "$(greenroom env)"; heroku run -a {APP} python manage.py migrate
  Change it:      cd {HOME}/work/payslip, edit, commit, git push greenroom HEAD:master
  Stop it:        make demo-stop
"""
    )


def main() -> int:
    """Run all steps; 0 only if each was verified."""
    password = os.urandom(6).hex()
    resolve_localhost()
    try:
        start()
        observe(deploy())
        migrate()
        use(password)
    except DemoError as error:
        print(
            f"\nThe demo failed: {error}\nhint: .demo/logs has what each part said; make demo-stop stops it",
            file=sys.stderr,
        )
        return 1
    farewell(password)
    return 0


if __name__ == "__main__":
    sys.exit(main())
