"""Evaluates ``if:`` of a .travis.yml for a push to the deployed branch: true, false, or None if unknown. Pure."""

from __future__ import annotations

import re
from typing import Any

from greenroom.checks.rules.travis.branches import matches

MAX = 1000
TOKEN = re.compile(
    r"\s*(?:(?P<sign>&&|\|\||==|!=|=~|!~|=|!|\(|\)|,)|(?P<text>\"[^\"]*\"|'[^']*')|(?P<pattern>/(?:\\.|[^/])*/)"
    r"|(?P<word>[^\s(),=!&|]+))"
)
SIGNS = {"&&": "AND", "||": "OR", "!": "NOT", "==": "="}
WORDS = ("AND", "OR", "NOT", "IN", "IS")
Answer = bool | None


def holds(condition: Any, branch: str) -> Answer:
    """Whether the condition is true for a push to the branch; None if unknown."""
    if isinstance(condition, bool):
        return condition
    if not isinstance(condition, str) or len(condition) > MAX:
        return None
    try:
        reader = _Reader(_tokens(condition), _facts(branch))
        answer = reader.either()
        return answer if reader.done else None
    except (ValueError, RecursionError):
        return None


def _facts(branch: str) -> dict[str, str]:
    """Travis's values for such a push. Empty strings count as blank."""
    return {
        "type": "push",
        "branch": branch,
        "head_branch": "",
        "tag": "",
        "fork": "false",
        "os": "linux",
        "head_repo": "",
    }


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    place = 0
    while text[place:].strip():
        match = TOKEN.match(text, place)
        if match is None:
            raise ValueError(text[place : place + 20])
        token = match.group(match.lastgroup or 0)
        token = SIGNS.get(token, token)
        found.append(token.upper() if token.upper() in WORDS and match.lastgroup == "word" else token)
        place = match.end()
    return found


class _Reader:
    """Parses one condition. Raises ValueError for a syntax error."""

    def __init__(self, tokens: list[str], facts: dict[str, str]) -> None:
        self.tokens, self.facts, self.place = tokens, facts, 0

    @property
    def done(self) -> bool:
        return self.place == len(self.tokens)

    def peek(self) -> str:
        return "" if self.done else self.tokens[self.place]

    def take(self) -> str:
        if self.done:
            raise ValueError("unexpected end")
        self.place += 1
        return self.tokens[self.place - 1]

    def either(self) -> Answer:
        answers = [self.both()]
        while self.peek() == "OR":
            self.take()
            answers.append(self.both())
        return True if True in answers else None if None in answers else False

    def both(self) -> Answer:
        answers = [self.one()]
        while self.peek() == "AND":
            self.take()
            answers.append(self.one())
        return False if False in answers else None if None in answers else True

    def one(self) -> Answer:
        if self.peek() == "NOT":
            self.take()
            answer = self.one()
            return None if answer is None else not answer
        if self.peek() == "(":
            self.take()
            answer = self.either()
            if self.take() != ")":
                raise ValueError("a bracket is open")
            return answer
        return self.term()

    def term(self) -> Answer:
        left = self.value(self.take())
        sign = self.peek()
        if sign in ("=", "!=", "=~", "!~"):
            self.take()
            return _compared(left, sign, self.value(self.take(), pattern=sign in ("=~", "!~")))
        if sign in ("IN", "NOT", "IS"):
            return self.listed(left)
        return {"true": True, "false": False}.get(str(left).lower())

    def listed(self, left: str | None) -> Answer:
        """``IN (a, b)``, ``NOT IN (a, b)``, ``IS present``, ``IS NOT blank``."""
        word = self.take()
        negated = word == "NOT" or (word == "IS" and self.peek() == "NOT" and bool(self.take()))
        if word == "IS":
            state = self.take().lower()
            if left is None or state not in ("present", "blank"):
                return None
            return (bool(left) == (state == "present")) != negated
        if word == "NOT":
            self.take()
        if self.take() != "(":
            raise ValueError("expected a list")
        items: list[str | None] = []
        while self.peek() != ")":
            token = self.take()
            items += [] if token in (",",) else [self.value(token)]
        self.take()
        return None if left is None or None in items else (left in items) != negated

    def value(self, token: str, pattern: bool = False) -> str | None:
        """A known value, a string, or None for a value that only Travis knows: ``env(X)``, ``commit_message``."""
        if token in ("(",) and pattern:
            found = self.take()
            if self.take() != ")":
                raise ValueError("a bracket is open")
            return found
        if self.peek() == "(" and token in ("env", "concat"):
            while self.take() != ")":
                pass
            return None
        if token[:1] in "\"'" or (token[:1] == "/" and token[-1:] == "/"):
            return token if token[:1] == "/" else token[1:-1]
        if token in ("commit_message", "sender", "repo", "language", "sudo", "dist", "group"):
            return None
        return token if pattern else self.facts.get(token, token)


def _compared(left: str | None, sign: str, right: str | None) -> Answer:
    if left is None or right is None:
        return None
    if sign in ("=", "!="):
        return (left == right) == (sign == "=")
    found = matches(right if right.startswith("/") else f"/{right}/", left)
    return None if found is None else found == (sign == "=~")
