"""Lists with 10,000 rows: a page costs a fixed number of queries and loads only its own rows, and the pages contain
each row once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.apps import apps
from django.db import connection, models, transaction
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext

from greenroom.entrypoints.api.routing import ROUTES
from tests.api import world as worlds

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("all_views")]
ROWS = 10_000
PAGE = 50
AGAIN = {"created_at": "{0} - g * interval '1 second'"}

LISTS: dict[str, tuple[str, dict[str, str]]] = {
    "/accounts": ("accounts.Account", {"email": "'a' || g || '@example.com'"}),
    "/oauth/authorizations": ("accounts.Token", {"digest": "md5(g::text)", "app_id": "NULL", "revoked_at": "NULL"}),
    "/oauth/sessions": (
        "accounts.Token",
        {"digest": "md5(g::text)", "app_id": "NULL", "session": "true", "revoked_at": "NULL"},
    ),
    "/accounts/{email}/tokens": (
        "accounts.Token",
        {"digest": "md5(g::text)", "app_id": "NULL", "revoked_at": "NULL"},
    ),
    "/audit": ("accounts.AuditEntry", {}),
    "/account/keys": ("accounts.SSHKey", {"fingerprint": "'f' || g"}),
    "/account/app-transfers": ("apps.AppTransfer", {"state": "'declined'"}),
    "/apps": ("apps.App", {"name": "'app-' || g", "number": "{0} + 1000 + g"}),
    "/users/~/apps": ("apps.App", {"name": "'app-' || g", "number": "{0} + 1000 + g"}),
    "/apps/{app}/collaborators": ("apps.Collaborator", {"account_id": "(SELECT id FROM nth_account WHERE n = g)"}),
    "/apps/{app}/domains": ("apps.Domain", {"hostname": "'h' || g || '.example.com'"}),
    "/apps/{app}/check-tokens": (
        "accounts.Token",
        {"digest": "md5(g::text)", "app_id": "'{app}'", "revoked_at": "NULL"},
    ),
    "/addons": ("addons.Addon", {"name": "'postgresql-' || g"}),
    "/apps/{app}/addons": ("addons.Addon", {"name": "'postgresql-' || g"}),
    "/addon-attachments": ("addons.Attachment", {"name": "'N' || g"}),
    "/apps/{app}/addon-attachments": ("addons.Attachment", {"name": "'N' || g"}),
    "/addons/{addon}/addon-attachments": ("addons.Attachment", {"name": "'N' || g"}),
    "/apps/{app}/pg/snapshots": ("addons.Snapshot", {"number": "{0} + 1000 + g", "file": "'f' || g"}),
    "/apps/{app}/pg/restores": ("addons.Restore", {"number": "{0} + 1000 + g"}),
    "/client/v11/apps/{app}/transfers": ("addons.Snapshot", {"number": "{0} + 1000 + g", "file": "'f' || g"}),
    "/apps/{app}/builds": ("builds.Build", {}),
    "/apps/{app}/releases": ("releases.Release", {"version": "{0} + 1000 + g"}),
    "/apps/{app}/deliveries": (
        "deliveries.Delivery",
        {
            "seq": "{0} + 1000 + g",
            "push_id": "NULL",
            "release_id": "NULL",
            "build_id": "NULL",
            "sha": "md5(g::text) || 'aaaaaaaa'",
        },
    ),
    "/apps/{app}/checks/{check}/annotations": ("checks.Annotation", {"line": "10 + g"}),
    "/apps/{app}/ignores": ("checks.Ignore", {"fingerprint": "'f' || g", "until": "{0} + g * interval '1 second'"}),
    "/apps/{app}/rehearsals": ("app_migrations.Rehearsal", {"number": "{0} + 1000 + g"}),
    "/apps/{app}/jobs": ("jobs.Job", {"name": "'job-' || g"}),
    "/apps/{app}/job-runs": (
        "jobs.JobRun",
        {"number": "{0} + 1000 + g", "planned_at": "{0} + g * interval '1 second'"},
    ),
    "/apps/{app}/log-drains": ("logs.LogDrain", {"token": "'d.' || g", "url": "{0} || g"}),
    "/apps/{app}/webhooks": ("webhooks.Webhook", {}),
    "/apps/{app}/webhook-deliveries": (
        "webhooks.WebhookDelivery",
        {
            "event_id": "(SELECT id FROM nth_event WHERE n = g)",
            "webhook_id": "(SELECT id FROM webhooks_webhook LIMIT 1)",
            "notification_id": "NULL",
        },
    ),
    "/apps/{app}/webhook-events": ("webhooks.Event", {}),
    "/pipelines": ("pipelines.Pipeline", {"name": "'pipe-' || g"}),
    "/pipelines/{pipeline}/pipeline-couplings": (
        "pipelines.Coupling",
        {"app_id": "(SELECT id FROM nth_app WHERE n = g)"},
    ),
    "/pipeline-couplings": ("pipelines.Coupling", {"app_id": "(SELECT id FROM nth_app WHERE n = g)"}),
    "/users/~/pipeline-couplings": ("pipelines.Coupling", {"app_id": "(SELECT id FROM nth_app WHERE n = g)"}),
    "/pipelines/{pipeline}/test-runs": ("pipelines.TestRun", {"number": "{0} + 1000 + g"}),
    "/pipelines/{pipeline}/review-apps": ("pipelines.ReviewApp", {"app_id": "NULL", "branch": "'b' || g"}),
}
"""Path -> the model with the growing rows, and the columns that differ between copies."""

NUMBERED = {
    "nth_account": ("/accounts", "accounts_account"),
    "nth_app": ("/apps", "apps_app"),
    "nth_event": ("/apps/{app}/webhook-events", "webhooks_event"),
}
"""Tables of ids by number, for rows that may refer to each id only once. These copies are made first."""
AT = {
    "nth_account": "email LIKE 'a%@example.com'",
    "nth_app": "number",
    "nth_event": "created_at < now() - interval '1 second'",
}

BOUNDED = {
    "/account/features": "one fixed list",
    "/account/invoices": "empty",
    "/oauth/clients": "empty",
    "/invitations": "500 at most",
    "/addon-services": "one fixed list",
    "/addon-services/{service}/plans": "one fixed list",
    "/apps/{app}/notifications": "20 at most",
    "/notifications": "20 at most",
    "/apps/{app}/volumes": "5 at most",
    "/apps/{app}/volumes/{volume}/snapshots": "the newest 5 are kept",
    "/regions": "one",
    "/stacks": "one",
    "/dyno-sizes": "one fixed list",
    "/apps/{app}/available-dyno-sizes": "one fixed list",
    "/apps/{app}/available-stacks": "one",
    "/apps/{app}/features": "one fixed list",
    "/apps/{app}/mail": "200 mails of the trap at most",
    "/apps/{app}/buildpack-installations": "one",
    "/buildpacks": "one",
    "/buildpacks/{name}/revisions": "one",
    "/test-runs/{test_run}/test-nodes": "one",
    "/apps/{app}/sni-endpoints": "at most 50",
    "/apps/{app}/formation": "the types of one Procfile",
    "/apps/{app}/dynos": "what runs now",
    "/apps/{app}/checks": "the checks of one commit",
    "/apps/{app}/overrides": "the overrides of one commit",
    "/pipeline-promotions/{promotion}/promotion-targets": "the apps of one request",
    "/client/v11/databases/{database}/transfer-schedules": "one per database",
    "/postgres/v0/databases/{database}/credentials": "one",
    "/api/v3/repos/{owner}/{app}/commits/{ref}/statuses": "pages of GitHub's kind",
    "/api/v3/repos/{owner}/{app}/statuses/{sha}": "pages of GitHub's kind",
    "/api/v3/repos/{owner}/{app}/check-runs/{number}/annotations": "pages of GitHub's kind",
}
"""Lists that do not grow -> the reason."""


@pytest.fixture
def world(db) -> Iterator[worlds.World]:
    with worlds.place() as home:
        yield worlds.make(worlds.person("owner@example.com", admin=True), home)


def copies(model: type[models.Model], changes: dict[str, str], app: str) -> None:
    """Make 10,000 copies of the model's first row, inside the database."""
    columns, values = [], []
    for column in model._meta.concrete_fields:
        if column.primary_key and isinstance(column, models.AutoField):
            continue
        name = f'"{column.column}"'
        expression = (
            "gen_random_uuid()" if column.primary_key else changes.get(column.column) or AGAIN.get(column.column, "{0}")
        )
        columns.append(name)
        values.append(expression.replace("{0}", f"one.{name}").replace("{app}", app))
    order = model._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({', '.join(columns)}) SELECT {', '.join(values)}"
            f" FROM generate_series(1, {ROWS}) g, (SELECT * FROM {model._meta.db_table} ORDER BY {order} LIMIT 1) one"
        )


