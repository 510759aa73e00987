"""Parses the output of test runners: text of unittest and Django's runner, JUnit XML files, and pytest's last line.

It only counts and names tests; ``steps.judge`` decides whether a run passed, together with the exit code.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any
from xml.etree import ElementTree

OUTPUT_LIMIT = 8_000
"""Maximum stored output of one failing test, in characters."""

ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
RAN = re.compile(r"^Ran (\d+) tests? in ([\d.]+)s\s*$")
ENDING = re.compile(r"^(OK|FAILED|NO TESTS RAN)(?: \((.*)\))?\s*$")
HEADER = re.compile(r"^(FAIL|ERROR|UNEXPECTED SUCCESS): (.+)$")
NAMED = re.compile(r"^(?P<test>\S+) \((?P<place>[^()]*)\)")
DURATION = re.compile(r"^(\d+\.\d+)s\s+(?:call\s+|setup\s+|teardown\s+)?(\S.*)$")
PYTEST_END = re.compile(
    r"^=* ?((?:\d+ (?:subtests )?[a-z]+(?:, )?)+|no tests (?:ran|collected)) in [\d.]+s(?: \(.*\))? ?=*$"
)
DOUBLE, SINGLE, SLOWEST = "=" * 70, "-" * 70, "Slowest test durations"


@dataclass
class Failure:
    """One test that did not pass. kind: ``failure``, ``error`` or ``unexpected success``."""

    name: str
    kind: str
    output: str = ""


@dataclass
class Count:
    """The counts of one test run. tests: None if the output contains no number; bad: number of failures if the output
    has no names.
    """

    tests: int | None = None
    skipped: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    slowest: list[tuple[str, float]] = field(default_factory=list)
    source: str = ""
    bad: int = 0

    @property
    def failed(self) -> list[str]:
        """The names of the failed tests, in order, without duplicates."""
        return list(dict.fromkeys(item.name for item in self.failures))

    def plus(self, other: Count) -> Count:
        """The sum of both; keeps this one's source."""
        return Count(
            tests=(self.tests or 0) + (other.tests or 0),
            skipped=self.skipped + other.skipped,
            seconds=self.seconds + other.seconds,
            failures=self.failures + other.failures,
            slowest=sorted(self.slowest + other.slowest, key=lambda item: -item[1])[:10],
            source=self.source,
            bad=self.bad + other.bad,
        )

    def as_dict(self) -> dict[str, Any]:
        """The counts as JSON values."""
        return {**asdict(self), "slowest": [{"name": name, "seconds": took} for name, took in self.slowest]}


def read_text(text: str) -> Count:
    """The counts in the output of unittest or Django's runner; several runs in one output are summed."""
    lines = [line.rstrip() for line in ANSI.sub("", text).replace("\r\n", "\n").split("\n")]
    total = Count()
    for line in lines:
        ran = RAN.match(line)
        if ran:
            total.tests = (total.tests or 0) + int(ran.group(1))
            total.seconds += float(ran.group(2))
            total.source = "unittest"
        ending = ENDING.match(line)
        if ending and ending.group(2):
            total.skipped += _number(ending.group(2), "skipped")
    if total.source:
        total.failures = _blocks(lines)
        total.slowest = _durations(lines)
        return total
    return _pytest_text(lines)


def _number(detail: str, word: str) -> int:
    found = re.search(rf"(?:^|, ){word}=(\d+)", detail)
    return int(found.group(1)) if found else 0


def _blocks(lines: list[str]) -> list[Failure]:
    """Failures in unittest's format: a double rule, ``FAIL: name``, a single rule, the traceback."""
    found: list[Failure] = []
    current: list[str] | None = None
    for index, line in enumerate(lines):
        header = HEADER.match(line) if index and lines[index - 1] == DOUBLE else None
        if header:
            found.append(Failure(name=test_name(header.group(2)), kind=_kind(header.group(1))))
            current = []
        elif line in (DOUBLE, SLOWEST) or (line == SINGLE and _ends(lines, index + 1)):
            _close(found, current)
            current = None
        elif current is not None:
            current.append(line)
    _close(found, current)
    return found


