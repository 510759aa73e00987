"""Tests of snapshot and restore commands: they name the data that is lost, and do nothing without confirmation."""

from __future__ import annotations

import json

import pytest

from tests.cli.rows import APP, restore, snapshot


def test_a_snapshot_is_waited_for(at_server, greenroom):
    answers = iter(["wanted", "running", "succeeded"])
    at_server.on("GET", "A/pg/snapshots/s-b001", lambda request: snapshot(state=next(answers)))
    result = greenroom("pg:snapshots:capture", "--reason", "x", "--pin", "-a", APP)
    assert result.exit_code == 0
    assert at_server.asked("POST")[-1].body == {"reason": "x", "pinned": True}
    assert len([r for r in at_server.asked("GET") if r.path.endswith("s-b001")]) == 3
    assert f"greenroom pg:restore b001 -a {APP}" in result.stderr


def test_a_failed_snapshot_says_why_and_fails(at_server, greenroom):
    at_server.on("GET", "A/pg/snapshots/s-b001", snapshot(state="failed", failure="The disk is full."))
    result = greenroom("pg:snapshots:capture", "-a", APP)
    assert result.exit_code == 1
    assert "The disk is full." in result.stderr


def test_without_waiting_nothing_is_polled(at_server, greenroom):
    result = greenroom("pg:snapshots:capture", "--no-wait", "-a", APP, "--json")
    assert json.loads(result.stdout)["state"] == "wanted"
    assert not at_server.asked("GET")


def test_a_restore_says_what_is_lost_and_does_nothing_unless_confirmed(at_server, greenroom):
    result = greenroom("pg:restore", "b001", "-a", APP)
    assert result.exit_code == 1
    assert "2 hours of writes (about 42 rows)" in result.stderr
    assert "payslip.0002_bonus" in result.stderr
    assert f"--confirm {APP}" in result.stderr
    assert greenroom("pg:restore", "b001", "-a", APP, "--confirm", "other").exit_code == 1
    assert not at_server.asked("POST")


def test_a_confirmed_restore_is_waited_for_and_says_how_to_undo_it(at_server, greenroom):
    answers = iter(["wanted", "loaded", "swapped", "done"])
    at_server.on("GET", "A/pg/restores/r-1", lambda request: restore(next(answers)))
    result = greenroom("pg:restore", "b001", "-a", APP, "--confirm", APP)
    assert result.exit_code == 0
    assert "unavailable for 0.24 s" in result.stderr
    assert f"undo with: greenroom pg:restore b003 -a {APP}" in result.stderr


def test_a_failed_restore_says_that_nothing_was_changed(at_server, greenroom):
    at_server.on("GET", "A/pg/restores/r-1", restore("failed", failure="The file of b001 is missing or damaged."))
    result = greenroom("pg:restore", "b001", "-a", APP, "--confirm", APP)
    assert result.exit_code == 1
    assert "The database is unchanged: The file of b001" in result.stderr


def test_deleting_asks_first(at_server, greenroom):
    assert greenroom("pg:snapshots:delete", "b001", "-a", APP).exit_code == 1
    assert not at_server.asked("DELETE")
    assert greenroom("pg:snapshots:delete", "b001", "-a", APP, "--confirm", APP).exit_code == 0
    assert at_server.asked("DELETE")


@pytest.mark.parametrize(("verb", "pinned"), [("pg:snapshots:pin", True), ("pg:snapshots:unpin", False)])
def test_pinning(at_server, greenroom, verb, pinned):
    assert greenroom(verb, "b001", "-a", APP).exit_code == 0
    assert at_server.asked("PATCH")[-1].body == {"pinned": pinned}
