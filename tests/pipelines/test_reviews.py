"""Tests of review apps on a real database and real repositories: the source of their config vars, crashes, and deleted
branches.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from greenroom.accounts.models import Account
from greenroom.addons import actions as addons
from greenroom.apps.actions import egress
from greenroom.apps.models import App
from greenroom.apps.queries import allowed_targets
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.config_vars import queries as config_vars
from greenroom.deliveries.actions import app_lifecycle
from greenroom.deliveries.models import Delivery
from greenroom.git import actions as git
from greenroom.git.actions import platform_pushes
from greenroom.git.drivers import runner
from greenroom.git.models import Push
from greenroom.pipelines import actions, queries
from greenroom.pipelines.actions import review_addons, review_apps
from greenroom.pipelines.models import ReviewApp
from tests.api.world import client_of
from tests.git.test_tarball import archive, bring, entry

pytestmark = pytest.mark.django_db
BRANCH = "feature/rose"
moves_branch = platform_pushes.move_branch
APP_JSON = (
    b'{"env": {"COLOUR": "red"}, "environments": {"review": {"env": {"COLOUR": "violet", "KEY": {"generator":'
    b' "secret"}, "PORT": "9"}}}}'
)


@pytest.fixture
def branch(alice, pipe, shop, home, tmp_path, monkeypatch):
    """A branch of shop's repository; databases are not created in this module."""
    monkeypatch.setattr(app_lifecycle, "finish", lambda *, actor, app, home: git.create_repository(app=app, home=home))
    monkeypatch.setattr(app_lifecycle.switch, "remove", lambda *_: None)
    git.create_repository(app=shop, home=home)
    sha = bring(shop, home, archive(tmp_path, entry("app.json", APP_JSON))).sha
    platform_pushes.move_branch(app=shop, home=home, sha=sha, account=None, branch=BRANCH)
    return sha


@pytest.fixture
def driver(home):
    from greenroom.engine.memory import MemoryEngine

    return review_apps.Driver(MemoryEngine(), home)


def again(driver):
    for row in review_apps.open_reviews():
        driver.advance(row)
    return ReviewApp.objects.order_by("-created_at").first()


def test_it_gets_the_branches_commit_and_its_own_config_vars_alone(
    alice, bob, pipe, shop, serving, home, branch, driver
):
    actions.change_config(actor=alice, pipeline=pipe, stage="review", home=home, updates={"ONLY": "review"})
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home, environment={"MINE": "1"})
    again(driver)
    row = again(driver)
    values = config_vars.values(config_vars.latest(row.app), home)
    assert {key: values.get(key) for key in ("COLOUR", "ONLY", "MINE", "WORD", "PORT")} == {
        "COLOUR": "violet",
        "ONLY": "review",
        "MINE": "1",
        "WORD": None,
        "PORT": None,
    }
    assert values.get("DATABASE_URL") != "postgres://shop"
    push = Push.objects.get(app=row.app)
    assert (push.after, push.ref, push.state) == (branch, "refs/heads/master", "recorded")
    assert (row.state, row.sha, row.app.coupling.stage) == ("creating", branch, "review")
    assert row.app.collaborators.get(account_id=bob.account_id).role == "developer", (
        "who works on the parent works on it"
    )


def test_it_has_the_buildpacks_that_a_user_chose_for_the_parent(alice, pipe, shop, home, branch, driver):
    App.objects.filter(pk=shop.pk).update(buildpacks=["heroku/nodejs", "heroku/python"])
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home, environment={})
    assert again(driver).app.buildpacks == ["heroku/nodejs", "heroku/python"]


def test_it_is_closed_as_its_parent_is(alice, pipe, shop, home, branch, driver):
    egress.change(actor=alice, app=shop, policy="closed", allow=["api.example.org:443"])
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home, environment={})
    assert allowed_targets(again(driver).app) == (("api.example.org", 443),)