@contextmanager
def counting(model: type[models.Model]) -> Iterator[Counter]:
    """Count the queries and the model objects that are created."""
    found: Counter = Counter()

    def count(**_: object) -> None:
        found["rows"] += 1

    post_init.connect(count, sender=model)
    try:
        with CaptureQueriesContext(connection) as queries:
            yield found
    finally:
        post_init.disconnect(count, sender=model)
    found["queries"] = len(queries)


def read(client, path: str, model: type[models.Model], header: str = "") -> tuple[Counter, object]:
    """The cost of a page, and its response."""
    with counting(model) as cost:
        answer = client.get(path, headers={"Range": header} if header else {})
    assert answer.status_code in (200, 206), (path, answer.content[:300])
    return cost, answer


def field_of(pattern: str) -> str:
    """A field of the list for the Range header."""
    return {
        "/apps/{app}/checks/{check}/annotations": "place",
        "/client/v11/apps/{app}/transfers": "num",
        "/apps/{app}/ignores": "until",
    }.get(pattern, "id")


@contextmanager
def grown(app: str, pattern: str) -> Iterator[None]:
    """Add 10,000 rows to the list and roll back at the end."""
    label, changes = LISTS[pattern]
    with transaction.atomic():
        for name, (source, table) in NUMBERED.items():
            if name in str(changes):
                copies(apps.get_model(LISTS[source][0]), LISTS[source][1], app)
                with connection.cursor() as cursor:
                    cursor.execute(
                        f"CREATE TEMP TABLE {name} AS SELECT id, row_number() OVER (ORDER BY {AT[name]} DESC) AS n FROM"
                        f" {table}"
                    )
        copies(apps.get_model(label), changes, app)
        try:
            yield
        finally:
            transaction.set_rollback(True)


