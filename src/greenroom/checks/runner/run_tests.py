"""Runs an app's test set-up and tests in the dyno, a second time when they fail, and says what came out.

The output goes on as it comes, so that the engine notices silence; the result is one JSON file.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

from . import outputs, plan
from .results import write

KEEP = 16 * 1024 * 1024
"""Bytes of output that are kept to be read; of a longer one the end."""

RERUN_AT_MOST = 20
"""A run with more failing tests than this is broken rather than flaky, and is not repeated."""

MAX_FAILURES, WITH_OUTPUT = 1_000, 50
"""How many failing tests are named in the result, and how many with their output."""

BEGUN = "begun"
"""The file by which the script of a .travis.yml tells that the lines before it went well."""

LABEL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
FIXTURES = re.compile(r"\.(setUp|tearDown)(Class|Module)\Z")
UNPICKLED = "tracebacks cannot be pickled"
CANNOT_RUN = {126: "is not executable", 127: "was not found"}


@dataclass
class Step:
    """One command that ran: its exit code (negative: a signal), seconds, and what it printed."""

    code: int
    seconds: float
    text: str


def run(command: str, env: dict[str, str], argv: tuple[str, ...] = ()) -> Step:
    """Run the command line by bash (or ``argv`` in its place), pass its output on, and keep it."""
    began = time.monotonic()
    process = subprocess.Popen(
        argv or ["bash", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env
    )
    assert process.stdout is not None
    kept = bytearray()
    while True:
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            break
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        kept += chunk
        if len(kept) > 2 * KEEP:
            del kept[:-KEEP]
    return Step(process.wait(), time.monotonic() - began, bytes(kept).decode(errors="replace"))


def count(step: Step, junit: str) -> outputs.Count:
    """The counts, from the XML file if pytest wrote one, else from the text; a script may have run both kinds of tests."""
    printed = outputs.read_text(step.text)
    try:
        with open(junit, encoding="utf-8", errors="replace") as file:
            counted = outputs.read_junit(file.read())
    except (OSError, ValueError):
        return printed
    return counted.plus(printed) if printed.source == "unittest" else counted


def judge(step: Step, counted: outputs.Count) -> tuple[str, str]:
    """``success``, ``failure`` or ``error``, and why in a few words."""
    if step.code in CANNOT_RUN and not counted.tests:
        return "error", f"the test command {CANNOT_RUN[step.code]}"
    if counted.failures:
        return "failure", ""
    if step.code and UNPICKLED in step.text:
        return "error", "Django's parallel runner could not hand a failure over: add tblib to requirements-test.txt"
    if counted.tests == 0:
        return "failure", "no test was found: 0 tests prove nothing"
    if step.code < 0:
        return "failure", f"the test command was ended by signal {-step.code}"
    if step.code:
        ran = f" although {counted.tests} tests passed" if counted.tests else ""
        return "failure", f"the test command ended with exit code {step.code}{ran}"
    if counted.tests is not None and counted.tests == counted.skipped:
        return "failure", f"all {counted.tests} tests were skipped"
    return "success", ""


def worth_repeating(step: Step, counted: outputs.Count) -> bool:
    """Whether a second run can tell something: a few tests failed, or a command that counts nothing."""
    if counted.failures:
        return len(counted.failed) <= RERUN_AT_MOST
    return counted.tests is None and step.code > 0 and step.code not in CANNOT_RUN


def second_command(command: plan.Command, counted: outputs.Count) -> str:
    """The command again; with Django's own runner for the failing tests alone, whole classes where their set-up failed."""
    labels = list(dict.fromkeys(FIXTURES.sub("", name) for name in counted.failed))
    if command.kind == "django" and labels and all(LABEL.match(label) for label in labels):
        return " ".join([command.text, *labels])
    return command.text


def _env(junit: str, again: bool, source: str) -> dict[str, str]:
    """The environment, with pytest told to leave an XML file and, the second time, to repeat what failed."""
    options = [os.environ.get("PYTEST_ADDOPTS", ""), f"--junitxml={junit}"]
    if again and source == "junit":
        options.append("--last-failed")
    return {**os.environ, "PYTEST_ADDOPTS": " ".join(filter(None, options))}


