"""Parses SARIF 2.1.0 of external tools: bytes in, plain findings out, or an error with the location in the log.

Reads only the fields that the gate needs, and never guesses.
"""

from __future__ import annotations

import gzip
import io
import json
import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from greenroom.basics.errors import UserError

MAX_PACKED, MAX_BYTES = 10 * 1024 * 1024, 50 * 1024 * 1024
MAX_RUNS, MAX_RESULTS, MAX_RULES = 20, 5_000, 25_000
GZIP = b"\x1f\x8b"
LEVELS = {"error": 2, "warning": 3, "note": 4, "none": 4}
NAME, MESSAGE, PATH = 80, 2_000, 1_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """One result. path is relative to the repository; level as the tool gives it; suppressed: by the tool."""

    rule: str
    path: str
    line: int
    end_line: int
    column: int
    severity: int
    message: str
    suppressed: bool = False
    justification: str = ""
    end_column: int = 0


@dataclass(frozen=True, kw_only=True)
class Scan:
    """One tool's findings. done: False if the tool reports that its own run failed; problem: the reason."""

    tool: str
    version: str
    rows: tuple[Row, ...]
    done: bool = True
    problem: str = ""


def unpack(data: bytes) -> bytes:
    """The uncompressed log; data may be gzipped. Raises UserError if it is too large or corrupt."""
    if len(data) > MAX_PACKED and data[:2] == GZIP:
        raise _bad("", f"more than {MAX_PACKED >> 20} MB gzipped")
    if data[:2] == GZIP:
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, EOFError) as error:
            raise _bad("", f"corrupt gzip data ({error})") from error
    if len(data) > MAX_BYTES:
        raise _bad("", f"more than {MAX_BYTES >> 20} MB")
    return data


def read(data: bytes, roots: Iterable[str] = ()) -> list[Scan]:
    """The scans of a log, one per tool; several runs of a tool are merged. roots: checkout folders to strip from
    absolute paths.
    """
    try:
        log = json.loads(unpack(data))
    except (ValueError, RecursionError) as error:
        raise _bad("", f"invalid JSON ({error})") from error
    if not isinstance(log, dict):
        raise _bad("", "expected an object")
    if log.get("version") != "2.1.0":
        raise _bad("version", f'only "2.1.0" is supported, found {str(log.get("version"))[:20]!r}')
    runs = _list(log.get("runs"), "runs")
    if not runs:
        raise _bad("runs", "the list is empty: no tool has run")
    if len(runs) > MAX_RUNS:
        raise _bad("runs", f"{len(runs)} runs; the maximum is {MAX_RUNS}")
    scans: dict[str, Scan] = {}
    for number, run in enumerate(runs):
        one = _run(run, f"runs[{number}]", tuple(roots))
        known = scans.get(one.tool)
        scans[one.tool] = _join(known, one) if known else one
    for scan in scans.values():
        if len(scan.rows) > MAX_RESULTS:
            raise _bad("runs", f"{len(scan.rows)} results of {scan.tool}; the maximum is {MAX_RESULTS}")
    return list(scans.values())


def _join(one: Scan, other: Scan) -> Scan:
    return Scan(
        tool=one.tool,
        version=one.version or other.version,
        rows=one.rows + other.rows,
        done=one.done and other.done,
        problem=one.problem or other.problem,
    )


def _run(run: Any, where: str, roots: tuple[str, ...]) -> Scan:
    run = _map(run, where)
    driver = _map(_map(run.get("tool"), f"{where}.tool").get("driver"), f"{where}.tool.driver")
    name = _text(driver.get("name"), f"{where}.tool.driver.name", 60)
    if "results" not in run:
        raise _bad(f"{where}.results", "missing: the tool has not run (an empty list means no findings)")
    rules = [
        rule
        for rule in _list(driver.get("rules", []), f"{where}.tool.driver.rules")[:MAX_RULES]
        if isinstance(rule, dict)
    ]
    bases = _bases(run.get("originalUriBaseIds"))
    rows = [
        row
        for number, result in enumerate(_list(run["results"], f"{where}.results"))
        for row in _result(result, f"{where}.results[{number}]", rules, bases, roots)
    ]
    bad = [
        item
        for item in run.get("invocations") or []
        if isinstance(item, dict) and item.get("executionSuccessful") is False
    ]
    words = str(bad[0].get("exitCodeDescription") or "") if bad else ""
    problem = f"{name} reports that its run failed{': ' + words[:200] if words else ''}" if bad else ""
    return Scan(
        tool=name,
        version=str(driver.get("semanticVersion") or driver.get("version") or "")[:60],
        rows=tuple(rows),
        done=not bad,
        problem=problem,
    )


def _bases(value: Any) -> dict[str, str]:
    entries = value.items() if isinstance(value, dict) else ()
    return {str(key): str(entry.get("uri") or "") for key, entry in entries if isinstance(entry, dict)}