def too_dear(world: worlds.World, pattern: str) -> str:
    """Why the list costs too much. Empty if a page costs the same in the long list as in the short one."""
    model, path, client = apps.get_model(LISTS[pattern][0]), worlds.path_of(pattern, world.known), world.client()
    header = f"{field_of(pattern)} ..; max={PAGE}"
    client.get(path)
    short, _ = read(client, path, model, header)
    with grown(str(world.app.id), pattern):
        whole, plain = read(client, path, model)
        if plain.status_code != 206 or len(plain.json()) > 201 or whole["queries"] > short["queries"] + 2:
            return (
                f"{pattern} without a Range header: {plain.status_code}, {len(plain.json())} rows, {whole['queries']}"
                " queries"
            )
        cost, answer = read(client, path, model, header)
        if len(answer.json()) != PAGE or not answer.headers.get("Next-Range"):
            return f"{pattern}: {len(answer.json())} rows, Next-Range {answer.headers.get('Next-Range')}"
        if cost["queries"] > short["queries"] + 2 or cost["rows"] > PAGE + 20:
            return (
                f"{pattern}: {cost['queries']} queries (short list: {short['queries']}), {cost['rows']} rows of"
                f" {model.__name__}"
            )
    return ""


@pytest.mark.thorough
def test_a_page_of_a_long_list_costs_no_more_than_one_of_a_short_list(world):
    assert not [found for pattern in LISTS if (found := too_dear(world, pattern))]


WHOLE = [
    "/apps/{app}/releases",
    "/apps/{app}/builds",
    "/apps",
    "/client/v11/apps/{app}/transfers",
    "/apps/{app}/checks/{check}/annotations",
]


@pytest.mark.thorough
def test_all_pages_together_are_the_whole_list(world, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROWS", 1_500)
    for pattern in WHOLE:
        path, client = worlds.path_of(pattern, world.known), world.client()
        with grown(str(world.app.id), pattern):
            for header in ("", f"{field_of(pattern)} ..; max=400", f"{field_of(pattern)} ..; order=desc,max=1000"):
                seen = every(client, path, header)
                assert len(seen) == len(set(seen)), (pattern, header)
                assert len(seen) >= 1_500, (pattern, header)


def every(client, path: str, header: str) -> list[str]:
    """An identifier of each row of the whole list, fetched page by page."""
    seen: list[str] = []
    while True:
        answer = client.get(path, headers={"Range": header} if header else {})
        seen += [str(row.get("id") or row.get("uuid") or (row["path"], row["start_line"])) for row in answer.json()]
        header = answer.headers.get("Next-Range", "")
        assert answer.status_code == (206 if header else 200)
        if not header:
            return seen


def test_every_list_is_measured_or_does_not_grow():
    lists = {row.pattern for row in ROUTES if row.method == "GET" and row.returns.startswith("[")}
    assert lists == {*LISTS, *BOUNDED}
