"""Tests of signing in with the unmodified Heroku CLI on a terminal, by browser and by password; sessions and signing
out.
"""

from __future__ import annotations

import http.cookiejar
import os
import pty
import re
import select
import subprocess
import time
import urllib.parse
import urllib.request

import pytest

from tests.stories.heroku import Heroku

pytestmark = pytest.mark.story
EMAIL, PASSWORD = "lena@example.com", "a sentence of four words"


class Terminal:
    """The CLI on a pseudo-terminal, without a token in its environment. ``seen``: all of its output."""

    def __init__(self, shell: Heroku, *words: str) -> None:
        env = {key: value for key, value in shell.env.items() if key != "HEROKU_API_KEY"} | {
            "TERM": "xterm",
            "HEROKU_NETRC_WRITE": "true",
        }
        self.master, slave = pty.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            ["heroku", *words], stdin=slave, stdout=slave, stderr=slave, env=env, cwd=shell.home, start_new_session=True
        )
        os.close(slave)

    def until(self, pattern: str, seconds: float = 60) -> re.Match:
        """The first match in the output."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < deadline, self.seen
            ended = self.process.poll() is not None
            if not self._read() and ended:
                found = re.search(pattern, self.seen)
                assert found, self.seen
                return found
        return found

    def _read(self) -> bool:
        """Whether there was output; waits briefly for it."""
        if not select.select([self.master], [], [], 0.2)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data.decode(errors="replace"))
        return bool(data)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        while self.process.poll() is None:
            self._read()
        code = self.process.wait(60)
        os.close(self.master)
        return code


class Browser:
    """Opens a page and submits its form, with cookies."""

    def __init__(self) -> None:
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, url: str) -> str:
        with self.opener.open(url, timeout=20) as answer:
            return answer.read().decode()

    def send(self, url: str, **fields: str) -> str:
        token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', self.get(url))[1]
        data = urllib.parse.urlencode({**fields, "csrfmiddlewaretoken": token}).encode()
        with self.opener.open(url, data, timeout=20) as answer:
            return answer.read().decode()


@pytest.fixture(scope="module")
def lena(place, tmp_path_factory):
    """A user with a password and without a token in her shell."""
    made = place.api("POST", "/accounts", {"email": EMAIL, "name": "Lena"})[1]
    shell = Heroku(place, tmp_path_factory.mktemp("lena"), token=made["token"])
    assert place.api("PUT", "/account/password", {"new_password": PASSWORD}, token=made["token"])[0] == 200
    shell.place, shell.token = place, made["token"]
    return shell


def whoami(shell: Heroku) -> str:
    env, kept = shell.env, dict(shell.env)
    env.pop("HEROKU_API_KEY")
    env["HEROKU_NETRC_WRITE"] = "true"
    try:
        return shell("heroku auth:whoami", code=None)
    finally:
        shell.env = kept


def sessions(shell: Heroku) -> list[dict]:
    return shell.place.api("GET", "/oauth/sessions", token=shell.token)[1]


def test_heroku_login_by_browser_waits_for_the_page_and_signs_in(lena):
    terminal = Terminal(lena, "login")
    terminal.until("Press any key")
    terminal.type("x")
    url = terminal.until(r"http://localhost:\d+/auth/browser/\w+")[0]
    terminal.until("Waiting for login")
    page = Browser().get(url)
    assert "Heroku CLI login from" in page
    assert "is signed in as lena@example.com" in Browser().send(url, email=EMAIL, password=PASSWORD)
    terminal.until("Logged in as lena@example.com|Logged in as")
    assert terminal.end() == 0
    assert EMAIL in whoami(lena)
    (row,) = sessions(lena)
    assert row["description"].startswith("Heroku CLI login from")
    assert row["description"] in lena("heroku sessions")
    terminal = Terminal(lena, "logout")
    terminal.until("Logging out... done")
    assert terminal.end() == 0
    assert sessions(lena) == []
    assert EMAIL not in whoami(lena)


def test_heroku_login_at_the_terminal_takes_e_mail_and_password(lena):
    terminal = Terminal(lena, "login", "-i")
    terminal.until("Email")
    terminal.type(EMAIL + "\r")
    terminal.until("Password")
    terminal.type(PASSWORD + "\r")
    terminal.until("Logged in as")
    assert terminal.end() == 0
    assert PASSWORD not in terminal.seen
    assert EMAIL in whoami(lena)
    (row,) = sessions(lena)
    lena(f"heroku sessions:destroy {row['id']}")
    assert sessions(lena) == []
    assert EMAIL not in whoami(lena)


def test_a_wrong_password_and_a_refusal_sign_nobody_in(lena):
    terminal = Terminal(lena, "login", "-i")
    terminal.until("Email")
    terminal.type(EMAIL + "\r")
    terminal.until("Password")
    terminal.type("not this one at all\r")
    terminal.until("Error|Invalid|credentials")
    assert terminal.end() != 0
    terminal = Terminal(lena, "login")
    terminal.until("Press any key")
    terminal.type("x")
    url = terminal.until(r"http://localhost:\d+/auth/browser/\w+")[0]
    assert "was not signed in" in Browser().send(url, refuse="")
    terminal.until("rejected")
    assert terminal.end() != 0
    assert sessions(lena) == []
