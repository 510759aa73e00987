"""Plans what a Django project needs to go live: its settings, Procfile, requirements, .python-version and app.json.

Pure: gets the files of the project, returns their new content. Changes only what it recognises and adds to what exists.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field

from greenroom.buildpacks.rules import readiness, settings_edits
from greenroom.buildpacks.rules.package_managers import MANAGERS
from greenroom.buildpacks.rules.python_versions import dotted
from greenroom.buildpacks.rules.secret_key import LARGEST, Read, settings_module

IGNORED = ("__pycache__/", "db.sqlite3", "staticfiles/", ".venv/")
REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)", re.MULTILINE)
INCLUDED = re.compile(r"^\s*-(?:r|-requirement)[ =]?\s*(\S+)", re.MULTILINE)
ADD = {"uv": "uv add {}", "poetry": "poetry add {}", "pipenv": "pipenv install {}"}
VERSION_FILES = (".python-version", "runtime.txt", "Pipfile.lock", "uv.lock")
"""Files that already say which Python the app wants, in Heroku's order."""


@dataclass(frozen=True)
class Change:
    """A file to write. before: None for a new file."""

    path: str
    before: str | None
    after: str
    why: tuple[str, ...]


@dataclass
class Plan:
    """Files to write, commands that only a person may run, and advice."""

    changes: list[Change] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    def write(self, path: str, before: str | None, after: str, *why: str) -> None:
        """Add a change, unless the file has this content."""
        if before != after:
            self.changes.append(Change(path, before, after, why))


@dataclass(frozen=True)
class Project:
    """read: the content of a file, by its path relative to manage.py; files: all paths; python: the project's Python,
    such as (3, 12).
    """

    read: Read
    files: Collection[str]
    python: tuple[int, int]

    def text(self, path: str) -> str | None:
        """The file's text; None without it. Raises ValueError for a file that is not UTF-8 or too large."""
        data = self.read(path)
        if data is not None and len(data) > LARGEST:
            raise ValueError(f"{path} is larger than {LARGEST} bytes")
        try:
            return None if data is None else data.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError(f"{path} is not UTF-8") from None


def plan(project: Project) -> Plan:
    """Plan the changes. Raises ValueError if there is no Django project here or a file cannot be read."""
    if "manage.py" not in project.files:
        raise ValueError("there is no manage.py here")
    found = Plan()
    settings = settings_module(project.read, sorted(project.files))
    packages = _settings(project, settings, found)
    server = _procfile(project, settings, found)
    _requirements(project, [*packages, *server], found)
    _python_version(project, found)
    _ignore(project, found)
    return found


def _settings(project: Project, module: str, found: Plan) -> list[str]:
    """Edit the settings; returns the packages that they need."""
    place = module.replace(".", "/")
    path = next((name for name in (f"{place}.py", f"{place}/__init__.py") if name in project.files), "")
    if not module or not path:
        found.advice.append("The settings module was not found: wsgi.py and manage.py name none in this folder")
        return []
    text = project.text(path) or ""
    try:
        edited = settings_edits.edit(text)
    except (SyntaxError, RecursionError):
        raise ValueError(f"{path} is not valid Python") from None
    found.write(path, text, edited.text, *edited.changes)
    found.advice += [f"{path}: {line}" for line in edited.advice]
    if any(line.startswith("SECRET_KEY") for line in edited.changes):
        _app_json(project, found)
    return [_django(settings_edits.generated_by(text)), *edited.packages]


def _django(version: tuple[int, int] | None) -> str:
    """The requirement of the Django that made the project: its own series."""
    return f"Django>={dotted(version)},<{version[0]}.{version[1] + 1}" if version else "Django"


