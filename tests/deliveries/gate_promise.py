"""Shared by both state machines of the gate: the invariant, the possible events, and the number of steps."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from greenroom.checks import rules as gate

REQUIRED = ("tests", "scan", "ci/build")
ENDS = ("success", "success", "success", *(name for name in gate.CONCLUSIONS if name != "success"))
STEPS = int(os.environ.get("GATE_STEPS", "0"))
COUNTED = {"memory": 0, "rows": 0}
choice = st.integers(0, 10_000)
check = st.sampled_from(REQUIRED)
ending = st.sampled_from(ENDS)


def play(machine, *, steps: int, length: int) -> None:
    """Run the machine for at least that many steps."""
    chosen = settings(
        max_examples=max(1, steps // length),
        stateful_step_count=length,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
    )
    run_state_machine_as_test(machine, settings=chosen)


def permitted(runs, overrides) -> bool:
    """The invariant, written independently of the rules. runs: (name, attempt, status, conclusion); overrides: (names,
    {name: attempt seen}).
    """
    for name in REQUIRED:
        mine = sorted((attempt, status, end) for other, attempt, status, end in runs if other == name)
        if mine and mine[-1][1:] == ("completed", "success"):
            continue
        newest = {other: max(a for n, a, _, _ in runs if n == other) for other, _, _, _ in runs}
        if not any(name in names and all(newest.get(n, 0) <= a for n, a in seen.items()) for names, seen in overrides):
            return False
    return True
