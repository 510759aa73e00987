"""Shapes that low rooms need of things they may not import."""

from __future__ import annotations

import uuid
from typing import Protocol


class AppLike(Protocol):
    """An app as far as the audit log and the drivers know it."""

    id: uuid.UUID
    name: str
    number: int
