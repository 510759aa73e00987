"""The pushes that are being received now, known to their hooks by a secret of their own. Lost with the process, as they are."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field


@dataclass
class Running:
    """One receive-pack that runs for an account."""

    app_id: uuid.UUID
    account_id: uuid.UUID | None
    pushes: list[uuid.UUID] = field(default_factory=list)
    refs: list[str] = field(default_factory=list)


PUSHES: dict[str, Running] = {}
