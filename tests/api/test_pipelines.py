"""Permissions on pipelines: all for the owner, the lowest role in its apps for collaborators, nothing for strangers,
not even its name.
"""

from __future__ import annotations

import json
import re

import pytest

from greenroom.apps import actions as apps
from greenroom.apps.rules import PERMISSIONS
from greenroom.engine.memory import MemoryEngine
from greenroom.entrypoints.api import views_ci
from greenroom.entrypoints.api.routing import ROUTES
from greenroom.pipelines.models import Coupling, Pipeline, PromotionTarget, ReviewApp, TestRun
from tests.api.test_routes import client_of, urls  # noqa: F401 - a fixture
from tests.pipelines.conftest import outlet, pipe, serving  # noqa: F401 - fixtures

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(monkeypatch, home):
    """The views use this home and an engine in memory."""
    from greenroom.entrypoints.api import views_pipelines, views_promotions, views_review_apps

    for module in (views_ci, views_pipelines, views_promotions, views_review_apps):
        monkeypatch.setattr(module, "HOME", home)
    monkeypatch.setattr(views_ci, "engine", MemoryEngine)


def of_pipelines():
    return [route for route in ROUTES if "{pipeline}" in route.pattern]


def send(client, method, path, body=None):
    answer = client.generic(method, path, json.dumps(body or {}), content_type="application/json")
    return answer.status_code, answer.json()


def call(client, route, pipeline="pipe"):
    path = re.sub(r"\{\w+\}", "1", route.pattern.replace("{pipeline}", pipeline))
    return client.generic(route.method, path, "{}", content_type="application/json")


def test_a_stranger_gets_the_same_answer_for_a_foreign_pipeline_and_for_none(charlie, pipe):
    client = client_of(charlie)
    assert len(of_pipelines()) > 15
    for route in of_pipelines():
        foreign, by_id, none = (
            call(client, route),
            call(client, route, str(pipe.id)),
            call(client, route, "no-such-pipe"),
        )
        assert (foreign.status_code, foreign.content) == (404, none.content), route.pattern
        assert (by_id.status_code, by_id.content) == (404, none.content), route.pattern
    assert send(client, "GET", "/pipelines")[1] == []
    assert send(client, "GET", "/pipeline-couplings")[1] == []


def test_a_stranger_cannot_use_ids_that_they_have_heard(charlie, alice, pipe, shop, outlet, serving, home):
    client, owner = client_of(charlie), client_of(alice)
    coupling = Coupling.objects.get(app=shop)
    status, promotion = send(
        owner,
        "POST",
        "/pipeline-promotions",
        {
            "pipeline": {"id": str(pipe.id)},
            "source": {"app": {"id": str(shop.id)}},
            "targets": [{"app": {"id": str(outlet.id)}}],
        },
    )
    assert status == 201
    run = TestRun.objects.create(pipeline=pipe, number=1, app=shop, sha="5" * 40, commit_sha="5" * 40)
    review = ReviewApp.objects.create(pipeline=pipe, parent=shop, app_name="x", branch="b")
    for method, path in (
        ("GET", f"/pipeline-couplings/{coupling.id}"),
        ("PATCH", f"/pipeline-couplings/{coupling.id}"),
        ("DELETE", f"/pipeline-couplings/{coupling.id}"),
        ("GET", f"/pipeline-promotions/{promotion['id']}"),
        ("GET", f"/pipeline-promotions/{promotion['id']}/promotion-targets"),
        ("GET", f"/test-runs/{run.id}"),
        ("PATCH", f"/test-runs/{run.id}"),
        ("GET", f"/test-runs/{run.id}/test-nodes"),
        ("GET", f"/review-apps/{review.id}"),
        ("DELETE", f"/review-apps/{review.id}"),
    ):
        assert send(client, method, path, {"stage": "staging"})[0] == 404, (method, path)
    assert send(client, "POST", "/filters/apps", {"in": {"id": [str(shop.id)]}}) == (200, [])
    for path, body in (
        ("/pipeline-couplings", {"pipeline": str(pipe.id), "app": "cafe", "stage": "staging"}),
        (
            "/pipeline-promotions",
            {
                "pipeline": {"id": str(pipe.id)},
                "source": {"app": {"id": str(shop.id)}},
                "targets": [{"app": {"id": str(outlet.id)}}],
            },
        ),
        ("/test-runs", {"pipeline": str(pipe.id), "source_blob_url": "x", "commit_sha": "x", "commit_branch": "x"}),
        ("/review-apps", {"pipeline": str(pipe.id), "branch": "b"}),
    ):
        assert send(client, "POST", path, body)[0] == 404, path
    assert PromotionTarget.objects.count() == 1


