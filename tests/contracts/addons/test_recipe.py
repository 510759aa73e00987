"""CONTRIBUTING's recipe for an add-on, followed with a toy kind: the files in its steps are sufficient for all
interfaces.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import get_resolver

from greenroom.addons.models import Addon
from greenroom.buildpacks.rules.plan import _addons as app_json_notes
from greenroom.checks import actions as checks
from greenroom.checks import steps
from greenroom.checks.builtin import testing
from greenroom.config_vars import queries as config
from greenroom.deliveries.actions import addon_lifecycle as resources
from greenroom.deliveries.actions import app_lifecycle
from greenroom.dynos.models import Dyno
from greenroom.dynos.queries import dyno_specs
from greenroom.dynos.rules import StartOptions
from greenroom.engine.contract import Capacity, Forward
from greenroom.engine.memory import MemoryEngine
from greenroom.releases.actions import release
from greenroom.slugs.models import Slug
from tests.api.test_data import client_of, send
from tests.contracts.addons import toy

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[3]
WAY = Forward(port=7007, service="service:parrots")
CAPACITY = Capacity(memory_mb=2048, cores=2)
SHA = "a" * 40


def recipe() -> str:
    """The section of CONTRIBUTING.md."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    found = re.search(r"^#+ Add an add-on\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found
    return found[1]


@pytest.fixture
def fresh(alice, home, settings, monkeypatch, parrots):
    """A new app of Alice, with the defaults of all new apps."""
    get_resolver().url_patterns  # noqa: B018 - Django imports the views on access
    settings.INSTALLATION = {**settings.INSTALLATION, "postgres": "external"}
    monkeypatch.setattr("greenroom.entrypoints.api.views_addons.HOME", home)
    app = app_lifecycle.create(actor=alice, name="fresh", home=home)
    yield app
    app_lifecycle.destroy(actor=alice, app=app, engine=MemoryEngine(), home=home)
    assert not any((home / "parrots").glob("*")), "an app takes its add-ons of each kind with it"


def adopt(alice, fresh, home) -> Addon:
    """Create a parrot through the API; ready for use."""
    answer = send(client_of(alice), "POST", "/apps/fresh/addons", {"plan": "parrot-cage:large", "name": "polly"})
    assert (answer.status_code, answer.json()["state"]) == (201, "provisioning"), "it takes a moment"
    assert answer.json()["plan"]["name"] == "parrot-cage:large"
    assert sorted(answer.json()["config_vars"]) == ["PARROT_URL", "PARROT_WORD"]
    assert "PARROT_URL" not in config.values(config.latest(fresh), home)
    resources.heal(home=home, after=timedelta(0))
    return Addon.objects.get(name="polly")


def deployed(app) -> Slug:
    return Slug.objects.create(app=app, digest="d" * 64, commit=SHA, env_key="e", is_django=True)


def test_the_recipe_names_the_files_of_a_kind_and_places_that_exist():
    named = re.findall(r"`([\w./<>-]+)`", recipe())
    own = "addons/<name>/"
    assert {name.removeprefix(own) for name in named if name.startswith(own)} == set(toy.FILES)
    places = [name for name in named if name.endswith((".py", ".md")) and "<" not in name and "/" in name]
    assert len(places) >= 4
    assert [
        name for name in places if not any((folder / name).exists() for folder in (ROOT, ROOT / "src/greenroom"))
    ] == []


def test_an_add_on_of_a_new_kind_reaches_the_dynos_of_its_app(alice, fresh, home):
    addon = adopt(alice, fresh, home)
    assert addon.state == "provisioned"
    values = config.values(config.latest(fresh), home)
    assert values["PARROT_URL"] == f"parrot://127.0.0.1:7007/{addon.pk.hex}"
    row = release(
        actor=alice, app=fresh, kind="deploy", description="x", slug=deployed(fresh), config=config.latest(fresh)
    )
    spec = {
        kind: dyno_specs.spec(
            dyno=Dyno(app=fresh, release=row, kind=kind, type=kind, ordinal=1, command="x"),
            home=home,
            capacity=CAPACITY,
            options=StartOptions(),
        )
        for kind in ("web", "run")
    }
    assert all(WAY in one.forwards for one in spec.values())
    assert spec["run"].env["PARROT_WORD"] == values["PARROT_WORD"]
    assert spec["web"].env["PARROT_WORD"] not in ("", values["PARROT_WORD"]), "a lesser access has its own word"


def test_the_gate_gets_a_double_where_the_app_has_one(alice, fresh, home):
    slug, way = deployed(fresh), WAY
    steps.sweep_forsaken()  # left by tests of other files on this server
    run = checks.begin(app=fresh, sha=SHA, names=["tests"])[0]
    try:
        spec = testing.spec(run=run, slug=slug, mounts=(), home=home, capacity=CAPACITY)
        assert "PARROT_URL" not in spec.env
        adopt(alice, fresh, home)
        spec = testing.spec(run=run, slug=slug, mounts=(), home=home, capacity=CAPACITY)
        assert way in spec.forwards
        assert spec.env["PARROT_URL"].startswith("parrot://127.0.0.1:7007/p")
        assert spec.env["PARROT_WORD"] not in ("", config.values(config.latest(fresh), home)["PARROT_WORD"])
    finally:
        run.delete()
        dropped = steps.sweep_forsaken()
    assert len(dropped) == 2, "that of the database and that of the parrot"


def test_an_add_on_of_a_new_kind_is_gone_after_delete(alice, fresh, home):
    addon = adopt(alice, fresh, home)
    assert (home / "parrots" / addon.pk.hex).exists()
    client = client_of(alice)
    assert send(client, "PATCH", "/apps/fresh/addons/polly", {"name": "jack"}).status_code == 200
    assert send(client, "DELETE", "/apps/fresh/addons/jack").status_code == 200
    assert not Addon.objects.filter(kind="parrot").exists()
    assert not (home / "parrots" / addon.pk.hex).exists()
    assert not {"PARROT_URL", "PARROT_WORD"} & set(config.values(config.latest(fresh), home))


def test_the_catalogue_and_the_texts_know_the_new_kind(alice, fresh):
    client = client_of(alice)
    assert {"parrot-cage", "heroku-postgresql"} <= {one["name"] for one in client.get("/addon-services").json()}
    plans = client.get("/addon-services/parrot-cage/plans").json()
    assert [(one["name"], one["default"]) for one in plans] == [
        ("parrot-cage:small", True),
        ("parrot-cage:large", False),
    ]
    refused = send(client, "POST", "/apps/fresh/addons", {"plan": "blue-parrots"}).json()["message"]
    assert "heroku addons:create parrot-cage -a APP" in refused
    assert app_json_notes({"addons": ["parrot-cage"]}, {}) == (
        "Warning: app.json requires the add-on parrot-cage.\nCreate it once: heroku addons:create parrot-cage",
    )
