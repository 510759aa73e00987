"""A package that cannot be built from source: the error names what is missing, its Debian package, and the way without
it. The outputs are those of the compilers and setup scripts.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from greenroom.buildpacks import inside
from greenroom.buildpacks.rules import aptfile

sys.path.insert(0, str(Path(inside.__file__).parent))
import compilers
import explain
import node_explain

UV = "  x Failed to build `psycopg2==2.9.9`\n  |- The build backend returned an error\n"


@pytest.mark.parametrize(
    ("text", "missing", "package", "instead"),
    [
        (
            UV + "Error: pg_config executable not found.\n\npg_config is required",
            "pg_config",
            "libpq-dev",
            "psycopg2-binary",
        ),
        (
            "couldn't run pg_config: [Errno 2] No such file or directory: 'pg_config'",
            "pg_config",
            "libpq-dev",
            "psycopg",
        ),
        (
            "./psycopg/psycopg.h:36:10: fatal error: libpq-fe.h: No such file or directory",
            "libpq-fe.h",
            "libpq-dev",
            "psycopg",
        ),
        ("_speedups.c:6:10: fatal error: Python.h: No such file or directory", "Python.h", "python3-dev", "wheel"),
        ("fatal error: 'Python.h' file not found", "Python.h", "python3-dev", "wheel"),
        ("error: command 'gcc' failed: No such file or directory", "gcc", "build-essential", "wheel"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory", "gcc", "build-essential", "wheel"),
        ("error: [Errno 2] No such file or directory: 'cc'", "cc", "build-essential", "wheel"),
        ("unable to execute 'gcc': No such file or directory", "gcc", "build-essential", "wheel"),
        ("ERROR: Unknown compiler(s): [['cc'], ['gcc']]", "C compiler", "build-essential", "wheel"),
        (
            "/bin/sh: 1: mysql_config: not found\nOSError: mysql_config not found",
            "mysql_config",
            "default-libmysqlclient-dev",
            "pymysql",
        ),
        ("Exception: Can not find valid pkg-config name.", "MySQL", "default-libmysqlclient-dev", "pymysql"),
        (
            "src/lxml/etree.c:96:10: fatal error: libxml/xmlversion.h: No such file or directory",
            "xmlversion.h",
            "libxml2-dev",
            "lxml",
        ),
        (
            "Error: Please make sure the libxml2 and libxslt development packages are installed.",
            "libxml2",
            "libxslt1-dev",
            "lxml",
        ),
        (
            "The headers or library files could not be found for jpeg,\na required dependency",
            "libjpeg",
            "libjpeg-dev",
            "Pillow",
        ),
        ("Modules/common.h:15:10: fatal error: lber.h: No such file or directory", "lber.h", "libldap2-dev", "wheel"),
        ("c/_cffi_backend.c:15:10: fatal error: ffi.h: No such file or directory", "ffi.h", "libffi-dev", "wheel"),
        ("/usr/bin/ld: cannot find -lpq: No such file or directory", "libpq", "libpq-dev", "psycopg"),
        ("error: can't find Rust compiler", "Rust", "cargo", "wheel"),
        ("/bin/sh: 1: cmake: not found", "cmake", "cmake", "wheel"),
        ("Git executable not found. Ensure that Git is installed", "git", "git", "release"),
    ],
)
def test_the_missing_part_its_debian_package_and_the_way_without_it_are_named(text, missing, package, instead):
    message, hint = explain.installer(text, 1)
    assert missing in message
    assert f" {package}" in hint
    assert instead in hint
    assert "heroku buildpacks:add --index 1 heroku-community/apt" in hint
    assert explain.locked("poetry", text, 1) == (message, hint)


def test_the_package_that_is_built_is_named():
    assert "psycopg2 is built from source" in explain.installer(UV + "Error: pg_config executable not found.", 1)[0]


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "  x Failed to build `pillow==9.5.0`\n  The backend returned an error\n    KeyError: '__version__'\n",
            "pillow 9.5.0 has no wheel for this Python and cannot be built from source.\nKeyError: '__version__'",
            "an older Python: echo 3.10 > .python-version",
        ),
        (
            "Failed to build `backports.zoneinfo==0.2.1`",
            "backports.zoneinfo 0.2.1 has no wheel",
            "Python 3.9 and newer",
        ),
        ("Failed to build `sklearn==0.0`\n", "sklearn 0.0 has no wheel", "scikit-learn"),
        ("Failed to download and build `old`", "old has no wheel", "a newer version of it"),
    ],
)
def test_a_package_that_cannot_be_built_for_this_python_is_named(text, message, hint):
    found = explain.installer(text, 1)
    assert found[0].startswith(message)
    assert hint in found[1]
    assert explain.locked("poetry", text, 1) == found


def test_an_unknown_header_is_named_too():
    message, hint = explain.installer("a.c:1:10: fatal error: nobody/knows.h: No such file or directory", 1)
    assert "nobody/knows.h" in message
    assert "Aptfile" in hint


@pytest.mark.parametrize(
    "text",
    [
        "error: Failed to fetch `six`\n  error sending request for url",
        "No solution found when resolving dependencies: gcc-tools was not found in the package registry",
        "because pkg-config-wrapper was not found in the package registry",
        "error: needs to be updated, but `--locked` was provided",
        "ModuleNotFoundError: No module named 'git'",
        "FileNotFoundError: [Errno 2] No such file or directory: 'README.md'",
    ],
)
def test_an_error_of_another_kind_is_not_taken_for_a_missing_compiler(text):
    assert compilers.explain(text) is None


def test_each_debian_package_could_stand_in_an_aptfile():
    ways = [*compilers.HEADERS.values(), *compilers.PROGRAMS.values(), *compilers.LIBRARIES.values()]
    ways += [entry[2] for entry in compilers.SAID]
    for packages, _ in ways:
        assert aptfile.read(packages.encode()).packages == tuple(packages.split())


def test_a_package_of_npm_that_needs_a_compiler_names_it():
    message, hint = node_explain.installer("npm", "gyp ERR! stack Error: not found: make", 1)
    assert "make is missing" in message
    assert "build-essential" in hint