def test_a_viewer_of_one_app_looks_and_changes_nothing(vera, pipe):
    client = client_of(vera)
    for route in of_pipelines():
        status = call(client, route).status_code
        if PERMISSIONS[route.permission][0] != "viewer":
            assert status == 403, f"{route.method} {route.pattern}"
        else:
            assert status in (200, 404), f"{route.method} {route.pattern}"
    rows = send(client, "GET", "/pipelines/pipe/pipeline-couplings")[1]
    assert [row["app"]["name"] for row in rows] == ["shop"], "the other app stays unseen"
    Pipeline.objects.get(name="pipe")


def test_config_vars_of_tests_take_a_role_in_each_app(bob, alice, pipe, outlet):
    client = client_of(bob)
    assert send(client, "GET", "/pipelines/pipe/stage/test/config-vars")[0] == 403, "bob is a developer of shop alone"
    apps.add_collaborator(actor=alice, app=outlet, email=bob.email, role="developer")
    assert send(client, "PATCH", "/pipelines/pipe/stage/test/config-vars", {"X": "1"}) == (200, {"X": "1"})
    assert send(client, "PATCH", "/pipelines/pipe", {"name": "mine"})[0] == 403


def promotion_of(pipe, source, *targets, **more):
    return {
        "pipeline": str(pipe.id),
        "source": {"app": source.name},
        "targets": [{"app": app.name} for app in targets],
        **more,
    }


def test_a_promotion_takes_the_right_to_release_in_each_target(bob, alice, pipe, shop, outlet, serving):
    client = client_of(bob)
    assert send(client, "POST", "/pipeline-promotions", promotion_of(pipe, shop, outlet))[0] == 404, (
        "bob does not see outlet"
    )
    apps.add_collaborator(actor=alice, app=outlet, email=bob.email, role="viewer")
    assert send(client, "POST", "/pipeline-promotions", promotion_of(pipe, shop, outlet))[0] == 403
    apps.add_collaborator(actor=alice, app=outlet, email=bob.email, role="developer")
    status, body = send(client, "POST", "/pipeline-promotions", promotion_of(pipe, shop, outlet))
    assert (status, body["status"]) == (201, "pending")
    (target,) = send(client, "GET", f"/pipeline-promotions/{body['id']}/promotion-targets")[1]
    assert (target["status"], target["app"]["id"], target["error_message"]) == ("pending", str(outlet.id), None)
    release = send(client, "GET", f"/apps/outlet/releases/{target['release']['id']}")[1]
    assert release["output_stream_url"].startswith("http://localhost:")


def test_a_token_that_reads_promotes_nothing(alice, pipe, shop, outlet, serving):
    client = client_of(alice, "read")
    for method, path, body in (
        ("POST", "/pipeline-promotions", promotion_of(pipe, shop, outlet)),
        ("POST", "/pipelines", {"name": "other"}),
        ("DELETE", "/pipelines/pipe", {}),
        ("PATCH", "/pipelines/pipe/stage/test/config-vars", {"X": "1"}),
        ("GET", "/pipelines/pipe/stage/test/config-vars", {}),
        ("POST", "/sources", {}),
    ):
        assert send(client, method, path, body)[0] == 403, path
    assert send(client, "GET", "/pipelines/pipe")[0] == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"pipeline": 3},
        {"pipeline": {"id": "pipe"}},
        {"pipeline": "pipe", "source": "shop"},
        {"pipeline": "pipe", "source": {"app": "shop"}},
        {"pipeline": "pipe", "source": {"app": "shop"}, "targets": ["outlet"]},
        {"pipeline": "pipe", "source": {"app": "shop"}, "targets": [{}]},
        {"pipeline": "pipe", "source": {"app": "shop"}, "targets": [{"app": "shop"}]},
        {"pipeline": "pipe", "source": {"app": "shop", "release": {"id": "v99"}}, "targets": [{"app": "outlet"}]},
    ],
)
def test_bad_promotions_are_refused_and_never_a_500(alice, pipe, shop, outlet, serving, body):
    status, answer = send(client_of(alice), "POST", "/pipeline-promotions", body)
    assert status in (404, 422), answer
    assert not PromotionTarget.objects.exists()


def test_a_source_elsewhere_is_never_fetched(alice, pipe):
    body = {
        "pipeline": "pipe",
        "source_blob_url": "http://169.254.169.254/x.tar.gz",
        "commit_sha": "a" * 40,
        "commit_branch": "b",
    }
    status, answer = send(client_of(alice), "POST", "/test-runs", body)
    assert status == 422
    assert "not fetched" in answer["message"]