def _result(
    result: Any, where: str, rules: list[dict[str, Any]], bases: Mapping[str, str], roots: tuple[str, ...]
) -> list[Row]:
    """The row of a result; None if it is not a problem (``kind`` is not fail, or absent since the baseline)."""
    result = _map(result, where)
    if result.get("kind", "fail") not in ("fail", "open", "review") or result.get("baselineState") == "absent":
        return []
    rule = _rule(result, rules)
    name = str(result.get("ruleId") or (rule or {}).get("id") or "")[:NAME]
    message = _map(result.get("message"), f"{where}.message")
    text = str(message.get("text") or message.get("markdown") or _told(rule, message.get("id")) or name)
    if not text:
        raise _bad(f"{where}.message", "no text, and no text in the rule")
    path, region = _place(result, where, bases, roots)
    line = _number(region.get("startLine", 1), f"{where}.locations[0].physicalLocation.region.startLine")
    held = [
        item
        for item in result.get("suppressions") or []
        if isinstance(item, dict) and item.get("status", "accepted") == "accepted"
    ]
    return [
        Row(
            rule=name,
            path=path,
            line=line,
            end_line=_number(region.get("endLine", line), f"{where}: endLine"),
            column=_number(region.get("startColumn", 1), f"{where}: startColumn"),
            severity=_severity(result, rule),
            message=text[:MESSAGE],
            end_column=_number(region["endColumn"], f"{where}: endColumn") if "endColumn" in region else 0,
            suppressed=bool(held),
            justification=str(held[0].get("justification") or "")[:500] if held else "",
        )
    ]


def _rule(result: Mapping[str, Any], rules: list[dict[str, Any]]) -> dict[str, Any] | None:
    own = result.get("rule") if isinstance(result.get("rule"), dict) else {}
    index = result.get("ruleIndex", (own or {}).get("index", -1))
    if isinstance(index, int) and 0 <= index < len(rules):
        return rules[index]
    name = result.get("ruleId") or (own or {}).get("id")
    return next((rule for rule in rules if rule.get("id") == name), None)


def _told(rule: dict[str, Any] | None, key: Any) -> str:
    texts = (rule or {}).get("messageStrings")
    found = texts.get(key) if isinstance(texts, dict) and isinstance(key, str) else None
    short = (rule or {}).get("shortDescription")
    chosen = found or short
    return str(chosen.get("text") or "") if isinstance(chosen, dict) else ""


def _severity(result: Mapping[str, Any], rule: dict[str, Any] | None) -> int:
    """1 for a security severity of 7 or more, else from the level. The rule's level replaces a missing level."""
    for source in (result, rule or {}):
        properties = source.get("properties")
        grave = properties.get("security-severity") if isinstance(properties, dict) else None
        try:
            if grave is not None:
                return 1 if float(grave) >= 7 else 2 if float(grave) >= 4 else 3
        except (TypeError, ValueError):
            continue
    usual = (rule or {}).get("defaultConfiguration")
    level = result.get("level") or (usual.get("level") if isinstance(usual, dict) else None) or "warning"
    return LEVELS.get(str(level), 3)


def _place(
    result: Mapping[str, Any], where: str, bases: Mapping[str, str], roots: tuple[str, ...]
) -> tuple[str, Mapping[str, Any]]:
    spots = _list(result.get("locations", []), f"{where}.locations")
    if not spots:
        return "", {}
    where = f"{where}.locations[0].physicalLocation"
    place = _map(_map(spots[0], where).get("physicalLocation", {}), where)
    file = _map(place.get("artifactLocation", {}), f"{where}.artifactLocation")
    region = place.get("region")
    return _path(file, f"{where}.artifactLocation.uri", bases, roots), region if isinstance(region, dict) else {}


def _path(file: Mapping[str, Any], where: str, bases: Mapping[str, str], roots: tuple[str, ...]) -> str:
    """The path relative to the repository, without scheme and checkout folder. Raises UserError for a path outside."""
    uri = str(file.get("uri") or "")
    if not uri:
        return ""
    parts = urlsplit(uri)
    if parts.scheme not in ("", "file") or len(uri) > PATH:
        raise _bad(where, f"expected a path or a file: URI of at most {PATH} characters, found {uri[:60]!r}")
    path = unquote(parts.path)
    base = unquote(urlsplit(bases.get(str(file.get("uriBaseId") or ""), "")).path)
    for root in sorted({root.rstrip("/") for root in (base, *roots) if root.strip("/")}, key=len, reverse=True):
        if path.startswith(f"{root}/"):
            path = path[len(root) + 1 :]
            break
    path = posixpath.normpath(path)
    if path.startswith("/"):
        raise _bad(where, f"{uri[:80]!r} is absolute and not in a known checkout; name the checkout with --root")
    if path == ".." or path.startswith("../"):
        raise _bad(where, f"{uri[:80]!r} is outside the repository")
    return "" if path == "." else path


def _map(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _bad(where, f"expected an object, found {_kind(value)}")
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _bad(where, f"expected a list, found {_kind(value)}")
    return value


def _text(value: Any, where: str, limit: int) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > limit:
        raise _bad(where, f"expected a string of 1 to {limit} characters, found {_kind(value)}")
    return value.strip()


def _number(value: Any, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _bad(where, f"expected an integer, found {str(value)[:40]!r}")
    return min(max(value, 1), 2_000_000_000)


def _kind(value: Any) -> str:
    names = {"NoneType": "nothing", "dict": "an object", "list": "a list", "str": f"the string {str(value)[:40]!r}"}
    return names.get(type(value).__name__, f"{str(value)[:40]}")


def _bad(where: str, problem: str) -> UserError:
    place = f" at {where}" if where else ""
    return UserError(
        f"Invalid SARIF log{place}: {problem}.", hint="send SARIF 2.1.0 as JSON, optionally gzipped", id="bad_sarif"
    )
