"""The unmodified Heroku CLI from npm, pinned in tests/contracts/heroku_cli, in a separate home."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.stories.team import Installation

ROOT = Path(__file__).parent.parent.parent
INSTALL = ROOT / "tests" / "contracts" / "heroku_cli" / "install.sh"
BINARY = ROOT / ".tools" / "heroku" / "node_modules" / ".bin" / "heroku"


def install() -> Path:
    """The path of the CLI. Skips the test with a message in capitals if npm is missing."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not here: THE HEROKU CLI IS NOT TESTED")
    subprocess.run(["sh", str(INSTALL)], check=True, timeout=300)
    return BINARY


class Heroku:
    """One user's shell: the CLI, the variables of ``greenroom env`` for that user, and nothing else of Greenroom."""

    def __init__(self, place: Installation, folder: Path, token: str = "") -> None:
        self.home = folder / "home"
        self.home.mkdir(parents=True)
        program = install()
        words = ["env", "--json"]
        if token:
            (self.home / "token").write_text(token)
            words += ["--token-file", self.home / "token"]
        values = {
            key: value
            for key, value in json.loads(place.run(*words).stdout).items()
            if not key.startswith("GREENROOM_")
        }
        path = f"{program.parent}:{Path(shutil.which('node') or '/usr/bin/node').parent}:/usr/bin:/bin"
        self.env = {"HOME": str(self.home), "PATH": path, "LANG": "C.UTF-8", "NO_COLOR": "1", **values}
        self.env["NODE_COMPILE_CACHE"] = str(ROOT / ".tools" / "node-cache")
        self.env |= {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
        for name in ("NAME", "EMAIL"):
            self.env |= {f"GIT_{who}_{name}": "anton@example.com" for who in ("AUTHOR", "COMMITTER")}

    def __call__(
        self, line: str, *, cwd: Path | None = None, code: int | None = 0, stdin: str = "", timeout: float = 120
    ) -> str:
        """Run a command line from a guide; returns both output streams. ``code``: its exit code, None for any."""
        result = subprocess.run(
            shlex.split(line),
            cwd=cwd or self.home,
            env=self.env,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        said = result.stdout + result.stderr
        assert code is None or result.returncode == code, f"{line} ended with {result.returncode}\n{said}"
        return said
