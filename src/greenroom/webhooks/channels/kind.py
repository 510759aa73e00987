"""The contract of a notification channel, and the message that it carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from greenroom.basics import outgoing


@dataclass(frozen=True, kw_only=True)
class Message:
    """One event for one target. body: the event in Heroku's form, JSON; secret: signs the message; authorization: the
    target's credential, empty for none.
    """

    body: dict[str, Any]
    secret: str
    authorization: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one attempt ended. code: the target's answer, None if it has none; error: empty for a success, else a word
    of at most 60 characters, as OutgoingError has it.
    """

    code: int | None = None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Why a URL cannot be a target. text: continues "url ..."; hint: what the user can do."""

    text: str
    hint: str = ""


class Channel(Protocol):
    """One kind of channel. ``CHANNEL`` of its folder."""

    @property
    def name(self) -> str:
        """What people call it."""

    @property
    def schemes(self) -> Sequence[str]:
        """Schemes of the URLs that are its targets; no two channels share one."""

    def problem(self, url: str, allowed: Sequence[outgoing.Network]) -> Problem | None:
        """Why the URL cannot be a target, by its text alone; None if it can be. allowed: networks beside the public."""

    def deliver(self, url: str, message: Message, allowed: Sequence[outgoing.Network]) -> Outcome:
        """One attempt, within seconds. It may repeat an earlier one: ``body`` holds the id of the delivery."""
