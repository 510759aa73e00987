"""Config vars of attachments change only by attaching and detaching, whichever route is used."""

from __future__ import annotations

import pytest

from greenroom.addons import actions as addon_actions
from greenroom.addons.models import Addon, Attachment
from greenroom.addons.postgres.queries import url_of
from greenroom.addons.rules.services import remedies
from greenroom.basics.errors import UserError
from greenroom.config_vars import actions as config_actions
from greenroom.config_vars.rules import refusal
from greenroom.deliveries import actions as deliveries
from greenroom.deliveries.actions import app_lifecycle, rollbacks
from greenroom.pipelines import actions as pipelines
from greenroom.pipelines.actions import review_apps
from greenroom.releases.actions import release
from greenroom.slugs.models import Slug
from tests.api.test_data import client_of, place, send, store, values  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db


def patch(actor, body):
    return send(client_of(actor), "PATCH", "/apps/store/config-vars", body)


@pytest.mark.parametrize("value", ["postgres://a:b@elsewhere/c", "", None])
def test_the_url_of_an_attachment_cannot_be_set_or_unset(alice, store, home, value):
    before = values(store, home)
    answer = patch(alice, {"DATABASE_URL": value, "OTHER": "x"})
    assert answer.status_code == 422
    assert (
        "Cannot overwrite attachment values DATABASE_URL: DATABASE is attached to store-db." in answer.json()["message"]
    )
    assert "heroku addons:detach DATABASE -a store" in answer.json()["message"]
    assert values(store, home) == before, "nothing of the request was done"


def test_saying_again_what_the_attachment_says_changes_nothing_and_is_allowed(alice, store, home):
    before = values(store, home)
    assert patch(alice, {"DATABASE_URL": before["DATABASE_URL"], "OTHER": "x"}).status_code == 200
    assert values(store, home) == {**before, "OTHER": "x"}


def test_the_way_that_the_refusal_names_leads_there(alice, store, home):
    client = client_of(alice)
    body = {"addon": "store-db", "app": "store", "name": "SPARE"}
    assert send(client, "POST", "/addon-attachments", body).status_code == 201
    assert send(client, "DELETE", f"/addon-attachments/{Attachment.objects.get(name='DATABASE').id}").status_code == 200
    assert patch(alice, {"DATABASE_URL": "postgres://elsewhere/x"}).status_code == 200
    assert patch(alice, {"SPARE_URL": None}).status_code == 422
    assert values(store, home)["DATABASE_URL"] == "postgres://elsewhere/x"


def test_a_rollback_brings_back_the_url_that_an_earlier_version_lost(alice, store, home):
    url = values(store, home)["DATABASE_URL"]
    slug = Slug.objects.create(digest="a" * 64, commit="b" * 40, app=store)
    for changes in ({"DATABASE_URL": "postgres://old/x"}, {"DATABASE_URL": None, "A": "1"}):
        version, _ = config_actions.change(actor=alice, app=store, home=home, updates=changes, platform=True)
        row = release(actor=alice, app=store, kind="deploy", description="x", slug=slug, config=version)
        type(row).objects.filter(pk=row.pk).update(status="succeeded")
    row, _ = rollbacks.roll_back(actor=alice, app=store, home=home)
    assert values(store, home) == {"DATABASE_URL": url}


def test_app_json_gives_no_value_to_what_an_attachment_owns(alice, store, home):
    url = values(store, home)["DATABASE_URL"]
    addon_actions.attach(actor=alice, addon=Addon.objects.get(), app=store, name="CACHE")
    env = {"DATABASE_URL": {"value": "postgres://x/y"}, "CACHE_URL": {"generator": "secret"}, "WORD": "given"}
    slug = Slug.objects.create(digest="a" * 64, commit="b" * 40, app=store, app_json={"env": env})
    deliveries.fill_config(actor=alice, app=store, slug=slug, home=home)
    assert values(store, home) == {"DATABASE_URL": url, "WORD": "given"}


def test_pipelines_review_apps_and_setups_refuse_it_too(alice, store, home):
    made = pipelines.create(actor=alice, name="stores")
    for stage in ("test", "review"):
        with pytest.raises(UserError, match="Cannot overwrite attachment values DATABASE_URL"):
            pipelines.change_config(
                actor=alice, pipeline=made, stage=stage, home=home, updates={"DATABASE_URL": "postgres://x/y"}
            )
        assert (
            pipelines.change_config(actor=alice, pipeline=made, stage=stage, home=home, updates={"DATABASE_URL": None})
            == {}
        )
    body = {"source_blob": {"url": "x"}, "overrides": {"env": {"DATABASE_URL": "postgres://x/y"}}}
    for refusing in (
        lambda: addon_actions.refuse_given(body["overrides"]["env"]),
        lambda: review_apps.refuse_given({"DATABASE_URL": "postgres://x/y"}),
    ):
        with pytest.raises(UserError, match="Cannot overwrite attachment values DATABASE_URL"):
            refusing()


def test_the_remedy_for_a_missing_url_makes_no_second_database():
    gaps = {"DATABASE_URL": "needed", "SECRET_KEY": "needed"}
    assert (
        refusal("store", gaps, remedies("store", {"postgres": "store-db"}))[1]
        == "heroku addons:attach store-db --as DATABASE -a store && greenroom config:set SECRET_KEY=... -a store"
    )
    assert (
        refusal("store", {"DATABASE_URL": "needed"}, remedies("store", {}))[1]
        == "heroku addons:create heroku-postgresql --as DATABASE -a store"
    )


def test_create_with_addons_makes_one_database(alice, home):
    app = app_lifecycle.create(actor=alice, name="fresh", home=home)
    try:
        client = client_of(alice)
        first = send(client, "POST", "/apps/fresh/addons", {"plan": "heroku-postgresql", "name": "fresh-db"})
        assert (first.status_code, first.json()["name"], first.json()["config_vars"]) == (
            201,
            "fresh-db",
            ["DATABASE_URL"],
        )
        assert values(app, home) == {"DATABASE_URL": url_of(Addon.objects.get(), home).text}
        second = send(client, "POST", "/apps/fresh/addons", {"plan": "heroku-postgresql"}).json()
        assert second["config_vars"][0].startswith("HEROKU_POSTGRESQL_")
        assert Addon.objects.count() == 2
    finally:
        from greenroom.addons.postgres import actions

        for addon in Addon.objects.filter(app=app):
            actions.deprovision(addon=addon)


def test_a_database_that_is_asked_for_under_another_name_is_another_one(alice, home):
    app = app_lifecycle.create(actor=alice, name="fresh", home=home)
    try:
        answer = send(
            client_of(alice),
            "POST",
            "/apps/fresh/addons",
            {"plan": "heroku-postgresql", "attachment": {"name": "REPORTS"}},
        )
        assert answer.json()["config_vars"] == ["REPORTS_URL"]
        assert set(values(app, home)) == {"DATABASE_URL", "REPORTS_URL"}
    finally:
        from greenroom.addons.postgres import actions

        for addon in Addon.objects.filter(app=app):
            actions.deprovision(addon=addon)
