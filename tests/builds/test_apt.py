"""Aptfile: Debian packages are really downloaded, unpacked for the app alone, and found by builds and dynos."""

from __future__ import annotations

import pytest

from greenroom.buildpacks.rules import buildpack_list
from greenroom.buildpacks.rules.dyno_environment import runtime_env
from greenroom.builds.drivers import apt_host
from greenroom.slugs.queries import buildpack_parts, mounts
from tests.builds.hosting import BASE, SIX, pip_files, printed

HERE = apt_host.available()
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not HERE, reason="apt-get is not here: THE APT BUILDPACK IS NOT TESTED"),
]
APP = {**BASE, **pip_files(SIX)}
TOOL = "datefudge"
"""A small package with a program and a library, which no machine has by default."""
SETUP = (
    "from setuptools import Extension, setup\n"
    "setup(name='spy', version='1', ext_modules=[Extension('spy', ['spy.c'], libraries=['jq'])])\n"
)
SPY_C = (
    "#include <Python.h>\n#include <jq.h>\n"
    'static struct PyModuleDef it = {PyModuleDef_HEAD_INIT, "spy", NULL, -1, NULL};\n'
    "PyMODINIT_FUNC PyInit_spy(void) { jq_teardown(&(jq_state *){jq_init()}); return PyModule_Create(&it); }\n"
)


@pytest.fixture
def both(workshop):
    workshop.app.buildpacks = [buildpack_list.APT, buildpack_list.PYTHON]
    workshop.app.save()
    return workshop


def run(workshop, build, *command: str) -> str:
    env = runtime_env(config={}, process="run.1", parts=buildpack_parts(build.slug))
    return printed(workshop, mounts(build.slug), *command, env=env).strip()


@pytest.mark.rule("16.2", "16.4")
def test_a_package_is_unpacked_into_the_slug_and_downloaded_once(both):
    build = both.built({**APP, "Aptfile": f"{TOOL}\n"})
    assert "-----> Apt app detected" in both.text
    assert f"       Fetching {TOOL}" in both.text
    assert (both.home / build.slug.folder / ".apt" / "usr" / "bin" / TOOL).is_file()
    assert run(both, build, "which", TOOL) == f"/app/.apt/usr/bin/{TOOL}"
    assert build.slug.manifest["apt"] == [TOOL]
    again = both.built({**APP, "Aptfile": f"{TOOL}\n", "app.py": "again = 1\n"})
    assert "Fetching" not in both.text
    assert run(both, again, "which", TOOL) == f"/app/.apt/usr/bin/{TOOL}"
    without = both.built(APP)
    assert not (both.home / without.slug.folder / ".apt").exists()


@pytest.mark.rule("16.3")
def test_a_package_that_is_built_from_source_finds_headers_and_libraries_of_aptfile(both):
    files = {"spy/setup.py": SETUP, "spy/spy.c": SPY_C, "requirements.txt": "./spy\n", "Aptfile": "libjq-dev\n"}
    build = both.built({**BASE, **files})
    assert run(both, build, "python", "-c", "import spy; print(spy.__name__)") == "spy"


def test_a_missing_header_is_named_with_the_way_out(workshop):
    spy = SPY_C.replace("jq.h", "nobody/libpq-fe.h")
    build = workshop.build({**BASE, "spy/setup.py": SETUP, "spy/spy.c": spy, "requirements.txt": "./spy\n"})
    assert build.failure_reason == "install-dependencies::pip", workshop.text
    assert "The header nobody/libpq-fe.h is missing on this host: spy is built from source." in build.failure_message
    assert "Aptfile" in build.failure_hint


@pytest.mark.rule("16.5")
def test_an_unknown_package_fails_with_its_name(both):
    build = both.build({**APP, "Aptfile": "libnosuch-thing-dev\n"})
    assert (build.status, build.failure_reason) == ("failed", "apt::unknown-package"), both.text
    assert "libnosuch-thing-dev" in build.failure_message


@pytest.mark.rule("16.5")
def test_a_package_that_cannot_be_fetched_fails_with_its_url(both):
    build = both.build({**APP, "Aptfile": "https://127.0.0.1/pool/tool_1.0_amd64.deb\n"})
    assert (build.status, build.failure_reason) == ("failed", "apt::download"), both.text
    assert "https://127.0.0.1/pool/tool_1.0_amd64.deb could not be downloaded" in build.failure_message


@pytest.mark.rule("16.6")
def test_without_the_buildpack_an_aptfile_is_only_pointed_out(workshop):
    build = workshop.built({**APP, "Aptfile": f"{TOOL}\n"})
    assert "Aptfile is there, but only heroku/python builds" in workshop.text
    assert not buildpack_parts(build.slug)


def test_a_host_without_apt_refuses_with_one_error(both, monkeypatch):
    monkeypatch.setattr(apt_host, "available", lambda: False)
    build = both.build({**APP, "Aptfile": f"{TOOL}\n"})
    assert (build.status, build.failure_reason) == ("failed", "apt::not-here")
    assert "no apt-get" in build.failure_message
