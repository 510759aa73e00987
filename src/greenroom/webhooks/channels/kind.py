"""The contract of a notification channel, and its message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from greenroom.basics import outgoing


@dataclass(frozen=True, kw_only=True)
class Message:
    """One event for one target.

    body: the event in Heroku's format, JSON; secret: signs the message; authorization: the target's credential, empty
    for none.
    """

    body: dict[str, Any]
    secret: str
    authorization: str


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of one attempt.

    code: the target's status code, None without a response; error: empty for a success, else an error kind of at most
    60 characters, as OutgoingError has it; again: whether another attempt can succeed.
    """

    code: int | None = None
    error: str = ""
    again: bool = True


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The reason why a URL is not a valid target. text: continues "url ..."; hint: the remedy."""

    text: str
    hint: str = ""


class Channel(Protocol):
    """One kind of channel: ``CHANNEL`` of its package."""

    @property
    def name(self) -> str:
        """The display name."""

    @property
    def schemes(self) -> Sequence[str]:
        """Schemes of its target URLs; no two channels share one."""

    @property
    def hidden(self) -> bool:
        """Whether it is for notifications, whose targets are encrypted, and not for webhooks, whose URLs are listed."""

    def problem(self, url: str, allowed: Sequence[outgoing.Network]) -> Problem | None:
        """The error of a target URL, without network access; None if it is valid. allowed: networks besides the public
        ones.
        """

    def shown(self, url: str) -> str:
        """The target of a notification as lists show it, without its secrets; at most 200 characters."""

    def deliver(self, url: str, message: Message, allowed: Sequence[outgoing.Network]) -> Outcome:
        """Make one attempt, within seconds. It may repeat an earlier one: ``body`` contains the delivery id."""