def run_all(wish: dict[str, Any], out: str) -> dict[str, Any]:
    """Set-up, tests and, if they failed, the second run.

    wish: {head} lines for the top of the log, {setup, test} command lines, {travis} a plan; each may be missing.
    """
    for line in wish.get("head") or []:
        print(line, flush=True)
    setup = wish.get("setup")
    if setup:
        step = run(setup, dict(os.environ))
        if step.code:
            return _broken(f"test-setup ended with exit code {step.code}", setup, step)
    problem = (wish.get("travis") or {}).get("problem")
    if problem:
        return _broken(problem, "", Step(0, 0.0, ""))
    command = _command(wish, out)
    if command is None:
        return _broken(plan.NO_TESTS, "", Step(0, 0.0, ""))
    write(out, "plan.json", {"command": command.text, "kind": command.kind})
    junit = os.path.join(out, "junit-1.xml")
    first = run(command.text, _env(junit, False, ""), command.argv)
    if command.argv and not os.path.exists(os.path.join(out, BEGUN)):
        return _broken(f"a line before the script of .travis.yml ended with exit code {first.code}", command.text, first)
    counted = count(first, junit)
    outcome, detail = judge(first, counted)
    result = {
        "command": command.text,
        "kind": command.kind,
        "outcome": outcome,
        "detail": detail,
        "runs": 1,
        "flaky": [],
        "tail": outputs.shorten(first.text[-20_000:], outputs.OUTPUT_LIMIT),
        "wall": round(first.seconds, 3),
        **counted.as_dict(),
    }
    if outcome == "failure" and wish.get("again", True) and worth_repeating(first, counted):
        _again(result, command, counted, out)
    return bounded(result)


def _command(wish: dict[str, Any], out: str) -> plan.Command | None:
    """The app's own command, else the script of its .travis.yml, else what is found."""
    travis = wish.get("travis")
    if wish.get("test") or not travis:
        return plan.find(os.getcwd(), wish.get("test"))
    return plan.of_travis(travis, os.path.join(out, BEGUN))


def _broken(detail: str, command: str, step: Step) -> dict[str, Any]:
    tail = outputs.shorten(step.text[-20_000:], outputs.OUTPUT_LIMIT)
    return {"command": command, "outcome": "error", "detail": detail, "runs": 0, "tail": tail, **_nothing()}


def _nothing() -> dict[str, Any]:
    return {**outputs.Count().as_dict(), "flaky": []}


def _again(result: dict[str, Any], command: plan.Command, counted: outputs.Count, out: str) -> None:
    """Repeat what failed. What passes now is flaky; what fails again has failed."""
    junit = os.path.join(out, "junit-2.xml")
    print("\n-----> Running what failed once more", flush=True)
    step = run(second_command(command, counted), _env(junit, True, counted.source), command.argv)
    second = count(step, junit)
    outcome, _ = judge(step, second)
    result["runs"] = 2
    if counted.source and second.tests is None:
        return
    still = set(second.failed)
    result["flaky"] = [name for name in counted.failed if name not in still] if second.tests else []
    if outcome == "success":
        result["outcome"], result["detail"] = "success", ""
        result["flaky_output"], result["failures"] = result["failures"], []
        result["flaky"] = result["flaky"] or [f"the command `{command.text}`"]
    else:
        result["failures"] = [item for item in result["failures"] if item["name"] not in result["flaky"]]


def bounded(result: dict[str, Any]) -> dict[str, Any]:
    """The result with the long lists cut, so that its file stays small."""
    for key in ("failures", "flaky_output"):
        items = result.get(key, [])[:MAX_FAILURES]
        result[key] = items[:WITH_OUTPUT] + [{**item, "output": ""} for item in items[WITH_OUTPUT:]]
    result["failed"] = len({item["name"] for item in result["failures"]})
    return result
