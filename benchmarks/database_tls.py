"""Measures a dyno's way to PostgreSQL with and without TLS, against a client outside of dynos; medians.

Starts an engine and a PostgreSQL server of its own and removes both. Each round asks every way once, so that a change
of the machine's load meets all of them. Prints a table and one JSON line: microseconds of `SELECT 1`, milliseconds of a
new connection with its first answer, MB per second of a large result, and the ratios to the same client outside.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg

from benchmarks import ways
from benchmarks.ways import BARE, TLS
from greenroom.engine.contract import Forward, Limits
from greenroom_cli.host import keys
from tests import postgres
from tests.engine import database_client
from tests.engine.machine import IS_ROOT, Machine

CLIENT = """
import json, statistics, sys, time
sys.path.insert(0, {folder!r})
import psycopg
def clock(work, times):
    found = []
    for _ in range(times):
        began = time.perf_counter(); work(); found.append(time.perf_counter() - began)
    return statistics.median(found)
def connect():
    with psycopg.connect({url!r}) as one: one.execute('SELECT 1').fetchone()
with psycopg.connect({url!r}, autocommit=True) as c:
    assert c.pgconn.ssl_in_use is {encrypted}
    ask = lambda: c.execute('SELECT 1').fetchone()
    large = lambda: c.execute("SELECT repeat('x', 20000000)").fetchone()
    clock(ask, 200)
    print(json.dumps(dict(select=clock(ask, {times}), large=clock(large, 5), connect=clock(connect, 20))))
"""


@contextmanager
def server(home: Path, port: int) -> Iterator[None]:
    """A PostgreSQL server on TCP and on the unix socket of ``service:database``."""
    folder = home / "run" / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    own = Path(tempfile.mkdtemp(prefix="greenroom-bench-pg-"))
    own.chmod(0o755)
    extra, bins = postgres._as_other_user(own, postgres.binaries())
    if extra:
        os.chown(folder, extra["user"], extra["group"])
    data, env = own / "data", {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    options = {"env": env, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **extra}
    argv = [str(bins / "initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-locale"]
    subprocess.run(argv, check=True, **options)
    argv = [str(bins / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
    process = subprocess.Popen(argv, **options)
    try:
        postgres._connected(port).close()
        yield
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(20)
        subprocess.run(["rm", "-rf", str(own)], check=True)


def measure(machine: Machine, site: Path, port: int, times: int, rounds: int) -> ways.Figures:
    """Way -> the medians of its rounds, in seconds."""
    mount = (database_client.mount(machine),)
    forwards = (Forward(port=port, service="service:database"),)

    def code_of(way: str) -> str:
        url = f"postgres://postgres@127.0.0.1:{port}/postgres?sslmode={'require' if way == TLS else 'disable'}"
        folder = str(site) if way == BARE else database_client.FOLDER
        return CLIENT.format(folder=folder, url=url, encrypted=way == TLS, times=times)

    def in_dyno(code: str) -> str:
        return machine.printed(python=code, forwards=forwards, mounts=mount, limits=Limits(memory_mb=512, grace=5))

    return ways.compare(code_of, in_dyno, rounds)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=3000, help="how many SELECTs per round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if not database_client.same_minor():
        raise SystemExit("the system's Python has another version than this one: dynos cannot load psycopg")
    machine = Machine("root" if IS_ROOT else "development")
    try:
        home = Path(machine.home)
        (home / "keys").mkdir()
        keys.make_all(home, None)
        site, port = home / "site", postgres.free_port()
        database_client.copy_to(site)
        with server(home, port):
            found = measure(machine, site, port, given.times, given.rounds)
    finally:
        machine.close()
    show(found)
    return 0


def show(found: ways.Figures) -> None:
    """Print the table, then the JSON line."""
    for way, row, ratio in ways.rows(found):
        print(
            f"{way:<14} SELECT 1 {row['select'] * 1e6:6.0f} us ({ratio['select']:.2f})"
            f"   connection {row['connect'] * 1e3:6.2f} ms ({ratio['connect']:.2f})"
            f"   large result {20 / row['large']:5.0f} MB/s ({ratio['large']:.2f})"
        )
    print(json.dumps({"psycopg": psycopg.__version__, "seconds": found}))


if __name__ == "__main__":
    sys.exit(main())
