"""How long the worker's loops rest, and that one which fails goes on."""

import threading

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