def test_a_test_run_of_an_archive_is_cancelled_and_none_is_entered(alice, vera, pipe, shop):
    run = TestRun.objects.create(pipeline=pipe, number=1, app=shop, sha="5" * 40, commit_sha="5" * 40, uploaded=True)
    assert send(client_of(vera), "PATCH", f"/test-runs/{run.id}", {"status": "cancelled"})[0] == 403
    assert send(client_of(alice), "PATCH", f"/test-runs/{run.id}", {"status": "succeeded"})[0] == 422
    status, answer = send(client_of(alice), "PATCH", f"/test-runs/{run.id}", {"status": "cancelled"})
    assert (status, answer["status"]) == (200, "cancelled")
    body = {"pipeline": "pipe", "source_blob_url": "x", "commit_sha": "a" * 40, "commit_branch": "b", "debug": True}
    status, answer = send(client_of(alice), "POST", "/test-runs", body)
    assert status == 422
    assert "heroku run bash" in answer["message"]


def test_who_asks_for_a_running_test_run_again_and_again_is_slowed_down(alice, pipe, shop, monkeypatch):
    pauses = []
    monkeypatch.setattr(views_ci.time, "sleep", pauses.append)
    run = TestRun.objects.create(pipeline=pipe, number=1, app=shop, sha="5" * 40, commit_sha="5" * 40, uploaded=True)
    assert send(client_of(alice), "GET", "/pipelines/pipe/test-runs/1")[1]["status"] == "pending"
    TestRun.objects.filter(pk=run.pk).update(state="ended")
    assert send(client_of(alice), "GET", "/pipelines/pipe/test-runs/1")[1]["status"] == "errored"
    assert pauses == [views_ci.PAUSE]


def test_the_owner_takes_a_pipeline_away_and_the_apps_stay(alice, pipe, shop):
    client = client_of(alice)
    assert send(client, "DELETE", f"/pipelines/{pipe.id}", {"name": "pipe"})[0] == 200
    assert send(client, "GET", "/apps/shop")[0] == 200
    assert send(client, "GET", "/apps/shop/pipeline-couplings")[0] == 404


def test_owning_a_pipeline_gives_no_right_to_run_code_in_a_foreign_app(alice, charlie, pipe, cafe, home):
    Coupling.objects.create(pipeline=pipe, app=cafe, stage="development")
    client = client_of(alice)
    assert send(client, "GET", "/pipelines/pipe/repository")[0] == 404, (
        "alice does not see cafe, which is the first app now"
    )
    assert send(client, "GET", "/pipelines/pipe/repo/branches/master")[0] == 404
    assert send(client, "POST", "/review-apps", {"pipeline": "pipe", "branch": "master"})[0] == 404
    body = {"pipeline": "pipe", "source_blob_url": "x", "commit_sha": "a" * 40, "commit_branch": "b"}
    assert send(client, "POST", "/test-runs", body)[0] == 404


def test_who_only_looks_adds_no_app(vera, pipe, home):
    own = apps.create(actor=vera, name="veras")
    assert (
        send(client_of(vera), "POST", "/pipeline-couplings", {"pipeline": "pipe", "app": "veras", "stage": "staging"})[
            0
        ]
        == 403
    )
    assert not Coupling.objects.filter(app=own).exists()


def test_the_latest_test_run_alone_is_asked_for_in_one_request(alice, pipe, shop):
    for number in (1, 2, 3):
        TestRun.objects.create(pipeline=pipe, number=number, app=shop, sha="5" * 40, commit_sha="5" * 40)
    client = client_of(alice)
    answer = client.get("/pipelines/pipe/test-runs", headers={"Range": "number ..; order=desc,max=1"})
    assert [row["number"] for row in answer.json()] == [3]
    assert "Next-Range" not in answer
    assert [row["number"] for row in client.get("/pipelines/pipe/test-runs").json()] == [3, 2, 1]
    answer = client.get("/pipelines/pipe/test-runs", headers={"Range": "number ..; order=desc,max=2"})
    assert (answer.status_code, [row["number"] for row in answer.json()]) == (206, [3, 2])


def test_asking_for_a_part_enables_review_apps_and_changing_another_needs_them_enabled(alice, pipe, shop):
    client, path = client_of(alice), "/pipelines/pipe/review-app-config"
    status, body = send(client, "PATCH", path, {"wait_for_ci": False})
    assert (status, "heroku reviewapps:enable" in body["hint"]) == (404, True)
    status, body = send(client, "PATCH", path, {"automatic_review_apps": True})
    assert (status, body["automatic_review_apps"], body["destroy_stale_apps"]) == (200, True, False)
    assert send(client, "PATCH", path, {"destroy_stale_apps": True})[1]["automatic_review_apps"] is True
    assert send(client, "POST", path, {})[0] == 409
