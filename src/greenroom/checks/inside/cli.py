"""Entry point inside the dyno. Arguments: ``tests``, ``scan``, ``scanners`` or ``models``, and the result folder. The
job's input is JSON on standard input.
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
    """Run one job and write ``result.json``. After a crash the file is missing, which counts as an error."""
    job, out = argv
    options = json.loads(sys.stdin.read() or "{}")
    write(out, "result.json", JOBS[job](options, out))
    return 0
