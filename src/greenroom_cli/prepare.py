"""``greenroom prepare``: writes what a Django project needs to go live. Needs no installation and no app."""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from greenroom_cli import git, output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError

if TYPE_CHECKING:
    from greenroom.buildpacks.rules.preparation import Change, Plan

SKIPPED = frozenset({".git", ".venv", "venv", "env", "node_modules", "__pycache__", "staticfiles", ".tox"})
MOST_FILES = 20_000
LARGEST = 300_000
PYVENV = re.compile(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", re.MULTILINE)
MESSAGE = "Prepare for deployment"


@command(
    "prepare",
    example=("greenroom prepare\ngreenroom prepare --commit --yes"),
    app=False,
    json=True,
)
@click.argument("folder", type=click.Path(file_okay=False, exists=True), default=".")
@click.option("-y", "--yes", is_flag=True, help="Write without asking.")
@click.option("--dry-run", is_flag=True, help="Show the changes and write nothing.")
@click.option("--commit", is_flag=True, help="Commit the changed files, in a new git repository if there is none.")
def prepare(cx: Context, folder: str, yes: bool, dry_run: bool, commit: bool) -> int | None:
    """Write what a Django project needs to go live: Procfile, requirements, .python-version, app.json, settings.

    Shows the changes first and asks. Changes only what it recognises; running it again changes nothing more.
    """
    root = Path(folder).resolve()
    plan = _plan(root)
    if cx.as_json:
        output.print_json(_as_json(plan))
        if dry_run or not yes:
            return None
    else:
        _show(plan)
    if plan.changes and not dry_run:
        if not yes:
            _ask()
        _write(root, plan.changes)
    if dry_run:
        return None
    if commit:
        _commit(root, plan)
    if not cx.as_json:
        _next(root, plan, committed=commit)
    return None


def _plan(root: Path) -> Plan:
    from greenroom.buildpacks.rules import preparation

    files = _files(root)
    project = preparation.Project(lambda name: _read(root, name), files, _python(root))
    try:
        return preparation.plan(project)
    except ValueError as error:
        inner = sorted(name.rpartition("/")[0] for name in files if name.endswith("/manage.py"))
        where = f"greenroom prepare {inner[0]}" if inner and "manage.py" not in files else ""
        raise CliError(
            f"{root}: {error}.",
            hint=where or "run it in the folder that contains manage.py; django-admin startproject makes one",
        ) from None


def _files(root: Path) -> set[str]:
    """All files below the folder, without packages and generated files."""
    found: set[str] = set()
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in SKIPPED]
        prefix = os.path.relpath(folder, root)
        found.update(name if prefix == "." else f"{prefix}/{name}" for name in names)
        if len(found) > MOST_FILES:
            raise CliError(f"{root} has more than {MOST_FILES} files.", hint="run it in the folder with manage.py")
    return found


def _read(root: Path, name: str) -> bytes | None:
    try:
        with (root / name).open("rb") as file:
            return file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise CliError(f"{root / name}: {error.strerror}.", hint="make the file readable, then try again") from None


def _python(root: Path) -> tuple[int, int]:
    """The version of the project's virtual environment or of the active one, else of this Python."""
    active = os.environ.get("VIRTUAL_ENV", "")
    for folder in (root / ".venv", root / "venv", *([Path(active)] if active else [])):
        found = PYVENV.search((_read(folder, "pyvenv.cfg") or b"").decode("utf-8", "replace"))
        if found:
            return int(found[1]), int(found[2])
    return sys.version_info[0], sys.version_info[1]


def _as_json(plan: Plan) -> dict[str, Any]:
    changes = [
        {"path": one.path, "new": one.before is None, "why": list(one.why), "diff": _diff(one)} for one in plan.changes
    ]
    return {"changes": changes, "commands": plan.commands, "advice": plan.advice}


def _diff(change: Change) -> str:
    before = (change.before or "").splitlines(keepends=True)
    names = ("/dev/null" if change.before is None else f"a/{change.path}", f"b/{change.path}")
    lines = difflib.unified_diff(before, change.after.splitlines(keepends=True), *names, n=2)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _show(plan: Plan) -> None:
    for change in plan.changes:
        for line in _diff(change).splitlines():
            colour = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            output.say(output.style(output.clean(line), *([colour] if colour else [])))
        for why in change.why:
            output.say(output.style(f"# {why}", "dim"))
        output.say()
    for line in plan.advice:
        output.warn(line)
    if not (plan.changes or plan.commands or plan.advice):
        output.say("Nothing to change: the project has what a deployment needs.")


def _ask() -> None:
    if not sys.stdin.isatty():
        raise CliError("Nothing was written.", hint="write these changes with: greenroom prepare --yes")
    if not click.confirm("Write these changes?", default=False, err=True):
        raise CliError("Nothing was written.", hint="look at them again with: greenroom prepare --dry-run")


def _write(root: Path, changes: list[Change]) -> None:
    from greenroom.basics import atomic

    for change in changes:
        path = root / change.path
        try:
            atomic.write(
                path.resolve(), change.after.encode(), mode=path.stat().st_mode & 0o777 if path.exists() else 0o644
            )
        except OSError as error:
            raise CliError(
                f"{path}: {error.strerror}.", hint="greenroom prepare writes the rest when it is run again"
            ) from None
    output.note(f"Wrote {', '.join(change.path for change in changes)}.")


def _commit(root: Path, plan: Plan) -> None:
    """Commit the written files; all files in a new repository."""
    if plan.commands:
        raise CliError(
            "Nothing was committed: a command is still to be run.", hint=f"{plan.commands[0]}, then git commit"
        )
    new = git.git("-C", str(root), "rev-parse", "--is-inside-work-tree")[1].strip() != "true"
    if new:
        _git(root, "init", "-q")
    paths = ["."] if new else [change.path for change in plan.changes]
    if paths:
        _git(root, "add", "--", *paths)
    if not paths or git.git("-C", str(root), "diff", "--cached", "--quiet", "--", *paths)[0] == 0:
        output.note("Nothing to commit.")
        return
    _git(root, "commit", "-q", "-m", MESSAGE, *([] if new else ["--", *paths]))
    output.note("Committed.")


def _git(root: Path, *words: str) -> None:
    """Run git in the folder. CliError with its last line."""
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False, timeout=60)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CliError(
            f"git {words[0]} failed: {said[-1] if said else done.returncode}",
            hint="the files are written; commit them with git, then go on",
        )


def _next(root: Path, plan: Plan, *, committed: bool) -> None:
    for words in plan.commands:
        output.hint(words)
    if not committed and plan.changes:
        output.hint('git add -A && git commit -m "Prepare for deployment"')
    output.hint("greenroom create my-staging && git push greenroom HEAD:master")
