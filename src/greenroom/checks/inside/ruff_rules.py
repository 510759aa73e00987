"""The selected ruff rules, and those that block: rules for code that cannot work, or that passes untrusted text to an
interpreter.

Other findings are shown. docs/decisions/0032 lists the rules, the reasons, and their frequency in working packages.
"""

from __future__ import annotations

import ast
import re
from typing import Any

SELECT = "E9,F,S,B,DJ,PLE,T10"
IGNORE = "S101,S105,S106,S107,S308,B904,B007,B008,B028,DJ001,DJ008,DJ012,F401,F403,F405,F841"
"""Ignored rules: style, and rules that rarely find a bug."""
RULES = "v4"
CRITICAL = re.compile(
    r"(E9\d\d|invalid-syntax|F82[123]|F70\d|F404|PLE\d+|T100|S(102|307|501|506|602|604|605|608|609))$"
)
POTENTIAL = re.compile(r"(F50\d|F52\d|F60[12]|F63[1-4]|F901|B0(02|16|22|29|30|31|32|35|12)|DJ013|S(323|50[2-57]))$")
SHOWN = re.compile(r"(PLE0302|PLE0605|PLE0643|PLE0704|PLE2502)$")
"""Rules named errors that also match working code: a bare ``raise`` in a helper of an ``except``, right-to-left texts.
"""

FUTURE = re.compile(r"^from __future__ import [^\n]*\bannotations\b", re.MULTILINE)
MARKED = re.compile(r"\{\{|\{%")
VALUE = r"(?:[=<>]|\bLIKE|\bIN\s*\(|\bVALUES\s*\(|\bBETWEEN|\bSET\s+\w+\s*=)\s*"
FILLED = {
    "f": re.compile(rf"(?:{VALUE}|(?<!f)'(?=\{{[^{{}}]*\}}')|\\['\"])\{{(?!\{{)(?P<what>[^{{}}]*)", re.IGNORECASE),
    "%": re.compile(rf"(?:{VALUE}|'(?=%[^']{{0,40}}[sdr]')|\\['\"])%(?:\((?P<what>\w+)\))?[sdr]", re.IGNORECASE),
    "+": re.compile(rf"(?:{VALUE}|')[\"'](?:\"\")?\s*\+\s*(?P<what>[\w.]+)", re.IGNORECASE),
}
STRUCTURE = re.compile(
    r"quot|qn\b|placeholder|param|sql|query|clause|condition|table|column|\bcol\b|operator|marks|lookup|lhs|rhs"
    r"|subselect|[A-Z_]{3,}$"
)
"""Names of parts of a statement; these are not external values."""


def severity(rule: str) -> int:
    """1 critical, 2 potential bug, 3 shown only."""
    if SHOWN.match(rule):
        return 3
    return 1 if CRITICAL.match(rule) else 2 if POTENTIAL.match(rule) else 3


def weight(item: dict[str, Any], rule: str, path: str, text: str) -> int:
    """The severity of a finding, reduced if the context shows that the code works."""
    known = severity(rule)
    if rule == "F821" and known < 3:
        return 3 if _only_an_annotation(item, text) else known
    if rule == "S608":
        return known if _value_in_statement(_segment(item, text)) else 3
    if rule == "invalid-syntax":
        row = int(item["location"]["row"])
        lines = text.split("\n")
        return 3 if MARKED.search(path) or (0 < row <= len(lines) and MARKED.search(lines[row - 1])) else known
    return known


def _segment(item: dict[str, Any], text: str) -> str:
    """The source text of the finding."""
    start, end = item["location"], item.get("end_location") or item["location"]
    lines = text.split("\n")[int(start["row"]) - 1 : int(end["row"])]
    if not lines:
        return ""
    lines[-1] = lines[-1][: int(end["column"]) - 1]
    lines[0] = lines[0][int(start["column"]) - 1 :]
    return "\n".join(lines)


def _value_in_statement(segment: str) -> bool:
    """Whether a value is formatted into an SQL statement as a compared or stored value, not as a table name or a
    placeholder.
    """
    forms = ["+"]
    if re.search(r"[\"']\s*(?:\)\s*)?%\s*[\w(\[{]", segment):
        forms.append("%")
    if re.search(r"\b[rR]?[fF][rR]?[\"']", segment) or ".format(" in segment:
        forms.append("f")
    for form in forms:
        for found in FILLED[form].finditer(segment):
            if not STRUCTURE.search(found["what"] or ""):
                return True
    return False


def _only_an_annotation(item: dict[str, Any], text: str) -> bool:
    """Whether the undefined name is in an annotation that is never evaluated: quoted, or with the future import."""
    row, column = int(item["location"]["row"]), int(item["location"]["column"])
    lines = text.split("\n")
    if not 0 < row <= len(lines):
        return False
    before = lines[row - 1][: column - 1]
    if re.search(r"(?:->|:)\s*(?:[\w.]+\[[^\"']*)?[\"'][^\"']*\Z", before):
        return True
    return bool(FUTURE.search(text)) and _annotated(text, row, column)


def _annotated(text: str, row: int, column: int) -> bool:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return False
    for node in ast.walk(tree):
        for note in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(note, ast.AST) and any(_at(part, row, column) for part in ast.walk(note)):
                return True
    return False


def _at(node: ast.AST, row: int, column: int) -> bool:
    return isinstance(node, ast.Name) and node.lineno == row and node.col_offset == column - 1