def _app_json(project: Project, found: Plan) -> None:
    """Let the platform generate SECRET_KEY for new apps."""
    text = project.text("app.json")
    try:
        value = json.loads(text) if text is not None else {}
    except ValueError:
        raise ValueError("app.json is not valid JSON") from None
    env = value.setdefault("env", {}) if isinstance(value, dict) else None
    if not isinstance(env, dict) or "SECRET_KEY" in env:
        return
    env["SECRET_KEY"] = {"description": "Signs sessions and links", "generator": "secret"}
    found.write(
        "app.json", text, json.dumps(value, indent=2) + "\n", "greenroom create gives a new app a SECRET_KEY of its own"
    )


def _procfile(project: Project, settings: str, found: Plan) -> list[str]:
    """Write a Procfile; returns the package of its server."""
    if "Procfile" in project.files:
        return []
    parsed = readiness.read_settings(project.read, settings) if settings else None
    module = readiness.wsgi_module(project.files, parsed)
    if not module:
        found.advice.append("No Procfile was written: there is no wsgi.py")
        return []
    line = f"web: gunicorn {module} --bind 0.0.0.0:$PORT\n"
    found.write("Procfile", None, line, "gunicorn answers requests")
    return ["gunicorn"]


def _requirements(project: Project, packages: list[str], found: Plan) -> None:
    """Add packages to requirements.txt, or name the command of the project's package manager."""
    manager = next((name for file, name in MANAGERS.items() if file in project.files), "")
    if manager in ADD or (not manager and "pyproject.toml" in project.files):
        lock = next((file for file in ("uv.lock", "poetry.lock", "Pipfile.lock") if file in project.files), "")
        known = _names((project.text(lock) if lock else project.text("pyproject.toml")) or "", quoted=True)
        missing = [name for name in packages if not _has(known, name)]
        if missing:
            quoted = " ".join(f"'{name}'" if "[" in name or "<" in name else name for name in missing)
            found.commands.append(ADD[manager or "uv"].format(quoted))
        return
    text = project.text("requirements.txt")
    known = _names(_with_included(project, "requirements.txt", set()), quoted=False)
    missing = [name for name in packages if not _has(known, name)]
    if missing:
        found.write("requirements.txt", text, _appended(text, missing), "the packages that the server needs")


def _appended(text: str | None, lines: list[str]) -> str:
    """The text with more lines, which end as the others do."""
    newline = "\r\n" if "\r\n" in (text or "") else "\n"
    start = text if not text or text.endswith("\n") else text + newline
    return (start or "") + "".join(line + newline for line in lines)


def _with_included(project: Project, path: str, seen: set[str]) -> str:
    """The text of a requirements file and of those that it includes."""
    if path in seen or len(seen) > 20:
        return ""
    seen.add(path)
    text = project.text(path) or ""
    folder = path.rpartition("/")[0]
    names = [f"{folder}/{name}" if folder else name for name in INCLUDED.findall(text)]
    return "\n".join([text, *(_with_included(project, name, seen) for name in names)])


def _names(text: str, *, quoted: bool) -> set[str]:
    """The normalised names of packages in requirements, or all quoted names in a lock file or pyproject.toml."""
    found = re.findall(r"[\"']([A-Za-z0-9][A-Za-z0-9._-]*)", text) if quoted else REQUIREMENT.findall(text)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found}


def _has(known: set[str], requirement: str) -> bool:
    name = re.split(r"[\[<>=~! ]", requirement, maxsplit=1)[0].lower()
    if name == "psycopg":
        return bool(known & {"psycopg", "psycopg2", "psycopg2-binary", "psycopg-binary"})
    return name in known


def _python_version(project: Project, found: Plan) -> None:
    if any(name in project.files for name in VERSION_FILES):
        return
    text = f"{dotted(project.python)}\n"
    found.write(".python-version", None, text, "without it, an app gets the newest Python")


def _ignore(project: Project, found: Plan) -> None:
    text = project.text(".gitignore")
    known = {line.strip().strip("/") for line in (text or "").splitlines()}
    known |= {"db.sqlite3"} if "*.sqlite3" in known else set()
    missing = [name for name in IGNORED if name.strip("/") not in known]
    if missing:
        found.write(".gitignore", text, _appended(text, missing), "files of your own machine stay there")
