"""Runs several threads at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from django.db import connections


def at_once(work: Callable[[], object], count: int, *, seconds: float = 60) -> list[Exception]:
    """Call ``work`` in ``count`` threads. Returns their exceptions."""
    return all_at_once([work] * count, seconds=seconds)


def all_at_once(steps: Sequence[Callable[[], object]], *, seconds: float = 60) -> list[Exception]:
    """Call each step in its own thread, with its own database connection. All start together. Returns exceptions."""
    errors: list[Exception] = []
    start = threading.Barrier(len(steps))

    def run(step: Callable[[], object]) -> None:
        try:
            start.wait(seconds)
            step()
        except Exception as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(step,)) for step in steps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds)
    assert not any(thread.is_alive() for thread in threads)
    return errors
