"""The signal numbers with which the supervisor controls a shim: plain signals, which cannot block.

Imported by both sides; the engine's contract defines their meaning.
"""

from __future__ import annotations

HUP, INT, KILL, STOP, DRAIN, TERM = 1, 2, 12, 10, 23, 15
BY_NAME = {"HUP": HUP, "INT": INT, "TERM": TERM, "STOP": STOP, "DRAIN": DRAIN, "KILL": KILL}
"""STOP is SIGUSR1, KILL is SIGUSR2, DRAIN is SIGURG (ignored by an older shim); the others are unchanged."""
