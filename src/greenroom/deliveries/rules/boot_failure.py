"""Determines why a web process did not boot, from its last output, the radar and the rehearsal, and suggests a remedy.
Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from greenroom.addons.rules import diagnosis
from greenroom.addons.rules.services import creating
from greenroom.buildpacks.inside import removed_modules
from greenroom.config_vars.rules import reserved

SHOWN = 15
"""Lines of the dyno's output to print."""
WIDEST = 240
SCHEMA, CODE, UNKNOWN = "schema", "code", "unknown"
"""Causes: a missing table or column; any other error; not determined."""

OWN = "WEB_CONCURRENCY is "
"""Prefix of the line that the platform writes before a web process starts."""
BY_SCHEMA = re.compile(
    r"UndefinedTable|UndefinedColumn|relation \"[^\"]+\" does not exist|column [\w.\"]+ (of relation \"[^\"]+\" )?does"
    r" not exist|no such (table|column)"
    r"|Table '[^']+' doesn't exist|Unknown column"
)
ERROR = re.compile(
    r"^(?:[\w.]+: )?(?:[A-Za-z_][\w.]*(?:Error|Exception|Warning|Exit|Configured|DoesNotExist|Undefined\w+)\b.*)$"
)
NOT_FOUND = re.compile(r"(?:^|: )([\w./+-]+): (?:command )?not found\s*$|exec: ([\w./+-]+): not found", re.M)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The evidence about a release that did not boot.

    failure: the platform's sentence on the dyno. output: the end of its output. command: of the web process. manager:
    pip, uv, poetry, pipenv.
    about: the radar's {wsgi, page, ...}. lacking: columns that the code needs and the database does not have. cells: of
    the rehearsal.
    """

    app: str
    failure: str
    output: str = ""
    command: str = ""
    manager: str = "pip"
    host: str = ""
    about: Mapping[str, Any] | None = None
    lacking: Sequence[str] = ()
    cells: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Finding:
    """cause: schema, code or unknown. error: the most relevant line. lines: the end of the output. hint: the likely
    remedy. Each may be empty.
    """

    cause: str
    error: str = ""
    lines: tuple[str, ...] = ()
    hint: str = ""


def judge(seen: Seen) -> Finding:
    """Diagnose the failure. The hint is empty if the user has to read the log."""
    lines = tuple(
        line.rstrip()[:WIDEST] for line in seen.output.splitlines() if line.strip() and not line.startswith(OWN)
    )
    page = (seen.about or {}).get("page") or {}
    error = _error(lines) or (str(page.get("error") or "") if "answered" in seen.failure else "")
    text = "\n".join(lines) + "\n" + error
    hint = next((found for remedy in REMEDIES if (found := remedy(seen, text))), "")
    return Finding(_cause(seen, text, page), error[:WIDEST], lines[-SHOWN:], hint)


def _error(lines: Sequence[str]) -> str:
    """The line of the last exception, or of a command that was not found."""
    found = [line for line in lines if ERROR.match(line) or NOT_FOUND.search(line)]
    return re.sub(r"^(?:/bin/)?bash: line \d+: ", "", found[-1]) if found else ""


def _cause(seen: Seen, text: str, page: Mapping[str, Any]) -> str:
    """SCHEMA for a missing table or column, and for a migrate that the database refused. CODE for a crash or a missing
    port without such an error.

    Otherwise the rehearsal decides, then the page check.
    """
    if BY_SCHEMA.search(text) or diagnosis.refusal(text):
        return SCHEMA
    if not re.search(r"answered \d|no answer", seen.failure):
        return CODE  # it never answered, so what the radar's page says of the schema is not its cause
    if page.get("schema"):
        return SCHEMA
    cells = seen.cells or {}
    before, after = (str((cells.get(name) or {}).get("state")) for name in ("new_old", "new_new"))
    if after == "fails":
        return CODE
    if before == "fails" and after == "ok":
        return SCHEMA
    if page.get("error") or ("answered" in seen.failure and page.get("status")):
        return CODE  # the page ran on this schema: no missing table, or it works there
    return SCHEMA if seen.lacking and "answered 5" in seen.failure else UNKNOWN


def _install(manager: str, package: str) -> str:
    return {
        "uv": f"uv add {package}, commit and push",
        "poetry": f"poetry add {package}, commit and push",
        "pipenv": f"pipenv install {package}, commit and push",
    }.get(manager, f"add {package} to requirements.txt, commit and push")


SERVERS = frozenset({"gunicorn", "uvicorn", "daphne", "hypercorn", "waitress-serve", "uwsgi", "celery", "granian"})
PACKAGES = {
    "waitress-serve": "waitress",
    "environ": "django-environ",
    "decouple": "python-decouple",
    "psycopg2": "psycopg2-binary",
    "PIL": "pillow",
    "rest_framework": "djangorestframework",
    "corsheaders": "django-cors-headers",
    "debug_toolbar": "django-debug-toolbar",
    "yaml": "PyYAML",
    "dotenv": "python-dotenv",
    "crispy_forms": "django-crispy-forms",
    "allauth": "django-allauth",
    "storages": "django-storages",
    "MySQLdb": "mysqlclient",
    "bs4": "beautifulsoup4",
    "ckeditor": "django-ckeditor",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "django_celery_beat": "django-celery-beat",
    "django_extensions": "django-extensions",
    "django_filters": "django-filter",
    "import_export": "django-import-export",
    "jwt": "PyJWT",
    "rest_framework_simplejwt": "djangorestframework-simplejwt",
    "sklearn": "scikit-learn",
    "widget_tweaks": "django-widget-tweaks",
}
"""Commands and modules whose name differs from their package's."""


