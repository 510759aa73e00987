"""Delays between retries: doubled after each failure up to a limit, with an optional maximum of attempts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """A retry schedule. first, longest: seconds; attempts: the maximum in total, None for no limit."""

    first: int
    longest: int
    attempts: int | None = None

    def pause(self, failures: int) -> int | None:
        """Seconds until the next attempt after so many consecutive failures; None after the last attempt."""
        if self.attempts is not None and failures >= self.attempts:
            return None
        return min(self.longest, self.first * 2 ** min(max(failures, 1) - 1, 20))
