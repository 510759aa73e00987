"""Detects a Python app and its package manager by Heroku's rules for file names in the root directory. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from greenroom.buildpacks.errors import BuildError

SIGNS = frozenset(
    [
        ".python-version",
        "__init__.py",
        "app.py",
        "main.py",
        "manage.py",
        "pdm.lock",
        "Pipfile",
        "Pipfile.lock",
        "poetry.lock",
        "pyproject.toml",
        "requirements.txt",
        "runtime.txt",
        "server.py",
        "setup.cfg",
        "setup.py",
        "uv.lock",
    ]
)
MISSPELLED = (
    "requeriments.txt",
    "requirement.txt",
    "requirements",
    "requirements.text",
    "Requirements.txt",
    "requirements.txt.txt",
    "requirments.txt",
)
SIGN_FOLDERS = frozenset({"__pycache__/", ".venv/", "venv/"})
MANAGERS = {"Pipfile.lock": "pipenv", "requirements.txt": "pip", "poetry.lock": "poetry", "uv.lock": "uv"}
"""Lock file -> package manager, in Heroku's order."""


@dataclass(frozen=True)
class Manager:
    """The package manager, the file that identifies it, and warnings."""

    name: str
    file: str
    warnings: tuple[str, ...] = ()


def listing(names: Sequence[str]) -> str:
    """The root directory for an error text: one name per line, directories with ``/``, 40 at most."""
    shown = sorted(names)[:40]
    more = [f"... and {len(names) - 40} more"] if len(names) > 40 else []
    return "\n".join([f"  {name}" for name in shown] + more) or "  (nothing)"


def detect(names: Sequence[str]) -> None:
    """BuildError unless the tree is a Python app. names: entries of the root directory, directories with a trailing
    ``/``.
    """
    bare = {name.rstrip("/") for name in names}
    if bare & SIGNS or bare & set(MISSPELLED) or set(names) & SIGN_FOLDERS:
        return
    raise BuildError(
        "detect::not-python",
        "This does not look like a Python app: requirements.txt, uv.lock, Pipfile.lock and poetry.lock are missing"
        f" from the root folder, which contains:\n{listing(names)}\nEither the files are in another folder, their names"
        " are misspelled (they are case-sensitive), they are ignored by .gitignore or .slugignore, or they were not"
        " committed.",
        hint=(
            "pip freeze > requirements.txt && git add requirements.txt && git commit; for an app in a folder: root ="
            ' "folder" in greenroom.toml'
        ),
    )


def choose(names: Sequence[str], *, several: str = "error") -> Manager:
    """The one package manager. several: with ``warn``, several files are allowed; order: uv, poetry, pipenv, pip."""
    files = {name for name in names if not name.endswith("/")}
    if "Pipfile" in files and "Pipfile.lock" not in files:
        raise BuildError(
            "package-manager::pipenv-missing-lockfile",
            "There is a Pipfile without Pipfile.lock; builds install from the lock file.",
            hint="pipenv lock && git add Pipfile.lock",
        )
    found = [name for name in MANAGERS if name in files]
    if len(found) > 1:
        return _several(found, several, "Pipfile" in files)
    if found:
        return Manager(MANAGERS[found[0]], found[0])
    raise _none(names, files)


def _several(found: Sequence[str], several: str, pipfile: bool) -> Manager:
    listed = "\n".join(f"  {name} ({MANAGERS[name]})" for name in found)
    if several == "warn":
        best = _best(found)
        text = (
            f"Warning: Several package manager files were found:\n{listed}\n{best} is used, since [policy]"
            ' package_managers is "warn".'
        )
        return Manager(MANAGERS[best], best, (text,))
    raise BuildError(
        "package-manager::multiple-found",
        f"Several package manager files were found:\n{listed}\nExactly one is allowed, to make it clear which one is"
        " installed.",
        hint=(
            f'keep {_best(found)}: git rm {_others(found, pipfile)}; or [policy] package_managers = "warn" in'
            " greenroom.toml"
        ),
    )


def _best(found: Sequence[str]) -> str:
    return next(name for name in ("uv.lock", "poetry.lock", "Pipfile.lock", "requirements.txt") if name in found)


def _others(found: Sequence[str], pipfile: bool) -> str:
    """The files of the other managers; includes Pipfile with its lock file, since it would be refused alone."""
    gone = [name for name in found if name != _best(found)]
    return " ".join(gone + (["Pipfile"] if pipfile and "Pipfile.lock" in gone else []))


def _none(names: Sequence[str], files: set[str]) -> BuildError:
    if "setup.py" in files:
        return BuildError(
            "package-manager::setup-py-only",
            "There is a setup.py, but no file that lists the requirements.",
            hint="echo '-e .' > requirements.txt && git add requirements.txt",
        )
    wrong = [name for name in MISSPELLED if name in {n.rstrip("/") for n in names}]
    return BuildError(
        "package-manager::none-found",
        f"{_seen(wrong, names)}There is no file that lists the requirements: requirements.txt, uv.lock, Pipfile.lock or"
        f" poetry.lock. The root folder contains:\n{listing(names)}",
        hint=_remedy(wrong, names, files),
    )


def _seen(wrong: Sequence[str], names: Sequence[str]) -> str:
    if not wrong:
        return ""
    return (
        "requirements is a folder; name the file in it to install. "
        if f"{wrong[0]}/" in names
        else f"{wrong[0]!r} looks like a misspelled requirements.txt. "
    )


def _remedy(wrong: Sequence[str], names: Sequence[str], files: set[str]) -> str:
    """The remedy for a tree without a known file, based on the files that it has."""
    if wrong and f"{wrong[0]}/" in names:
        return (
            f"echo '-r {wrong[0]}/production.txt' > requirements.txt && git add requirements.txt (production.txt or the"
            " name of your file)"
        )
    if wrong:
        return f"git mv {wrong[0]} requirements.txt"
    instead = {
        "pdm.lock": (
            "pdm export --prod -o requirements.txt && git add requirements.txt (pdm.lock itself is not supported)"
        ),
        "pylock.toml": "uv lock && git add uv.lock .python-version (pylock.toml is not supported)",
        "pyproject.toml": "uv lock && git add uv.lock .python-version",
    }
    wanted = (
        "pip freeze > requirements.txt && git add requirements.txt (or write one package a line: Django, gunicorn,"
        " psycopg[binary], whitenoise)"
    )
    return next((text for name, text in instead.items() if name in files), wanted)
