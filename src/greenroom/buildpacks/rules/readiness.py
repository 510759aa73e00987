"""Finds what a Django app lacks before it fails for it: a Procfile, its server, a database driver, STATIC_ROOT. Pure.

Parses the settings and executes nothing. Settings that cannot be followed completely give no line: a false alarm would
be worse than none. The radar reports SQLite, DEBUG and startproject's SECRET_KEY from the loaded settings.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from greenroom.buildpacks.rules.secret_key import LARGEST, MOST_FILES, STARTERS, Read, absolute

SERVERS = {
    "gunicorn": "gunicorn",
    "uvicorn": "uvicorn",
    "daphne": "daphne",
    "hypercorn": "hypercorn",
    "granian": "granian",
    "waitress-serve": "waitress",
    "uwsgi": "uwsgi",
    "celery": "celery",
}
"""Program of a Procfile -> its package."""
RUNNERS = frozenset({"exec", "nohup", "time", "nice"})
"""Programs that start the next word."""
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
DRIVERS = ("psycopg", "psycopg2", "psycopg2_binary", "psycopg2-binary", "psycopg2cffi", "psycopg_binary")
"""Names of distributions of PostgreSQL drivers, as their metadata folders spell them."""
URL_READERS = frozenset({"dj_database_url", "DATABASE_URL"})
POSTGRES = "django.db.backends.postgresql"
STATICFILES, ADMIN = "django.contrib.staticfiles", "django.contrib.admin"
DYNAMIC = frozenset(
    {"django_heroku", "django_on_heroku", "split_settings", "configurations", "locals", "globals", "exec"}
)
"""Names by which settings are set in a way that their text does not show."""
STATIC_ROOT = 'STATIC_ROOT = BASE_DIR / "staticfiles", or os.path.join(BASE_DIR, "staticfiles") if BASE_DIR is a string'
STATIC_SERVERS = ("whitenoise", "servestatic", "dj_static", "dj-static", "static3")
"""Names of distributions that serve static files, as their metadata folders spell them."""
OWN_STORAGES = ("whitenoise.", "django.")
"""Beginnings of storage classes that need STATIC_ROOT."""
BUCKETS = frozenset({"AWS_STORAGE_BUCKET_NAME", "GS_BUCKET_NAME", "AZURE_CONTAINER", "CLOUDINARY_STORAGE"})
"""Settings of storages for uploaded files outside of the dyno."""
STORAGE = re.compile(r"[A-Za-z_][\w.]{0,150}\.\w{0,60}(?:Storage|S3Boto3|GoogleCloud)\w{0,60}\Z")


@dataclass
class Settings:
    """All modules of the settings: strings, names that are used, and names that are assigned. whole: every import that
    could assign a setting was followed.
    """

    strings: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    assigned: dict[str, str] = field(default_factory=dict)
    whole: bool = True


@dataclass(frozen=True, kw_only=True)
class App:
    """The facts before the app's tree is built. package: whether a distribution is installed; program: whether the
    environment has a program. hooked: a hook may still install some. keeps_files: whether the app has a volume.
    """

    files: tuple[str, ...]
    process_types: Mapping[str, str]
    has_procfile: bool
    is_django: bool
    package: Callable[[str], bool]
    program: Callable[[str], bool]
    hooked: bool = False
    collects: bool = True
    keeps_files: bool = True
    name: str = "APP"


def lacks(app: App, settings: Settings | None, collecting: Settings | None) -> list[str]:
    """One line for each thing that the app lacks, with its remedy. settings: those of wsgi.py; collecting: those of
    manage.py, which collectstatic uses. None if there are none.
    """
    found = [_procfile(app, settings)]
    if not app.hooked:
        found += [_server(app), _driver(app, settings)]
    statics = [_static_root(app, collecting), "" if app.hooked else _static_server(app, collecting)]
    return [line for line in (*found, *statics, _media_root(app, settings)) if line]


def _procfile(app: App, settings: Settings | None) -> str:
    if app.has_procfile or not app.is_django:
        return ""
    module = wsgi_module(app.files, settings) or "NAME.wsgi"
    return (
        "There is no Procfile, so nothing will answer requests: echo 'web: gunicorn"
        f" {module} --bind 0.0.0.0:$PORT' > Procfile && git add Procfile"
    )


def wsgi_module(files: Iterable[str], settings: Settings | None) -> str:
    """The WSGI module, from WSGI_APPLICATION or the path of wsgi.py; empty without either."""
    named = (settings.assigned.get("WSGI_APPLICATION") or "") if settings else ""
    if "." in named:
        return named.rpartition(".")[0]
    found = sorted((name for name in files if name.rpartition("/")[2] == STARTERS[0]), key=lambda name: name.count("/"))
    return found[0].removesuffix(".py").replace("/", ".") if found and found[0].count("/") == 1 else ""


def _server(app: App) -> str:
    for kind, command in app.process_types.items():
        for name in programs(command):
            if name in SERVERS and not app.program(name):
                package = SERVERS[name]
                return (
                    f"The Procfile starts {kind} with {name}, which is not installed: add {package} to the requirements"
                )
    return ""


def programs(command: str) -> list[str]:
    """The programs that a command of the Procfile starts, as far as they are plain words."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=";&|")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:  # an open quote
        return []
    found, first = [], True
    for word in words:
        if not word.strip(";&|"):
            first = True
        elif first and word not in RUNNERS and not ASSIGNMENT.match(word):
            found.append(word)
            first = False
    return found


