"""kill -9 in each step of a rehearsal: the rows stay correct, the next process ends the rehearsal, and no copy is
left.
"""

from __future__ import annotations

import os
import random
import shutil
import time

import pytest

from greenroom.addons.postgres.drivers import clones
from greenroom.app_migrations.actions import rehearsals
from greenroom.app_migrations.models import Rehearsal
from greenroom.engine.memory import MemoryEngine
from tests.addons.conftest import as_app, database, same_server  # noqa: F401 -- fixtures
from tests.app_migrations.test_rehearsals import app_state, carry_out  # noqa: F401 -- a fixture
from tests.killing import start

TIMES = int(os.environ.get("GREENROOM_KILLS", "20")) // 2
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.neighbours]


def steps_of(child, row, until: str = "") -> list[str]:
    """The steps of the rehearsal in their order, until the process ends or reaches ``until``."""
    seen = []
    while child.poll() is None and until not in seen:
        step = Rehearsal.objects.values_list("step", flat=True).get(pk=row.pk)
        if step and step not in seen:
            seen.append(step)
        time.sleep(0.01)
    return seen


def test_kills_leave_no_copy_and_the_rehearsal_is_carried_out_by_the_next(alice, app_state, home, database):
    seen, steps = set(), []
    for number in range(TIMES + 1):
        row = rehearsals.ask(actor=alice, release=app_state[0])
        child = start("app_migrations/rehearsal_to_kill.py", home, row.pk)
        if number == 0:
            steps = steps_of(child, row, until="no such step")  # the first is not killed
        else:
            steps_of(child, row, until=steps[number % len(steps)])
            time.sleep(random.uniform(0.0, 0.1))  # each of its dynos takes 0.2 seconds
        child.kill()
        child.wait()
        row.refresh_from_db()
        seen.add(row.step or row.state)
        if row.state != "done":
            shutil.rmtree(home / "run" / "scratch", ignore_errors=True)
            carry_out(row, home, {})
        assert (row.state, row.colour) == ("done", "green"), f"kill {number}: {row.failure}"
        assert rehearsals.sweep(engine=MemoryEngine()) == 0, (
            f"kill {number} left a copy that was not the rehearsal's own"
        )
        assert clones.present() == set()
        assert not list((home / "run" / "rehearsals").glob("*.dump*")), f"kill {number} left a dump"
        with as_app(database[1]) as live:
            assert live.execute("SELECT count(*) FROM shop_order").fetchone() == (1000,)
        Rehearsal.objects.all().delete()
    assert len(seen & set(steps)) >= 3, f"the kills hit {seen} of {steps}"
