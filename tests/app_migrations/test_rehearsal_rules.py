"""Rules for measurements: colours, classes, warnings, and the text that a user reads before migrating."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from greenroom.app_migrations.rules import rehearsal, rehearsal_text
from greenroom.app_migrations.rules.rehearsal import Column, Lock, Measured, Rewrite, Table
from greenroom.app_migrations.rules.sql_warnings import warnings


def one(name: str = "shop.0002_next", **facts) -> Measured:
    return Measured(name=name, **facts)


def held(mode: str, seconds: float, table: str = "shop_order") -> Measured:
    return one(locks=(Lock(table, mode, seconds),))


@pytest.mark.parametrize(
    ("given", "colour", "kind"),
    [
        (one(), "green", "harmless"),
        (held("AccessExclusiveLock", 0.005), "green", "harmless"),
        (held("AccessExclusiveLock", 0.5), "green", "blocks reads"),
        (held("AccessExclusiveLock", 1.0), "green", "blocks reads"),
        (held("AccessExclusiveLock", 1.01), "amber", "blocks reads"),
        (held("ShareLock", 1.2), "amber", "blocks writes"),
        (held("ShareRowExclusiveLock", 1.2), "amber", "blocks writes"),
        (held("ExclusiveLock", 0.2), "green", "blocks writes"),
        (held("ShareUpdateExclusiveLock", 60.0), "green", "harmless"),
        (held("RowExclusiveLock", 60.0), "green", "harmless"),
        (one(rewrites=(Rewrite("shop_order", 100_000_000),)), "green", "harmless"),
        (
            one(rewrites=(Rewrite("shop_order", 60_000_000), Rewrite("shop_order_pkey", 60_000_000))),
            "amber",
            "harmless",
        ),
        (one(reversible=False), "amber", "harmless"),
        (one(columns=(Column("shop_order", "note", "dropped", rows=9, values=3),)), "amber", "harmless"),
        (one(columns=(Column("shop_order", "note", "dropped", rows=9, values=0),)), "green", "harmless"),
        (one(columns=(Column("shop_order", "note", "dropped"),)), "amber", "harmless"),
        (one(tables=(Table("shop_old", "dropped", rows=0),)), "green", "harmless"),
        (one(tables=(Table("shop_old", "dropped", rows=1),)), "amber", "harmless"),
        (one(error="IntegrityError: no"), "red", "harmless"),
    ],
)
def test_a_migration_has_a_colour_and_a_class(given, colour, kind):
    judged = rehearsal.judge(given)
    assert (judged.colour, judged.kind) == (colour, kind)
    assert (judged.colour == "green") == (not judged.reasons)


def test_a_rehearsal_has_the_colour_of_its_worst_migration():
    assert rehearsal.colour([], {}) == "green"
    assert rehearsal.colour([one(), one(reversible=False)], {}) == "amber"
    assert rehearsal.colour([one(reversible=False), one(error="x")], {}) == "red"


def test_new_code_that_fails_on_the_migrated_schema_is_red_and_code_that_has_to_wait_is_not():
    assert rehearsal.colour([one()], {"new_new": {"state": "fails"}}) == "red"
    assert rehearsal.colour([one()], {"new_old": {"state": "fails"}, "old_new": {"state": "ok"}}) == "green"


def test_old_code_that_fails_on_the_migrated_schema_is_amber_whether_it_was_tried_or_is_known_to():
    assert rehearsal.colour([one()], {"old_new": {"state": "fails"}}) == "amber"
    assert rehearsal.colour([one()], {"old_new": {"state": "inconclusive"}}) == "green"
    assert rehearsal.colour([one(columns=(Column("shop_order", "kind", "added", required=True),))], {}) == "amber"


def test_a_failure_proves_nothing_when_the_old_code_does_not_answer_anyway():
    cells = rehearsal.compare(
        {"old_old": {"state": "fails"}, "old_new": {"state": "fails"}, "new_new": {"state": "fails"}}
    )
    assert (cells["old_new"]["state"], cells["new_new"]["state"]) == ("inconclusive", "fails")


@pytest.mark.parametrize(
    ("statement", "more", "rule"),
    [
        ('CREATE INDEX "x" ON "shop_order" ("a")', {}, "index"),
        ("create unique index x on shop_order (a)", {}, "index"),
        ('CREATE INDEX CONCURRENTLY "x" ON "shop_order" ("a")', {}, ""),
        ('CREATE INDEX "x" ON "shop_order" ("a")', {"tables": (Table("shop_order", "created"),)}, ""),
        ("DROP INDEX IF EXISTS x", {}, "drop-index"),
        ("DROP INDEX CONCURRENTLY x", {}, ""),
        ('ALTER TABLE "shop_order" RENAME COLUMN "a" TO "b"', {}, "rename"),
        ('ALTER TABLE "shop_order" RENAME TO "shop_orders"', {}, "rename"),
        ('ALTER TABLE "shop_order" DROP COLUMN "a" CASCADE', {}, "drop"),
        ('DROP TABLE "shop_order" CASCADE', {}, "drop"),
        ('ALTER TABLE "shop_order" ALTER COLUMN "a" TYPE bigint', {"rewrites": (Rewrite("shop_order", 1),)}, "type"),
        ('ALTER TABLE "shop_order" ALTER COLUMN "a" TYPE varchar(80)', {}, ""),
        ('ALTER TABLE "shop_order" ADD CONSTRAINT "c" CHECK (a > 0)', {}, "constraint"),
        ('ALTER TABLE "shop_order" ADD CONSTRAINT "c" CHECK (a > 0) NOT VALID', {}, ""),
        ('ALTER TABLE "shop_order" ADD CONSTRAINT "c" UNIQUE ("a")', {}, "unique"),
        ('ALTER TABLE "shop_order" ADD CONSTRAINT "c" UNIQUE USING INDEX "i"', {}, ""),
        ('ALTER TABLE "shop_order" ADD CONSTRAINT "c" FOREIGN KEY ("a") REFERENCES "t" ("id")', {}, "foreign-key"),
        (
            'ALTER TABLE "shop_order" ADD COLUMN "t_id" bigint NULL CONSTRAINT "c" REFERENCES "t"("id")',
            {},
            "foreign-key",
        ),
        ('ALTER TABLE "shop_order" ALTER COLUMN "a" SET NOT NULL', {}, "set-not-null"),
        ("ALTER TABLE shop_order ADD COLUMN k uuid DEFAULT gen_random_uuid() NOT NULL", {}, "volatile"),
        ("ALTER TABLE shop_order ADD COLUMN k int DEFAULT 3 NOT NULL", {}, ""),
        (
            "ALTER TABLE shop_order ADD COLUMN k int DEFAULT 3 NOT NULL",
            {"columns": (Column("shop_order", "k", "added", required=True),)},
            "not-null",
        ),
        ("ALTER TABLE shop_order ADD COLUMN k int NOT NULL", {"error": "contains null values"}, "not-null"),
        ('ALTER TABLE "public"."shop_order" RENAME COLUMN "a" TO "b"', {}, "rename"),
        ("UPDATE shop_order SET a = 'DROP TABLE x'", {}, ""),
        ("SELECT 1", {}, ""),
    ],
)
def test_a_statement_with_a_known_risk_has_a_warning_with_the_safe_way(statement, more, rule):
    found = warnings(one(statements=(statement,), **more))
    assert [warning.rule for warning in found] == ([rule] if rule else [])
    assert all("shop_order" in warning.text or rule == "drop-index" for warning in found)
    assert all(warning.recipe.endswith(".") for warning in found)


def test_the_digest_of_a_plan_follows_names_order_and_operations():
    first, second = {"name": "a.0001_x", "operations": ["Create x"]}, {"name": "a.0002_y", "operations": ["Add y"]}
    digest = rehearsal.plan_digest([first, second])
    assert digest == rehearsal.plan_digest([dict(first), dict(second)])
    assert (
        len(
            {
                digest,
                rehearsal.plan_digest([second, first]),
                rehearsal.plan_digest([first]),
                rehearsal.plan_digest([first, {**second, "operations": ["Add z"]}]),
            }
        )
        == 4
    )


def test_the_terminal_reads_one_paragraph():
    plan = [
        one("shop.0003_index", seconds=1.3, locks=(Lock("shop_order", "ShareLock", 1.2),)),
        one(
            "shop.0006_wide",
            seconds=1.8,
            locks=(Lock("shop_order", "AccessExclusiveLock", 1.7),),
            rewrites=(Rewrite("shop_order", 5),) * 4,
        ),
        one(
            "shop.0009_data",
            seconds=1.8,
            reversible=False,
            columns=(Column("shop_order", "kind", "added", required=True),),
        ),
    ]
    cells = {
        "old_old": {"state": "ok"},
        "new_old": {"state": "fails", "detail": "GET /health answered 500"},
        "new_new": {"state": "ok"},
        "old_new": {"state": "ok"},
    }
    assert (
        rehearsal_text.paragraph(plan, cells)
        == "3 pending migrations, 4.9 s; blocks writes on shop_order 1.2 s (0003); blocks reads on shop_order 1.7 s"
        " (0006, rewrites 4 relations); 0009 cannot be undone; new code before migrate: FAILS: GET /health answered"
        " 500, and it cannot use shop_order (kind is missing); old code after migrate: answers, but cannot"
        " insert into shop_order (kind is required and has no default); neither code works on both schemas: requests"
        " may fail from the migrate to the switch (maintenance:on shows visitors a maintenance page)."
    )


def test_a_harmless_plan_is_said_to_be_so():
    ok = {name: {"state": "ok"} for name in rehearsal.CELLS}
    assert rehearsal_text.paragraph([one(seconds=0.04)], ok) == "1 pending migration, under 0.1 s; blocks nothing."
    assert rehearsal_text.paragraph([], {}) == "No pending migrations."


def test_a_plan_that_fails_says_where_and_nothing_of_code_on_a_schema_that_never_was():
    said = rehearsal_text.paragraph(
        [one(), one("shop.0003_bad", error="IntegrityError: no")], {"new_new": {"state": "fails", "detail": "x"}}
    )
    assert said == "2 pending migrations, under 0.1 s; 0003 FAILS: IntegrityError: no."


def test_the_table_has_each_migration_with_its_warnings_and_the_way_back():
    plan = [one(statements=('CREATE INDEX "x" ON "shop_order" ("a")',), seconds=0.5, rows=(("shop_order", 0, 9, 0),))]
    lines = rehearsal_text.table(plan, {"done": True, "seconds": 0.3, "differences": []}).splitlines()
    assert lines[0].split() == ["green", "0.50", "s", "harmless", "9", "updated", "shop.0002_next"]
    assert "index: builds an index on shop_order" in lines[1]
    assert "AddIndexConcurrently" in lines[2]
    assert lines[-1] == "undo   the schema was restored in 0.3 s; data that was dropped or changed is not"


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "x",
        {"name": 7, "locks": "x", "rows": [1], "columns": [None], "seconds": "long", "count": -4},
        {"locks": [{"table": ["x"], "seconds": float("nan")}], "rows": {"t": [1]}, "seconds": float("inf")},
    ],
)
def test_a_document_of_the_wrong_shape_is_read_without_harm(value):
    found = rehearsal.measured(value)
    assert (found.seconds, found.count) == (0.0, 0)
    assert rehearsal.judge(found).colour == "green"
    assert rehearsal_text.table([found])


def test_what_is_stored_is_read_again_as_it_was():
    first = rehearsal.measured(
        {
            "name": "a.0001_x",
            "rows": {"shop_order": [1, 9, 0]},
            "locks": [{"table": "t", "mode": "ShareLock", "seconds": 1}],
        }
    )
    assert first.rows == (("shop_order", 1, 9, 0),)
    assert rehearsal.measured(json.loads(json.dumps(asdict(first)))) == first


@pytest.mark.parametrize(
    ("found", "state", "detail"),
    [
        ({"state": "ok", "detail": "/ answers 200", "seconds": 1.5}, "ok", "/ answers 200"),
        ({"state": "error", "detail": "OSError"}, "inconclusive", "it could not be tested: OSError"),
        ({}, "inconclusive", "it could not be tested: it ran out of memory"),
    ],
)
def test_a_cell_that_says_nothing_proves_nothing(found, state, detail):
    cell = rehearsal.cell(found, "it ran out of memory")
    assert (cell["state"], cell["detail"], cell["seconds"]) == (state, detail, found.get("seconds", 0.0))


def test_numbers_of_a_document_are_kept_within_reason():
    assert rehearsal.measured({"seconds": 1e300}).seconds == 1e6
    assert rehearsal.measured({"statements": ["x"] * 999}).statements == ("x",) * 200


@pytest.mark.parametrize(
    ("before", "after", "state", "words"),
    [
        ({}, {}, "ok", "/ answers 200"),
        ({}, {"state": "ok"}, "ok", "/ answers 200, and its tests pass"),
        (
            {"state": "ok"},
            {"state": "fails", "detail": "no iban"},
            "fails",
            "its tests, which pass on the old schema: no iban",
        ),
        (
            {"state": "fails", "detail": "x"},
            {"state": "fails", "detail": "y"},
            "ok",
            "/ answers 200; the result of its tests is unknown: they fail on the old schema as well",
        ),
        (
            {"state": "unknown", "detail": "slow"},
            {"state": "fails", "detail": "y"},
            "ok",
            "/ answers 200; the result of its tests is unknown: slow",
        ),
        ({}, {"state": "unknown", "detail": "slow"}, "ok", "/ answers 200; the result of its tests is unknown: slow"),
    ],
)
def test_what_the_old_codes_tests_prove(before, after, state, words):
    found = rehearsal.with_tests({"old_new": {"state": "ok", "detail": "/ answers 200"}}, before, after)["old_new"]
    assert (found["state"], found["detail"]) == (state, words)


def test_tests_are_run_where_there_is_no_smoke_command_and_nobody_declines():
    assert rehearsal.wants_tests({})
    for settings in (None, {"smoke": "x"}, {"policy": {"rehearse_tests": False}}):
        assert not rehearsal.wants_tests(settings)
