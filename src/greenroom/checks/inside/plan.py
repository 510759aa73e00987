"""Finds the test command of an app that does not declare one."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from typing import Any

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

    argv: runs in place of ``bash -c text`` if the text is only for display.
    """

    text: str
    kind: str
    argv: tuple[str, ...] = ()


TRAVIS = """
travis_retry() {
  local code=0 n
  for n in 1 2 3; do "$@" && return 0; code=$?; echo "The command failed, attempt $n of 3" >&2; done
  return $code
}
travis_wait() { case "$1" in ''|*[!0-9]*) ;; *) shift ;; esac; "$@"; }
travis_fold() { :; }
travis_time_start() { :; }
travis_time_finish() { :; }
travis_nanoseconds() { date +%s%N; }
travis_terminate() { exit "$1"; }
travis_assert() { [ "${1:-$?}" -eq 0 ] || exit "$1"; }
travis_cmd() { eval "$1"; }
sudo() { while [ "${1#-}" != "$1" ]; do [ "$1" = -u ] && shift; shift; done; "$@"; }
greenroom_begun=$1; greenroom_env=$2; greenroom_setup=$3; shift 3
greenroom_status=0
for greenroom_line in "${@:1:greenroom_env}"; do
  eval "export $greenroom_line" || { printf 'env: %s cannot be set\\n' "$greenroom_line"; exit 1; }
done
shift "$greenroom_env"
for greenroom_line in "${@:1:greenroom_setup}"; do
  printf '$ %s\\n' "$greenroom_line"
  eval "$greenroom_line"
  greenroom_code=$?
  if [ "$greenroom_code" -ne 0 ]; then
    printf 'This line ended with exit code %s\\n' "$greenroom_code"
    exit "$greenroom_code"
  fi
done
: > "$greenroom_begun"
shift "$greenroom_setup"
for greenroom_line in "$@"; do
  printf '$ %s\\n' "$greenroom_line"
  eval "$greenroom_line"
  greenroom_code=$?
  if [ "$greenroom_code" -ne 0 ]; then
    greenroom_status=$greenroom_code
    printf 'This line ended with exit code %s\\n' "$greenroom_code"
  fi
done
exit "$greenroom_status"
"""
"""Runs a job in one shell: sets the variables, runs the set-up lines until one fails, creates the file ``begun``, runs
the script lines.

Each line has its own ``eval``: after ``||`` or in a condition bash would ignore ``set -e`` inside a line.
"""


def of_travis(job: dict[str, Any], begun: str) -> Command:
    """A job as a command. job: {name, stage, env: [[name, text]], setup, script}; begun: the marker file for the
    start of the script.
    """
    setup, script = list(job["setup"]), list(job["script"])
    marks = [f"TRAVIS_BUILD_STAGE_NAME={shlex.quote(job['stage'])}", f"TRAVIS_JOB_NAME={shlex.quote(job['name'])}"]
    env = [*marks, *(f"{name}={text}" for name, text in job["env"])]
    argv = ("bash", "-c", TRAVIS, "travis", begun, str(len(env)), str(len(setup)), *env, *setup, *script)
    return Command("; ".join(script), "travis", argv)


def find(folder: str, script: str | None) -> Command | None:
    """The app's script; else pytest if it is configured or required; else Django's runner; None without tests."""
    if script and script.strip():
        return Command(script.strip(), "script")
    if uses_pytest(folder):
        return Command("pytest", "pytest")
    manage = manage_py(folder)
    if manage:
        return Command(f"python {manage} test --noinput", "django")
    return Command("python -m unittest", "unittest") if _has_tests(folder) else None


def uses_pytest(folder: str) -> bool:
    """Whether a configuration or requirements file in the app's root folder mentions pytest."""
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
    """The path of the topmost manage.py, at most three levels deep; empty if there is none."""
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
