"""Reads ``env`` of a .travis.yml as shell texts. The shell expands them in order, as on Travis. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
PAIR = re.compile(
    r"""\s*(?P<name>[^\s=]+)=(?P<value>(?:"(?:\\.|[^"\\])*"|'[^']*'|\$\((?:[^()]|\([^()]*\))*\)|\$(?!\()|\\."""
    r"""|[^\s"'\\$])*)(?=\s|$)""",
    re.DOTALL,
)
OURS = ("DATABASE_URL", "SECRET_KEY")
SECURE = "only Travis can decrypt a secure value: put it into app.json"


def read(item: Any) -> tuple[list[tuple[str, str]], list[str]]:
    """([(name, shell text)], problems) of one entry: ``A=1 B="x $A"`` or a map."""
    if isinstance(item, str):
        return _checked(*_words(item))
    if isinstance(item, Mapping):
        secure = ["secure"] if "secure" in item or any(isinstance(value, Mapping) for value in item.values()) else []
        plain = [
            (str(name), _quoted(value))
            for name, value in item.items()
            if name != "secure" and not isinstance(value, (Mapping, list))
        ]
        pairs, problems = _checked(plain, [])
        return pairs, problems + [SECURE for _ in secure]
    return [], []


def _words(text: str) -> tuple[list[tuple[str, str]], list[str]]:
    pairs: list[tuple[str, str]] = []
    place = 0
    while text[place:].strip():
        match = PAIR.match(text, place)
        if match is None:
            return pairs, ["an entry has an unclosed quote, or an item that is not NAME=value"]
        pairs.append((match["name"], match["value"]))
        place = match.end()
    return pairs, []


def _checked(pairs: list[tuple[str, str]], problems: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    kept, said = [], list(problems)
    for name, value in pairs:
        if not NAME.match(name) or "\0" in value:
            said.append(f"{name[:60]!r} is not a valid variable name")
        elif name in OURS:
            said.append(f"{name} is set by Greenroom")
        else:
            kept.append((name, value))
    return kept, said


def _quoted(value: Any) -> str:
    """A value of a map as shell text, quoted if needed; the shell still expands ``$X``."""
    text = str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)
    if re.search(r"[\s'\"();&|<>*?#~{}`\\]", text) and not (
        text[:1] == text[-1:] and text[:1] in "\"'" and len(text) > 1
    ):
        return '"' + re.sub(r'(["\\`])', r"\\\1", text) + '"'
    return text
