"""The HTTP rules of every route: paging, ETags, request ids, content types, versions, and text that PostgreSQL cannot
store.
"""

from __future__ import annotations

import json

import pytest
from django.test import Client

from greenroom.apps import actions as apps
from greenroom.entrypoints.api import paging
from tests.api.world import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(alice, shop):
    for number in range(6):
        apps.add_domain(actor=alice, app=shop, hostname=f"www{number}.example.org")
    return client_of(alice)


def pages(client, path, header):
    """All rows, fetched page by page, and the number of pages."""
    rows, count = [], 0
    while header:
        answer = client.get(path, headers={"Range": header})
        rows += answer.json()
        count += 1
        header = answer.headers.get("Next-Range")
        assert answer.status_code == (206 if header else 200)
        assert count < 20
    return rows, count


@pytest.mark.parametrize(
    "header",
    [
        "id ..; max=2",
        "id ..; max=2;",
        "hostname ..; max=2, order=asc",
        "id ..; order=desc,max=2;",
        "created_at ..; max=2",
    ],
)
def test_a_list_comes_in_pages_that_miss_and_repeat_nothing(client, header):
    rows, count = pages(client, "/apps/shop/domains", header)
    assert (len(rows), count) == (7, 4)
    assert len({row["id"] for row in rows}) == 7


def test_rows_that_share_a_time_are_all_seen_even_one_by_one():
    from types import SimpleNamespace

    data = [{"id": str(number), "created_at": "2026-11-25T00:00:00Z"} for number in range(5)]
    seen, header = [], "created_at ..; max=1, order=desc"
    while header:
        reply = SimpleNamespace(data=list(data), headers={}, status=200)
        request = SimpleNamespace(headers={"Range": header}, GET={})
        paging.apply(request, reply, "created_at")
        seen += [row["id"] for row in reply.data]
        header = reply.headers.get("Next-Range")
    assert seen == ["4", "3", "2", "1", "0"]


def test_a_part_of_a_list_is_named_by_its_ends(client):
    part = client.get("/apps/shop/domains", headers={"Range": "hostname www1.example.org..www3.example.org;"})
    assert [row["hostname"] for row in part.json()] == [f"www{number}.example.org" for number in (1, 2, 3)]
    after = client.get("/apps/shop/domains", headers={"Range": "hostname ]www4.example.org..; max=10"})
    assert [row["hostname"] for row in after.json()] == ["www5.example.org"]
    assert after.headers["Content-Range"] == "hostname www5.example.org..www5.example.org"


def test_what_heroku3_sends_is_understood_and_nonsense_is_refused(client):
    assert len(client.get("/apps/shop/domains", headers={"Range": "id ..; ;"}).json()) == 7
    assert len(client.get("/apps/shop/domains", headers={"Range": "bytes=0-"}).json()) == 7
    refused = client.get("/apps/shop/domains", headers={"Range": "hostname; max=many"})
    assert refused.status_code == 416
    assert "max=100" in refused.json()["message"]


def test_the_same_answer_is_not_sent_twice(client):
    first = client.get("/apps/shop")
    for header in (first["ETag"], f'"other", W/{first["ETag"]}', "*"):
        again = client.get("/apps/shop", headers={"If-None-Match": header})
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == first["ETag"]
    assert client.get("/apps/shop", headers={"If-None-Match": first["ETag"].strip('"')[:8]}).status_code == 200


def test_each_answer_has_a_request_id_errors_too(client):
    answers = [
        client.get("/apps/shop"),
        client.get("/apps/none"),
        client.get("/nothing"),
        Client().get("/apps"),
        client.post("/stacks"),
    ]
    ids = [answer["Request-Id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    own = "0123456789-0123456789-abc"
    assert client.get("/apps/shop", headers={"Request-Id": own})["Request-Id"] == own
    assert client.get("/apps/shop", headers={"Request-Id": "x\ty"})["Request-Id"] != "x\ty"


def test_only_json_is_taken_as_a_body(client):
    assert (
        client.patch("/apps/shop", "maintenance=on", content_type="application/x-www-form-urlencoded").status_code
        == 415
    )
    assert (
        client.patch(
            "/apps/shop", '{"maintenance": true}', content_type="application/vnd.heroku+json; version=3"
        ).status_code
        == 200
    )
    assert (
        client.patch("/apps/shop", '{"maintenance": false}', content_type="application/json; charset=utf-8").status_code
        == 200
    )


@pytest.mark.parametrize(
    "body",
    [
        '{"name": "a\\u0000b"}',
        '{"name": "\\ud800"}',
        '{"n": NaN}',
        '{"n": ' + "9" * 30 + "}",
        "[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_bodies_that_no_row_can_hold_are_refused(client, body):
    answer = client.patch("/apps/shop", body, content_type="application/json")
    assert (answer.status_code, answer.json()["id"]) == (400, "bad_request")


def test_a_body_that_is_too_large_is_refused(client):
    answer = client.patch("/apps/shop", json.dumps({"name": "x" * 6_000_000}), content_type="application/json")
    assert (answer.status_code, answer.json()["id"]) == (413, "request_too_large")


def test_every_variant_of_the_third_version_is_spoken_and_no_other(client):
    for version in ("3", "3.sdk", "3.cedar-acm", "3.webhooks", "3.pipelines"):
        assert (
            client.get("/apps/shop", headers={"Accept": f"application/vnd.heroku+json; version={version}"}).status_code
            == 200
        )
    assert client.get("/apps/shop", headers={"Accept": "application/vnd.heroku+json; version=2"}).status_code == 406
    sdk, plain = (
        client.get("/apps/shop", headers={"Accept": f"application/vnd.heroku+json; version={version}"}).json()
        for version in ("3.sdk", "3")
    )
    assert (sdk["generation"], plain["generation"]["name"]) == ("cedar", "cedar")


def test_a_password_is_changed_by_who_knows_the_one_that_holds(client):
    def change(body, method="patch", path="/account"):
        return getattr(client, method)(path, json.dumps(body), content_type="application/json").status_code

    assert change({"password": "wrong", "new_password": "another horse"}) == 422
    assert change({"password": "correct horse", "new_password": "short"}) == 422
    assert change({"password": "correct horse", "new_password": "another horse"}) == 200
    assert (
        change({"current_password": "another horse", "new_password": "a third horse"}, "put", "/account/password")
        == 200
    )
    assert change({"name": "Alice"}) == 200
    assert client.get("/account").json()["name"] == "Alice"
    assert change({"email": "mallory@example.com"}) == 422
