"""Explains the output of a failed installer or collectstatic: the problem and its remedy. Pure; standard library
only.
"""

from __future__ import annotations

import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import compilers
import removed_modules

INSTALL = (
    (
        "No module named 'pkg_resources'",
        "A package's build needs a setuptools that still has pkg_resources.",
        "use a newer version of the package",
    ),
    (
        "Please use pip<24.1",
        "A package has metadata that installers no longer read (celery before 5.2.1 is one).",
        "use a newer version of the package",
    ),
    (
        "is incompatible with the project's Python requirement",
        "pyproject.toml does not allow the chosen Python version.",
        "let .python-version and requires-python agree",
    ),
    (
        "The Python request from",
        "pyproject.toml does not allow the chosen Python version.",
        "let .python-version and requires-python agree",
    ),
    ("needs to be updated", "uv.lock does not match pyproject.toml.", "uv lock && git add uv.lock"),
    ("Hash mismatch", "A package does not match its locked hash.", "find out why it changed, then lock again"),
    (
        "require-hashes",
        "Some requirements have hashes and others have none; with hashes, all need them.",
        "pip-compile --generate-hashes, or uv pip compile --generate-hashes",
    ),
    (
        "error sending request",
        "The package index could not be reached.",
        "try again later, or ask the operator about the index",
    ),
    (
        "operation timed out",
        "The package index could not be reached.",
        "try again later, or ask the operator about the index",
    ),
    ("dns error", "The package index could not be reached.", "try again later, or ask the operator about the index"),
    ("No space left on device", "There is no space left on the disk of this host.", "greenroom doctor"),
)
LOCKED = (
    (
        "is out of date. Expected",
        "Pipfile.lock does not match Pipfile; builds install the locked packages.",
        "pipenv lock && git add Pipfile.lock",
    ),
    (
        "pyproject.toml changed significantly",
        "poetry.lock does not match pyproject.toml; builds install the locked packages.",
        "poetry lock && git add poetry.lock",
    ),
    (
        "is not allowed by the project",
        "pyproject.toml does not allow the chosen Python version.",
        "let .python-version and requires-python agree",
    ),
    (
        "THESE PACKAGES DO NOT MATCH THE HASHES",
        "A package does not match its locked hash.",
        "find out why it changed, then lock again",
    ),
    (
        "not found in known hashes",
        "A package does not match its locked hash.",
        "find out why it changed, then lock again",
    ),
    ("Invalid hashes", "A package does not match its locked hash.", "find out why it changed, then lock again"),
    (
        "Unable to find installation candidates",
        "The package index has no file for a locked package on this machine.",
        "lock again; if you use a private index, set it in [[tool.poetry.source]]",
    ),
    (
        "All attempts to connect to",
        "The package index could not be reached.",
        "try again later; if you use a private index, set it in [[tool.poetry.source]]",
    ),
    (
        "could not be installed: No file/folder found",
        "poetry tried to install the project itself, but found no package with its name.",
        "package-mode = false in [tool.poetry]",
    ),
)
PIPFILE = re.compile(
    r"Your Pipfile requires \W*python_(?:full_)?version\W+([0-9.]+[0-9]).*?you are using \W*([0-9.]+[0-9])"
)
"""pipenv's warning, after which it exits without repeating it."""
REASONS = (
    ("SyntaxError", "collectstatic-syntax-error"),
    ("ImproperlyConfigured", "collectstatic-improper-configuration"),
    ("The CSS file", "collectstatic-fancy-references"),
    ("OSError", "collectstatic-missing-file"),
)
"""Heroku's ids, by the first substring that the output contains."""

VARIABLE = (
    re.compile(r"environ.*KeyError: ['\"]([A-Za-z_][A-Za-z0-9_]*)['\"]", re.DOTALL),
    re.compile(r"Set the ([A-Za-z_][A-Za-z0-9_]*) environment variable"),
    re.compile(r"UndefinedValueError: ([A-Za-z_][A-Za-z0-9_]*) not found"),
    re.compile(r"Environment variable [\"']([A-Za-z_][A-Za-z0-9_]*)[\"'] (?:is )?not set"),
)
"""Messages for a missing variable in the settings: os.environ, django-environ, python-decouple, environs."""

