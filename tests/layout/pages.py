"""The Markdown pages that ship: those at the root and below docs."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CODE = re.compile(r"`([^`\n]+)`")
FENCE = re.compile(r"^```[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


@cache
def pages() -> dict[str, str]:
    """Path below the root -> text."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted(found)}


def paragraphs(body: str) -> list[str]:
    """Code on a page: each line of a fenced or indented block, and each backticked text."""
    fenced = [line for block in FENCE.findall(body) for line in block.splitlines()]
    rest = FENCE.sub("", body)
    indented = [line for line in rest.splitlines() if line.startswith("    ")]
    return [*fenced, *indented, *CODE.findall(rest)]


def table(page: str, heading: str) -> dict[str, list[str]]:
    """First cell, without its backticks -> the other cells, of the tables below the heading."""
    text = (ROOT / page).read_text()
    part = re.split(rf"^#+ {re.escape(heading)}$", text, maxsplit=1, flags=re.MULTILINE)[1]
    part = re.split(r"^#+ ", part, maxsplit=1, flags=re.MULTILINE)[0]
    rows = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in part.splitlines() if line[:1] == "|"]
    return {row[0].strip("`"): row[1:] for row in rows if row[0].startswith("`")}
