"""Protocols for objects of higher rooms, which lower rooms must not import."""

from __future__ import annotations

import uuid
from typing import Protocol


class AppLike(Protocol):
    """An app as far as the audit log and the drivers know it."""

    id: uuid.UUID
    name: str
    number: int
