"""Tests of the worker's loops: their pauses, recovery after an error, and the list of loops."""

import threading
from collections import Counter

from greenroom.app_migrations.loop.rehearsals import SIDE_BY_SIDE
from greenroom.project import worker


def test_a_busy_loop_rests_in_proportion_to_its_turn_and_never_long():
    assert worker.rest(0.0) == worker.BUSY
    assert worker.rest(worker.BUSY) >= 5 * worker.BUSY
    assert worker.rest(60.0) == worker.LONGEST


def test_a_loop_that_fails_goes_on_and_stops_when_told(monkeypatch):
    monkeypatch.setattr(worker, "TROUBLE", 0.01)
    turns = []

    def turn():
        turns.append(1)
        if len(turns) == 1:
            raise RuntimeError("once")
        runner.stopping.set()
        runner.wake.set()
        return False

    runner = worker.Runner("tests", turn, idle=60.0)
    thread = threading.Thread(target=runner.run)
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert len(turns) == 2


def test_a_loop_that_is_woken_all_the_time_rests_between_its_turns():
    rests = []

    class Stopping(threading.Event):
        def wait(self, timeout=None):
            rests.append(timeout)
            if len(rests) == 4:
                self.set()
            return super().wait(0)

    def turn():
        runner.wake.set()
        return False

    runner = worker.Runner("tests", turn, idle=60.0, gap=30.0)
    runner.stopping = Stopping()
    runner.run()
    assert rests[0] == 0.0, "the delay of its start"
    assert [0 < rest <= 30.0 for rest in rests[1:]] == [True] * 3


def test_exactly_the_runners_that_are_meant_run(home):
    kinds = Counter(runner.name.rstrip("0123456789 ") for runner in worker.build(home))
    assert kinds.pop("rehearsals") == SIDE_BY_SIDE == 2
    others = {
        "deliveries",
        "router log",
        "maintenance",
        "jobs",
        "databases",
        "key-value stores",
        "mail traps",
        "mail relays",
        "volumes",
        "pipelines",
        "webhooks",
        "drains",
        "sources",
        "source reports",
    }
    assert kinds == dict.fromkeys(others, 1)


def test_a_turn_that_fails_does_not_keep_the_next_one_from_its_own(caplog):
    done = []

    def fails():
        raise RuntimeError("a bug of ours")

    turn = worker.one_after_another({"dynos": fails, "deliveries": lambda: done.append(1) or True})
    assert turn()
    assert turn()
    assert done == [1, 1]
    assert [record.getMessage() for record in caplog.records] == ["the turn of dynos: a bug of ours"]
