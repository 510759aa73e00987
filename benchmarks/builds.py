"""Measures build times for each package manager, next to those of Heroku's official buildpack.

Cases: first build, no change, a changed comment, one package added, one removed. Real builds on the local engine, in a
separate home. With ``--crashes N`` instead: N builds whose processes are killed at random times.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django

OFFICIAL = {
    "pip": (5.2, 2.2, 6.8, None, None),
    "uv": (8.1, 4.1, None, None, None),
    "pipenv": (31.6, 5.4, 30.3, None, None),
    "poetry": (22.7, 1.4, None, None, None),
}
"""Seconds of heroku/python v351 on a two-core machine, single runs, one package each (pip: python-getting-started);
None: not measured.
"""
CASES = ("first", "unchanged", "comment", "one more", "one less")


def main() -> None:
    """Measure, and print a table and one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--crashes", type=int, default=0)
    parser.add_argument("--seed", type=int, default=20261123)
    words = parser.parse_args()
    django.setup()
    from django.test.utils import setup_databases, teardown_databases

    databases = setup_databases(verbosity=0, interactive=False)
    try:
        crash(words.crashes, words.seed) if words.crashes else measure(words.rounds)
    finally:
        teardown_databases(databases, verbosity=0)


def workshop(name: str):
    """A fresh home with an empty cache, and an app on it."""
    from greenroom.accounts import actions as accounts
    from greenroom.accounts.models import Account
    from greenroom.accounts.queries import actor_of
    from greenroom.accounts.rules import PLATFORM
    from greenroom.apps import actions as apps
    from tests.builds.hosting import Machine, Workshop

    email = "alice@example.com"
    alice = Account.objects.filter(email=email).first() or accounts.create_account(
        actor=PLATFORM, email=email, password="correct horse"
    )
    return Workshop(apps.create(actor=actor_of(alice), name=name), Machine())


def timed(shop, files=None, commit=""):
    """(seconds, the build); the commit is created before the measurement starts."""
    commit = commit or shop.commit(files)
    begun = time.perf_counter()
    build = shop.built(commit=commit)
    return round(time.perf_counter() - begun, 2), build


def one_round(manager: str, number: int) -> list[float]:
    """Measure the five cases in order, starting with an empty cache."""
    from tests.builds.hosting import ADDED, BASE, COMMENTED, FILES, SIX

    shop = workshop(f"{manager}-{number}")
    try:
        files, name = {**BASE, **FILES[manager](SIX)}, COMMENTED[manager]
        first, build = timed(shop, files)
        unchanged, _ = timed(shop, commit=build.commit)
        comment, _ = timed(shop, {**files, name: files[name] + "\n# why\n"})
        more, _ = timed(shop, {**BASE, **FILES[manager](SIX, ADDED)})
        less, last = timed(shop, {**BASE, **FILES[manager](ADDED)})
        assert "six" not in shop.packages(last), "a removed package is still there"
        return [first, unchanged, comment, more, less]
    finally:
        shop.machine.close()


def measure(rounds: int) -> None:
    """Print the medians of all managers next to those of the official buildpack."""
    found = {}
    for manager in OFFICIAL:
        runs = [one_round(manager, number) for number in range(rounds)]
        found[manager] = [round(statistics.median(case), 2) for case in zip(*runs, strict=True)]
    print(f"{'seconds':10}" + "".join(f"{case:>20}" for case in CASES))
    for manager, numbers in found.items():
        pairs = zip(numbers, OFFICIAL[manager], strict=True)
        print(
            f"{manager:10}"
            + "".join(f"{ours:>11.2f} ({'-' if theirs is None else theirs:>5})" for ours, theirs in pairs)
        )
    print("in brackets: heroku/python")
    print(json.dumps({"benchmark": "builds", "rounds": rounds, "cases": CASES, "greenroom": found, "heroku": OFFICIAL}))


def crash(count: int, seed: int) -> None:
    """Kill the processes of that many builds; stops at the first incorrect result."""
    from tests.builds.crashes import Crashes, crash_once
    from tests.builds.hosting import FILES

    shop, crashes = workshop("crashes"), Crashes(random.Random(seed))
    begun = time.perf_counter()
    try:
        for number in range(count):
            crash_once(shop, crashes, list(FILES)[number % len(FILES)])
    finally:
        shop.machine.close()
    numbers = {"benchmark": "builds --crashes", "seed": seed, "kills": len(crashes.moments), "with_shim": crashes.shims}
    print(json.dumps({**numbers, "wrong": 0, "seconds": round(time.perf_counter() - begun, 1)}))


if __name__ == "__main__":
    main()
