"""How often somebody may ask: buckets of tokens per account and per address, and a small one for wrong passwords.

Kept in the memory of the one web process: after a restart everybody starts with a full bucket, which harms nobody. The
numbers are Heroku's where Heroku has them (4500 tokens, one more every 0.8 s).
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from django.conf import settings

from greenroom.accounts.rules import Actor, Rate, refilled
from greenroom.basics import clock
from greenroom.basics.errors import UserError

FULL = 20_000
"""So many buckets are kept at once; then those that are full again are forgotten."""


class RateLimitError(UserError):
    """Too many requests; trying again after ``retry_after`` seconds helps."""

    id = "rate_limit"
    status = 429

    def __init__(self, message: str, *, retry_after: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = max(1, math.ceil(retry_after))


@dataclass
class _Bucket:
    tokens: float
    at: float


_lock = threading.Lock()
_buckets: dict[str, _Bucket] = {}


def spend(actor: Actor | None, address: str) -> int | None:
    """Count one request: of the account, or of the address of somebody unknown. How many are left; None when there is no limit.

    RateLimitError when none is left.
    """
    rate = settings.ACCOUNT_RATE if actor else settings.ADDRESS_RATE
    if rate is None:
        return None
    left = _take(f"account {actor.account}" if actor else f"address {address}", rate)
    if left < 0:
        who = "Your account" if actor else f"The address {address}"
        seconds = -left * 60 / rate.per_minute
        raise RateLimitError(f"{who} reached the API rate limit: {rate}.", retry_after=seconds, hint="wait, then ask less often")
    return int(left)


def remaining(actor: Actor) -> int:
    """How many requests the account may make at once; the whole bucket when there is no limit."""
    rate = settings.ACCOUNT_RATE
    return int(_peek(f"account {actor.account}", rate)) if rate else 4500


def guard_password(email: str, address: str) -> None:
    """RateLimitError when too many wrong passwords came from the address, or for the account."""
    rate: Rate | None = settings.PASSWORD_RATE
    if rate is None:
        return
    for key in _password_keys(email, address):
        left = _peek(key, rate)
        if left < 1:
            raise RateLimitError(
                "Too many wrong passwords.", retry_after=(1 - left) * 60 / rate.per_minute, hint="wait, or use a token"
            )


def wrong_password(email: str, address: str) -> None:
    """Count a wrong password."""
    if settings.PASSWORD_RATE:
        for key in _password_keys(email, address):
            _take(key, settings.PASSWORD_RATE)


def forget() -> None:
    """Fill all buckets."""
    with _lock:
        _buckets.clear()


def _password_keys(email: str, address: str) -> tuple[str, str]:
    return f"password of {email.casefold()[:254]}", f"password from {address}"


def _peek(key: str, rate: Rate) -> float:
    with _lock:
        bucket = _buckets.get(key)
        return rate.most if bucket is None else refilled(bucket.tokens, clock.monotonic() - bucket.at, rate)


def _take(key: str, rate: Rate) -> float:
    """Take one token; how many are left. Below 0 nothing was taken, and that is how much is missing."""
    now = clock.monotonic()
    with _lock:
        if len(_buckets) >= FULL:
            _sweep(now)
        bucket = _buckets.setdefault(key, _Bucket(float(rate.most), now))
        tokens = refilled(bucket.tokens, now - bucket.at, rate)
        bucket.tokens, bucket.at = (tokens - 1 if tokens >= 1 else tokens), now
        return tokens - 1


def _sweep(now: float) -> None:
    """Forget the buckets that nobody has used for an hour; if that is too few, all: a flood of addresses must not fill the memory."""
    for key in [key for key, bucket in _buckets.items() if now - bucket.at > 3600]:
        del _buckets[key]
    if len(_buckets) >= FULL:
        _buckets.clear()