SSL = (
    "The settings require TLS for PostgreSQL (sslmode=require), and the external server of this installation has none."
)
SSL_HINT = (
    "ssl_require=False for dj_database_url.config(), or read it from a config var: ssl_require=not"
    " os.environ.get('DATABASE_SSL_OFF')"
)
STATIC = (
    (
        "without having set the STATIC_ROOT",
        "STATIC_ROOT is not set in the settings.",
        'in the settings: STATIC_ROOT = BASE_DIR / "staticfiles", or os.path.join(BASE_DIR, "staticfiles") if BASE_DIR'
        " is a string",
    ),
    (
        "SECRET_KEY setting must not be empty",
        "SECRET_KEY is empty: the config var is not set.",
        "greenroom config:set SECRET_KEY=...",
    ),
    ("Missing staticfiles manifest entry", "A reference to a static file is broken.", "correct the name"),
    (
        "undefined symbol: _Py",
        "A package was built for another version of Python and does not load.",
        "use a newer version of it, or an older Python in .python-version",
    ),
    (
        "SystemError: initialization of _psycopg",
        "The installed psycopg2 does not work with this Python.",
        "use a newer psycopg2-binary, or an older Python in .python-version",
    ),
    (
        "Error loading psycopg",
        "The settings use PostgreSQL, and no driver for it is installed.",
        "add psycopg[binary] to the requirements (psycopg2-binary before Django 4.2)",
    ),
    (
        "No module named 'pkg_resources'",
        "A package needs pkg_resources, which setuptools 81 and newer do not have.",
        "add setuptools<81 to the requirements, or use a newer version of the package",
    ),
    (
        "Error loading MySQLdb",
        "The settings use MySQL, and no driver for it is installed.",
        "add mysqlclient to the requirements",
    ),
    ("server does not support SSL", SSL, SSL_HINT),
    ("ModuleNotFoundError", "A module is missing.", "add its package to the requirements"),
    (
        "OperationalError",
        "The settings or the apps access the database while they are loaded.",
        "access the database later, not at import",
    ),
    (
        "FileNotFoundError",
        "A file or folder that the settings name does not exist.",
        "commit it, or correct STATICFILES_DIRS",
    ),
    ("SyntaxError", "A file cannot be read as Python.", "see the line above; the version in .python-version counts"),
)
REFERENCE = re.compile(r"The file ['\"](?P<gone>[^'\"]+)['\"] could not be found with")
NAMED_BY = re.compile(
    r"The (?:CSS|JS|file|\w+) file ['\"](?P<by>[^'\"]+)['\"] references a file which could not be"
    r" found:?\s*(?P<ref>\S+)"
)
PROCESSING = re.compile(r"Post-processing ['\"](?P<by>[^'\"]+)['\"] failed")
"""The message of Django's ManifestStaticFilesStorage with the file that contains a broken reference."""
SKIP = "greenroom config:set DISABLE_COLLECTSTATIC=1 if the app has no static files"


def installer(text, code):
    """(message, hint) for uv's output."""
    if missing := compilers.explain(text):
        return missing
    for mark, message, hint in INSTALL:
        if mark in text:
            return message, hint
    if failed := compilers.not_built(text):
        return failed
    said = [line.strip() for line in text.splitlines() if line.strip().startswith(("error:", "cause:", "\u00d7"))]
    last = "\n".join(said[-3:]) or "\n".join(text.splitlines()[-3:])
    return (
        "Installing the dependencies failed (exit code %d).\n%s"
        % (
            code,
            last[:1500],
        ),
        "correct the requirements and push again",
    )


def locked(tool, text, code):
    """(message, hint) for the output of pipenv or poetry."""
    flat = " ".join(text.split())
    python = PIPFILE.search(flat)
    if python:
        return (
            "Pipfile requires Python %s, and %s was chosen." % python.groups(),
            "let .python-version and [requires] of Pipfile agree, then: pipenv lock",
        )
    for mark, message, hint in LOCKED:
        if mark in flat:
            return message, hint
    if missing := compilers.explain(text):
        return missing
    for mark, message, hint in INSTALL:
        if mark in text:
            return message, hint
    if failed := compilers.not_built(text):
        return failed
    last = "\n".join(line for line in text.splitlines()[-6:] if line.strip())
    return (
        "%s failed (exit code %d).\n%s" % (tool, code, last[:1500]),
        "correct the lock file and push again",
    )


def nltk(text):
    """(reason, message, hint) for the output of a failed download of NLTK's corpora."""
    flat = " ".join(re.sub(r"\[nltk_data\]", " ", text).split())
    found = re.search(r"Error loading .{1,300}?(?=Error installing|Traceback|$)", flat)
    said = "The NLTK corpora of nltk.txt could not be downloaded." + ("\n" + found.group().strip() if found else "")
    if "not found in index" in flat:
        return "nltk-downloader", said, "correct the names in nltk.txt"
    if found:
        return (
            "nltk-downloader",
            said,
            "push again later; the corpora come from raw.githubusercontent.com, which must be reachable",
        )
    return "nltk-downloader", said, "see the output above"


def collectstatic(manage, text):
    """(reason, message, hint) for the output of a failed collectstatic."""
    reason = next((found for mark, found in REASONS if mark in text), "collectstatic-other")
    message = "`python %s collectstatic --noinput` failed." % manage
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    missing = next((found.group(1) for found in (pattern.search(text) for pattern in VARIABLE) if found), "")
    if missing.startswith(("HEROKU_", "GREENROOM_", "__")) or missing in ("PORT", "DYNO"):
        why = (
            " The settings need %s, which dynos of a release have, but builds do not. The name is reserved, so it"
            " cannot be set." % missing
        )
        return reason, message + why, 'read it with a default: os.environ.get("%s", "")' % missing
    if missing:
        return (
            reason,
            message + " The settings need the config var %s, which is not set." % missing,
            "greenroom config:set %s=..." % missing,
        )
    if REFERENCE.search(text) or NAMED_BY.search(text):
        return (reason, message + " " + reference(text)[0], reference(text)[1])
    if removed := removed_modules.remedy(text):
        return reason, message + " A module is missing.\n" + last[:500], removed
    for mark, why, hint in STATIC:
        if mark in text:
            return reason, message + " " + why + "\n" + last[:500], hint
    return reason, message + "\n" + last[:500], "read the traceback above; " + SKIP


def reference(text):
    """(message, hint) for a static file with a broken reference: both names, and the kind of reference."""
    named, gone, during = NAMED_BY.search(text), REFERENCE.search(text), PROCESSING.search(text)
    by = named.group("by") if named else during.group("by") if during else ""
    missing = named.group("ref") if named else gone.group("gone") if gone else ""
    missing = missing.strip("'\"<>,.") if missing else ""
    if missing.endswith(".map"):
        hint = "commit the source map beside it, or delete the last line of %s (sourceMappingURL)" % (by or "the file")
    else:
        hint = "add %s to the static files and commit it, or correct the name in %s" % (
            missing,
            by or "the file that references it",
        )
    return "%s references %s, which does not exist." % (by or "A static file", missing), hint
