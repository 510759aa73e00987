"""A failed delivery is retried from its first failed step, by every client, and each failure names the command."""

from __future__ import annotations

import pytest

from greenroom.basics.errors import ConflictError, UserError
from greenroom.checks.models import CheckRun
from greenroom.deliveries import actions
from greenroom.deliveries.actions import held, rollbacks
from greenroom.deliveries.actions.retries import retry, retry_release
from greenroom.deliveries.queries import remedies
from greenroom.deliveries.rules import Step
from greenroom.dynos.models import Rollout
from tests.api.world import client_of

pytestmark = pytest.mark.django_db


def again(world, row):
    return world.read(retry(actor=world.alice, delivery=world.read(row), home=world.home))


def test_a_release_that_did_not_come_up_is_released_again_and_its_delivery_goes_live(world):
    row = world.failed("did not answer in time")
    old = row.release
    fresh = again(world, row)
    assert (fresh.release.version, fresh.release.description) == (
        old.version + 1,
        f"Retry of v{old.version}: {old.description}",
    )
    assert world.run(row).state == "live"
    assert f"v{fresh.release.version}: retry by alice@example.com" in world.said(row)


def test_a_second_retry_does_not_pile_up_its_words(world):
    row = world.failed()
    world.run(again(world, row), dies="exited with status 1")
    assert again(world, row).release.description.count("Retry of") == 1


def test_a_retry_takes_the_config_vars_of_now(world):
    row = world.failed()
    world.app.deploy_paused = "not yet"
    world.app.save()
    world.set(FOO="1")
    world.app.deploy_paused = ""
    world.app.save()
    assert again(world, row).release.config.names == ["FOO"]


@pytest.mark.parametrize("status", ["failed", "errored", "cancelled"])
def test_a_failed_build_is_built_again(world, status):
    row = world.push()
    row.build.slug, row.build.status, row.build.failure_message = (
        None,
        status,
        "The package index could not be reached.",
    )
    row.build.save()
    assert world.run(row).state == "failed"
    assert f"greenroom deliveries:retry {row.sha[:8]} -a shop" in world.said(row)
    fresh = again(world, row)
    assert (fresh.state, fresh.build) == ("received", None)
    assert world.next(row) is Step.BUILD


def test_a_withheld_commit_runs_its_checks_again(world):
    row = world.push(colour="red")
    assert world.run(row).state == "refused"
    again(world, row)
    assert set(CheckRun.objects.filter(sha=row.sha, attempt=2).values_list("name", "status")) == {
        ("tests", "queued"),
        ("scan", "queued"),
    }
    world.take(row)
    assert world.next(row) is Step.CHECK


def test_a_delivery_that_the_platform_broke_off_goes_on(world):
    row = world.push()
    world.steps.break_off(row, "RuntimeError: a bug of ours")
    assert f"greenroom deliveries:retry {row.sha[:8]} -a shop" in world.said(row)
    again(world, row)
    assert world.run(row).state == "live"


def test_a_held_release_is_started_again(world):
    world.live()
    row = world.push()
    world.run(row, until="rolling_out")
    Rollout.objects.filter(release=world.read(row).release).update(state="held")
    actions.advance(delivery=world.read(row), state="held", home=world.home)
    assert again(world, row).state == "rolling_out"


def test_a_failed_config_change_is_tried_again_as_a_delivery_of_its_own(world):
    world.live()
    made = world.set(FOO="1")
    row = world.run(world.delivery_of(made), dies="exited with status 1")
    fresh = again(world, row)
    assert (fresh.pk, fresh.release.kind, fresh.release.slug_id) == (row.pk, "config", made.slug_id)
    assert world.run(row).state == "live"


def test_a_rollback_that_failed_is_tried_again_as_a_rollback(world):
    first = world.live()
    world.live()
    row, _ = rollbacks.roll_back(actor=world.alice, app=world.app, home=world.home)
    delivery = world.run(world.delivery_of(row), dies="exited with status 1")
    assert again(world, delivery).release.kind == "rollback"
    assert world.run(delivery).state == "live"
    world.app.refresh_from_db()
    assert world.serving() == first.sha
    assert world.app.deploy_paused.startswith("Retry of")


def paused(world, row):
    world.app.deploy_paused = "quarter's end"
    world.app.save()


def not_green(world, row):
    CheckRun.objects.filter(sha=row.sha, name="tests").update(conclusion="failure")


@pytest.mark.parametrize(
    ("change", "says"),
    [(paused, "deploy:resume"), (not_green, "greenroom checks"), (lambda w, r: w.live(), "greenroom releases")],
    ids=["paused", "not green", "something newer serves"],
)
def test_a_retry_lets_nothing_past_the_gate(world, change, says):
    row = world.failed()
    change(world, row)
    with pytest.raises(ConflictError) as error:
        again(world, row)
    assert says in error.value.hint


