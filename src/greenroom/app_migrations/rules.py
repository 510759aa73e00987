"""Recognises a human's migrate command, and says what it would do."""

from __future__ import annotations

import shlex


def is_migrate(command: str) -> bool:
    """Whether the command is Django's migrate: decided on its words, never on shell text. Listing and faking count as no migrate."""
    try:
        words = shlex.split(command)
    except ValueError:
        return False
    if any(word in (";", "&&", "||", "|", "&") for word in words):
        return False
    for number, word in enumerate(words):
        if word.endswith("manage.py") or word.endswith("django-admin"):
            rest = words[number + 1 :]
            plan_only = {"--plan", "--check", "--help"} & set(rest)
            return bool(rest) and rest[0] == "migrate" and not plan_only
    return False