def _no_command(seen: Seen, text: str) -> str:
    match = NOT_FOUND.search(text)
    if match is None:
        return ""
    name = (match[1] or match[2]).rpartition("/")[2]
    if name in SERVERS:
        return _install(seen.manager, PACKAGES.get(name, name))
    return f"correct the web line of the Procfile, or add the package that provides `{name}` to the requirements"


def _wsgi(seen: Seen) -> str:
    """``shop.wsgi`` in ``gunicorn shop.wsgi:application --bind ...``; empty for another server."""
    match = re.search(
        r"\b(?:gunicorn|uwsgi|waitress-serve)\b[^|;&]*?\s([A-Za-z_][\w.]*)(?::\w+)?(?=\s|$)", seen.command
    )
    return match[1] if match else ""


def _wrong_module(seen: Seen, text: str) -> str:
    named, right = _wsgi(seen), str((seen.about or {}).get("wsgi") or "")
    missing = re.search(r"No module named '([\w.]+)'", text)
    about_it = "Failed to find attribute" in text or (
        missing is not None and named and (named + ".").startswith(missing[1] + ".")
    )
    if not (named and about_it):
        return ""
    if right and right != named:
        return (
            f"the Procfile starts `{named}`, the settings name `{right}`: web: {seen.command.replace(named, right, 1)}"
        )
    return f"the Procfile starts `{named}`, which does not exist: use the module of WSGI_APPLICATION in the settings"


def _removed_module(seen: Seen, text: str) -> str:
    return removed_modules.remedy(text)


def _no_module(seen: Seen, text: str) -> str:
    match = re.search(r"No module named '([\w.]+)'", text)
    name = match[1].partition(".")[0] if match else ""
    if name == "pkg_resources":  # no package of this name exists, and anyone could register it
        older = _install(
            seen.manager, "'setuptools<81'" if seen.manager in ("uv", "poetry", "pipenv") else "setuptools<81"
        )
        return f"{older}: newer ones have no pkg_resources; or use a newer version of the package that needs it"
    return _install(seen.manager, PACKAGES.get(name, name)) + f" (the package of the module {name})" if name else ""


def _no_driver(seen: Seen, text: str) -> str:
    if "Error loading psycopg2 or psycopg module" not in text:
        return ""
    if UNFIT.search(text):
        return "the installed psycopg2 does not work with this Python: use a newer psycopg2-binary, or an older Python"
    return f"{_install(seen.manager, 'psycopg[binary]')} (psycopg2-binary before Django 4.2)"


UNFIT = re.compile(r"undefined symbol: _?Py|SystemError: initialization of _psycopg")
"""A driver that was built for another Python."""


VARIABLES = (
    re.compile(r"^KeyError: '([A-Z][A-Z0-9_]{2,})'", re.M),
    re.compile(r"Set the ([A-Z][A-Z0-9_]+) environment variable"),
    re.compile(r"UndefinedValueError: ([A-Z][A-Z0-9_]+) not found"),
    re.compile(r"The (SECRET_KEY) setting must not be empty"),
)


def _no_such_server(seen: Seen, text: str) -> str:
    return diagnosis.remedy(text)


def _no_variable(seen: Seen, text: str) -> str:
    found = next((match[1] for pattern in VARIABLES if (match := pattern.search(text))), "")
    if reserved(found):
        return f"{found} is reserved and cannot be set: read it with os.environ.get, or use another name"
    made = creating(found)
    first = f"{made} -a {seen.app}, or " if made else ""
    return f"{first}greenroom config:set {found}=... -a {seen.app}" if found else ""


def _host(seen: Seen, text: str) -> str:
    if "answered 400" not in seen.failure and "Invalid HTTP_HOST header" not in text:
        return ""
    return (
        f'Django rejects the host name: ALLOWED_HOSTS = ["{seen.host}"] in the settings, or read it from'
        " HEROKU_APP_DEFAULT_DOMAIN_NAME"
    )


def _port(seen: Seen, text: str) -> str:
    if "R10" not in seen.failure:
        return ""
    match = re.search(
        r"(?:Listening at|[Rr]unning on|[Ll]istening on|development server at)\W+(?:\w+:/+)?[\w.\[\]:*]*?:(\d{2,5})\b",
        text,
    )
    where = f"it listens on port {match[1]}: " if match else ""
    return (
        f"{where}bind the port in $PORT, as in web: gunicorn {(seen.about or {}).get('wsgi') or 'NAME.wsgi'!s} --bind"
        " 0.0.0.0:$PORT"
    )


def _static(seen: Seen, text: str) -> str:
    match = re.search(r"Missing staticfiles manifest entry for '([^']+)'", text)
    return (
        f"`{match[1]}` is not among the collected static files: correct the name in the template, or add the file and"
        " commit it"
        if match
        else ""
    )


def _refused(seen: Seen, text: str) -> str:
    found = diagnosis.refusal(text, seen.app)
    return found.hint if found else ""


REMEDIES: tuple[Callable[[Seen, str], str], ...] = (
    _refused,
    _no_command,
    _no_driver,
    _no_such_server,
    _wrong_module,
    _removed_module,
    _no_module,
    _no_variable,
    _static,
    _port,
    _host,
)
"""Tried in this order; the first match wins."""
