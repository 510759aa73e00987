"""A copy of the application for each test, to which a scenario can be applied. Its database is a file next to it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

APP = Path(__file__).resolve().parent.parent
LEFT_OUT = shutil.ignore_patterns(
    ".git", "__pycache__", "staticfiles", "scenarios", "browser_tests", ".venv", ".hypothesis"
)


class Copy:
    """One copy of the application, as a release: its files, and the database that it uses."""

    def __init__(self, folder: Path, database: Path) -> None:
        self.folder = folder
        shutil.copytree(APP, folder, ignore=LEFT_OUT)
        tools = Path(sys.executable).parent
        self.environment = {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder.parent),
            "TMPDIR": str(folder.parent),
            "SECRET_KEY": "only-for-the-scenarios-0123456789-0123456789-0123456789",
            "DATABASE_URL": f"sqlite:///{database}",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def apply(self, scenario: str) -> "Copy":
        patch = APP / "scenarios" / f"{scenario}.patch"
        subprocess.run(["git", "apply", str(patch)], cwd=self.folder, check=True)  # noqa: S603, S607
        return self

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess:
        return subprocess.run(  # noqa: S603
            command,
            cwd=self.folder,
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def manage(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        return self.run(sys.executable, "manage.py", *arguments, **variables)

    def migrate(self) -> None:
        done = self.manage("migrate", "-v0")
        assert done.returncode == 0, done.stderr

    def python(self, code: str) -> subprocess.CompletedProcess:
        return self.manage("shell", "-v0", "-c", code)

    def start(self, command: str, **variables: str) -> subprocess.Popen:
        """Start the web process in its own process group, so that the whole group can be killed."""
        return subprocess.Popen(  # noqa: S603
            ["sh", "-c", f"exec {command}"],  # noqa: S607
            cwd=self.folder,
            env={**self.environment, **variables},
            stderr=subprocess.PIPE,
            text=True,
        )

    def web_command(self) -> str:
        line = next(
            line
            for line in (self.folder / "Procfile").read_text().splitlines()
            if line.startswith("web:")
        )
        return line.removeprefix("web:").strip()


@pytest.fixture
def release(tmp_path):
    """Creates releases that share one database: `release()` unchanged, `release(NAME)` with a scenario."""

    def make(scenario: str | None = None) -> Copy:
        made = Copy(tmp_path / (scenario or "as-it-is"), tmp_path / "db.sqlite3")
        return made.apply(scenario) if scenario else made

    return make
