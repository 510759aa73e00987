"""The report of a test that hangs shows where it waits, and for what."""

from __future__ import annotations

import threading
import time

import pytest
from django.db import connection, connections

from tests import hangs


def test_the_stack_of_each_thread_is_shown():
    assert "test_the_stack_of_each_thread_is_shown" in hangs.stacks()


@pytest.mark.django_db
def test_a_session_is_shown_with_what_it_waits_for():
    def sleep() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1)")
        connections.close_all()

    thread = threading.Thread(target=sleep)
    thread.start()
    end = time.monotonic() + 10
    while "PgSleep" not in (said := hangs.sessions()) and time.monotonic() < end:
        time.sleep(0.05)
    thread.join()
    assert "PgSleep" in said
    assert "postgres: " in hangs.processes()