def _driver(app: App, settings: Settings | None) -> str:
    if settings is None or not app.is_django or any(app.package(name) for name in DRIVERS):
        return ""
    environ = "environ" in settings.names and {"db", "db_url"} & settings.names  # env.db() of django-environ
    if not (environ or URL_READERS & (settings.names | settings.strings) or POSTGRES in settings.strings):
        return ""
    return (
        "The settings use PostgreSQL, and no driver for it is installed: add psycopg[binary] to the requirements"
        " (psycopg2-binary before Django 4.2)"
    )


def _static_root(app: App, settings: Settings | None) -> str:
    if settings is None or "STATIC_ROOT" in settings.assigned or not _has_statics(app, settings):
        return ""
    return f"STATIC_ROOT is not set, which collectstatic needs: in the settings: {STATIC_ROOT}"


def _static_server(app: App, settings: Settings | None) -> str:
    if settings is None or "web" not in app.process_types or not _has_statics(app, settings):
        return ""
    if any(app.package(name) for name in STATIC_SERVERS):
        return ""
    return (
        "Nothing serves the static files while DEBUG is off: add whitenoise to the requirements, and"
        " whitenoise.middleware.WhiteNoiseMiddleware after SecurityMiddleware to MIDDLEWARE"
    )


def _has_statics(app: App, settings: Settings) -> bool:
    """Whether there are static files to collect and to serve from this dyno, as far as the settings can be followed."""
    if not (app.is_django and app.collects and settings.whole) or STATICFILES not in settings.strings:
        return False
    own = "STATICFILES_DIRS" in settings.assigned or any("/static/" in f"/{name}" for name in app.files)
    if not (own or ADMIN in settings.strings):
        return False  # there may be nothing to collect
    return not any(STORAGE.match(text) and not text.startswith(OWN_STORAGES) for text in settings.strings)


def _media_root(app: App, settings: Settings | None) -> str:
    if settings is None or app.keeps_files or not (app.is_django and settings.whole):
        return ""
    if "MEDIA_ROOT" not in settings.assigned or BUCKETS & (settings.names | settings.strings):
        return ""
    if any(STORAGE.match(text) and not text.startswith(OWN_STORAGES) for text in settings.strings):
        return ""  # files are kept elsewhere
    return (
        "MEDIA_ROOT is a folder of the dyno, so uploaded files are lost when it restarts. To keep them: greenroom"
        f" volumes:create media --at /app/media -a {app.name}"
    )


def read_settings(read: Read, module: str) -> Settings | None:
    """The settings of this module, with those that it imports from the app's own tree; None if it is not there."""
    found, todo, seen = Settings(), [module], set()
    while todo:
        name = todo.pop(0)
        if name in seen:
            continue
        seen.add(name)
        path, tree = _parsed(read, name) if len(seen) <= MOST_FILES else ("", None)
        if tree is None:
            if name == module:
                return None
            found.whole = False
            continue
        _take(tree, found)
        todo += _imported(tree, name, path, found)
    return found


def _parsed(read: Read, module: str) -> tuple[str, ast.Module | None]:
    place = module.replace(".", "/")
    for path in (f"{place}.py", f"{place}/__init__.py"):
        data = read(path)
        if data is None or len(data) > LARGEST:
            continue
        try:
            return path, ast.parse(data)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return path, None
    return "", None


def _take(tree: ast.Module, found: Settings) -> None:
    """Add the strings and names of one module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.strings.add(node.value)
        elif isinstance(node, ast.Name | ast.Attribute):
            found.names.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.names |= {alias.name.partition(".")[0] for alias in node.names}
            found.names.add((getattr(node, "module", "") or "").partition(".")[0])
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            value = node.value.value if isinstance(node.value, ast.Constant) else ""
            for name in (one.id for target in targets for one in ast.walk(target) if isinstance(one, ast.Name)):
                found.assigned[name] = value if isinstance(value, str) else ""
    if DYNAMIC & found.names:
        found.whole = False


def _imported(tree: ast.Module, module: str, path: str, found: Settings) -> list[str]:
    """Modules whose settings this one takes over: ``from x import *``, ``from x import STATIC_ROOT``."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if any(alias.name == "*" for alias in node.names):
                names.append(absolute(node, module, path))
            for alias in node.names:
                if (alias.asname or alias.name).isupper():
                    found.assigned.setdefault(alias.asname or alias.name, "")
    return names
