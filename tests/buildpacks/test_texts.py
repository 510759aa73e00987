"""The first and last lines of a build: the source of Python's version, and the cause of an installer's error. Also the
key of an environment.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenroom.buildpacks.inside import explain, install
from greenroom.buildpacks.rules import plan, python_versions
from greenroom.buildpacks.rules.app_files import read_procfile
from greenroom.buildpacks.rules.python_versions import Interpreter, Request
from greenroom.buildpacks.rules.requirements import SEEDS, seeds

HERE = Interpreter((3, 12, 14), "/usr/bin/python3.12")


@pytest.mark.rule("3.13")
@pytest.mark.parametrize(
    ("request_", "line", "warned"),
    [
        (Request((3, 12), ".python-version"), "Using Python 3.12.14 specified in .python-version", False),
        (Request((3, 12, 14), "runtime.txt"), "Using Python 3.12.14 specified in runtime.txt", True),
        (Request((3, 12), "Pipfile.lock"), "Using Python 3.12.14 specified in Pipfile.lock", False),
        (
            Request((3, 12), "cached"),
            "No Python version was specified. Using the same major version as the last build: Python 3.12.14",
            True,
        ),
        (
            Request((3, 12), "default"),
            "No Python version was specified. Using the buildpack default: Python 3.12.14",
            True,
        ),
    ],
)
def test_the_first_line_says_where_the_version_was_found(request_, line, warned):
    choice = python_versions.choose(request_, [HERE])
    assert choice.line == line
    assert bool(choice.warnings) is warned


@pytest.mark.rule("5.21")
@pytest.mark.parametrize(
    ("output", "word", "remedy"),
    [
        ("error: [Errno 2] No such file or directory: 'gdal-config'", "gdal-config", "wheels"),
        ("src/module.c:12: fatal error: sqlite3.h: No such file or directory", "sqlite3.h", "wheel"),
        (
            "celery 5.0.5 has invalid metadata. Please use pip<24.1 if you need to use this version.",
            "celery before 5.2.1",
            "newer version",
        ),
        ("Error: pg_config executable not found.", "pg_config", "psycopg2-binary"),
        ("error: something else\ncause: of it", "something else", "correct the requirements"),
    ],
)
def test_known_causes_of_a_failed_installation_are_explained(output, word, remedy):
    message, hint = explain.installer(output, 1)
    assert word in message
    assert remedy in hint


@pytest.mark.rule("9.6")
@pytest.mark.parametrize(
    ("output", "message", "remedy"),
    [
        (
            'File "settings.py"\n  os.environ["API_URL"]\nKeyError: \'API_URL\'',
            "API_URL, which is not set",
            "greenroom config:set API_URL=",
        ),
        (
            "django.core.exceptions.ImproperlyConfigured: Set the REDIS_URL environment variable",
            "REDIS_URL",
            "config:set REDIS_URL=",
        ),
        ("decouple.UndefinedValueError: MAIL_HOST not found. Declare it", "MAIL_HOST", "config:set MAIL_HOST="),
        (
            "ImproperlyConfigured: ... without having set the STATIC_ROOT setting to a filesystem path",
            "STATIC_ROOT",
            "STATIC_ROOT = ",
        ),
        ("ModuleNotFoundError: No module named 'cgi'", "A module is missing", "echo 3.12 > .python-version"),
        ("ModuleNotFoundError: No module named 'redis'", "A module is missing", "requirements"),
        ("django.db.utils.OperationalError: connection refused", "access the database", "not at import"),
        ("something odd", "something odd", "DISABLE_COLLECTSTATIC=1"),
    ],
)
def test_a_failed_collectstatic_names_the_one_fix(output, message, remedy):
    _, text, hint = explain.collectstatic("manage.py", output)
    assert message in text
    assert remedy in hint


@pytest.mark.rule("5.20")
def test_pip_itself_and_up_to_python_3_12_setuptools_are_part_of_pips_environment():
    assert seeds((3, 12)) == f"{SEEDS['pip']}\n{SEEDS['setuptools']}\n"
    assert seeds((3, 13)) == f"{SEEDS['pip']}\n"
    assert (
        seeds((3, 9))
        == "pip==26.0.1 --hash=sha256:bdb1b08f4274833d62c1aa29e20907365a2ceb950410df15fc9521bad440122b\n"
        + f"{SEEDS['setuptools']}\n"
    )
    assert seeds((3, 8)).startswith("pip==25.0.1 ")
    assert seeds((3, 7)) == ""
    assert install.without(seeds((3, 12)), "setuptools==75.0.0 --hash=sha256:" + "0" * 64) == f"{SEEDS['pip']}\n"


@pytest.mark.rule("6.9")
def test_another_interpreter_starts_from_nothing():
    key = plan.environment_key(HERE, "pip", "digest")
    assert key == plan.environment_key(replace(HERE), "pip", "digest")
    assert (
        len(
            {
                key,
                *(
                    plan.environment_key(other, "pip", "digest")
                    for other in (replace(HERE, version=(3, 12, 13)), replace(HERE, path="/x"))
                ),
            }
        )
        == 3
    )


@pytest.mark.rule("13.6")
def test_process_types_may_have_dashes_and_underscores_and_lines_may_end_as_on_windows():
    text = b"\xef\xbb\xbfexample-worker: a\r\nmy_clock: b --at 10:30\r\n\r\n# old: c\r\n"
    assert read_procfile(text) == {"example-worker": "a", "my_clock": "b --at 10:30"}


@pytest.mark.parametrize(
    ("tool", "said", "text"),
    [
        (
            "pipenv",
            (
                'Warning: Your Pipfile requires "python_version" 3.12, but you are using 3.13.3 from'
                " /app/.heroku/python/bin/python"
            ),
            "Pipfile requires Python 3.12, and 3.13.3",
        ),
        (
            "uv",
            (
                "error: The requested interpreter resolved to Python 3.11.2, which is incompatible with the project's"
                " Python requirement: `>=3.12`"
            ),
            "does not allow the chosen Python",
        ),
    ],
)
def test_a_python_that_the_lock_does_not_allow_is_named(tool, said, text):
    found, hint = explain.locked(tool, said, 1) if tool == "pipenv" else explain.installer(said, 2)
    assert text in found
    assert ".python-version" in hint


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("[nltk_data] Error loading punkkt: Package 'punkkt' not found in index", "correct the names in nltk.txt"),
        ("[nltk_data] Error loading punkt: <urlopen error [Errno -2] Name or service not known>", "push again later"),
    ],
)
def test_a_failed_download_of_corpora_says_whether_the_name_or_the_network_is_wrong(said, hint):
    rest = (
        "\nError installing package. Retry? [n/y/e]\nTraceback (most recent call last):\nEOFError: EOF when reading a"
        " line"
    )
    _, text, found = explain.nltk(said + rest)
    assert hint in found
    assert "Error loading punk" in text
    assert "EOF" not in text

    assert hint in explain.nltk(said)[2]


CSS = """Traceback (most recent call last):
whitenoise.storage.MissingFileError: The file 'img/gone.png' could not be found with \
<whitenoise.storage.CompressedManifestStaticFilesStorage object at 0x7f>.

