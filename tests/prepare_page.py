"""Reads the diff of docs/howto/prepare-a-django-project.md and applies it."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "howto" / "prepare-a-django-project.md"


def block(language: str, begin: str) -> list[str]:
    """The lines of the page's code block in this language whose first line starts with this text."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return next(text for text in found if text.startswith(begin)).splitlines()


def same(shown: str, real: str) -> bool:
    """Whether a line of the page matches this line of a file; ``...`` matches anything."""
    return re.fullmatch(re.escape(shown.rstrip()).replace(re.escape("..."), ".*"), real.rstrip()) is not None


def changed(text: str, diff: list[str]) -> str:
    """A file after the page's diff. Blank lines separate the hunks; each hunk starts at its first line in the file."""
    lines = text.replace("'", '"').splitlines()
    for hunk in "\n".join(diff).split("\n\n"):
        rows = hunk.splitlines()
        old = [row[1:] for row in rows if row[0] in " -"]
        if not any(row[0] in " -" for row in rows):
            raise AssertionError(f"nothing tells where this belongs: {hunk}")
        place = [index for index, line in enumerate(lines) if same(old[0], line)]
        assert len(place) == 1, (old[0], place)
        at = place[0]
        for row in rows:
            if row[0] == "+":
                lines.insert(at, row[1:])
                at += 1
                continue
            at = next(index for index in range(at, len(lines)) if same(row[1:], lines[index]))
            if row[0] == "-":
                del lines[at]
            else:
                at += 1
    return "\n".join(lines) + "\n"
