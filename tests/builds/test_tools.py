"""pipenv and poetry as programs: their refusals, the environment of each manager, and the packages of tests."""

from __future__ import annotations

import pytest

from greenroom.builds.drivers.test_environments import prepare_test_overlay
from greenroom.engine.local.client import LocalEngine
from greenroom.slugs.queries import mounts
from tests.builds.hosting import ADDED, BASE, SIX, overlay, pip_files, pipenv_files, poetry_files, printed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.rule("5.5")
def test_a_procfile_may_call_pipenv(workshop):
    from greenroom.buildpacks.rules.dyno_environment import runtime_env

    build = workshop.built({**BASE, **pipenv_files(SIX)})
    env = runtime_env(config={}, process="run.1", manager="pipenv")
    said = printed(
        workshop,
        mounts(build.slug),
        "pipenv",
        "run",
        "python",
        "-c",
        "import six, sys; print(six.__version__, sys.prefix)",
        env=env,
    )
    assert said.split() == ["1.16.0", "/app/.heroku/python"]


@pytest.mark.rule("5.11", "5.12")
@pytest.mark.parametrize(("make", "manager"), [(pipenv_files, "pipenv"), (poetry_files, "poetry")])
def test_a_lock_that_is_out_of_date_is_refused_and_says_how_to_lock(workshop, make, manager):
    files = {**BASE, **make(SIX)}
    name = "Pipfile" if manager == "pipenv" else "pyproject.toml"
    build = workshop.build({**files, name: files[name].replace("1.16.0", "1.17.0")})
    assert (build.status, build.failure_reason) == ("failed", f"install-dependencies::{manager}")
    assert "does not match" in build.failure_message
    assert f"{manager} lock" in build.failure_hint


@pytest.mark.rule("5.13")
@pytest.mark.parametrize("make", [pipenv_files, poetry_files])
def test_tests_get_the_development_packages_and_the_slug_does_not(workshop, make):
    build = workshop.built({**BASE, **make(SIX, dev=ADDED)})
    assert "iniconfig" not in workshop.packages(build)
    away = LocalEngine(workshop.home / "nobody-here", retry=0)
    asked = prepare_test_overlay(slug=build.slug, engine=away, home=workshop.home, say=workshop.said.append)
    assert asked.status == "pending", "a supervisor that is being started again is waited for"
    found = overlay(workshop, build)
    assert found.status == "ready", found.message
    assert printed(workshop, found.mounts, "python", "-c", "import six, iniconfig; print('both')") == "both\n"


@pytest.mark.rule("6.7")
def test_another_package_manager_starts_from_nothing(workshop):
    assert "six" in workshop.packages(workshop.built({**BASE, **pipenv_files(SIX)}))
    assert "six" not in workshop.packages(workshop.built({**BASE, **pip_files(ADDED)}))
