"""Runs an app's test set-up and its tests in the dyno, and writes the result as one JSON file."""

from __future__ import annotations

import os
from typing import Any

from . import plan, run_travis
from .results import write
from .steps import attempt, broken, run


def run_all(options: dict[str, Any], out: str) -> dict[str, Any]:
    """Run the set-up, the tests and, after a failure, the second run.

    options, all optional: {head} first lines of the log, {setup, test} command lines, {travis} a plan.
    """
    for line in options.get("head") or []:
        print(line, flush=True)
    setup = options.get("setup")
    if setup:
        step = run(setup, dict(os.environ))
        if step.code:
            return broken(f"test-setup ended with exit code {step.code}", setup, step)
    travis = options.get("travis")
    if travis and not options.get("test"):
        return run_travis.run_all(travis, out, again=bool(options.get("again", True)))
    command = plan.find(os.getcwd(), options.get("test"))
    if command is None:
        return {**broken(plan.NO_TESTS, ""), "empty": True}
    write(out, "plan.json", {"command": command.text, "kind": command.kind})
    return attempt(command, out, again=bool(options.get("again", True)))
