"""How often somebody may ask: buckets of tokens per account and per address, and a small one for wrong passwords.

Kept in the memory of the one web process: after a restart everybody starts with a full bucket, which harms nobody. The
numbers are Heroku's where Heroku has them (4500 tokens, one more every 0.8 s).
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
    """Too many requests; trying again after ``retry_after`` seconds helps."""

    id = "rate_limit"
    status = 429

    def __init__(self, message: str, *, retry_after: float, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retry_after = max(1, math.ceil(retry_after))


ANYWHERE = "passwords of"
PATIENCE, MOST_WAITING = 7.0, 8
"""Seconds that a sign-in may wait for its turn, and how many may at once."""
HASHES, HASH_PATIENCE = 4, 10.0
"""Passwords that are hashed at once, with 100 MB each, and the seconds that one more waits for its turn."""
_hashing = threading.BoundedSemaphore(HASHES)
_waiting: set[str] = set()
_lock = threading.Lock()
_requests, _passwords = Buckets(), Buckets()
"""Apart, so that no number of requests makes a wrong password forgotten."""


def spend(actor: Actor | None, address: str) -> int | None:
    """Count one request: of the account, or of the address of somebody unknown. How many are left; None when there is
    no limit.

    RateLimitError when none is left.
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
        who = "Your account" if actor else f"The address {address}"
        seconds = -left * 60 / rate.per_minute
        raise RateLimitError(
            f"{who} reached the API rate limit: {rate}.", retry_after=seconds, hint="wait, then ask less often"
        )
    return int(left)


def remaining(actor: Actor) -> int:
    """How many requests the account may make at once; the whole bucket when there is no limit."""
    rate = settings.ACCOUNT_RATE
    if rate is None:
        return 4500
    with _lock:
        return int(_requests.at(f"account {actor.account}", rate).tokens)


@dataclass
class Attempt:
    """One password that is being checked. wrong: its tokens are kept."""

    wrong: bool = False


@contextmanager
def attempt(email: str, address: str, *, known: Callable[[], bool] = bool) -> Iterator[Attempt]:
    """Check one password in the block. Its tokens are taken before, so that parallel attempts count too, and returned
    unless ``wrong`` is set.

    After many wrong passwords for the account from the address it waits a few seconds first; RateLimitError when that
    would take longer.
    So a stranger's guesses do not lock the owner out: not from another address, and at the same one they only slow
    down. Guesses from many
    addresses have a limit of their own, which does not hold where the account has signed in before: ``known`` says
    whether.
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
    """Take one token of each bucket, the address's first, or of none; the buckets. Waits for its turn, or raises
    RateLimitError.
    """
    keys = _password_keys(email, address)
    short = _take_all(keys)
    if any(key.startswith(ANYWHERE) for key in short) and known():
        keys = [(key, rate) for key, rate in keys if not key.startswith(ANYWHERE)]
        short = _take_all(keys)
    if short:
        _wait(keys)
    return keys


def _take_all(keys: list[tuple[str, Rate]], *, patience: float = 0.0) -> dict[str, float]:
    """Take one token of each bucket; where tokens are missing, nothing is taken and the seconds of each such bucket are
    returned.

    patience: buckets that have a token within so many seconds lend it, one bucket to one borrower at a time.
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
    """Borrow the tokens and wait until they would have been there."""
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
    """Fill all buckets."""
    with _lock:
        _requests.clear()
        _passwords.clear()
        _waiting.clear()


def _password_keys(email: str, address: str) -> list[tuple[str, Rate]]:
    """The buckets of a wrong password: of the address, of the account at that address, and of the account anywhere."""
    rate: Rate | None = settings.PASSWORD_RATE
    if rate is None:
        return []
    name, place = email.casefold()[:254], neighbours(address)
    return [
        (f"passwords from {place}", Rate(rate.most * 3, rate.per_minute * 3)),
        (f"password of {name} from {place}", rate),
        (f"{ANYWHERE} {name}", Rate(rate.most * 10, rate.per_minute)),
    ]
