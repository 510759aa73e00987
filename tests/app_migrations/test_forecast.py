"""Forecasts of pending migrations on the current data, and whether a delivery waits for their rehearsal."""

from __future__ import annotations

import pytest

from greenroom.app_migrations.rules import rehearsal as rules
from greenroom.app_migrations.rules.forecast import forecasts, lines
from greenroom.app_migrations.rules.rehearsal_policy import (
    BEFORE,
    BESIDE,
    OFF,
    PATIENCE,
    Outlook,
    is_required,
    mode,
    outlook,
)

PURPOSE = {
    "name": "payroll.0004_purpose",
    "statements": [
        'ALTER TABLE "payroll_payrun" ADD COLUMN "purpose" varchar(40) DEFAULT \'?\' NOT NULL;',
        'ALTER TABLE "payroll_payrun" ALTER COLUMN "purpose" DROP DEFAULT;',
    ],
}
INDEX = {
    "name": "payroll.0005_lines",
    "statements": ['CREATE INDEX "lines_by_component" ON "payroll_payslipline" ("component_id");'],
}
NEW = {
    "name": "shop.0001",
    "statements": [
        'CREATE TABLE "shop_item" ("id" bigint)',
        'CREATE INDEX "i" ON "shop_item" ("id")',
        'ALTER TABLE "shop_item" ADD COLUMN "x" int NOT NULL',
    ],
}


def rule_of(plan, rows=None, measured=()):
    return [(one.rule, one.rows) for one in forecasts(plan, rows or {}, measured)]


def test_a_column_that_the_old_code_cannot_fill_is_seen_from_the_sql_alone_with_the_rows_of_its_table():
    (one,) = forecasts([PURPOSE], {"payroll_payrun": 200_000})
    assert (one.rule, one.rows, one.table) == ("not-null", 200_000, "payroll_payrun")
    assert "200,000 rows of payroll_payrun" in one.line()
    assert "db_default" in one.recipe


@pytest.mark.parametrize(
    ("statements", "rules"),
    [
        (['ALTER TABLE "a" ADD COLUMN "b" int DEFAULT 1 NOT NULL'], []),
        (['ALTER TABLE "a" ADD COLUMN "b" int NULL'], []),
        (['ALTER TABLE "a" ADD COLUMN "b" int NOT NULL'], ["not-null"]),
        (
            ['ALTER TABLE "a" ADD COLUMN "b" int DEFAULT 1 NOT NULL', 'ALTER TABLE "c" ALTER COLUMN "b" DROP DEFAULT'],
            [],
        ),
        (['ALTER TABLE "a" ALTER COLUMN "id" TYPE bigint USING "id"::bigint'], ["type"]),
        (['ALTER TABLE "a" ALTER COLUMN "name" TYPE varchar(80)'], []),
        (['ALTER TABLE "a" RENAME COLUMN "b" TO "c"'], ["rename"]),
        (['CREATE INDEX CONCURRENTLY "i" ON "a" ("b")'], []),
        (NEW["statements"], []),
    ],
)
def test_each_statement_is_foreseen_as_what_it_is(statements, rules):
    assert [rule for rule, _ in rule_of([{"name": "x.0002", "statements": statements}])] == rules


def test_what_only_blocks_a_table_is_nobodys_trouble_when_the_table_is_empty():
    assert rule_of([INDEX, PURPOSE], {"payroll_payslipline": 0, "payroll_payrun": 0}) == [("not-null", 0)]


def test_the_rehearsals_seconds_stand_in_the_forecast():
    lock = {"table": "payroll_payslipline", "mode": "ShareLock", "seconds": 1.2}
    (one,) = forecasts([INDEX], {"payroll_payslipline": 200_000}, [rules.measured({**INDEX, "locks": [lock]})])
    assert one.line().endswith("; 200,000 rows of payroll_payslipline: blocks writes 1.2 s in the rehearsal")
    assert lines([one])[1].strip() == "!       safe: " + one.recipe


def test_the_pusher_reads_the_first_few():
    many = [{**INDEX, "name": f"x.{number:04}"} for number in range(9)]
    said = lines(forecasts(many, {"payroll_payslipline": 5}))
    assert (len(said), said[-1]) == (13, " !     and 3 more: greenroom migrations")


@pytest.mark.parametrize(
    ("policy", "required", "expected"),
    [
        ({}, False, BEFORE),
        ({"rehearse": True}, False, BEFORE),
        ({"rehearse": "beside"}, False, BESIDE),
        ({"rehearse": False}, False, OFF),
        ({"rehearse": False}, True, BEFORE),
    ],
)
def test_a_required_rehearsal_is_waited_for_whatever_the_policy_says(policy, required, expected):
    assert mode(policy, required=required) == expected
    assert is_required(["lint", " Rehearsal"])


FACTS = {
    "required": False,
    "possible": True,
    "state": "done",
    "age": 5.0,
    "colour": "green",
    "cells": {},
    "failure": "",
}
FAILS = {"new_old": {"state": "fails", "detail": "no iban"}, "old_old": {"state": "ok"}}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"state": ""}, Outlook(ask=True)),
        ({"state": "", "possible": False}, Outlook()),
        (
            {"state": "", "possible": False, "required": True},
            Outlook(unfit="`rehearsal` is required, and these migrations cannot be rehearsed"),
        ),
        ({"state": "running"}, Outlook(waiting=True)),
        ({"state": "running", "age": PATIENCE}, Outlook()),
        ({"state": "running", "age": PATIENCE, "required": True}, Outlook(waiting=True)),
        ({"state": "failed", "failure": "disk full"}, Outlook()),
        (
            {"state": "failed", "failure": "disk full", "required": True},
            Outlook(unfit="`rehearsal` is required, but has no result: disk full"),
        ),
        ({"cells": FAILS}, Outlook(unfit="in the rehearsal it failed on the present schema: no iban")),
        ({"cells": {**FAILS, "old_old": {"state": "fails"}}}, Outlook()),
        ({"colour": "red"}, Outlook()),
        ({"colour": "red", "required": True}, Outlook(unfit="`rehearsal` is required, and it is red")),
        ({"colour": "amber", "required": True}, Outlook()),
    ],
)
def test_what_a_rehearsal_keeps_from_the_traffic(facts, expected):
    assert outlook(**{**FACTS, **facts}) == expected
