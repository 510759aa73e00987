"""A bounded number of token buckets in memory. At the limit, full buckets are dropped, then the least recently used."""

from __future__ import annotations

from dataclasses import dataclass

from greenroom.accounts.rules import Rate, refilled
from greenroom.basics import clock

MOST = 20_000
"""Limit of buckets."""
SWEEP_SECONDS = 60.0
"""Seconds between two sweeps of full buckets."""


@dataclass
class Bucket:
    """tokens: below 0 when a waiting request has borrowed one. at: the monotonic time of the last update."""

    tokens: float
    at: float
    rate: Rate


class Buckets:
    """A map of buckets. Not thread-safe; the caller must hold a lock."""

    def __init__(self) -> None:
        self._kept: dict[str, Bucket] = {}
        self._swept = float("-inf")

    def __len__(self) -> int:
        return len(self._kept)

    def at(self, key: str, rate: Rate) -> Bucket:
        """The current bucket; a new one is full."""
        now = clock.monotonic()
        bucket = self._kept.pop(key, None)
        if bucket is None:
            self._make_room(now)
            bucket = Bucket(float(rate.most), now, rate)
        bucket.tokens, bucket.at, bucket.rate = refilled(bucket.tokens, now - bucket.at, rate), now, rate
        self._kept[key] = bucket  # now the most recently used
        return bucket

    def clear(self) -> None:
        """Fill all buckets."""
        self._kept.clear()
        self._swept = float("-inf")

    def _make_room(self, now: float) -> None:
        if len(self._kept) >= MOST and now - self._swept >= SWEEP_SECONDS:
            self._swept = now
            self._kept = {
                key: it for key, it in self._kept.items() if refilled(it.tokens, now - it.at, it.rate) < it.rate.most
            }
        while len(self._kept) >= MOST:
            del self._kept[next(iter(self._kept))]
