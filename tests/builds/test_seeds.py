"""pip and setuptools are installed as on Heroku, and never conflict with an app that requires other versions."""

from __future__ import annotations

import pytest

from greenroom.buildpacks.rules.requirements import SEEDS
from tests.builds.hosting import BASE, PYTHON, SIX

OURS = {name: line.split()[0].split("==")[1] for name, line in SEEDS.items()}
WITH_SETUPTOOLS = tuple(map(int, PYTHON.split("."))) <= (3, 12)
REQUIREMENTS = {
    "nothing said": ("", {"pip": OURS["pip"], "setuptools": OURS["setuptools"] if WITH_SETUPTOOLS else None}),
    "both named": ("setuptools==75.8.0\npip==25.0\n", {"pip": "25.0", "setuptools": "75.8.0"}),
    "one named": ("Setuptools \\\n  >=75,<75.1\n", {"pip": OURS["pip"], "setuptools": "75.0.0"}),
    "wanted by another": (
        "gunicorn==20.1.0\n",
        {"pip": OURS["pip"], "gunicorn": "20.1.0", **({"setuptools": OURS["setuptools"]} if WITH_SETUPTOOLS else {})},
    ),
    "an older one wanted": (
        "celery==5.2.3\nkombu<5.3\n",
        {"pip": OURS["pip"], "celery": "5.2.3", "setuptools": "59.6.0"},
    ),
}
"""words -> (lines of requirements.txt, installed versions; None: not installed)."""


@pytest.mark.django_db
@pytest.mark.rule("5.20")
@pytest.mark.parametrize(("lines", "wanted"), REQUIREMENTS.values(), ids=REQUIREMENTS)
def test_an_app_gets_the_pip_and_setuptools_that_it_asks_for_else_those_of_heroku(workshop, lines, wanted):
    files = {**BASE, "requirements.txt": f"{SIX}\n{lines}"}
    first, again = workshop.built(files), workshop.built({**files, "another.txt": "x"})
    found = workshop.versions(first)
    assert {name: found.get(name) for name in wanted} == wanted
    assert again.slug.env_key == first.slug.env_key
