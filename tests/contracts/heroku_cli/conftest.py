"""One installation and one small app with two releases for all tests here, and the unmodified Heroku CLI in a separate
home.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stories.heroku import Heroku
from tests.stories.team import Installation
from tests.stories.test_host import small_team

APP = "contract-app"


def plain(text: str) -> str:
    """The CLI's output without its margins and line breaks."""
    return " ".join(text.replace("\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}", "").split())


class Contract:
    """``cli(line)`` runs the CLI; the other methods check its effects in other ways."""

    name = APP

    def __init__(self, place: Installation, folder: Path) -> None:
        self.place, self.folder = place, folder
        self.team = small_team(place, folder, APP)
        self.team.write("worker.py", "import time\nwhile True:\n    print('working', flush=True)\n    time.sleep(1)\n")
        self.team.write("Procfile", "web: python app.py\nworker: python worker.py\n")
        self.team.commit("first")
        self.team.push()
        self.team.write("second.txt", "second\n")
        self.team.commit("second")
        self.team.push()
        self.cli = Heroku(place, folder / "shell")

    def __call__(self, line: str, code: int | None = 0, stdin: str = "") -> str:
        """Run a command for the app; returns its output. ``-a`` precedes the arguments, which may be a command for a
        dyno.
        """
        command, _, rest = line.partition(" ")
        return self.cli(f"heroku {command} -a {APP} {rest}", code=code, stdin=stdin)

    def get(self, path: str) -> object:
        """The API's current data of the app, as the administrator."""
        return self.place.api("GET", f"/apps/{APP}{path}")[1]

    def current(self) -> dict:
        return next(row for row in self.get("/releases") if row["current"])

    def log(self, *words: str) -> str:
        """The app's log from Greenroom's own command: in tests that poll, it takes a tenth of the Heroku CLI's time."""
        return self.team.greenroom("logs", "-n", "200", *words).stdout

    def until(self, read, holds, seconds: float = 30):
        return self.team.wait_for(read, holds, seconds)

    def quantity(self, kind: str) -> int:
        return next(row["quantity"] for row in self.get("/formation") if row["type"] == kind)


@pytest.fixture(scope="session")
def place(installation: Installation) -> Installation:
    """The installation with the app."""
    return installation


@pytest.fixture(scope="session")
def app(place, tmp_path_factory) -> Contract:
    """The app, shared by the tests of this folder; each leaves it as it was."""
    return Contract(place, tmp_path_factory.mktemp("contract"))
