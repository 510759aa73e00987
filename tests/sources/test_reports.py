"""The outcome of a fetched commit is reported to its forge, in the forge's own API, once per state, and retried until
accepted.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from greenroom.basics import clock
from greenroom.checks.models import CheckRun
from greenroom.config_vars.actions import write
from greenroom.deliveries.models import Delivery
from greenroom.git.models import Push
from greenroom.project.installation import DEFAULTS
from greenroom.releases.actions import release
from greenroom.sources import forges
from greenroom.sources.actions import reports as actions
from greenroom.sources.loop.reports import Loop
from greenroom.sources.models import Report, Source
from greenroom.sources.rules import reports
from tests.api.github_shapes import problems

pytestmark = pytest.mark.django_db
SHA = "a" * 40
TOKEN = "token-0123456789"
STATUS_BODY = {
    "type": "object",
    "required": ["state"],
    "properties": {
        "state": {"type": "string", "enum": ["error", "failure", "pending", "success"]},
        "target_url": {"type": "string", "format": "uri"},
        "description": {"type": "string"},
        "context": {"type": "string"},
    },
}
DEPLOYMENT_STATUS_BODY = {
    "type": "object",
    "required": ["state"],
    "properties": {
        "state": {
            "type": "string",
            "enum": ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"],
        },
        "environment_url": {"type": "string", "format": "uri"},
        "environment": {"type": "string"},
        "auto_inactive": {"type": "boolean"},
    },
}
"""The bodies of "Create a commit status" and "Create a deployment status" in GitHub's OpenAPI description, reduced to
the fields in use.
"""


@pytest.fixture
def follow(api, forge, repo):
    """Set a source of a kind that uses the forge's API; returns the response body."""

    def make(kind, **other):
        answer = api.set(repo.url, kind=kind, token=TOKEN, api=f"{forge.url}/api", **other)
        assert answer.status_code == 201, answer.content
        return answer.json()

    return make


@pytest.fixture
def delivery(shop, repo):
    """A delivery of a fetched commit."""

    def make(state="checking", seq=1, **columns):
        push = Push.objects.create(
            app=shop, seq=seq, ref="refs/heads/master", before="0" * 40, after=SHA, state="recorded", origin=repo.url
        )
        return Delivery.objects.create(app=shop, seq=seq, kind="push", sha=SHA, push=push, state=state, **columns)

    return make


def due():
    Report.objects.filter(status="pending").update(next_at=clock.now())


def make_release(shop, home, alice, row):
    config = write(app=shop, home=home, values={"N": "1"}, actor=alice)
    row.release = release(actor=alice, app=shop, kind="push", description="Deploy", slug=None, config=config)
    row.save()
    return row.release.version


def test_github_is_told_each_state_once(follow, delivery, tell, forge, shop):
    follow("github")
    row = delivery()
    check = CheckRun.objects.create(app=shop, sha=SHA, name="tests", builtin=True, status="in_progress")
    for _ in range(3):
        tell()
    path = f"/api/repos/team/shop/statuses/{SHA}"
    assert forge.api() == [
        ("POST", path, {"state": "pending", "context": "greenroom/shop", "description": "tests and scan"}),
        ("POST", path, {"state": "pending", "context": "greenroom/shop/tests", "description": "in_progress"}),
    ]
    assert not [text for _, _, body in forge.api() for text in problems(body, STATUS_BODY)]
    headers = forge.asked[-1][2]
    assert (headers["Authorization"], headers["Accept"]) == (f"Bearer {TOKEN}", "application/vnd.github+json")
    CheckRun.objects.filter(pk=check.pk).update(status="completed", conclusion="failure", title="2 of 214 tests failed")
    Delivery.objects.filter(pk=row.pk).update(state="refused", reason="withheld: tests failed", finished_at=clock.now())
    tell()
    tell()
    assert [body for _, _, body in forge.api()[2:]] == [
        {"state": "failure", "context": "greenroom/shop", "description": "withheld: tests failed"},
        {"state": "failure", "context": "greenroom/shop/tests", "description": "2 of 214 tests failed"},
    ]


def test_github_is_told_of_a_deployment_from_its_release_on(follow, delivery, tell, forge, shop, home, alice):
    follow("github")
    forge.answer = lambda method, path, body: (201, {"id": 77})
    row = delivery("rolling_out")
    version = make_release(shop, home, alice, row)
    tell()
    Delivery.objects.filter(pk=row.pk).update(state="live", finished_at=clock.now())
    tell()
    made = [(path, body) for method, path, body in forge.api() if "deployments" in path]
    assert [path for path, _ in made] == [
        "/api/repos/team/shop/deployments",
        *["/api/repos/team/shop/deployments/77/statuses"] * 2,
    ]
    first = made[0][1]
    assert (first["ref"], first["environment"], first["required_contexts"], first["auto_merge"]) == (
        SHA,
        "shop",
        [],
        False,
    )
    assert [body["state"] for _, body in made[1:]] == ["in_progress", "success"]
    assert made[2][1]["environment_url"] == "http://shop.localhost:8080/"
    assert made[2][1]["description"] == f"v{version} is live"
    assert not [text for _, body in made[1:] for text in problems(body, DEPLOYMENT_STATUS_BODY)]


