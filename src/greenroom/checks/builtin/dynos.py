"""The dyno ids of built-in checks."""

from __future__ import annotations

from greenroom.checks.builtin import scanning, testing
from greenroom.checks.models import CheckRun


def dynos(run: CheckRun) -> tuple[str, ...]:
    """The engine's ids of all possible dynos of the run."""
    if run.name == "tests":
        return (testing.dyno_id(run),)
    extra = (scanning.scanners_dyno_id(run),) if run.data.get("wish", {}).get("scanners") else ()
    return (scanning.dyno_id(run), scanning.models_dyno_id(run), *extra)
