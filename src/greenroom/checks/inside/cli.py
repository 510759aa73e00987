"""The entry of the dyno side: ``tests``, ``scan``, ``scanners`` or ``models``, the folder for the result, and the wish
on standard input.
"""

from __future__ import annotations

import json
import sys

from . import run_models, run_scan, run_scanners, run_tests
from .results import write

JOBS = {
    "tests": run_tests.run_all,
    "scan": run_scan.run_all,
    "models": run_models.run_all,
    "scanners": run_scanners.run_all,
}


def main(argv: list[str]) -> int:
    """Do one job and leave ``result.json``. A crash leaves none, which the control plane takes for an error."""
    job, out = argv
    wish = json.loads(sys.stdin.read() or "{}")
    write(out, "result.json", JOBS[job](wish, out))
    return 0