@pytest.mark.parametrize("state", ["live", "superseded", "checking"])
def test_what_has_not_failed_is_not_tried_again(world, state):
    row = world.push()
    if state != "checking":
        actions.advance(delivery=row, state=state, home=world.home)
    with pytest.raises(ConflictError) as error:
        again(world, row)
    assert error.value.hint


def test_who_read_the_rows_before_another_retry_does_not_retry_twice(world):
    row = world.run(world.push(colour="red"))
    again(world, row)
    with pytest.raises(ConflictError, match="still in progress"):
        retry(actor=world.alice, delivery=row, home=world.home)
    assert CheckRun.objects.filter(sha=row.sha, name="tests").count() == 2


def test_who_drops_a_release_that_has_gone_on_since_drops_no_other(world):
    world.live()
    rows = [world.push(), world.push()]
    for row in rows:
        world.run(row, until="rolling_out")
        Rollout.objects.filter(release=world.read(row).release).update(state="held")
        actions.advance(delivery=world.read(row), state="held", home=world.home)
    with pytest.raises(ConflictError, match="is superseded, not held"):
        held.drop(actor=world.alice, app=world.app, home=world.home, wanted=rows[0])
    assert world.read(rows[1]).state == "held"


def test_heroku_releases_retry_works_for_a_first_release_that_failed_without_a_release_command(world):
    row = world.failed("did not answer in time")
    client = client_of(world.alice)
    assert "release" in [one["type"] for one in client.get("/apps/shop/formation").json()]
    answer = client.post(
        "/apps/shop/releases",
        {"slug": str(row.build.slug_id), "description": "Retry of v1"},
        content_type="application/json",
    )
    assert answer.status_code == 201
    assert answer.json()["status"] == "pending"
    assert world.run(row).state == "live"
    assert "release" not in [one["type"] for one in client.get("/apps/shop/formation").json()]


def test_only_the_newest_release_is_retried_by_its_slug(world):
    first = world.live()
    world.live()
    with pytest.raises(UserError, match="Only the newest"):
        retry_release(actor=world.alice, app=world.app, home=world.home, slug=str(first.release.slug_id))


def test_the_api_tries_a_delivery_again_and_names_the_command(world):
    row = world.failed()
    client = client_of(world.alice)
    shown = client.get(f"/apps/shop/deliveries/{row.sha}").json()
    assert shown["hint"] == f"greenroom deliveries:retry {row.sha[:8]} -a shop"
    answer = client.post(f"/apps/shop/deliveries/{row.sha[:8]}/actions/retry", {}, content_type="application/json")
    assert (answer.status_code, answer.json()["state"]) == (202, "releasing")


def test_a_viewer_retries_nothing(world, vera):
    row = world.failed()
    assert (
        client_of(vera)
        .post(f"/apps/shop/deliveries/{row.sha}/actions/retry", {}, content_type="application/json")
        .status_code
        == 403
    )


def test_the_failure_names_the_way_on_in_the_push_the_log_the_list_and_the_dynos(world):
    row = world.failed("exited with status 127")
    command = f"greenroom deliveries:retry {row.sha[:8]} -a shop"
    client = client_of(world.alice)
    assert command in world.said(row)
    assert command in world.log()
    answer = client.get("/apps/shop/dynos")
    assert f"v{row.release.version} failed: web.1 exited with status 127." in answer.headers["X-Heroku-Warning"]
    assert command in answer.headers["X-Heroku-Warning"]
    shown = client.get("/apps/shop/releases").json()[0]
    assert (shown["status"], shown["description"]) == ("failed", f"Deploy {row.sha[:8]} (web.1 exited with status 127)")


def test_where_an_app_stands_is_told_with_a_command_that_helps(world):
    assert remedies.standing(world.app) == ("shop has no code yet.", "git push greenroom HEAD:master")
    row = world.push()
    assert remedies.standing(world.app)[1] == f"greenroom deliveries:wait {row.sha[:8]} -a shop"
    world.run(row)
    assert remedies.standing(world.app) == ("", "")
    world.app.formation.update(quantity=0)
    assert remedies.standing(world.app) == ("web is scaled to 0.", "greenroom ps:scale web=1 -a shop")
    world.live(process_types={"worker": "x"})
    assert "no web process" in remedies.standing(world.app)[0]


def test_a_one_off_dyno_while_the_first_delivery_is_on_its_way_names_it(world):
    row = world.push()
    answer = client_of(world.alice).post(
        "/apps/shop/dynos", {"command": "python manage.py migrate"}, content_type="application/json"
    )
    assert answer.status_code == 409
    assert f"{row.sha[:8]} is in progress (checking)" in answer.json()["message"]
    assert "deliveries:wait" in answer.json()["message"]
