"""The outbox: one process at a time sends a row, each attempt is counted before it starts, and a late response changes
nothing.
"""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.db.models import Q

from greenroom.basics import clock
from greenroom.basics.backoff import Backoff
from greenroom.logs.models import LogDrain
from greenroom.outbox import Outbox

BOX = Outbox(model=LogDrain, due="next_attempt_at", attempts="failures", lease=timedelta(minutes=1), waiting=Q(sent=0))


@pytest.fixture
def rows(shop):
    return [LogDrain.objects.create(app=shop, url=f"https://example.com/{n}", token=f"d.{n}") for n in range(3)]


def claim(**wishes):
    return BOX.claim(BOX.rows().order_by("token"), limit=wishes.pop("limit", 10), **wishes)


@pytest.mark.django_db
def test_a_claimed_row_is_counted_and_nobody_elses_until_its_lease_ends(rows):
    taken = claim(limit=2)
    assert [row.token for row in taken] == ["d.0", "d.1"]
    assert [row.failures for row in taken] == [1, 1]
    assert list(LogDrain.objects.order_by("token").values_list("failures", flat=True)) == [1, 1, 0]
    assert [row.token for row in claim()] == ["d.2"]
    assert claim() == []
    LogDrain.objects.filter(token="d.0").update(next_attempt_at=clock.now() - timedelta(seconds=1))
    (again,) = claim()
    assert (again.token, again.failures) == ("d.0", 2)


@pytest.mark.django_db
def test_an_attempt_that_outlived_its_lease_changes_nothing(rows):
    (late,) = claim(limit=1)
    LogDrain.objects.update(next_attempt_at=None)
    (now,) = claim(limit=1)
    assert not BOX.conclude(late, wait=None, error="late")
    assert BOX.conclude(now, wait=30, error="refused")
    row = LogDrain.objects.get(pk=now.pk)
    assert (row.error, row.failures) == ("refused", 2)
    assert timedelta(seconds=25) < row.next_attempt_at - clock.now() < timedelta(seconds=31)


@pytest.mark.django_db
def test_a_row_that_waits_no_more_is_neither_claimed_nor_concluded(rows):
    (first,) = claim(limit=1)
    LogDrain.objects.update(sent=1, next_attempt_at=None)
    assert claim() == []
    assert not BOX.conclude(first, wait=None, error="x")


@pytest.mark.django_db
def test_a_caller_may_take_few_of_a_kind_and_set_more_columns(rows):
    taken = claim(fits=lambda taken, row: len(taken) < 1, sent_at=clock.now)
    assert [row.token for row in taken] == ["d.0"]
    assert LogDrain.objects.exclude(sent_at=None).get().token == "d.0"


@pytest.mark.django_db(transaction=True)
def test_a_row_that_another_process_is_claiming_is_skipped(rows):
    found = []

    def other():
        found.extend(row.token for row in claim(limit=1))
        connections.close_all()

    with transaction.atomic():
        assert [row.token for row in claim(limit=1)] == ["d.0"]
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(20)
    assert found == ["d.1"]


def test_pauses_double_up_to_a_limit_and_end_after_the_last_attempt():
    schedule = Backoff(first=10, longest=60, attempts=5)
    assert [schedule.pause(failures) for failures in range(1, 7)] == [10, 20, 40, 60, None, None]
    assert Backoff(first=1, longest=60).pause(10**6) == 60
