"""The contract of every kind of add-on. Tests of capabilities that a kind lacks are skipped."""

from __future__ import annotations

import json
import uuid

import pytest

from greenroom.accounts.models import Account
from greenroom.addons import actions, queries, registry, rules
from greenroom.addons.contract import Platform
from greenroom.addons.rules import services
from greenroom.addons.rules.access import APP, BUILD, OWNER
from greenroom.basics.errors import ConflictError
from tests.contracts.addons.conftest import environment_of

pytestmark = pytest.mark.django_db
PLATFORM = Platform(serving=lambda app: None, replaced=lambda app, actor: None, wake=lambda: None)


@pytest.fixture
def has(kind):
    """A capability of the kind; the test is skipped where it is None."""

    def capability(name):
        found = getattr(kind, name)
        return found if found is not None else pytest.skip(f"{kind.service.kind} has no {name}")

    return capability


def test_its_service_is_complete_and_like_no_other(kind):
    service, others = kind.service, [one for one in services.services() if one != kind.service]
    uuid.UUID(service.id)
    assert registry.kind(service.kind) is kind
    assert rules.NAME.match(service.attachment)
    assert rules.NAME.match(f"{service.further}_AMBER")
    ids = [one_id for one in services.services() for one_id in (one.id, *(plan.id for plan in one.plans))]
    assert service.plans
    assert len(ids) == len(set(ids))
    assert set(service.nowhere) <= set(service.variables)
    assert not set(service.names) & {name for one in others for name in one.names}
    assert service.attachment not in {one.attachment for one in others}
    for name in service.names:
        assert services.named(name) == service


def test_it_gives_a_value_to_each_of_its_config_vars(kind, addon, home):
    found = queries.values_of(addon.app, home)
    assert set(found) == {f"{kind.service.attachment}{suffix}" for suffix in kind.service.variables}
    assert all(found.values())
    assert set(queries.owned(addon.app)) == set(found), "nobody else may set them"


def test_making_it_again_changes_nothing(kind, addon, home):
    before = kind.values(addon, home)
    kind.provision(addon=addon, home=home)
    assert kind.finish(addon=addon, home=home)
    assert kind.values(addon, home) == before


def test_its_secrets_stand_nowhere_in_clear(addon, home):
    for secret in queries.secret_of(addon, home).values():
        assert secret not in str(addon.data)
        assert secret.encode() not in bytes(addon.sealed)


def test_one_that_was_never_made_is_removed_like_any_other_and_twice(kind, alice, shop, home):
    row = actions.record(actor=alice, app=shop, home=home, kind=kind.service.kind, attachment="NEVER")
    kind.deprovision(addon=row, home=home)
    kind.deprovision(addon=row, home=home)


def test_one_that_was_removed_can_be_made_again(kind, addon, home):
    kind.deprovision(addon=addon, home=home)
    while actions.build(addon=addon, home=home) is None:
        pass
    assert kind.finish(addon=addon, home=home)


def test_only_the_owner_gets_the_owners_secrets(kind, addon, home):
    owner = environment_of(addon, home, OWNER)
    assert owner == queries.values_of(addon.app, home)
    for access in (APP, BUILD):
        lesser = environment_of(addon, home, access)
        assert set(lesser) == set(owner)
        if kind.words(addon, home, access):
            assert not [one for one in queries.secret_of(addon, home).values() if one in str(lesser)]


def test_dynos_have_one_way_to_each_port(addon):
    ports = [forward.port for forward in queries.forwards(addon.app)]
    assert ports
    assert len(ports) == len(set(ports))


def test_its_state_can_be_shown(kind, addon):
    found = kind.info(addon)
    assert (found["name"], found["state"], found["plan"]) == (addon.name, "provisioned", kind.service.plan)
    json.dumps(found)


def test_there_is_room_for_the_first_one(kind, shop):
    kind.refuse_if_full(Account.objects.get(pk=shop.owner_id))


def test_its_maintenance_leaves_what_is_in_use(kind, addon, home):
    before = kind.values(addon, home)
    for sweep in (*kind.sweeps(home).values(), *kind.sweeps(home).values()):
        sweep()
    kind.catch_up(home)
    assert kind.finish(addon=addon, home=home)
    assert kind.values(addon, home) == before


def test_its_loops_turn_with_nothing_to_do(kind, addon, home):
    for loop in kind.loops(home, PLATFORM).values():
        assert loop.turn() is False


def test_the_double_of_a_test_run_is_its_own_and_goes_with_it(kind, has, shop):
    doubles = has("doubles")
    made = [doubles.make(label=label, app=shop) for label in ("one", "two", "one")]
    try:
        assert made[0].name == made[2].name != made[1].name
        assert all(set(one.values) == set(kind.service.variables) for one in made)
        assert made[0].forwards
        assert {one.name for one in made} <= doubles.present()
        assert doubles.drop_others(there={made[0].name, made[1].name}, labels=["one"]) == [made[1].name]
        assert made[1].name not in doubles.present()
        doubles.drop(label="one")
        assert made[0].name not in doubles.present()
        doubles.drop(label="one")
        doubles.drop(label="never made")
    finally:
        for label in ("one", "two"):
            doubles.drop(label=label)


def test_a_snapshot_keeps_the_data_in_a_file(addon, alice, home, has):
    row = has("snapshots").capture(actor=alice, addon=addon, home=home, kind="manual")
    assert row.state == "succeeded"
    assert (home / row.file).stat().st_size == row.size


def test_a_restore_is_asked_for_once_and_replaces_the_data_later(addon, alice, home, has):
    row = has("snapshots").capture(actor=alice, addon=addon, home=home, kind="manual")
    asked = has("restores").ask(actor=alice, addon=addon, snapshot=row)
    assert (asked.state, asked.snapshot) == ("wanted", row)


def test_a_kind_that_keeps_no_data_says_so_when_it_is_to_be_saved(kind, addon):
    for capability, wanted in (("snapshots", queries.snapshots_for), ("restores", queries.restores_for)):
        if getattr(kind, capability) is None:
            with pytest.raises(ConflictError, match=f"{addon.name} cannot be"):
                wanted(addon)
        else:
            assert wanted(addon) is getattr(kind, capability)


def test_a_copy_has_the_data_and_is_gone_after_the_rehearsal(addon, home, has):
    schema = has("schema")
    name = schema.copies.name_for(addon, 1)
    try:
        copy = schema.copies.make(addon=addon, name=name, folder=home, deadline=60)
        assert copy.name == name
        assert name in schema.copies.present()
        assert copy.url not in schema.urls(addon, home)
    finally:
        schema.copies.drop(name=name)
    assert name not in schema.copies.present()
    schema.copies.drop(name=name)


def test_a_schema_is_looked_at_as_the_app_sees_it(addon, has):
    schema = has("schema")
    assert schema.replacing(addon) is None
    schema.settle(addon)
    with schema.look_in(addon, seconds=60) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
