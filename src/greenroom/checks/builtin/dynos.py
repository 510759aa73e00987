"""Names the dynos of builtin checks."""

from __future__ import annotations

from greenroom.checks.builtin import scanning, testing
from greenroom.checks.models import CheckRun


def dynos(run: CheckRun) -> tuple[str, ...]:
    """The engine's ids of all dynos that the run may have."""
    if run.name == "tests":
        return (testing.dyno_id(run),)
    extra = (scanning.scanners_dyno_id(run),) if run.data.get("wish", {}).get("scanners") else ()
    return (scanning.dyno_id(run), scanning.models_dyno_id(run), *extra)
