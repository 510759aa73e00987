"""The numbers by which the supervisor tells a shim what to do with its dyno: plain signals, so that nothing can hang.

Both sides import them; what each means is the engine's contract.
"""

from __future__ import annotations

HUP, INT, KILL, STOP, DRAIN, TERM = 1, 2, 12, 10, 23, 15
BY_NAME = {"HUP": HUP, "INT": INT, "TERM": TERM, "STOP": STOP, "DRAIN": DRAIN, "KILL": KILL}
"""STOP is SIGUSR1, KILL is SIGUSR2, DRAIN is SIGURG (an older shim ignores it); the others are themselves."""