def test_a_deployment_whose_answer_was_lost_is_found_and_not_made_twice(
    follow, delivery, tell, forge, shop, home, alice
):
    follow("github")
    row = delivery("rolling_out")
    make_release(shop, home, alice, row)
    kept = []

    def answer(method, path, body):
        if method == "GET":
            return 200, [{"id": 5, "payload": {}}, {"id": 6, "payload": "x"}, *kept]
        if path.endswith("/deployments"):
            kept.append({"id": 9, "payload": body["payload"]})
            return 502, {}  # it was created, but the response was lost
        return 201, {"id": 1}

    forge.answer = answer
    tell()
    due()
    tell()
    assert len(kept) == 1
    assert forge.api()[-1][1] == "/api/repos/team/shop/deployments/9/statuses"
    assert Report.objects.get(kind="deployment").status == "sent"


def test_gitlab_is_told_in_its_own_words_and_twice_is_no_failure(follow, delivery, tell, forge):
    follow("gitlab")
    forge.answer = lambda method, path, body: (400, {"message": "Cannot transition status via :run from :running"})
    delivery("superseded", finished_at=clock.now())
    tell()
    assert forge.api() == [
        (
            "POST",
            f"/api/projects/team%2Fshop/statuses/{SHA}",
            {"state": "canceled", "name": "greenroom/shop", "description": "superseded"},
        )
    ]
    assert forge.asked[-1][2]["PRIVATE-TOKEN"] == TOKEN
    assert Report.objects.get().status == "sent"


def test_gitea_is_told_by_its_statuses(follow, delivery, tell, forge):
    follow("gitea")
    delivery("held", finished_at=clock.now())
    tell()
    body = {"state": "pending", "context": "greenroom/shop", "description": "is held: its migrations are pending"}
    assert forge.api() == [("POST", f"/api/repos/team/shop/statuses/{SHA}", body)]
    assert forge.asked[-1][2]["Authorization"] == f"token {TOKEN}"


def test_a_forge_that_does_not_answer_is_told_again_until_it_does(follow, delivery, tell, forge, api):
    follow("github")
    statuses = [500, 429, 403, 201]
    forge.answer = lambda method, path, body: (statuses.pop(0), {"message": "slow down"})
    delivery("live", finished_at=clock.now())
    for attempt in range(1, 4):
        tell()
        row = Report.objects.get()
        assert (row.status, row.attempts) == ("pending", attempt)
        assert row.next_at > clock.now()
        (shown,) = api.info()["reports"]
        assert "slow down" in shown["error"]
        due()
    tell()
    assert (Report.objects.get().status, Report.objects.get().attempts) == ("sent", 4)
    assert [reports.pause(500, attempts) for attempts in (1, 2, 3, 11, 12)] == [10, 20, 40, 1800, None]


@pytest.mark.parametrize("code", [301, 400, 401, 404, 422])
def test_what_cannot_get_better_is_given_up_and_shown(follow, delivery, tell, forge, api, code):
    follow("github")
    forge.answer = lambda method, path, body: (code, {"message": "Not Found"})
    delivery("live", finished_at=clock.now())
    tell()
    tell()
    (shown,) = api.info()["reports"]
    assert (shown["status"], shown["error"], shown["code"], len(forge.api())) == (
        "failed",
        f"{code} Not Found",
        code,
        1,
    )


def test_a_report_under_way_when_its_process_died_is_sent_again(follow, delivery, tell, forge):
    follow("github")
    delivery("live", finished_at=clock.now())
    actions.note_wanted(source=Source.objects.select_related("app").get())
    assert actions.claim()  # and the process is killed here
    tell()
    assert forge.api() == []
    Report.objects.update(next_at=clock.now() - timedelta(seconds=1))
    tell()
    assert len(forge.api()) == 1


def test_a_state_that_was_overtaken_before_it_was_told_is_dropped(follow, delivery, tell, forge):
    follow("github")
    row = delivery("checking")
    actions.note_wanted(source=Source.objects.select_related("app").get())
    Delivery.objects.filter(pk=row.pk).update(state="live")
    tell()
    assert [body["state"] for _, _, body in forge.api()] == ["success"]
    assert sorted(Report.objects.values_list("status", flat=True)) == ["dropped", "sent"]


def test_only_commits_of_the_source_are_reported_and_only_with_a_token(api, follow, delivery, tell, forge, repo, shop):
    api.set(repo.url, kind="github", api=f"{forge.url}/api")
    delivery("live")
    tell()
    assert forge.api() == []
    Push.objects.update(origin="")
    api.set(repo.url, token=TOKEN)
    tell()
    assert forge.api() == []


def test_a_forge_at_a_private_address_is_told_nothing(follow, delivery, home, forge):
    follow("github")
    delivery("live", finished_at=clock.now())
    Loop(home, {**DEFAULTS, "http_port": 8080}, ()).turn()
    assert forge.api() == []
    assert "not a public address" in Report.objects.get().error


@pytest.mark.parametrize("kind", forges.with_api())
@pytest.mark.parametrize("state", reports.STATES)
def test_each_state_has_a_word_for_each_forge(kind, state):
    told = reports.Told(kind="status", context="c", state=state if state != "inactive" else "pending", description="d")
    body = forges.find(kind).api.status("https://api", "a/b", SHA, told).body
    words = {"gitlab": {"pending", "running", "success", "failed", "canceled"}}.get(
        kind, {"pending", "success", "failure", "error"}
    )
    assert body["state"] in words


def test_a_description_is_one_line_of_140_characters():
    assert reports.short("a\nb\x1b[31m\u2028c") == "a b c"
    assert len(reports.short("x" * 500)) == 140
