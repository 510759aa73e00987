"""Errors of PostgreSQL are reported according to their cause."""

from __future__ import annotations

import psycopg
import pytest
from django import db
from psycopg_pool import PoolTimeout

from greenroom.accounts.models import Account
from greenroom.basics.database import DatabaseAwayError, DatabaseBusyError, DatabaseFullError, MetError, judged

KINDS = [
    (db.OperationalError, psycopg.errors.DeadlockDetected("deadlock detected"), MetError, 409),
    (db.IntegrityError, psycopg.errors.UniqueViolation("duplicate key"), MetError, 409),
    (db.IntegrityError, psycopg.errors.ForeignKeyViolation("still referenced"), MetError, 409),
    (db.OperationalError, psycopg.errors.DiskFull("No space left on device"), DatabaseFullError, 503),
    (db.OperationalError, psycopg.errors.OutOfMemory("out of memory"), DatabaseFullError, 503),
    (
        db.OperationalError,
        psycopg.errors.LockNotAvailable("canceling statement due to lock timeout"),
        DatabaseBusyError,
        503,
    ),
    (
        db.OperationalError,
        psycopg.errors.QueryCanceled("canceling statement due to statement timeout"),
        DatabaseBusyError,
        503,
    ),
    (db.OperationalError, psycopg.errors.TooManyConnections("sorry, too many clients already"), DatabaseBusyError, 503),
    (db.OperationalError, PoolTimeout("couldn't get a connection after 15.00 sec"), DatabaseBusyError, 503),
    (db.OperationalError, psycopg.errors.AdminShutdown("terminating connection"), DatabaseAwayError, 503),
    (db.OperationalError, psycopg.OperationalError("connection refused"), DatabaseAwayError, 503),
    (db.InterfaceError, psycopg.InterfaceError("connection already closed"), DatabaseAwayError, 503),
]


@pytest.mark.parametrize(("outer", "cause", "kind", "status"), KINDS)
def test_what_django_and_psycopg_say_is_told_as_what_it_is(outer, cause, kind, status):
    error = outer(str(cause))
    error.__cause__ = cause
    assert (type(judged(error)), judged(error).status) == (kind, status)
    assert type(judged(cause)) is kind, "an error of psycopg's own, as the add-ons meet it"
    assert judged(error).hint


def test_a_row_that_was_deleted_before_it_could_be_saved_is_somebody_elses_change():
    assert isinstance(judged(db.DatabaseError("Save with update_fields did not affect any rows.")), MetError)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("did not affect any rows"),
        db.IntegrityError("null value"),
        psycopg.errors.UndefinedTable("no such table"),
        OSError("OperationalError"),
    ],
)
def test_faults_of_greenrooms_own_are_nobody_elses(error):
    if isinstance(error, db.IntegrityError):
        error.__cause__ = psycopg.errors.NotNullViolation("null value")
    assert judged(error) is None


def test_a_row_that_is_not_there_is_a_fault_of_greenrooms_own():
    assert judged(Account.DoesNotExist()) is None
