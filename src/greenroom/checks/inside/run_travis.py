"""Runs the jobs of a .travis.yml one after another, each in its own shell, and returns the result of each."""

from __future__ import annotations

import os
from typing import Any

from . import plan
from .results import write
from .steps import attempt, bounded, broken

SUMS = ("tests", "skipped", "seconds", "wall")
LISTS = ("failures", "flaky", "flaky_output", "slowest")


def run_all(options: dict[str, Any], out: str, *, again: bool) -> dict[str, Any]:
    """The result of all jobs. options: {problem, left_out: [[name, why]], jobs: [{name, stage, env, setup, script,
    allowed}]}.

    As on Travis, stages after a failed stage do not start. A job that cannot run here makes the result an error unless
    another job failed.
    """
    if options.get("problem"):
        return broken(options["problem"], "")
    jobs, left_out = options.get("jobs") or [], [tuple(row) for row in options.get("left_out") or []]
    results: list[dict[str, Any]] = []
    failed = ""
    for number, job in enumerate(jobs, 1):
        if failed and job["stage"] != failed:
            results.append({"job": job, "outcome": "not run", "detail": f"stage {failed} failed"})
            continue
        if len(jobs) > 1:
            print(f"\n-----> Job {number} of {len(jobs)}: {job['name']}", flush=True)
        command = plan.of_travis(job, os.path.join(out, f"begun-{number}"))
        if number == 1:
            write(out, "plan.json", {"command": _announced(jobs), "kind": command.kind})
        tag = f"-job{number}" if len(jobs) > 1 else ""
        found = attempt(command, out, begun=os.path.join(out, f"begun-{number}"), again=again, tag=tag)
        results.append({"job": job, **found})
        if found["outcome"] != "success" and not job["allowed"]:
            failed = job["stage"]
    return _together(results, left_out)


def _announced(jobs: list[dict[str, Any]]) -> str:
    first = "; ".join(jobs[0]["script"])
    return first if len(jobs) == 1 else f"{len(jobs)} jobs of .travis.yml, first: {first}"


def _together(results: list[dict[str, Any]], left_out: list[tuple[str, str]]) -> dict[str, Any]:
    """The combined result. Allowed failures are listed but do not count."""
    counted = [result for result in results if not result["job"]["allowed"]]
    bad = next((result for kind in ("failure", "error") for result in counted if result["outcome"] == kind), None)
    ran = [result for result in counted if result["outcome"] != "not run"]
    total: dict[str, Any] = {key: sum(result.get(key) or 0 for result in ran) for key in SUMS}
    total["tests"] = total["tests"] if any(result.get("tests") is not None for result in ran) else None
    total |= {key: [item for result in ran for item in result.get(key) or []] for key in LISTS}
    only = len(results) == 1 and not left_out
    first = bad or (ran[0] if ran else {})
    total |= {key: first[key] for key in ("command", "kind", "tail", "source") if key in first}
    total["runs"] = max((result.get("runs", 0) for result in ran), default=0)
    total["outcome"], total["detail"] = _judged(bad, ran, left_out, only)
    total["jobs"] = [_row(result) for result in results] + [
        {"name": name, "outcome": "cannot run", "detail": why} for name, why in left_out
    ]
    if ran and len(ran) == len(counted) and not left_out and all(result.get("empty") for result in ran):
        total["empty"] = True
    return bounded(total)


def _judged(
    bad: dict[str, Any] | None, ran: list[dict[str, Any]], left_out: list[tuple[str, str]], only: bool
) -> tuple[str, str]:
    if bad:
        where = "" if only else f"job {bad['job']['name']}: "
        return bad["outcome"], f"{where}{bad['detail']}" if bad["detail"] else (
            "" if only or bad.get("failures") else f"{where}failed"
        )
    if left_out:
        names = "; ".join(f"{name} ({why})" for name, why in left_out)
        return "error", f"some jobs of .travis.yml cannot run here: {names}"
    if not ran:
        return "error", "all jobs of .travis.yml are allowed to fail, so the result is not conclusive"
    return "success", ""


def _row(result: dict[str, Any]) -> dict[str, Any]:
    """The summary of one job."""
    job = result["job"]
    words = result["detail"] or (f"first: {result['failures'][0]['name']}" if result.get("failures") else "")
    return {
        "name": job["name"],
        "outcome": result["outcome"],
        "tests": result.get("tests"),
        "detail": words,
        "allowed": job["allowed"],
        "seconds": round(float(result.get("wall") or 0), 1),
    }
