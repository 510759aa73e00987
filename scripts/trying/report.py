"""The result of one project, and the table of all results. Pure rules."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

NEEDS = (
    (r"psycopg", "PostgreSQL"),
    (r"mysqlclient|PyMySQL", "MySQL"),
    (r"redis|celery|rq\b", "Redis"),
    (r"pylibmc|pymemcache|django-bmemcached", "memcached"),
    (r"boto3|django-storages|cloudinary", "object storage"),
    (r"channels|daphne|uvicorn", "websockets"),
    (r"django-heroku", "django-heroku"),
)
COLUMNS = (
    "project", "needs", "changed", "override", "seconds", "outcome", "first page", "static file", "sign-in", "migrate",
    "first wrong thing",
)  # fmt: skip
WRONG = re.compile(
    r"^\s*(?:!\s+)?((?:[A-Za-z_.]+\.)?[A-Z][A-Za-z]*(?:Error|Exception|Warning|DoesNotExist|NotFound|Configured)\b.*"
    r"|(?:error|fatal): (?!failed to push|the remote end hung up).*|.*: command not found.*|\u00d7 .*)"
)


@dataclass
class Result:
    """One row. ``outcome`` is that of the last push, ``first_outcome`` that of the first."""

    project: str
    commit: str = ""
    needs: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)
    overridden: list[str] = field(default_factory=list)
    seconds: float | None = None
    first_outcome: str = ""
    outcome: str = ""
    expected: str = "live"
    page: str = "-"
    static: str = "-"
    sign_in: str = "-"
    migrate: str = "-"
    wrong: str = ""
    last_wrong: str = ""
    hints: list[str] = field(default_factory=list)
    output: str = ""

    @property
    def as_expected(self) -> bool:
        return self.outcome == self.expected

    def found_wrong(self, text: str) -> None:
        """Record the first wrong thing, and the last one: what remained after the hints."""
        self.wrong = self.wrong or one_line(text)
        self.last_wrong = one_line(text)


def one_line(text: str, width: int = 160) -> str:
    """The first line that says something, shortened."""
    lines = [line.strip(" !\t") for line in text.splitlines()]
    line = next((line for line in lines if line), "")
    return line if len(line) <= width else line[: width - 1] + "…"


def complaint(output: str) -> str:
    """The error message of a failed ``greenroom`` or ``git`` command, on one line."""
    lines = output.splitlines()
    marked = [line.strip().removeprefix("▸") for line in lines if line.strip().startswith(("▸", "fatal:", "error:"))]
    return one_line("\n".join(marked)) or one_line(output)


def needs(files: Mapping[str, str]) -> list[str]:
    """The needs of a project, by its files at the root: name -> text."""
    packages = "\n".join(
        line for name in ("requirements.txt", "Pipfile", "pyproject.toml") for line in _lines(files.get(name, ""))
    )
    found = [word for pattern, word in NEEDS if re.search(rf"(?im)^\W*(?:[\w.-]*-)?(?:{pattern})", packages)]
    processes = [line.partition(":")[0].strip() for line in _lines(files.get("Procfile", "")) if ":" in line]
    found += [f"process {name}" for name in processes if name not in ("web", "release")]
    found += ["release command"] if "release" in processes else []
    return found + [word for name, word in (("package.json", "Node"), ("Aptfile", "apt packages")) if name in files]


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def outcome(delivery: Mapping[str, Any] | None) -> str:
    """live, held, withheld, refused or failed; ``refused`` without a delivery: the push itself was refused."""
    if delivery is None:
        return "refused"
    state = str(delivery["state"])
    if state == "refused" and delivery.get("release") is None:
        return "withheld"
    return state


def first_wrong(delivery: Mapping[str, Any] | None, output: str) -> str:
    """One line: the reason of the delivery, and the error behind it: the one that Greenroom shows, else the last; of a
    push that git itself ends, its first error.
    """
    reason = one_line(str((delivery or {}).get("reason") or ""))
    lines = [line.removeprefix("remote:").strip() for line in output.splitlines()]
    errors = [(line.startswith("!"), match[1].strip()) for line in lines if (match := WRONG.match(line))]
    of_git = [text for _, text in errors if text.startswith("fatal: ")]
    shown = [text for chosen, text in errors if chosen][:1] or of_git[:1] or [text for _, text in errors][-1:]
    if shown and one_line(shown[0], 60).rstrip("…") not in reason:
        return f"{reason.rstrip('.')}: {one_line(shown[0])}" if reason else one_line(shown[0])
    return reason or one_line("\n".join(line for line in lines if "!" in line))


def row(result: Result) -> list[str]:
    """The cells of a row, in the order of COLUMNS."""
    changed = [*result.changed, *(f"hint: {text}" for text in result.followed)]
    shown = result.outcome
    if result.first_outcome and result.first_outcome != result.outcome:
        shown = f"{result.first_outcome}, then {result.outcome}"
    if not result.as_expected:
        shown += f" (expected {result.expected})"
    wrong = result.wrong
    if wrong and result.last_wrong != wrong:
        wrong += f"; then: {result.last_wrong}"
    seconds = "-" if result.seconds is None else f"{result.seconds:.0f}"
    return [
        result.project, ", ".join(result.needs) or "-", ", ".join(changed) or "nothing",
        ", ".join(result.overridden) or "-", seconds, shown, result.page, result.static, result.sign_in, result.migrate,
        wrong or "-",
    ]  # fmt: skip


def table(results: Sequence[Result]) -> str:
    """A Markdown table of all results and a line with the totals."""
    rows = [list(COLUMNS), ["--"] * len(COLUMNS), *(row(result) for result in results)]
    lines = ["| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |" for cells in rows]
    good = sum(result.as_expected for result in results)
    live = sum(result.outcome == "live" for result in results)
    return "\n".join([*lines, "", f"{len(results)} projects: {live} live, {good} as expected"])


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """All fields of all results."""
    return [asdict(result) | {"as_expected": result.as_expected} for result in results]
