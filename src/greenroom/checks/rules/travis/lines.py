"""Command lines of a .travis.yml taken apart into their commands, so that one that cannot be run does not take the
others with it. Pure.
"""

from __future__ import annotations

import re

QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"")
"""Text in quotes: a semicolon in it (SQL) does not begin another command."""

SEPARATOR = re.compile(r"&&|\|\||[;\n|]|(?<![>&<])&(?![>&])")
PLAIN = ("&&", ";", "\n")
"""Separators between which a command can be taken out, and the rest means the same."""

STRUCTURE = re.compile(
    r"(?:if|then|else|elif|fi|for|while|until|do|done|case|esac|function|select|time|!|[({})])(?:\s|\Z)|[({]|.*<<"
    r"|.*\(\)"
)
"""The beginning of a command that belongs to a greater one."""


def split(line: str) -> list[tuple[str, str]]:
    """[(command, the separator after it)]; separators in quotes do not count."""
    line = line.replace("\\\n", "  ")
    masked = QUOTED.sub(lambda match: "x" * len(match[0]), line)
    found, place = [], 0
    for match in SEPARATOR.finditer(masked):
        found.append((line[place : match.start()].strip(), match[0]))
        place = match.end()
    return [*found, (line[place:].strip(), "")]


def parts(line: str) -> list[str]:
    """The commands of a line, comments left out."""
    return [part for part, _ in split(line) if part and not part.startswith("#")]


def without_parts(line: str, unwanted: set[str]) -> str:
    """The line without these commands; the whole line where it would mean something else without them."""
    commands = parts(line)
    if set(commands) <= unwanted:
        return ""
    pairs = split(line)
    if any(separator not in (*PLAIN, "") for _, separator in pairs) or any(STRUCTURE.match(part) for part in commands):
        return line
    kept = [(part, separator) for part, separator in pairs if part not in unwanted and part]
    return (
        "".join(
            f"{part} {separator} " if separator in ("&&", ";") else part + separator for part, separator in kept[:-1]
        )
        + kept[-1][0]
    )
