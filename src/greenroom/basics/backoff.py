"""How long to wait after failed attempts: doubled each time up to a limit, and given up after a number of attempts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """A schedule. first, longest: seconds; attempts: how many there are in all, None for no end."""

    first: int
    longest: int
    attempts: int | None = None

    def pause(self, failures: int) -> int | None:
        """Seconds until the next attempt after ``failures`` in a row; None when there is none."""
        if self.attempts is not None and failures >= self.attempts:
            return None
        return min(self.longest, self.first * 2 ** min(max(failures, 1) - 1, 20))
