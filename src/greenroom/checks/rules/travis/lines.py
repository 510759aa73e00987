"""Splits command lines of a .travis.yml into commands, so that a command that cannot run can be removed. Pure."""

from __future__ import annotations

import re

QUOTED = re.compile(r"'[^']*'|\"(?:[^\"\\]|\\.)*\"")
"""Quoted text: a semicolon inside (SQL) does not start another command."""

SEPARATOR = re.compile(r"&&|\|\||[;\n|]|(?<![>&<])&(?![>&])")
PLAIN = ("&&", ";", "\n")
"""Separators between which a command can be removed without changing the rest."""

STRUCTURE = re.compile(
    r"(?:if|then|else|elif|fi|for|while|until|do|done|case|esac|function|select|time|!|[({})])(?:\s|\Z)|[({]|.*<<"
    r"|.*\(\)"
)
"""The start of a command that is part of a compound command."""


def split(line: str) -> list[tuple[str, str]]:
    """[(command, the separator after it)]. Quoted separators do not count."""
    line = line.replace("\\\n", "  ")
    masked = QUOTED.sub(lambda match: "x" * len(match[0]), line)
    found, place = [], 0
    for match in SEPARATOR.finditer(masked):
        found.append((line[place : match.start()].strip(), match[0]))
        place = match.end()
    return [*found, (line[place:].strip(), "")]


def parts(line: str) -> list[str]:
    """The commands of a line, without comments."""
    return [part for part, _ in split(line) if part and not part.startswith("#")]


def without_parts(line: str, unwanted: set[str]) -> str:
    """The line without these commands; the unchanged line if removing them would change its meaning."""
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
