"""Tests of the cause of a failed release, found by evidence, and its remedy. Held only if the schema is the cause."""

from __future__ import annotations

import pytest

from greenroom.deliveries.rules.boot_failure import CODE, SCHEMA, SHOWN, UNKNOWN, Seen, judge

TRACE = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n'
EXITED, R10 = "web.1 exited with status 1", "web.1 did not bind to $PORT within its boot time (R10)"
A500 = "web.1 is not healthy: GET / (Host: shop.localhost) answered 500, for 30 s"
NOTHING = "web.1 is not healthy: GET / gave no answer: timed out, for 30 s"


def seen(failure, output="", **words):
    return judge(Seen(app="shop", failure=failure, output=output, host="shop.localhost", **words))


@pytest.mark.parametrize(
    ("failure", "output", "words", "cause"),
    [
        (EXITED, TRACE + 'django.db.utils.ProgrammingError: relation "shop_item" does not exist', {}, SCHEMA),
        (EXITED, TRACE + "psycopg.errors.UndefinedColumn: column shop_item.price does not exist", {}, SCHEMA),
        (EXITED, TRACE + "django.db.utils.OperationalError: no such table: shop_item", {}, SCHEMA),
        (EXITED, TRACE + "django.db.utils.ProgrammingError: must be owner of table shop_item", {}, SCHEMA),
        (EXITED, TRACE + "ModuleNotFoundError: No module named 'shop'", {}, CODE),
        (EXITED, "gunicorn: error: unrecognized arguments: --wrokers", {}, CODE),
        (EXITED, "uwsgi: unable to load configuration", {}, CODE),
        (R10, "Listening at: http://0.0.0.0:8000 (4)", {}, CODE),
        (R10, "", {}, CODE),
        (A500, "", {"about": {"page": {"error": "ProgrammingError: x", "schema": True}}}, SCHEMA),
        (
            EXITED,
            TRACE + "ModuleNotFoundError: No module named 'maf_shop'",
            {"about": {"page": {"error": "ProgrammingError: x", "schema": True}}},
            CODE,
        ),
        (A500, "", {"about": {"page": {"error": "ValueError: Missing staticfiles manifest entry for 'a.css'"}}}, CODE),
        (A500, "", {"about": {"page": {"status": 200}}}, CODE),
        (
            "web.1 is not healthy: GET / answered 404, for 30 s",
            "",
            {"about": {"page": {"status": 404}}, "lacking": ["a.b"]},
            CODE,
        ),
        (A500, "", {"lacking": ["shop_item.price"]}, SCHEMA),
        (A500, "", {}, UNKNOWN),
        (NOTHING, "", {}, UNKNOWN),
        (NOTHING, "", {"lacking": ["shop_item.price"]}, UNKNOWN),
        (NOTHING, "", {"about": {"page": {"status": 200}}}, UNKNOWN),
        (A500, "", {"cells": {"new_old": {"state": "fails"}, "new_new": {"state": "ok"}}}, SCHEMA),
        (
            NOTHING,
            "",
            {"cells": {"new_old": {"state": "fails"}, "new_new": {"state": "fails"}}, "lacking": ["a.b"]},
            CODE,
        ),
    ],
)
def test_the_schema_is_the_cause_only_by_evidence(failure, output, words, cause):
    assert seen(failure, output, **words).cause == cause


