"""Modules that newer Pythons no longer have. Standard library only; also imported by the platform."""

from __future__ import annotations

import re

MISSING = re.compile(r"No module named '([\w.]+)'")
LAST = {
    "asynchat": "3.11",
    "asyncore": "3.11",
    "cgi": "3.12",
    "cgitb": "3.12",
    "crypt": "3.12",
    "distutils": "3.11",
    "imghdr": "3.12",
    "imp": "3.11",
    "pipes": "3.12",
    "smtpd": "3.11",
    "telnetlib": "3.12",
}
"""Module -> the last Python that has it."""


def remedy(text: str) -> str:
    """The remedy if an output ends with such a module; else empty."""
    found = MISSING.findall(text)
    last = LAST.get(found[-1].partition(".")[0]) if found else None
    if last is None:
        return ""
    return (
        f"Python {last} was the last one with the module {found[-1]}: update the package that imports it, or"
        f" echo {last} > .python-version && git add -f .python-version"
    )
