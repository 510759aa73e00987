"""The kinds of channels that deliver an app's events: one package each, found by the scheme of the target URL.

Other code uses this registry and names no channel.
"""

from __future__ import annotations

import pkgutil
from importlib import import_module

from greenroom.webhooks.channels.kind import Channel


def every() -> list[Channel]:
    """All channels, by name."""
    folders = sorted(entry.name for entry in pkgutil.iter_modules(__path__) if entry.ispkg)
    return [import_module(f"{__name__}.{name}").CHANNEL for name in folders]


def schemes(*, hidden: bool = False) -> tuple[str, ...]:
    """The schemes of the URLs that can be targets of webhooks, or of notifications (``hidden``)."""
    return tuple(scheme for channel in every() if channel.hidden == hidden for scheme in channel.schemes)


def of(url: str) -> Channel | None:
    """The channel for a target's URL, by its scheme; None if there is none."""
    scheme = url.partition(":")[0].lower()
    return next((channel for channel in every() if scheme in channel.schemes), None)