@pytest.mark.parametrize(
    ("failure", "output", "words", "hint"),
    [
        (
            "web.1 exited with status 127",
            "bash: line 1: gunicorn: command not found",
            {},
            "add gunicorn to requirements.txt",
        ),
        (
            "web.1 exited with status 127",
            "bash: line 1: gunicorn: command not found",
            {"manager": "uv"},
            "uv add gunicorn",
        ),
        ("web.1 exited with status 127", "sh: 1: exec: daphne: not found", {"manager": "poetry"}, "poetry add daphne"),
        ("web.1 exited with status 127", "bash: line 1: ./serve.sh: not found", {}, "`serve.sh`"),
        (
            EXITED,
            TRACE + "ModuleNotFoundError: No module named 'site.wsgi'; 'site' is not a package",
            {"command": "gunicorn site.wsgi --log-file -", "about": {"wsgi": "shop.wsgi"}},
            "web: gunicorn shop.wsgi --log-file -",
        ),
        (
            EXITED,
            TRACE + "ModuleNotFoundError: No module named 'mysite'",
            {"command": "gunicorn mysite.wsgi:application", "about": {}},
            "`mysite.wsgi`, which does not exist",
        ),
        (
            EXITED,
            TRACE + "ModuleNotFoundError: No module named 'corsheaders'",
            {"command": "gunicorn shop.wsgi"},
            "add django-cors-headers to requirements.txt",
        ),
        (
            EXITED,
            TRACE + "ModuleNotFoundError: No module named 'cgi'",
            {"command": "gunicorn shop.wsgi"},
            "echo 3.12 > .python-version && git add -f .python-version",
        ),
        (EXITED, TRACE + "ModuleNotFoundError: No module named 'distutils.util'", {}, "Python 3.11 was the last one"),
        (
            EXITED,
            TRACE + "django.core.exceptions.ImproperlyConfigured: Error loading psycopg2 or psycopg module",
            {},
            "psycopg[binary] to requirements.txt, commit and push (psycopg2-binary before Django 4.2)",
        ),
        (
            EXITED,
            "ImportError: _psycopg.so: undefined symbol: _PyInterpreterState_Get\n"
            + TRACE
            + "django.core.exceptions.ImproperlyConfigured: Error loading psycopg2 or psycopg module",
            {},
            "does not work with this Python",
        ),
        (
            EXITED,
            TRACE + "ModuleNotFoundError: No module named 'pkg_resources'",
            {},
            "add setuptools<81 to requirements.txt",
        ),
        (
            EXITED,
            TRACE + "ProgrammingError: permission denied for schema public",
            {},
            "greenroom run -a shop python manage.py migrate",
        ),
        (EXITED, TRACE + "KeyError: 'STRIPE_KEY'", {}, "greenroom config:set STRIPE_KEY=... -a shop"),
        (EXITED, TRACE + "KeyError: 'EMAIL_HOST'", {}, "heroku addons:create mail -a shop, or"),
        (
            EXITED,
            TRACE + "KeyError: 'HEROKU_BRANCH'",
            {},
            "HEROKU_BRANCH is reserved and cannot be set: read it with os.environ.get, or use another name",
        ),
        (
            EXITED,
            TRACE + "django.core.exceptions.ImproperlyConfigured: Set the API_URL environment variable",
            {},
            "config:set API_URL=... -a shop",
        ),
        (
            EXITED,
            TRACE + "decouple.UndefinedValueError: TOKEN not found. Declare it as envvar or define a default value.",
            {},
            "config:set TOKEN=... -a shop",
        ),
        ("web.1 is not healthy: GET / answered 400, for 30 s", "", {}, 'ALLOWED_HOSTS = ["shop.localhost"]'),
        (
            R10,
            "[4] [INFO] Listening at: http://127.0.0.1:8000 (4)",
            {"about": {"wsgi": "shop.wsgi"}},
            "it listens on port 8000: bind the port in $PORT",
        ),
        (R10, "Starting development server at http://0.0.0.0:8000/", {}, "port 8000"),
        (
            A500,
            "",
            {"about": {"page": {"error": "ValueError: Missing staticfiles manifest entry for 'css/a.css'"}}},
            "`css/a.css` is not among",
        ),
    ],
)
def test_the_likely_remedy_is_named(failure, output, words, hint):
    assert hint in seen(failure, output, **words).hint


@pytest.mark.parametrize("output", [TRACE + "KeyError: 'name'", "", "hello", TRACE + "ValueError: x"])
def test_nothing_is_proposed_where_nothing_is_known(output):
    assert seen(EXITED, output).hint == ""


def test_the_line_that_tells_most_is_found_among_others():
    found = seen(
        EXITED,
        "WEB_CONCURRENCY is 2, for 512 MB of memory\nbooting\n"
        + TRACE
        + "ModuleNotFoundError: No module named 'x'\n[7] [INFO] Worker exiting (pid: 7)\n",
    )
    assert found.error == "ModuleNotFoundError: No module named 'x'"
    assert (found.lines[0], found.lines[-1]) == ("booting", "[7] [INFO] Worker exiting (pid: 7)"), (
        "the platform's own line is left out"
    )
    assert seen("", "bash: line 1: gunicorn: command not found").error == "gunicorn: command not found"


def test_the_end_of_the_output_is_bounded():
    found = seen(EXITED, "\n".join("x" * 1000 for _ in range(100)))
    assert len(found.lines) == SHOWN
    assert max(map(len, found.lines)) <= 240
