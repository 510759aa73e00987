"""Sends SIGKILL to worker, supervisor, PostgreSQL and client during rehearsals and a user's migrate command.

Starts an installation and deploys samples/payslip with a pending migration that takes two seconds. Kills a process at
named points, chosen at random, and checks that the record is correct and nothing is left over. Prints a line for each
kill with its result; exits with 1 at the first incorrect one.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.stories.migration_kills import PHASES, TARGETS, Trial
from tests.stories.team import Installation, Team


def main() -> None:
    """argv: --times N --seed N --phase NAME."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--phase", choices=PHASES, action="append", help="only this one (default: both)")
    chosen = parser.parse_args()
    random.seed(chosen.seed)
    print(f"seed {chosen.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="greenroom-kills-"))
    place = Installation(home=folder / "home", greenroom=Path(sys.executable).parent / "greenroom")
    place.up()
    try:
        team = Team(place, folder / "work", "kills", tests="python manage.py test accounts")
        team.set_secret()
        team.push()
        team.greenroom("run", "python", "manage.py", "migrate")
        team.greenroom("run", "python", "manage.py", "seed_demo", "--password", "only-for-benchmarks")
        trial = Trial(team)
        for number in range(1, chosen.times + 1):
            for phase in chosen.phase or PHASES:
                for target in TARGETS:
                    began = time.monotonic()
                    said = trial.once(phase, target)
                    print(f"{number:>3} {phase:<10} {target:<11} {said} ({time.monotonic() - began:.1f} s)", flush=True)
        for said, count in sorted(trial.outcomes.items()):
            print(f"{count:>4}  {said}")
    finally:
        place.down()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
