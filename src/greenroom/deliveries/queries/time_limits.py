"""How long the platform gives a release until it serves: its release command, the boot of its web dynos, the health
question, the watch after the switch.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from greenroom.deliveries.models import Delivery
from greenroom.engine.contract import Limits
from greenroom.releases.models import Release
from greenroom.releases.rules import COMMAND_SECONDS

HEALTH = 30.0
"""Seconds that a web dyno which has bound its port may take to answer well."""
WATCH, MOST_WATCH = 10.0, 300.0
"""Seconds for which a release that has got the traffic is watched while what served before stays up to take it back."""
VERDICT = 30.0
"""Seconds after the watch for which the answers of a release are waited for that speak neither for nor against it."""
SLACK = 30.0
"""Seconds for what lies between: starting sandboxes, the radar's answer, a busy machine."""


def health_seconds(settings: Mapping[str, Any]) -> float:
    """``[policy] health_timeout`` of greenroom.toml, else GREENROOM_HEALTH_SECONDS of the worker's environment, else
    30.
    """
    policy = settings.get("policy") or {}
    return float(policy.get("health_timeout") or os.environ.get("GREENROOM_HEALTH_SECONDS") or HEALTH)


def watch_seconds(settings: Mapping[str, Any]) -> float:
    """``[policy] watch_seconds`` of greenroom.toml, else GREENROOM_WATCH_SECONDS of the worker's environment, else 10;
    0: no watch. 300 at most.
    """
    chosen = (settings.get("policy") or {}).get("watch_seconds")
    return min(
        MOST_WATCH,
        max(0.0, float(os.environ.get("GREENROOM_WATCH_SECONDS") or WATCH) if chosen is None else float(chosen)),
    )


def seconds(release: Release) -> float:
    """Seconds after which the platform has decided about a release, those that are before it in the queue included."""
    ahead = Delivery.objects.filter(
        app_id=release.app_id, finished_at=None, release__version__lt=release.version
    ).select_related("release__slug")
    return sum(map(_own, [release, *(row.release for row in ahead if row.release)]))


def _own(release: Release) -> float:
    slug = release.slug
    if slug is None:
        return SLACK
    command = COMMAND_SECONDS if "release" in slug.process_types else 0.0
    watch = watch_seconds(slug.settings)
    return command + Limits().boot + health_seconds(slug.settings) + watch + (VERDICT if watch else 0.0) + SLACK
