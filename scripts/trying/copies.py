"""A copy of a checkout that the script may change. The checkout itself is never changed."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from trying import report
from trying.changes import Changes
from trying.installation import Installation, TryError, call

READ = ("requirements.txt", "Pipfile", "pyproject.toml", "Procfile", "package.json", "Aptfile")
UNSEEN = ("__pycache__", "*.pyc", ".venv", "node_modules")


class Copy:
    """A git repository of its own, with the committed files of the checkout."""

    def __init__(self, place: Installation, source: Path, folder: Path) -> None:
        self.place = place
        self.folder = folder
        if (source / ".git").exists() and not self._shallow(source):
            folder.parent.mkdir(parents=True, exist_ok=True)
            self.git("clone", "-q", "--no-hardlinks", str(source), str(folder), cwd=folder.parent)
            return
        shutil.copytree(source, folder, symlinks=True, ignore=shutil.ignore_patterns(".git", *UNSEEN))
        self.git("init", "-q", "-b", "master")
        self.commit("The project as it is")

    def _shallow(self, source: Path) -> bool:
        return (source / ".git" / "shallow").exists()

    def git(self, *words: str, cwd: Path | None = None) -> str:
        argv = ["git", "-c", "safe.directory=*", *words]
        ended = call(argv, cwd=cwd or self.folder, env=self.place.env, limit=300)
        if ended.code:
            raise TryError(f"git {words[0]}: {report.complaint(ended.output)}")
        return ended.output

    @property
    def sha(self) -> str:
        return self.git("rev-parse", "HEAD").strip()

    def commit(self, message: str) -> None:
        """Commit everything, if there is something to commit. Ignored files that were added by name are included."""
        self.git("add", "-A")
        if self.git("status", "--porcelain").strip():
            self.git("commit", "-q", "-m", message)

    def needs(self) -> list[str]:
        files = {name: self._text(name) for name in READ if (self.folder / name).is_file()}
        return report.needs(files)

    def _text(self, name: str) -> str:
        data = (self.folder / name).read_bytes()
        return data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", errors="replace")

    def apply(self, changes: Changes) -> None:
        """Apply the files of a .changes file and commit them."""
        for path, text in changes.files.items():
            self.write(path, text)
        for path, text in changes.append.items():
            self.write(path, text, add=True)
        for path in changes.remove:
            self.git("rm", "-q", "-r", "--", path)
        self._add((*changes.files, *changes.append))
        self.commit("Prepare for deployment")

    def write(self, path: str, text: str, add: bool = False) -> None:
        """Write a file, or add to its end."""
        target = self.folder / path
        if not target.resolve().is_relative_to(self.folder.resolve()):
            raise TryError(f"{path} is outside the project")
        target.parent.mkdir(parents=True, exist_ok=True)
        old = self._text(path) if add and target.is_file() else ""
        text = old + ("" if not old or old.endswith("\n") else "\n") + text
        target.write_text(text if text.endswith("\n") else text + "\n")

    def _add(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.git("add", "-f", "--", path)
