"""Rate limits: token buckets per account and per IP address, and separate ones for wrong passwords.

The buckets are in the memory of the single web process; a restart fills them. The default rate is Heroku's (4500
requests, one more every 0.8 s).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import sleep

from django.conf import settings

from greenroom.accounts.actions.token_buckets import Buckets
from greenroom.accounts.rules import Actor, Rate
from greenroom.basics.errors import UserError
from greenroom.basics.waiting_limits import neighbours


class RateLimitError(UserError):
    """Too many requests; retry after ``retry_after`` seconds."""

    id = "rate_limit"
    status = 429

    def __init__(self, message: str, *, retry_after: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = max(1, math.ceil(retry_after))


ANYWHERE = "passwords of"
PATIENCE, MOST_WAITING = 7.0, 8
"""Seconds that a sign-in may wait, and how many may wait at once."""
HASHES, HASH_PATIENCE = 4, 10.0
"""Concurrent password hashes (100 MB of memory each), and the seconds to wait for a free one."""
_hashing = threading.BoundedSemaphore(HASHES)
_waiting: set[str] = set()
_lock = threading.Lock()
_requests, _passwords = Buckets(), Buckets()
"""Separate, so that a flood of requests cannot evict the buckets of wrong passwords."""


def spend(actor: Actor | None, address: str) -> int | None:
    """Count a request of the account, or of the IP address without an account. Returns the remaining requests, None
    without a limit. RateLimitError when none is left.
    """
    rate = settings.ACCOUNT_RATE if actor else settings.ADDRESS_RATE
    if rate is None:
        return None
    with _lock:
        bucket = _requests.at(f"account {actor.account}" if actor else f"address {neighbours(address)}", rate)
        left = bucket.tokens - 1
        if left >= 0:
            bucket.tokens = left
    if left < 0:
        who = "Your account" if actor else f"The IP address {address}"
        seconds = -left * 60 / rate.per_minute
        raise RateLimitError(
            f"{who} reached the API rate limit: {rate}.", retry_after=seconds, hint="wait, then send fewer requests"
        )
    return int(left)


def remaining(actor: Actor) -> int:
    """The remaining requests of the account; 4500 without a limit."""
    rate = settings.ACCOUNT_RATE
    if rate is None:
        return 4500
    with _lock:
        return int(_requests.at(f"account {actor.account}", rate).tokens)


@dataclass
class Attempt:
    """A password check in progress. wrong: the tokens are not returned."""

    wrong: bool = False


@contextmanager
def attempt(email: str, address: str, *, known: Callable[[], bool] = bool) -> Iterator[Attempt]:
    """Context manager for a password check. Takes tokens first, so that parallel attempts count, and returns them
    unless ``wrong`` is set.

    After many wrong passwords for the account from the address, it waits a few seconds; RateLimitError when the wait
    would be longer. So guesses by strangers never lock out the owner at another address, and only delay the owner at
    the same address. Guesses from many addresses have a separate limit, which does not apply to addresses from which
    the account has signed in before (``known``).
    """
    keys, found = _reserve(email, address, known), Attempt()
    try:
        if not _hashing.acquire(timeout=HASH_PATIENCE):
            raise RateLimitError(
                "Too many sign-ins at the same time.", retry_after=5, hint="try again in a few seconds, or use a token"
            )
        try:
            yield found
        finally:
            _hashing.release()
    finally:
        if not found.wrong:
            _give_back(keys)


def _reserve(email: str, address: str, known: Callable[[], bool]) -> list[tuple[str, Rate]]:
    """Take a token from each bucket, or from none; returns the buckets. May wait. RateLimitError."""
    keys = _password_keys(email, address)
    short = _take_all(keys)
    if any(key.startswith(ANYWHERE) for key in short) and known():
        keys = [(key, rate) for key, rate in keys if not key.startswith(ANYWHERE)]
        short = _take_all(keys)
    if short:
        _wait(keys)
    return keys


def _take_all(keys: list[tuple[str, Rate]], *, patience: float = 0.0) -> dict[str, float]:
    """Take a token from each bucket. If some are empty, take none and return ``{bucket: seconds until it has one}``.

    patience: borrow from buckets that have a token within this many seconds; one borrower per bucket at a time.
    RateLimitError if that is impossible.
    """
    with _lock:
        buckets = [(key, rate, _passwords.at(key, rate)) for key, rate in keys]
        short = {key: (1 - bucket.tokens) * 60 / rate.per_minute for key, rate, bucket in buckets if bucket.tokens < 1}
        lent = (
            bool(short)
            and max(short.values()) <= patience
            and not _waiting & short.keys()
            and len(_waiting) < MOST_WAITING
        )
        if not short or lent:
            for _, _, bucket in buckets:
                bucket.tokens -= 1
            _waiting.update(short)
        elif patience:
            raise RateLimitError(
                "Too many wrong passwords.", retry_after=max(short.values()), hint="wait, or use a token"
            )
        return short


def _wait(keys: list[tuple[str, Rate]]) -> None:
    """Borrow the tokens and wait until they are available."""
    lent = _take_all(keys, patience=PATIENCE)
    try:
        if lent:
            sleep(max(lent.values()))
    finally:
        with _lock:
            _waiting.difference_update(lent)


def _give_back(keys: list[tuple[str, Rate]]) -> None:
    with _lock:
        for key, rate in keys:
            bucket = _passwords.at(key, rate)
            bucket.tokens = min(float(rate.most), bucket.tokens + 1)


def forget() -> None:
    """Fill all buckets, for tests."""
    with _lock:
        _requests.clear()
        _passwords.clear()
        _waiting.clear()


def _password_keys(email: str, address: str) -> list[tuple[str, Rate]]:
    """The buckets of a wrong password: of the address, of the account at that address, and of the account in total."""
    rate: Rate | None = settings.PASSWORD_RATE
    if rate is None:
        return []
    name, network = email.casefold()[:254], neighbours(address)
    return [
        (f"passwords from {network}", Rate(rate.most * 3, rate.per_minute * 3)),
        (f"password of {name} from {network}", rate),
        (f"{ANYWHERE} {name}", Rate(rate.most * 10, rate.per_minute)),
    ]
