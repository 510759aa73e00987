"""Runs one test command of an app, repeats it after a failure, and returns the result.

The output is passed on immediately, so that the engine's idle timeout works.
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

KEEP = 16 * 1024 * 1024
"""Bytes of output that are kept for parsing, from the end."""

RERUN_AT_MOST = 20
"""A run with more failing tests than this is not repeated: it is broken, not flaky."""

MAX_FAILURES, WITH_OUTPUT = 1_000, 50
"""Number of failing tests that the result names, and number of those with output."""

LABEL = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
FIXTURES = re.compile(r"\.(setUp|tearDown)(Class|Module)\Z")
UNPICKLED = "tracebacks cannot be pickled"
MISSING = re.compile(r"\bpytest: (?:command )?not found|No module named '?pytest'?\s*$", re.MULTILINE)
NO_PYTEST = (
    "pytest is not installed: add pytest to requirements-test.txt, or to the dev group of pyproject.toml and its lock"
    " file"
)
EMPTY = "no tests found"
KILLED = (-9, 137)
"""Exit codes of a command that was killed from outside, such as by the out-of-memory killer."""

CANNOT_RUN = {126: "is not executable", 127: "was not found"}


@dataclass
class Step:
    """One completed command: its exit code (negative: a signal), duration in seconds, and output."""

    code: int
    seconds: float
    text: str


def run(command: str, env: dict[str, str], argv: tuple[str, ...] = ()) -> Step:
    """Run the command line in bash (or ``argv`` instead); pass its output on and keep it."""
    began = time.monotonic()
    process = subprocess.Popen(
        argv or ["bash", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
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
    """The counts, from pytest's XML file if there is one, and from the text. A script may run both kinds of tests."""
    printed = outputs.read_text(step.text)
    try:
        with open(junit, encoding="utf-8", errors="replace") as file:
            counted = outputs.read_junit(file.read())
    except (OSError, ValueError):
        return printed
    return counted.plus(printed) if printed.source == "unittest" else counted


def judge(step: Step, counted: outputs.Count) -> tuple[str, str]:
    """(``success``, ``failure`` or ``error``, a short reason)."""
    if MISSING.search(step.text) and not counted.tests and step.code:
        return "failure", NO_PYTEST
    if step.code in CANNOT_RUN and not counted.tests:
        return "failure", f"the test command {CANNOT_RUN[step.code]}{_named(step)}"
    if counted.failures:
        return "failure", ""
    if counted.bad:
        return "failure", f"{counted.bad} of {counted.tests} tests failed; the output contains no names"
    if step.code and UNPICKLED in step.text:
        return "error", "Django's parallel test runner could not report a failure: add tblib to requirements-test.txt"
    if counted.tests == 0:
        return "failure", EMPTY
    if step.code < 0:
        return "failure", f"the test command was ended by signal {-step.code}"
    if step.code:
        passed = (counted.tests or 0) - counted.skipped
        ran = f" although {passed} test{'' if passed == 1 else 's'} passed" if passed else ""
        return "failure", f"the test command ended with exit code {step.code}{ran}"
    if counted.tests is not None and counted.tests == counted.skipped:
        return "failure", f"all {counted.tests} tests were skipped"
    return "success", ""


def empty(step: Step, counted: outputs.Count) -> bool:
    """Whether the command found no tests and had no other error; pytest then exits with 5."""
    return counted.tests == 0 and step.code in (0, 5)


def _named(step: Step) -> str:
    """The shell's error line for a missing command."""
    found = re.search(
        r"[^\n]*: (?:command not found|No such file or directory|Permission denied|not found)[^\n]*", step.text[-5_000:]
    )
    return f": {found.group(0).strip()[:200]}" if found else ""


def worth_repeating(step: Step, counted: outputs.Count) -> bool:
    """Whether to repeat the run: few tests failed, or the command reports no counts or was killed."""
    if counted.failures:
        return len(counted.failed) <= RERUN_AT_MOST
    if step.code in KILLED:
        return True
    return counted.tests is None and step.code > 0 and step.code not in CANNOT_RUN


def second_command(command: plan.Command, counted: outputs.Count) -> str:
    """The command for the second run. Django's runner repeats only the failing tests, or whole classes if their set-up
    failed.
    """
    labels = list(dict.fromkeys(FIXTURES.sub("", name) for name in counted.failed))
    if command.kind == "django" and labels and all(LABEL.match(label) for label in labels):
        return " ".join([command.text, *labels])
    return command.text


def _env(junit: str, again: bool, source: str) -> dict[str, str]:
    """The environment. It makes pytest write an XML file and, in the second run, repeat only the failures."""
    options = [os.environ.get("PYTEST_ADDOPTS", ""), f"--junitxml={junit}"]
    if again and source == "junit":
        options.append("--last-failed")
    return {**os.environ, "PYTEST_ADDOPTS": " ".join(filter(None, options))}


def attempt(command: plan.Command, out: str, *, begun: str = "", again: bool = True, tag: str = "") -> dict[str, Any]:
    """Run the command, repeat it if ``worth_repeating``, and return the result of both.

    begun: the marker file; without it the command failed before its tests started. tag: suffix for the files of this
    command.
    """
    junit = os.path.join(out, f"junit{tag}-1.xml")
    first = run(command.text, _env(junit, False, ""), command.argv)
    if begun and not os.path.exists(begun):
        return broken(f"a line before the script of .travis.yml ended with exit code {first.code}", command.text, first)
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
        **({"empty": True} if empty(first, counted) else {}),
    }
    if outcome == "failure" and again and detail != NO_PYTEST and worth_repeating(first, counted):
        _again(result, command, counted, os.path.join(out, f"junit{tag}-2.xml"))
    return bounded(result)


def broken(detail: str, command: str, step: Step | None = None) -> dict[str, Any]:
    """The result of tests that could not start."""
    tail = outputs.shorten(step.text[-20_000:], outputs.OUTPUT_LIMIT) if step else ""
    nothing = {**outputs.Count().as_dict(), "flaky": []}
    return {"command": command, "outcome": "error", "detail": detail, "runs": 0, "tail": tail, **nothing}


def _again(result: dict[str, Any], command: plan.Command, counted: outputs.Count, junit: str) -> None:
    """Repeat the failed tests. A test that passes now is flaky; a test that fails again has failed."""
    print("\n-----> Running the failed tests again", flush=True)
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
    """The result with truncated lists, to limit the size of its file."""
    for key in ("failures", "flaky_output"):
        items = result.get(key, [])[:MAX_FAILURES]
        result[key] = items[:WITH_OUTPUT] + [{**item, "output": ""} for item in items[WITH_OUTPUT:]]
    result["failed"] = len({item["name"] for item in result["failures"]})
    return result
