"""The pages refer only to existing files of the repository, names in the code, commands, and pages."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.cli.named_commands import trouble
from tests.layout.pages import CODE, ROOT, pages, paragraphs

TOP = ("src", "tests", "docs", "scripts", "benchmarks", "samples")
PACKAGE = ROOT / "src" / "greenroom"
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists())
PATH = re.compile(rf"(?:{'|'.join(TOP)})/[\w./*-]*")
IN_PACKAGE = re.compile(rf"(?:{'|'.join(ROOMS)})/[\w./*-]*(?:\.py|/)")
DOTTED = re.compile(rf"(?:{'|'.join(ROOMS)})(?:\.\w+)+")
FILES = re.compile(r"\.(?:py|md|toml|json|txt|html|css|js|sh|sock)$")
COMMAND = re.compile(r"(?<![\w./-])(greenroom|heroku) ([a-z]+(?:-[a-z]+)*(?::[a-z-]+)*)((?: +[^\s`;|&()#]+)*)")
OPTION = re.compile(r"(?<=\s)(--[a-z][a-z-]+)\b")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(#[^)\s]*)?\)")
HISTORY = {"CHANGELOG.md"}
"""Pages about earlier states: their paths may no longer exist."""
EVENTS = "docs/reference/events.md"
"""Its actions look like names in the code; test_docs_reference.py compares them."""
NOT_COMMANDS = {"logplex"}
"""After ``heroku``: the sender of a log line."""


def named(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """(page, text) of each backticked text that the pattern matches as a whole."""
    return [
        (page, text)
        for page, body in pages().items()
        if page not in HISTORY and (page != EVENTS or pattern is not DOTTED)
        for text in CODE.findall(body)
        if pattern.fullmatch(text)
    ]


def test_every_path_of_the_repository_exists():
    gone = {(page, text) for page, text in named(PATH) if not any(ROOT.glob(text.rstrip("/")))}
    gone |= {(page, text) for page, text in named(IN_PACKAGE) if not any(PACKAGE.glob(text.rstrip("/")))}
    assert not gone


@pytest.mark.parametrize("text", sorted({text for _, text in named(DOTTED) if not FILES.search(text)}))
def test_every_name_in_the_code_exists(text):
    parts = text.split(".")
    for size in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(["greenroom", *parts[:size]]))
        except ModuleNotFoundError:
            continue
        for name in parts[size:]:
            assert hasattr(found, name), f"{text}: {found.__name__} has no {name}"
            found = getattr(found, name)
        return
    pytest.fail(f"{text}: no module of that name")


def commands() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """(page, program, command, options) of each command in code on the pages."""
    found = set()
    for page, body in pages().items():
        for text in paragraphs(body):
            for program, command, rest in COMMAND.findall(text):
                if command in NOT_COMMANDS:
                    continue
                options = OPTION.findall(re.split(r" -- ", rest)[0])
                found.add((page, program, command, tuple(options)))
    return sorted(found)


def test_every_command_exists_with_its_options():
    found = commands()
    assert not {(page, text) for page, *words in found if (text := trouble(*words))}
    assert len(found) > 100


def test_commands_are_found():
    assert len(commands()) > 150


def anchor(heading: str) -> str:
    """GitHub's anchor of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_every_link_leads_to_a_file_and_a_heading():
    broken = []
    for page, body in pages().items():
        for path, fragment in LINK.findall(body):
            target = (ROOT / page).parent / path if path else ROOT / page
            if not target.exists():
                broken.append(f"{page}: {path}")
            elif fragment and target.suffix == ".md":
                headings = {anchor(line.lstrip("#")) for line in target.read_text().splitlines() if line[:1] == "#"}
                if fragment[1:] not in headings:
                    broken.append(f"{page}: {path}{fragment}")
    assert not broken


def test_the_index_of_decisions_lists_each_once():
    folder = ROOT / "docs" / "decisions"
    rows = re.findall(r"^\| \[(\d{4})\]\(([\w.-]+)\) \|", (folder / "README.md").read_text(), re.MULTILINE)
    files = sorted(path.name for path in folder.glob("[0-9]*.md"))
    assert [name for _, name in rows] == files
    assert all(name.startswith(number) for number, name in rows)


def test_the_index_of_decisions_explains_each_missing_number():
    folder = ROOT / "docs" / "decisions"
    used = {int(path.name[:4]) for path in folder.glob("[0-9]*.md")}
    missing = sorted(set(range(1, max(used) + 1)) - used)
    line = next(line for line in (folder / "README.md").read_text().splitlines() if line.startswith("Numbers that"))
    assert [int(number) for number in re.findall(r"\d{4}", line)] == missing


def test_every_page_is_reachable_from_the_list_of_pages():
    """Readers do not find a page that no other page links to."""
    linked = {
        ((ROOT / page).parent / path).resolve()
        for page, body in pages().items()
        for path, _ in LINK.findall(body)
        if path
    }
    folders = {path for path in linked if path.is_dir()}
    alone = [page for page in pages() if (ROOT / page).resolve() not in linked and (ROOT / page).parent not in folders]
    assert set(alone) <= {"README.md"}
