"""Measures ``git push`` with an unchanged lock to the verdict, for samples/payslip: seconds without the tests' own
time, and the overlap of the parts.

The API is polled every 50 ms; a part lasts from the first response that shows it running to the first that shows it
ended. Starts an installation on free ports in a temporary home and removes it afterwards:
``benchmarks/push_to_verdict.py [--rounds 5]``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.stories.team import SAMPLE, Installation, Team

BIN = Path(sys.executable).parent
OWN = re.compile(r" in ([0-9.]+) s")
EVERY = 0.05
Span = tuple[float, float]


class Watch:
    """The observed times of one delivery, in seconds since the start of the push. spans: part -> (first seen running,
    first seen ended).
    """

    def __init__(self) -> None:
        self.spans: dict[str, Span] = {}
        self.seen: dict[str, float] = {}
        self.verdict = 0.0
        self.own = 0.0

    def note(self, now: float, row: dict[str, Any]) -> bool:
        """Record one response; returns whether the verdict is final."""
        build = (row.get("build") or {}).get("status", "")
        self._part("build", now, build == "pending", build == "succeeded")
        for check in row["checks"]:
            self._part(check["name"], now, check["status"] == "in_progress", check["status"] == "completed")
            found = OWN.search(check["title"]) if check["name"] == "tests" else None
            self.own = float(found.group(1)) if found else self.own
        if (row.get("verdict") or {}).get("colour") == "green" and not self.verdict:
            self.verdict = now
        return bool(self.verdict)

    def _part(self, name: str, now: float, at_work: bool, ended: bool) -> None:
        if at_work or ended:
            self.seen.setdefault(name, now)
        if ended and name not in self.spans:
            self.spans[name] = (self.seen[name], now)

    def figures(self) -> dict[str, float]:
        """The seconds of this push."""
        parts = {name: end - begin for name, (begin, end) in self.spans.items()}
        busy = union(list(self.spans.values()))
        return {
            "push to verdict": self.verdict,
            "tests' own": self.own,
            "the rest": self.verdict - self.own,
            **parts,
            "sum of parts": sum(parts.values()),
            "side by side": sum(parts.values()) - busy,
        }


def union(spans: list[Span]) -> float:
    """Seconds during which at least one part was running."""
    total, reached = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def push(team: Team) -> dict[str, float]:
    """One push, observed until its verdict; returns after the push has ended."""
    sha, watch, began = team.sha, Watch(), time.monotonic()
    pusher = team.push_in_background()
    try:
        while time.monotonic() - began < 300:
            row = team.delivery(sha)
            if row and watch.note(time.monotonic() - began, row):
                break
            if row and row["finished_at"] and row["state"] != "live":
                raise SystemExit(f"the push was not green: {row['reason']}")
            time.sleep(EVERY)
    finally:
        said, _ = pusher.communicate(timeout=300)
    if not watch.verdict:
        raise SystemExit(f"no verdict within 300 seconds:\n{said}")
    return watch.figures()


def measure(rounds: int) -> list[dict[str, float]]:
    """A first push, then ``rounds`` pushes of a changed static file."""
    folder = Path(tempfile.mkdtemp(prefix="greenroom-bench-"))
    folder.chmod(0o755)
    place = Installation(home=folder / "home", greenroom=BIN / "greenroom")
    place.up()
    try:
        team = Team(place, folder / "work", "bench-verdict", SAMPLE)
        team.set_secret()
        team.push()
        team.assert_live()
        rows = []
        for number in range(rounds):
            team.write("static/bench.txt", f"{number}\n")
            team.commit(f"Commit {number}")
            rows.append(push(team))
            print(", ".join(f"{name} {seconds:.2f}" for name, seconds in rows[-1].items()), flush=True)
        return rows
    finally:
        place.down()
        shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rows = measure(parser.parse_args().rounds)
    median = {name: round(statistics.median(row.get(name, 0.0) for row in rows), 2) for name in rows[0]}
    print(f"\nmedians of {len(rows)} pushes with an untouched lock, seconds, on {os.cpu_count()} cores")
    for name, seconds in median.items():
        print(f"{name:<16} {seconds:>7.2f}")
    print(f"{median['side by side'] / median['sum of parts']:.0%} of the parts' time ran beside another part")
    print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0], **median}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
