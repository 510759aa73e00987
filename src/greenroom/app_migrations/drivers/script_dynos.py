"""Dynos of a release that run a script from standard input with the slug's Python and write the answer to a
directory.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from greenroom.app_migrations.drivers.probes import ProbeParts
from greenroom.dynos.models import Dyno
from greenroom.dynos.queries import dyno_specs
from greenroom.dynos.rules import StartOptions
from greenroom.engine.contract import Capacity, DynoSpec
from greenroom.releases.models import Release


def errand(
    *,
    release: Release,
    name: str,
    kind: str,
    ordinal: int,
    parts: ProbeParts,
    home: Path,
    capacity: Capacity,
    seconds: float,
) -> DynoSpec:
    """The spec of such a dyno: the release's files and environment, no row, no log output, a timeout of ``seconds``."""
    row = Dyno(app=release.app, release=release, kind="probe", type=kind, ordinal=ordinal, command=kind, engine_id=name)
    order = dyno_specs.spec(dyno=row, home=home, capacity=capacity, options=StartOptions())
    limits = replace(order.limits, timeout=seconds)
    return replace(
        order, command=parts.command, stdin=parts.stdin, mounts=(*order.mounts, *parts.mounts), limits=limits, log=""
    )
