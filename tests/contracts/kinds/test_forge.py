"""The contract of every forge, and CONTRIBUTING's recipe for a new one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from django.test import Client

from greenroom.basics import outgoing
from greenroom.basics.errors import UserError
from greenroom.deliveries.models import Delivery
from greenroom.git.models import Push
from greenroom.project.installation import DEFAULTS
from greenroom.sources import actions, forges
from greenroom.sources.forges.kind import Call
from greenroom.sources.loop.reports import Loop as ReportLoop
from greenroom.sources.models import Report, Source
from greenroom.sources.rules import place_of, reports
from tests.contracts.kinds.recipes import ROOT, added, recipe
from tests.sources.forge import forging

SHA = "a" * 40
HERE = outgoing.networks(["127.0.0.0/8"])
URL = "https://forge.example.org/team/shop.git"
TOY = '''"""A toy forge: it signs with a word and takes statuses alone."""

from greenroom.sources.forges.kind import Call, Request, api_at


class ToyApi:
    deployments = None

    def root(self, place):
        return api_at(place, "toy")

    def headers(self, token):
        return {"X-Toy-Token": token}

    def status(self, root, repo, sha, told):
        return Request(method="POST", url=f"{root}/{repo}/{sha}", body={"is": told.state})

    def settled(self, code, body):
        return code == 201


class Toy:
    name, rank, username = "toy", 40, "toy"
    advice = "Toys > Hooks"
    host_keys = {"toy.example.org": "toy.example.org ssh-ed25519 AAAA"}
    api = ToyApi()

    def is_host(self, host):
        return host.startswith("toy.")

    def signed(self, headers, body, secrets):
        given = headers.get("x-toy-secret")
        return None if given is None else given in secrets

    def call(self, headers):
        return Call(event=headers.get("x-toy-event", ""), delivery=headers.get("x-toy-id", ""))


FORGE = Toy()
'''


@pytest.fixture(params=forges.names())
def forge(request):
    return forges.find(request.param)


@pytest.fixture(params=forges.with_api())
def api(request):
    return forges.find(request.param).api


@pytest.fixture(params=[forge.name for forge in forges.every() if forge.api and forge.api.deployments])
def deployments(request):
    return forges.find(request.param).api.deployments


def test_a_forge_has_a_folder_of_its_name_and_a_line_in_the_guide(forge):
    holds(forge)
    assert type(forge).__module__.rpartition(".")[2] == forge.name
    assert f"`{forge.name}`" in (ROOT / "docs/howto/blessed-repository.md").read_text()


def holds(forge):
    """The part of the contract that does not depend on the forge."""
    assert 0 < len(forge.name) <= Source._meta.get_field("kind").max_length
    assert forge.username
    assert forge.advice
    assert all(line.split()[0] == host and len(line.split()) == 3 for host, line in forge.host_keys.items())
    assert forge.signed({}, b"", ["secret"]) is None
    assert forge.call({}) == Call()


def test_every_host_has_one_forge_and_the_last_takes_the_rest():
    assert [forge.name for forge in forges.every() if forge.is_host("an.unknown.example.org")] == [forges.names()[-1]]
    assert len({forge.rank for forge in forges.every()}) == len(forges.names())


def test_an_api_is_below_one_root_and_takes_each_state(api):
    root = api.root(place_of(URL))
    assert root.startswith("https://")
    assert "token-1" in " ".join(api.headers("token-1").values())
    for state in ("pending", "success", "failure", "error", "cancelled"):
        told = reports.Told(kind="status", context="greenroom/shop", state=state, description="d")
        request = api.status(root, "team/shop", SHA, told)
        assert request.method == "POST"
        assert request.url.startswith(f"{root}/")
        assert SHA in request.url
        assert json.loads(request.data)["state"]
    assert api.settled(201, b"{}")
    assert not any(api.settled(code, b"") for code in (302, 401, 404, 429, 500))


def test_a_deployment_is_found_again_by_the_delivery_that_made_it(deployments):
    made = deployments.make("https://api", "team/shop", SHA, "shop", "delivery-1")
    rows = [{**made.body, "id": 6}, {"id": 7}]
    assert deployments.own(rows, "delivery-1") == "6"
    assert deployments.own(rows, "delivery-2") == deployments.own("nonsense", "delivery-1") == ""
    assert deployments.number({"id": 6}) == "6"
    assert deployments.number({"id": True}) == deployments.number([]) == ""
    assert deployments.find("https://api", "team/shop", SHA, "shop").method == "GET"
    for state in reports.STATES:
        told = reports.Told(kind="deployment", context="shop", state=state, description="d")
        assert deployments.state("https://api", "team/shop", "6", told, "https://shop").body["state"]


@pytest.mark.django_db
def test_a_forge_without_an_api_cannot_be_given_one_and_is_asked_nothing(alice, shop, home):
    (name,) = set(forges.names()) - set(forges.with_api())
    wish = actions.Wish(url=URL, kind=name, token="t", api="https://forge.example.org/api")
    with pytest.raises(UserError, match="has no API") as refused:
        actions.set_source(actor=alice, app=shop, home=home, wish=wish)
    assert all(known in refused.value.hint for known in forges.with_api())
    row, _ = actions.set_source(actor=alice, app=shop, home=home, wish=actions.Wish(url=URL, kind=name, token="t"))
    Source.objects.filter(pk=row.pk).update(api="https://forge.example.org/api")
    push = Push.objects.create(app=shop, seq=1, ref="refs/heads/main", before="0" * 40, after=SHA, origin=URL)
    delivery = Delivery.objects.create(app=shop, seq=1, kind="push", sha=SHA, push=push, state="checking")
    ReportLoop(home, {**DEFAULTS, "http_port": 8080}).turn()
    assert not Report.objects.exists()
    report = Report.objects.create(source=row, delivery=delivery, kind="status", context="c", state="pending")
    ReportLoop(home, {**DEFAULTS, "http_port": 8080}).turn()
    report.refresh_from_db()
    assert (report.status, report.error) == ("failed", "the source's forge has no API")


@pytest.mark.django_db
def test_a_forge_made_by_the_recipe_is_guessed_believed_and_told(alice, shop, home, tmp_path, monkeypatch):
    steps = recipe("Add a forge")
    assert "sources/forges/<name>/__init__.py" in steps
    assert "`FORGE`" in steps
    monkeypatch.setattr("greenroom.entrypoints.api.views_sources.HOME", home)
    with added(forges, tmp_path / "kinds", "toy", {"__init__.py": TOY}), forging(tmp_path / "forge") as server:
        holds(forges.find("toy"))
        assert forges.guess("toy.example.org").name == "toy"
        assert forges.host_key("toy.example.org")
        url = f"{server.url}/team/shop.git"
        wish = actions.Wish(url=url, kind="toy", token="token-1")
        row, secret = actions.set_source(actor=alice, app=shop, home=home, wish=wish, allowed=HERE)
        assert row.api == f"{server.url}/toy"
        headers = {"X-Toy-Secret": secret, "X-Toy-Event": "push", "X-Toy-Id": "1"}
        body = json.dumps({"ref": f"refs/heads/{row.branch}"})
        client = Client()
        assert client.post(f"/hooks/{row.hook}", body, "application/json", headers=headers).status_code == 202
        headers["X-Toy-Secret"] = "another"
        assert client.post(f"/hooks/{row.hook}", body, "application/json", headers=headers).status_code == 401
        push = Push.objects.create(app=shop, seq=1, ref="refs/heads/main", before="0" * 40, after=SHA, origin=url)
        Delivery.objects.create(app=shop, seq=1, kind="push", sha=SHA, push=push, state="checking")
        ReportLoop(home, {**DEFAULTS, "http_port": 8080}, HERE).turn()
        assert server.api() == [("POST", f"/toy/team/shop/{SHA}", {"is": "pending"})]
        assert server.asked[-1][2]["X-Toy-Token"] == "token-1"
        assert Report.objects.get().status == "sent"
    assert "toy" not in forges.names()


def test_no_code_outside_the_folders_names_a_forge():
    words = "|".join(f"[\"']{name}[\"']" for name in forges.names() if name != "git")
    command = ["grep", "-rnE", words, "--include=*.py", "src/greenroom", "src/greenroom_cli"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout.splitlines()
    assert not [line for line in found if not line.startswith("src/greenroom/sources/forges/")]


@pytest.mark.neighbours
def test_the_api_declares_the_kinds_that_there_are():
    code = "from greenroom.entrypoints.api.schemas.sources import FOLLOWED; print(FOLLOWED['kind'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src")
    assert done.stdout.strip() == "|".join(forges.names()) == "github|gitlab|gitea|git"