def test_it_gets_the_add_ons_that_app_json_declares_once(alice, pipe, shop, home, tmp_path, branch, driver):
    declared = b'{"addons": ["heroku-postgresql", "heroku-redis:premium-0", {"plan": "redis", "as": "cache"},'
    declared += b' "cloudamqp:lemur", 7, {"plan": 8}]}'
    sha = bring(shop, home, archive(tmp_path, entry("app.json", declared))).sha
    platform_pushes.move_branch(app=shop, home=home, sha=sha, account=None, branch=BRANCH)
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    again(driver)
    row = again(driver)
    for _ in range(2):
        review_addons.create_declared(actor=alice, app=row.app, parent=shop, head=sha, home=home)
    found = {one.name: one.addon.plan for one in row.app.attachments.filter(addon__kind="redis")}
    assert found == {"REDIS": "heroku-redis:premium-0", "CACHE": "heroku-redis:mini"}
    values = config_vars.values(config_vars.latest(row.app), home)
    assert values["CACHE_URL"].startswith("redis://:")


def test_add_ons_of_the_environment_review_take_the_place_of_the_others(alice, pipe, shop, home, tmp_path, driver):
    git.create_repository(app=shop, home=home)
    declared = b'{"addons": ["heroku-redis"], "environments": {"review": {"addons": []}}}'
    sha = bring(shop, home, archive(tmp_path, entry("app.json", declared))).sha
    assert list(review_addons._declared(declared)) == []
    for broken in (b"", b"[", b"[]", b'{"addons": 7}', b'{"environments": {"review": []}}'):
        assert list(review_addons._declared(broken)) == []
    assert sha


def test_it_is_what_became_of_its_delivery(alice, pipe, home, branch, driver):
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    again(driver)
    row = again(driver)
    delivery = Delivery.objects.create(
        app=row.app,
        seq=1,
        kind="push",
        push=Push.objects.get(app=row.app),
        sha=branch,
        state="refused",
        reason="`tests` failed",
    )
    row = again(driver)
    assert (row.state, row.message) == ("errored", "`tests` failed")
    Delivery.objects.filter(pk=delivery.pk).update(state="live")
    ReviewApp.objects.update(state="creating")
    assert again(driver).state == "created"


def test_it_follows_its_branch_even_when_that_was_rewritten(alice, pipe, shop, home, branch, driver, tmp_path):
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    again(driver)
    again(driver)
    other = bring(shop, home, archive(tmp_path, entry("rewritten"))).sha
    platform_pushes.move_branch(app=shop, home=home, sha=other, account=None, branch=BRANCH)
    row = again(driver)
    assert (row.sha, row.state) == (other, "creating")
    assert Push.objects.filter(app=row.app).order_by("-seq").first().after == other


@pytest.mark.parametrize("point", ["create_app", "lend", "move_branch"])
def test_a_kill_at_any_point_costs_nothing(alice, pipe, home, branch, driver, monkeypatch, point):
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    place = review_apps.deliveries if point == "create_app" else review_apps.platform_pushes
    monkeypatch.setattr(place, point, lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        again(driver)
        again(driver)
    monkeypatch.undo()
    monkeypatch.setattr(app_lifecycle, "finish", lambda *, actor, app, home: git.create_repository(app=app, home=home))
    again(driver)
    row = again(driver)
    assert row.sha == branch
    assert App.objects.filter(name=row.app_name).count() == 1
    assert Push.objects.get(app=row.app).state == "recorded"


def test_it_goes_with_its_branch(alice, pipe, shop, home, branch, driver):
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    again(driver)
    row = again(driver)
    name = row.app_name
    runner.output(home / shop.repo_folder, ["update-ref", "-d"], args=[f"refs/heads/{BRANCH}"])
    row = again(driver)
    assert (row.state, row.app) == ("deleted", None)
    assert not App.objects.filter(name=name).exists()
    assert list(review_apps.open_reviews()) == []


def test_it_goes_by_age_when_the_pipeline_says_so(alice, pipe, home, branch, driver):
    review_apps.configure(actor=alice, pipeline=pipe, changes={"destroy_stale": True, "stale_days": 2})
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    again(driver)
    again(driver)
    ReviewApp.objects.update(touched_at=clock.now() - timedelta(days=1))
    assert again(driver).state == "creating"
    ReviewApp.objects.update(touched_at=clock.now() - timedelta(days=3))
    assert again(driver).state == "deleted"


@pytest.mark.parametrize("turns", [0, 1, 2], ids=["made", "pushed to", "judged"])
def test_what_somebody_removes_while_it_is_worked_on_is_destroyed(alice, pipe, home, branch, driver, turns):
    row = review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    for _ in range(turns):
        row = again(driver)
    if turns == 2:
        Delivery.objects.create(
            app=row.app, seq=1, kind="push", push=Push.objects.get(app=row.app), sha=branch, state="live"
        )
    stale = review_apps.open_reviews().get()
    review_apps.remove(actor=alice, review=row)
    driver.advance(stale)
    assert (stale.state, ReviewApp.objects.get().state) == ("deleting", "deleting")
    assert App.objects.filter(name=row.app_name).exists() == (turns > 0), "one that was not there is not made"
    assert again(driver).state == "deleted"
    assert not App.objects.filter(name=row.app_name).exists()


def test_branches_get_one_by_themselves_when_they_are_pushed_after_that_was_asked_for(
    alice, pipe, shop, home, branch, driver, tmp_path
):
    review_apps.configure(actor=alice, pipeline=pipe, changes={"automatic": True})
    assert review_apps.make_automatic(home=home) == [], "it was pushed before"
    sha = bring(shop, home, archive(tmp_path, entry("x"))).sha
    platform_pushes.move_branch(
        app=shop, home=home, sha=sha, account=Account.objects.get(pk=alice.account_id), branch="later"
    )
    platform_pushes.move_branch(app=shop, home=home, sha=sha, account=None)
    (made,) = review_apps.make_automatic(home=home)
    assert (made.branch, made.account_id) == ("later", alice.account_id)
    assert review_apps.make_automatic(home=home) == []
    review_apps.remove(actor=alice, review=made)
    again(driver)
    assert review_apps.make_automatic(home=home) == [], "who removed it does not get it back"


def test_what_cannot_be_reviewed_is_refused(alice, pipe, home, branch):
    with pytest.raises(NotFoundError, match="no branch"):
        review_apps.begin(actor=alice, pipeline=pipe, branch="nothing", home=home)
    with pytest.raises(NotFoundError, match="no branch"):
        review_apps.begin(actor=alice, pipeline=pipe, branch="--all", home=home)
    with pytest.raises(UserError, match="reserved"):
        review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home, environment={"PORT": "1"})
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    with pytest.raises(ConflictError, match="already"):
        review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    assert queries.parent_app(pipe).name == "shop"


