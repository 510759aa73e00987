"""Any .travis.yml is cheap to evaluate, and no combination of its jobs makes untested code green."""

from __future__ import annotations

import time

import pytest

from greenroom.checks.inside import run_travis
from greenroom.checks.rules.travis import jobs


def test_a_failure_that_counts_is_not_swallowed_by_a_job_that_may_fail():
    text = (
        'python: ["3.11", "3.12"]\nscript: pytest\njobs:\n  include: [{name: lint, script: flake8}]\n  allow_failures:'
        ' [{python: "3.12.1"}]\n'
    )
    plan = jobs.read(text, "master", "3.12.4")
    assert [(job.name, job.allowed) for job in plan.jobs] == [("Python 3.12", False), ("test: lint", False)]
    alone = jobs.read(
        'python: ["3.11", "3.12"]\nscript: pytest\njobs:\n  allow_failures: [{python: "3.11"}, {python: "3.12"},'
        " {stage: 1}]\n",
        "master",
        "3.12.4",
    )
    assert [job.allowed for job in alone.jobs] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
        + "script: [pytest, *a11]\n",
        "a0: &a0 {x: 1}\n"
        + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12))
        + "script: pytest\n",
        "script: " + "[" * 60 + "pytest" + "]" * 60 + "\n",
        f'env: "A={"$(a)" * 200}\'"\nscript: [pytest]\nlanguage: 3\n',
    ],
)
def test_a_small_file_cannot_cost_much(text):
    began = time.process_time()
    plan = jobs.read(text, "master")
    assert plan.problem or plan.other
    assert time.process_time() - began < 5, "seconds of this process, where the whole would take years"


def test_jobs_without_tests_prove_nothing_about_stages_that_were_not_run():
    empty = {
        "job": {"name": "unit", "stage": "unit", "allowed": False},
        "outcome": "failure",
        "detail": "no test",
        "empty": True,
        "tests": 0,
    }
    later = {
        "job": {"name": "integration", "stage": "integration", "allowed": False},
        "outcome": "not run",
        "detail": "stage unit failed",
    }
    assert "empty" not in run_travis._together([empty, later], [])
    assert run_travis._together([empty], [])["empty"] is True