The CSS file 'core/site.css' references a file which could not be found:
  img/gone.png

Please check the URL references in this CSS file, particularly any
relative paths which might be pointing to the wrong location.
"""
DJANGO = """Post-processing 'core/site.css' failed!

Traceback (most recent call last):
ValueError: The file 'img/gone.png' could not be found with \
<django.contrib.staticfiles.storage.ManifestStaticFilesStorage object at 0x7f>.
"""
MAP = (
    CSS.replace("CSS", "js")
    .replace("core/site.css", "core/vendor.min.js")
    .replace("img/gone.png", "core/vendor.min.js.map")
)


@pytest.mark.parametrize(
    ("text", "by", "gone"),
    [
        (CSS, "core/site.css", "img/gone.png"),
        (DJANGO, "core/site.css", "img/gone.png"),
        (MAP, "core/vendor.min.js", "core/vendor.min.js.map"),
    ],
)
def test_a_static_file_that_names_a_missing_one_is_named_with_it(text, by, gone):
    _, message, hint = explain.collectstatic("manage.py", text)
    assert f"{by} references {gone}, which does not exist." in message
    assert by in hint
    assert ("sourceMappingURL" in hint) == gone.endswith(".map")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("django.core.exceptions.ImproperlyConfigured: Error loading psycopg2 or psycopg module", "psycopg[binary]"),
        ("connection failed: server does not support SSL, but SSL was required", "ssl_require=False"),
    ],
)
def test_a_database_that_cannot_be_reached_is_explained_by_its_cause(text, word):
    assert word in explain.collectstatic("manage.py", text)[2]