@pytest.fixture
def crowded(alice, pipe, shop, home, branch, tmp_path, monkeypatch):
    """The limit of one review app is reached, and another branch is pushed."""
    monkeypatch.setattr(review_apps, "MOST", 1)
    review_apps.configure(actor=alice, pipeline=pipe, changes={"automatic": True})
    first = review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    sha = bring(shop, home, archive(tmp_path, entry("x"))).sha
    platform_pushes.move_branch(
        app=shop, home=home, sha=sha, account=Account.objects.get(pk=alice.account_id), branch="later"
    )
    return first


def test_why_a_branch_gets_none_by_itself_stands_in_the_list_until_there_is_room(alice, pipe, home, driver, crowded):
    for _ in range(3):
        assert review_apps.make_automatic(home=home) == []
    (row,) = ReviewApp.objects.filter(branch="later")
    assert (row.state, row.app, row.app_name) == ("errored", None, "")
    assert (
        row.message
        == "Review app limit reached: pipe has 1.\nhint: list them with greenroom reviewapps -p pipe, then destroy one"
    )
    listed = client_of(alice).get("/pipelines/pipe/review-apps").json()
    assert {one["branch"]: (one["status"], one["message"]) for one in listed}["later"] == ("errored", row.message)
    again(driver)
    assert ReviewApp.objects.get(pk=row.pk).state == "errored", "the loop leaves it there"
    review_apps.remove(actor=alice, review=crowded)
    again(driver)
    (made,) = review_apps.make_automatic(home=home)
    assert (made.branch, made.state) == ("later", "pending")
    assert ReviewApp.objects.get(pk=row.pk).state == "deleted"


def test_the_refusal_of_a_branch_goes_with_the_branch_or_by_hand(alice, pipe, shop, home, driver, crowded):
    review_apps.make_automatic(home=home)
    row = ReviewApp.objects.get(branch="later")
    review_apps.remove(actor=alice, review=row)
    again(driver)
    assert review_apps.make_automatic(home=home) == []
    assert ReviewApp.objects.get(branch="later").state == "deleted", "who removed it does not get it back"
    ReviewApp.objects.filter(pk=row.pk).delete()
    review_apps.make_automatic(home=home)
    runner.output(home / shop.repo_folder, ["update-ref", "-d"], args=["refs/heads/later"])
    again(driver)
    assert ReviewApp.objects.get(branch="later").state == "deleted"


