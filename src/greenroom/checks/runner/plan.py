"""Finds out how an app's tests are started when it does not say so itself."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

PYTEST_SECTIONS = {
    "pytest.ini": re.compile(r""),
    "pyproject.toml": re.compile(r"^\[tool\.pytest[\].]", re.MULTILINE),
    "setup.cfg": re.compile(r"^\[tool:pytest\]", re.MULTILINE),
    "tox.ini": re.compile(r"^\[pytest\]", re.MULTILINE),
}
REQUIREMENT = re.compile(r"""^\s*["']?pytest(?:-[a-z-]+)?\s*(?:$|[\[=<>~!;,"' #\\])""", re.MULTILINE | re.IGNORECASE)
NO_TESTS = "no manage.py and no tests were found, and app.json names no test command"


@dataclass(frozen=True)
class Command:
    """A command line for bash. kind: ``script`` (the app's own), ``travis``, ``django``, ``pytest`` or ``unittest``.

    argv: what is run in place of ``bash -c text``, when the text is only for people.
    """

    text: str
    kind: str
    argv: tuple[str, ...] = ()


TRAVIS = """
begun=$1; count=$2; shift 2
status=0
for line in "${@:1:count}"; do
  printf '$ %s\\n' "$line"
  eval "$line" || { code=$?; printf 'This line ended with exit code %s\\n' "$code"; exit "$code"; }
done
: > "$begun"
for line in "${@:count+1}"; do
  printf '$ %s\\n' "$line"
  eval "$line" || { status=$?; printf 'This line ended with exit code %s\\n' "$status"; }
done
exit "$status"
"""
"""Runs lines in one shell: the first ``count`` until one fails, then makes the file ``begun``, then all others. Never changed by a file."""


def of_travis(wish: dict[str, list[str]], begun: str) -> Command:
    """The lines of a .travis.yml as a command. wish: {setup, script} lines; begun: the file that says that the script has begun."""
    setup, script = wish["setup"], wish["script"]
    argv = ("bash", "-c", TRAVIS, "travis", begun, str(len(setup)), *setup, *script)
    return Command("; ".join(script), "travis", argv)


def find(folder: str, script: str | None) -> Command | None:
    """The app's own script; else pytest if it is configured or required; else Django's runner; None without any tests."""
    if script and script.strip():
        return Command(script.strip(), "script")
    if uses_pytest(folder):
        return Command("pytest", "pytest")
    manage = manage_py(folder)
    if manage:
        return Command(f"python {manage} test --noinput", "django")
    return Command("python -m unittest", "unittest") if _has_tests(folder) else None


def uses_pytest(folder: str) -> bool:
    """Whether a configuration file or a list of requirements at the top of the app mentions pytest."""
    for name, pattern in PYTEST_SECTIONS.items():
        if os.path.isfile(os.path.join(folder, name)) and pattern.search(_read(folder, name)):
            return True
    names = [name for name in os.listdir(folder) if re.match(r"requirements.*\.txt$|Pipfile$|pyproject\.toml$", name)]
    return any(REQUIREMENT.search(_read(folder, name)) for name in names)


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read(1_000_000)
    except OSError:
        return ""


def manage_py(folder: str) -> str:
    """The path of the shallowest manage.py, at most three levels deep; empty if there is none."""
    level = [""]
    for _ in range(3):
        below: list[str] = []
        for place in level:
            if os.path.isfile(os.path.join(folder, place, "manage.py")):
                return os.path.join(place, "manage.py")
            below += [os.path.join(place, name) for name in _folders(os.path.join(folder, place))]
        level = below
    return ""


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
    except OSError:
        return []


def _has_tests(folder: str) -> bool:
    names = os.listdir(folder)
    return any(re.match(r"test.*\.py$", name) for name in names) or os.path.isdir(os.path.join(folder, "tests"))