def _ends(lines: list[str], index: int) -> bool:
    return index < len(lines) and bool(RAN.match(lines[index]))


def _close(found: list[Failure], current: list[str] | None) -> None:
    if current is not None:
        found[-1].output = shorten("\n".join(line for line in current if line != SINGLE).strip())


def _kind(word: str) -> str:
    return {"FAIL": "failure", "ERROR": "error"}.get(word, "unexpected success")


def test_name(text: str) -> str:
    """``test_x (app.tests.Case.test_x)`` and ``test_x (app.tests.Case)`` are both ``app.tests.Case.test_x``."""
    match = NAMED.match(text)
    if not match or "." not in match["place"]:
        return text.strip()
    test, place = match["test"], match["place"]
    if "_FailedTest" in place:
        return test
    return place if place.endswith(f".{test}") else f"{place}.{test}"


def _durations(lines: list[str]) -> list[tuple[str, float]]:
    try:
        start = lines.index(SLOWEST)
    except ValueError:
        return []
    found = (DURATION.match(line) for line in lines[start + 1 : start + 60])
    return [(test_name(match.group(2)), float(match.group(1))) for match in found if match]


def _pytest_text(lines: list[str]) -> Count:
    """Counts from pytest's last lines, for runs without XML. Several runs, such as tox's, are summed. Subtests count as
    part of their tests.
    """
    ended = [match for match in map(PYTEST_END.match, lines) if match]
    if not ended:
        return Count()
    words: dict[str, int] = {}
    for match in ended:
        for number, word in re.findall(r"(\d+) ((?:subtests )?[a-z]+)", match.group(1)):
            words[word] = words.get(word, 0) + int(number)
    bad = sum(words.get(word, 0) for word in ("failed", "error", "errors"))
    names = [item.split(" ")[1] for item in lines if re.match(r"^(FAILED|ERROR|SUBFAILED\S*) \S", item)]
    ran = ("passed", "failed", "error", "errors", "xfailed", "xpassed", "skipped")
    return Count(
        tests=sum(words.get(word, 0) for word in ran),
        skipped=words.get("skipped", 0),
        failures=[Failure(name=name, kind="failure") for name in names],
        source="pytest",
        bad=max(bad, int(bool(words.get("subtests failed")))),
    )


def read_junit(text: str) -> Count:
    """The counts of a JUnit XML file from pytest. Raises ValueError for any other file."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - the tenant's own file, read in the tenant's own sandbox
    except ElementTree.ParseError as error:
        raise ValueError(f"not XML: {error}") from error
    total = Count(tests=0, source="junit")
    timed: list[tuple[str, float]] = []
    for suite in root.iter("testsuite"):
        total.seconds += _seconds(suite.get("time"))
    for case in root.iter("testcase"):
        total.tests = (total.tests or 0) + 1
        name = ".".join(part for part in (case.get("classname"), case.get("name")) if part)
        timed.append((name, _seconds(case.get("time"))))
        total.skipped += case.find("skipped") is not None
        for kind in ("failure", "error"):
            total.failures += [Failure(name, kind, shorten(_text(item))) for item in case.findall(kind)]
    total.slowest = sorted((item for item in timed if item[1] > 0), key=lambda item: -item[1])[:10]
    return total


def _seconds(value: str | None) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return 0.0


def _text(item: ElementTree.Element) -> str:
    body = (item.text or "").strip()
    return body or item.get("message", "")


def shorten(text: str, limit: int = OUTPUT_LIMIT) -> str:
    """The text, shortened in the middle. Keeps more of the end, which is the important part of a traceback."""
    if len(text) <= limit:
        return text
    head = limit // 4
    return f"{text[:head]}\n[... {len(text) - limit} characters omitted ...]\n{text[-(limit - head) :]}"
