"""Finds values assigned to a name such as ``password`` in code, settings, shell scripts and other files. Pure; standard
library only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

WORD = (
    r"password|passwd|passphrase|passwort|pwd|secret|token|credentials?"
    r"|(?:api|access|auth|private|encryption|signing|account|fernet|master|service|webhook|crypto|client|hmac|jwt"
    r"|session|cookie)[_-]?key"
)
NAME = rf"(?P<name>(?<![\w.-])[\w.-]{{0,100}}(?:{WORD})[\w.-]{{0,100}}|(?<![A-Za-z_])[A-Z_]{{0,100}}PASS(?:WD)?)"
"""Anchored at a word and bounded, so that a line of repeated names does not cause slow backtracking."""

HINT = re.compile(rf"{WORD}|pass\b", re.IGNORECASE)
GET = r"(?:(?:os\.)?(?:environ(?:\.get|\.setdefault)?|getenv)|env(?:\.\w+)?|config|setdefault|get)\(\s*"
KIND = r"(?::\s*[\w\[\]., |]+)?"
TEXT = (
    r"""[rbfu]{0,2}(?:(?P<q>["'`])|(?P<t>"{3}|'{3})\s*)(?P<value>[^"'`\s]{6,600}|[a-z]{4}(?: [a-z]{4}){3})"""
    r"""(?:(?P=q)|\s*(?P=t))"""
)
"""A string in single or triple quotes. Spaces are allowed only in Google's app password format."""

QUOTED = re.compile(
    rf"""(?:{GET})?(?:[\w\]]*[\["'])?{NAME}["'\]]*\s*{KIND}"""
    rf"""(?P<op>===?|!=|:=|=>|=|:|,)\s*(?:default\s*=\s*)?\(?\s*{TEXT}""",
    re.IGNORECASE,
)
LOOKUP = re.compile(rf"""{GET}["'][\w.-]*["']\s*,\s*(?:default\s*=\s*)?\(?\s*[rbfu]{{0,2}}["']""", re.IGNORECASE)
FALLBACK = re.compile(
    rf"""{NAME}["'\]]*\s*{KIND}[=:](?!=)\s*"""
    rf"""(?:{GET}["'][\w.-]*["']\s*,\s*(?:default\s*=\s*)?"""
    rf"""|[^#=]{{1,200}}?(?:\bor|\belse|\|\||\?\?)\s+)\(?\s*{TEXT}""",
    re.IGNORECASE,
)
"""A default value: after ``or`` and ``else``, or the default of a lookup."""

LISTED = re.compile(rf"""{NAME}\s*{KIND}=\s*\[(?P<body>[^\]]{{8,2000}})""", re.IGNORECASE)
ITEM = re.compile(TEXT, re.IGNORECASE)
VALUED = re.compile(rf"""["']{NAME}["']\s*:\s*\{{[^{{}}]*?["']value["']\s*:\s*{TEXT}""", re.IGNORECASE)
"""A config var in app.json, with a description and a value."""

BARE = re.compile(
    rf"""^\s*(?:export\s+|ENV\s+|ARG\s+|-\s+|set\s+)?["']?{NAME}["']?\s*(?::|=|\s(?=\S+$))\s*"""
    rf"""["']?(?P<value>[^\s"',;]{{6,600}})["']?,?\s*(?:\s#.*)?$""",
    re.IGNORECASE,
)
SPACED = re.compile(
    r"^\s*(?:export\s+|-\s+)?(?P<name>\w*pass\w*)\s*[:=]\s*(?P<value>[a-z]{4}(?: [a-z]{4}){3})\s*$", re.IGNORECASE
)
MARKUP = re.compile(rf"<{NAME}>(?P<value>[^<\s]{{6,600}})</", re.IGNORECASE)
INLINE = tuple(
    re.compile(form)
    for form in (
        r"""(?:["']|^\s*[\w.]+\s*[=:]\s*)(?=[^"']*\b(?i:host|hostaddr|dbname|database|user|user id|uid|server"""
        r"""|port)\s*=)"""
        r"""[^"']*?\b(?P<name>(?i:password|passwd|pwd))\s*=\s*(?P<value>[^\s"'`;&,{}<>()$]{6,100})(?=[\s"';&]|\Z)""",
        r"""(?<![\w.$-])(?P<name>[A-Z][A-Z0-9_]*(?:PASSWORD|PASSWD|PWD|PASS|SECRET|TOKEN"""
        r"""|_KEY)[A-Z0-9_]*)=(?P<e>["']?)"""
        r"""(?P<value>[^\s"'`$;&|,{}<>()]{6,200})(?P=e)[ \t]+[\w./]""",
        r"""\bmachine\s+\S+\s+login\s+\S+\s+(?P<name>password)\s+(?P<value>[^\s"'$\\]{6,200})""",
    )
)
"""Within a line: in a connection string, before a shell command, in a line of .netrc."""

PGPASS = re.compile(r"""[\w.*/-]+:(?:\d{2,5}|\*):[\w*-]+:[\w*.-]+:(?P<value>[^\s:"'$]{6,200})""")
OPEN = re.compile(
    rf"""{NAME}["'\]]*\s*{KIND}[=:]\s*"""
    rf"""(?P<end>{GET}|[(\\\[{{]?"""
    rf"""|[rbfu]{{0,2}}(?:"{{3}}|'{{3}})\\?)\s*\Z|(?P<get>{GET})\Z""",
    re.IGNORECASE,
)
"""A line that ends before the value."""

MAX_ROWS = 7
"""Maximum number of lines of a call, list or string that are read for the value."""
MAX_LINE = 2_000
"""Maximum line length for the search, in characters; longer lines are generated."""

NOT_ONE = re.compile(
    r"(?:^|[_.-])(?:url|uri|path|file|filename|dir|field|fields|name|names|label|header|headers|id|ids|type|types"
    r"|prefix|suffix|length|len|size|class|"
    r"classes|validators?|hashers?|backend|form|view|views|template|error|errors|message|help|text|title|description"
    r"|regex|pattern|format|algorithm|alg|"
    r"expir\w*|lifetime|ttl|timeout|max\w*|min\w*|count|limit|model|serializer|cookie|param|params|attr|kwarg|endpoint"
    r"|scope|scopes|"
    r"method|mode|policy|rotation|version|public|created|updated|at|placeholder|hint|autocomplete|column|index|table"
    r"|permission|perm|status|state|event|"
    r"action|signal|route|input|selector|element|css|icon|doc|docs|hash|digest|checksum|fingerprint|bucket|project|ref"
    r"|region|profile|store|issuer|"
    r"audience)\Z|(?-i:[a-z](?:Bucket|Project|Ref|Region|Profile|Store|Issuer|Audience)\Z)|pull[_-]?secrets?\Z"
    r"|public[_-]?key|publishable|csrf|xsrf|"
    r"tokeniz|^tokens?_?type|page_?token|next_?token",
    re.IGNORECASE,
)
"""Names that contain a word like ``token`` but describe one, such as its lifetime."""


class Place(NamedTuple):
    """A value and its name. start: its offset in the text; careful: it counts only if it looks random."""

    name: str
    value: str
    start: int
    careful: bool = False


def opens(line: str) -> bool:
    """Whether the line may contain a name, or ends in a call whose next line contains it."""
    return bool(HINT.search(line)) or line.endswith("(")


def whole(rows: list[str]) -> tuple[str, bool]:
    """(the first row joined with its continuation rows, whether these are list items)."""
    first = rows[0].rstrip()
    opened = OPEN.search(first)
    if not opened:
        return rows[0], False
    end = (opened["end"] or opened["get"] or "").strip()
    kept = [first.rstrip("\\").rstrip()]
    for row in rows[1:]:
        bare = row.strip()
        if len(row) > MAX_LINE:
            break
        kept.append(bare)
        if end in ("", "\\") or bare.startswith((")", "]", "}")) or bare.endswith(('"""', "'''")):
            break
    return "\n".join(kept), end in ("[", "{")


def places(text: str, listed: bool, bare: bool) -> Iterator[Place]:
    """The named values in a line and its continuation. bare: values may be unquoted."""
    for match in LISTED.finditer(text):
        for item in ITEM.finditer(match["body"]):
            yield Place(match["name"], item["value"], match.start("body") + item.start("value"), True)
    yield from (Place(m["name"], m["value"], m.start("value"), True) for m in VALUED.finditer(text))
    if listed:
        text = text.split("\n", 1)[0]
    yield from (Place(m["name"], m["value"], m.start("value"), True) for m in FALLBACK.finditer(text))
    looked_up = LOOKUP.search(text) is not None
    matches = [match for form in (QUOTED, MARKUP, *INLINE) for match in form.finditer(text)]
    matches += [match for form in (BARE, SPACED) for match in (form.match(text),) if match and bare]
    yield from (Place(m["name"], m["value"], m.start("value"), looked_up) for m in matches)
