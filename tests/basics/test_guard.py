"""A loop's guard: an error in one item is logged once and does not stop the others."""

from __future__ import annotations

import logging

from greenroom.basics.errors import PlatformError
from greenroom.basics.guard import MOST, Guard

log = logging.getLogger("greenroom.tests.guard")


def fails(error):
    def step():
        raise error

    return step


def test_an_error_is_logged_once_until_the_step_succeeds_or_fails_otherwise(caplog):
    guard = Guard(log)
    for error in (RuntimeError("a"), RuntimeError("a"), RuntimeError("b")):
        assert guard.run("shop", "app shop", fails(error)) is None
    assert guard.run("shop", "app shop", lambda: 7) == 7
    guard.run("shop", "app shop", fails(RuntimeError("b")))
    assert [record.getMessage() for record in caplog.records] == ["app shop: a", "app shop: b", "app shop: b"]
    assert all(record.exc_info for record in caplog.records)


def test_an_error_of_ours_is_one_line_without_a_traceback(caplog):
    Guard(log).run("shop", "app shop", fails(PlatformError("the disk is full")))
    assert [(record.getMessage(), record.exc_info) for record in caplog.records] == [
        ("app shop: the disk is full", None)
    ]


def test_what_was_removed_meanwhile_is_no_error(caplog):
    guard = Guard(log)
    guard.run("shop", "app shop", fails(RuntimeError("no such app")), lambda: True)
    assert caplog.records == []
    guard.run("shop", "app shop", fails(RuntimeError("no database")), fails(OSError("no database")))
    assert len(caplog.records) == 1


def test_what_it_remembers_is_bounded(caplog):
    guard = Guard(log)
    for number in range(MOST + 5):
        guard.run(number, "x", fails(RuntimeError("a")))
    assert len(guard.said) <= MOST
