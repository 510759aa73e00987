"""Measures rehearsals, and compares the measured lock with the real wait of writers, for databases of several sizes.

Starts an installation, deploys samples/payslip, fills its table of payslip lines, pushes the scenario of the slow index
(without its artificial delay: the index is really built), rehearses it while a client sends requests, migrates while
another client writes, and restores the snapshot taken before. Prints one line for each size, and JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psycopg

from tests.stories.team import Installation, Team
from tests.stories.test_without_loss import Clients

FILL = """INSERT INTO payroll_payslipline ({names})
SELECT {values} FROM payroll_payslipline l, generate_series(1, {times}) n"""


class Writer(threading.Thread):
    """Writes to the table repeatedly; the longest wait is the time that the real migration blocked it."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.url, self.over, self.longest = url, threading.Event(), 0.0

    def run(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self.over.is_set():
                began = time.perf_counter()
                connection.execute(
                    "UPDATE payroll_payslipline SET name = name WHERE id = (SELECT min(id) FROM payroll_payslipline)"
                )
                self.longest = max(self.longest, time.perf_counter() - began)
                time.sleep(0.005)


def fill(url: str, size: int) -> int:
    """Fill the database to about ``size`` bytes; returns its actual size."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE payroll_payslipline DROP CONSTRAINT IF EXISTS one_line_a_position")
        connection.execute("DROP INDEX IF EXISTS one_line_a_position")
        rows = connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'payroll_payslipline'::regclass AND attnum > 0"
        ).fetchall()
        names = [name for (name,) in rows if name != "id"]
        query = (
            "SELECT pg_database_size(current_database()), count(*), pg_total_relation_size('payroll_payslipline') FROM"
            " payroll_payslipline"
        )
        now, count, table = connection.execute(query).fetchone()
        times = int((size - now) / (table / count) / count)
        if times > 0:
            columns = ", ".join(f'"{name}"' for name in names)
            connection.execute(
                FILL.format(names=columns, values=", ".join(f'l."{name}"' for name in names), times=times)
            )
        connection.execute("VACUUM ANALYZE payroll_payslipline")
        return connection.execute("SELECT pg_database_size(current_database())").fetchone()[0]


def blocks(migrations: list[dict]) -> list[float]:
    """The time that locks blocked writes."""
    return [lock["seconds"] for one in migrations for lock in one["locks"] if lock["mode"] == "ShareLock"]


def migrate(team: Team, url: str) -> float:
    """Run the held migration. Returns the longest time that a client could not write meanwhile."""
    writer = Writer(url)
    writer.start()
    team.place.run("migrations:run", "-a", team.name, cwd=team.work, timeout=900)
    writer.over.set()
    writer.join()
    return writer.longest


def one(place: Installation, folder: Path, megabytes: int) -> dict:
    """The figures of one size, on an app of its own."""
    team = Team(place, folder / str(megabytes), f"bench-{megabytes}", tests="python manage.py test accounts")
    team.set_secret()
    team.greenroom("config:set", "SLOW_INDEX_SECONDS=0")
    team.push()
    team.greenroom("run", "python", "manage.py", "migrate")
    team.greenroom("run", "python", "manage.py", "seed_demo", "--password", "only-for-benchmarks")
    url = team.greenroom("config:get", "DATABASE_URL").stdout.strip()
    size = fill(url, megabytes * 1_000_000)
    team.apply("slow-index")
    with Clients(team, 4) as clients:
        team.push()
        row = team.wait_for_rehearsal(900)
        report = team.read("migrations:rehearsal", str(row["number"]))["report"]
        longest = migrate(team, url)
        run = team.read("migrations")["runs"][0]
        snapshot = next(row for row in team.read("pg:snapshots") if row["name"] == run["snapshot"])
        began = time.monotonic()
        team.place.run(
            "pg:restore", snapshot["name"], "-a", team.name, "--confirm", team.name, cwd=team.work, timeout=900
        )
        restored = time.monotonic() - began
        team.wait_for(lambda: team.read("migrations")["pending"], bool)
    locks = blocks(report["migrations"])
    team.destroy()
    return {
        "megabytes": round(size / 1e6),
        "state": row["state"],
        **report["seconds"],
        "rehearsed_block": max(locks, default=0.0),
        "real_block": round(longest, 3),
        "seen_block": max(blocks(run["migrations"]), default=0.0),
        "snapshot": snapshot["seconds"],
        "restore": round(restored, 1),
        "requests": clients.good + len(clients.bad),
        "failed": len(clients.bad),
    }


def main() -> None:
    """argv: sizes in MB."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("megabytes", nargs="*", type=int, default=[12, 200, 1000])
    folder = Path(tempfile.mkdtemp(prefix="greenroom-bench-"))
    place = Installation(home=folder / "home", greenroom=Path(sys.executable).parent / "greenroom")
    place.up()
    try:
        rows = []
        for megabytes in parser.parse_args().megabytes:
            rows.append(one(place, folder / "work", megabytes))
            print(rows[-1], flush=True)
        print(json.dumps(rows))
    finally:
        place.down()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
