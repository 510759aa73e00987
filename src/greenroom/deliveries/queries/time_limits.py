"""Time limits of a release: its release command, the boot of its web dynos, the health check, and the trial after the
switch.
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
"""Seconds for a web dyno to pass the health check after it has bound its port."""
WATCH, MOST_WATCH = 10.0, 300.0
"""Seconds to watch a release after the switch, default and maximum. The previous release stays up to take the traffic
back.
"""
VERDICT = 30.0
"""Seconds to wait after the watch for answers that are still pending."""
SLACK = 30.0
"""Seconds for everything else: sandbox starts, the schema radar, a busy machine."""


def health_seconds(settings: Mapping[str, Any]) -> float:
    """``[policy] health_timeout`` of greenroom.toml, else GREENROOM_HEALTH_SECONDS of the worker's environment, else
    30.
    """
    policy = settings.get("policy") or {}
    return float(policy.get("health_timeout") or os.environ.get("GREENROOM_HEALTH_SECONDS") or HEALTH)


def watch_seconds(settings: Mapping[str, Any]) -> float:
    """``[policy] watch_seconds`` of greenroom.toml, else GREENROOM_WATCH_SECONDS of the worker's environment, else 10.
    0 disables the watch; the maximum is 300.
    """
    chosen = (settings.get("policy") or {}).get("watch_seconds")
    return min(
        MOST_WATCH,
        max(0.0, float(os.environ.get("GREENROOM_WATCH_SECONDS") or WATCH) if chosen is None else float(chosen)),
    )


def seconds(release: Release) -> float:
    """Seconds until the release has succeeded or failed, including the releases before it in the queue."""
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
