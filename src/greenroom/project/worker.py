"""The worker process: the loops of dynos, deliveries, router log, maintenance, jobs, databases, rehearsals,
pipelines, webhooks, sources and drains.

Each loop has its own thread. NOTIFY wakes the loops. They run every few hundredths of a second while there is work,
limited to a share of a core, and otherwise every second or two.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import django
import psycopg

from greenroom.basics.guard import Guard
from greenroom.engine.contract import Engine

BUSY = 0.04
SHARE = 6
"""Minimum pause of a busy loop, as a multiple of its last turn: the work it waits for needs the processor more."""
LONGEST = 0.5
IDLE = 2.0
GAP = 0.2
"""Shortest pause of a loop, in seconds."""
GAPS = {"deliveries": 0.0, "maintenance": 1.0}
"""Shortest pauses of loops that differ."""
TROUBLE = 1.0

log = logging.getLogger("greenroom.worker")


def rest(took: float) -> float:
    """Pause of a busy loop in seconds. took: duration of its last turn in seconds."""
    return min(LONGEST, max(BUSY, SHARE * took))


class Runner:
    """Repeats a loop's turn until the process stops.

    idle: longest pause in seconds. gap: shortest pause, also if a change wakes the loop meanwhile: a push commits
    hundreds of changes, and most of them concern one loop. rest: seconds until the loop has something to do.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], bool],
        idle: float = IDLE,
        gap: float = 0.0,
        rest: Callable[[], float] | None = None,
    ) -> None:
        self.name = name
        self.turn = turn
        self.idle = idle
        self.until = rest or (lambda: idle)
        self.gap = gap
        self.wake = threading.Event()
        self.stopping = threading.Event()

    def run(self, delay: float = 0.0) -> None:
        """The thread's function; starts after ``delay`` seconds. Logs errors and continues: all state is in rows."""
        from django.db import close_old_connections, connections

        self.stopping.wait(delay)
        while not self.stopping.is_set():
            pause, began = self.idle, time.monotonic()
            self.wake.clear()
            try:
                busy = self.turn()
                pause = rest(time.monotonic() - began) if busy else min(self.idle, self.until())
                close_old_connections()
            except Exception:
                log.exception("the %s loop failed and is retried", self.name)
                connections.close_all()
                pause = TROUBLE
            if self.wake.wait(pause):
                self.stopping.wait(self.gap - (time.monotonic() - began))


def listen(runners: list[Runner]) -> None:
    """Wake the loops on each NOTIFY of a committed change. Always reconnects."""
    from greenroom.accounts.actions import access
    from greenroom.apps.actions.worker import CHANNEL
    from greenroom.project.listening import parameters

    while not runners[0].stopping.is_set():
        try:
            with psycopg.connect(**parameters(), autocommit=True) as connection:
                connection.execute(f"LISTEN {CHANNEL}")
                connection.execute(f"LISTEN {access.CHANNEL}")
                for _ in connection.notifies():
                    for runner in runners:
                        runner.wake.set()
        except psycopg.Error as error:
            log.warning("LISTEN failed: %s", error)
            runners[0].stopping.wait(TROUBLE)


def one_after_another(turns: dict[str, Callable[[], bool]]) -> Callable[[], bool]:
    """Combine several turns into one. An error in one does not stop the others."""
    from django.db import connections

    guard = Guard(log)

    def turn() -> bool:
        done = [guard.run(name, f"the turn of {name}", each) for name, each in turns.items()]
        if None in done:
            connections.close_all()  # the connections may be broken
        return any(done)

    return turn


def build(home: Path) -> list[Runner]:
    """Create one runner per loop: its name, its turn, and the seconds between two idle turns."""
    from django.conf import settings

    from greenroom.addons import registry
    from greenroom.app_migrations import loop as app_migrations
    from greenroom.app_migrations.loop import rehearsals
    from greenroom.deliveries import loop as deliveries
    from greenroom.dynos import loop as dynos
    from greenroom.logs import loop as drains
    from greenroom.pipelines import loop as pipelines
    from greenroom.project import maintenance
    from greenroom.project.addon_platform import PLATFORM
    from greenroom.project.drivers import make_engine
    from greenroom.router.actions import reroute
    from greenroom.sources import loop as sources
    from greenroom.sources.loop import reports
    from greenroom.webhooks import loop as webhooks

    engine, installation, private = make_engine(home), settings.INSTALLATION, settings.PRIVATE_TARGETS
    journey = {
        "dynos": dynos.Loop(engine, home, lambda app: reroute(app=app, home=home)).turn,
        "migrations": app_migrations.Loop(engine, home).turn,
        "deliveries": deliveries.Loop(engine, home, installation).turn,
    }
    numbers = range(1, rehearsals.SIDE_BY_SIDE + 1)
    table: list[tuple[str, Callable[[], bool], float]] = [
        ("deliveries", one_after_another(journey), IDLE),
        ("router log", maintenance.router_log(home), 0.25),
        ("maintenance", maintenance.Loop(engine, home).turn, 5.0),
        *((name, loop.turn, 1.0) for kind in registry.kinds() for name, loop in kind.loops(home, PLATFORM).items()),
        *((f"rehearsals {number}", rehearsals.Loop(engine, home).turn, 1.0) for number in numbers),
        ("pipelines", pipelines.Loop(engine, home).turn, IDLE),
        ("webhooks", webhooks.Loop(home, private, installation=installation).turn, 1.0),
        ("drains", drains.Loop(home, private).turn, 0.5),
        ("sources", sources.Loop(home, private).turn, 1.0),
        ("source reports", reports.Loop(home, installation, private).turn, IDLE),
    ]
    return [*(Runner(name, turn, idle, GAPS.get(name, GAP)) for name, turn, idle in table), jobs_runner(engine, home)]


def jobs_runner(engine: Engine, home: Path) -> Runner:
    """The runner of jobs, which sleeps until the next planned moment."""
    from greenroom.jobs import loop

    jobs = loop.Loop(engine, home)
    return Runner("jobs", jobs.turn, loop.LONGEST, GAP, jobs.rest)


def catch_up(home: Path) -> None:
    """Create objects that earlier versions did not create, before the loops start."""
    from greenroom.addons import registry

    for kind in registry.kinds():
        try:
            kind.catch_up(home)
        except Exception:
            log.exception("checking the add-ons of kind %s failed; the worker continues", kind.service.kind)


def main() -> int:
    """Run until SIGTERM or SIGINT. Dynos keep running without this process."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenroom.project.settings")
    os.umask(0o022)
    django.setup()
    from django.conf import settings

    home: Path = settings.HOME
    catch_up(home)
    runners = build(home)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    for place, runner in enumerate(runners):
        delay = place * IDLE / len(runners)  # stagger idle loops, so that they need fewer connections
        threading.Thread(target=runner.run, args=(delay,), name=runner.name, daemon=True).start()
    threading.Thread(target=listen, args=(runners,), name="listen", daemon=True).start()
    try:
        (home / "run" / "worker.ready").write_text(str(os.getpid()))
    except OSError as error:  # full disk: the loops still work; only a new `greenroom up` needs the file
        log.warning("cannot write run/worker.ready: %s", error)
    stop.wait()
    for runner in runners:
        runner.stopping.set()
        runner.wake.set()
    return 0


if __name__ == "__main__":
    sys.exit(main())