def test_one_that_could_not_be_made_is_listed_with_its_reason_and_the_next_push_tries_again(
    alice, pipe, shop, home, driver, crowded, tmp_path, monkeypatch
):
    review_apps.remove(actor=alice, review=crowded)
    again(driver)
    review_apps.make_automatic(home=home)

    def create_app(**_):
        raise ConflictError("There is no room.")

    monkeypatch.setattr(review_apps.deliveries, "create_app", create_app)
    again(driver)
    (listed,) = client_of(alice).get("/pipelines/pipe/review-apps").json()
    assert (listed["status"], listed["message"]) == ("errored", "There is no room.")
    assert review_apps.make_automatic(home=home) == [], "the same push is not tried again"
    sha = bring(shop, home, archive(tmp_path, entry("y"))).sha
    platform_pushes.move_branch(app=shop, home=home, sha=sha, account=None, branch="later", rewrite=True)
    assert [one.branch for one in review_apps.make_automatic(home=home)] == ["later"]


def test_config_vars_that_are_refused_are_said_and_another_commit_goes_on(
    alice, pipe, shop, home, branch, driver, tmp_path
):
    actions.change_config(actor=alice, pipeline=pipe, stage="review", home=home, updates={"BIG": "x" * 60_000})
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home, environment={"MORE": "y" * 10_000})
    again(driver)
    for _ in range(3):
        row = again(driver)
    assert (row.state, row.sha) == ("errored", branch)
    assert "65536 (64 KB) are allowed" in row.message
    actions.change_config(actor=alice, pipeline=pipe, stage="review", home=home, updates={"BIG": None})
    other = bring(shop, home, archive(tmp_path, entry("z"))).sha
    platform_pushes.move_branch(app=shop, home=home, sha=other, account=None, branch=BRANCH)
    row = again(driver)
    assert (row.state, row.sha, row.message) == ("creating", other, "")
    assert config_vars.values(config_vars.latest(row.app), home)["MORE"] == "y" * 10_000


def test_a_conflict_is_said_and_tried_again(alice, pipe, home, branch, driver, monkeypatch):
    def move_branch(**_):
        raise ConflictError("it is being pushed to")

    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    again(driver)
    monkeypatch.setattr(review_apps.platform_pushes, "move_branch", move_branch)
    with pytest.raises(ConflictError):
        again(driver)
    row = ReviewApp.objects.get()
    assert (row.state, row.sha, row.message) == ("creating", "", "it is being pushed to")
    monkeypatch.setattr(review_apps.platform_pushes, "move_branch", moves_branch)
    assert again(driver).sha == branch


def test_it_gets_an_empty_volume_for_each_of_its_parent_unless_the_branch_has_a_list(
    alice, pipe, shop, home, tmp_path, branch, driver
):
    given = {"at": "/app/media", "size": "5M"}
    parents = addons.record(actor=alice, app=shop, home=home, kind="volume", attachment="VOLUME_MEDIA", options=given)
    addons.finish(addon=parents, home=home)
    review_apps.begin(actor=alice, pipeline=pipe, branch=BRANCH, home=home)
    again(driver)
    row = again(driver)
    (own,) = row.app.addons.filter(kind="volume")
    assert (own.data["path"], own.data["size"]) == ("/app/media", 5_000_000)
    assert own.data["key"] != parents.data["key"]
    assert config_vars.values(config_vars.latest(row.app), home)["VOLUME_MEDIA_PATH"] == "/app/media"
    listed = (
        b'{"environments": {"review": {"addons": [{"plan": "volume", "as": "VOLUME_B", "options": {"at": "/data"}}]}}}'
    )
    sha = bring(shop, home, archive(tmp_path, entry("app.json", listed))).sha
    review_addons.create_declared(actor=alice, app=row.app, parent=shop, head=sha, home=home)
    review_addons.create_declared(actor=alice, app=row.app, parent=shop, head=sha, home=home)
    assert {one.data["path"] for one in row.app.addons.filter(kind="volume")} == {"/app/media", "/data"}


def test_options_that_a_service_does_not_have_are_ignored_as_before():
    declared = b'{"addons": [{"plan": "heroku-redis", "options": {"version": "7"}}, {"plan": "volume", "options": 7}]}'
    assert [options for _, _, _, options in review_addons._declared(declared)] == [{}, {}]
