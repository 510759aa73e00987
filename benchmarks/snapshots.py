"""Measures snapshots, their loading and the swap of the names, for databases of 12 and 200 MB; medians.

Prints a table and one JSON line. Uses the server of DATABASE_URL (its role must be able to create databases and roles),
else starts one without fsync, like the test suite. A client queries the database continuously during the swap: the
longest gap between two responses is the outage for an app.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg

ROLE, PASSWORD = "u0123456789ab", "only-for-benchmarks"
TABLE = """
CREATE TABLE django_migrations (id serial PRIMARY KEY, app text, name text);
CREATE TABLE entry (id bigserial PRIMARY KEY, label text NOT NULL, at timestamptz NOT NULL, amount numeric NOT NULL);
CREATE INDEX entry_at ON entry (at);
"""
FILL = (
    "INSERT INTO entry (label, at, amount) SELECT md5(n::text) || md5((n * 7)::text), now() - n * interval '1 second',"
    " mod(n, 1000) FROM generate_series(1, %s) n"
)


class Asker(threading.Thread):
    """Queries the database continuously, with a new session after each disconnect."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.stopped, self.gap = url, threading.Event(), 0.0

    def run(self) -> None:
        last = time.perf_counter()
        while not self.stopped.is_set():
            try:
                with psycopg.connect(self.url, autocommit=True) as connection:
                    while not self.stopped.is_set():
                        connection.execute("SELECT count(*) FROM django_migrations")
                        now = time.perf_counter()
                        self.gap, last = max(self.gap, now - last), now
            except psycopg.Error:
                time.sleep(0.002)


def prepare(rows: int) -> str:
    """A database with that many rows, created like those of apps; returns its name."""
    from greenroom.addons.postgres.drivers import server

    name = f"d{rows:012x}"
    with server.connect() as connection:
        server.make_role(connection, ROLE, PASSWORD)
        server.drop_database(connection, name)
        server.make_database(connection, name, ROLE)
    with psycopg.connect(url_of(name), autocommit=True) as connection:
        connection.execute(TABLE)
        connection.execute(FILL, [rows])
        connection.execute("VACUUM ANALYZE")
    return name


def url_of(database: str) -> str:
    """The app's URL of a database on the benchmark's server."""
    from greenroom.addons.drivers import platform_server

    place = platform_server.server()
    return f"postgres://{ROLE}:{PASSWORD}@{place['host']}:{place['port']}/{database}"


def once(name: str, folder: Path) -> dict[str, float]:
    """One round: dump, load into a copy, swap while a client sends queries."""
    from greenroom.addons.postgres.drivers import dumps, server

    made = dumps.dump(database=name, target=folder / "x.dump")
    loaded = dumps.load(source=folder / "x.dump", database=f"{name}_copy", role=ROLE)
    asker = Asker(url_of(name))
    asker.start()
    time.sleep(0.3)
    began = time.perf_counter()
    server.exchange(current=name, new=f"{name}_copy", kept=f"{name}_kept")
    swapped = time.perf_counter() - began
    time.sleep(0.3)
    asker.stopped.set()
    asker.join()
    with server.connect() as connection:
        server.drop_database(connection, f"{name}_kept")
    megabytes = made.facts.bytes / 1e6, made.bytes / 1e6
    return {
        "database_mb": megabytes[0],
        "file_mb": megabytes[1],
        "snapshot_s": made.seconds,
        "load_s": loaded,
        "swap_s": swapped,
        "gap_s": asker.gap,
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="*", default=[25_000, 1_200_000])
    options = parser.parse_args()
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in options.rows:
            name = prepare(rows)
            rounds = [once(name, Path(folder)) for _ in range(options.rounds)]
            found.append({key: round(statistics.median(row[key] for row in rounds), 3) for key in rounds[0]})
    print("  ".join(f"{key:>12}" for key in found[0]))
    for row in found:
        print("  ".join(f"{value:>12}" for value in row.values()))
    print(json.dumps({"rounds": options.rounds, "snapshots": found}))


if __name__ == "__main__":
    main()
