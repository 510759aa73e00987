"""The reference pages list the code's environment variables, error ids, events and make targets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from greenroom.builds.drivers import cache_budget
from greenroom.deliveries.actions import retention
from greenroom.deliveries.queries import time_limits
from greenroom.webhooks import rules
from greenroom_cli.host import postgres
from tests.layout.pages import ROOT, pages, paragraphs, table
from tests.source_trees import dotted, nodes, text, tree

SOURCES = sorted((ROOT / "src").rglob("*.py"))
VARIABLE = re.compile(r"(?<![A-Z_])GREENROOM_[A-Z_]*[A-Z]")
SETTINGS = "docs/reference/settings.md"


def calls(path: Path) -> Iterator[ast.Call]:
    return (node for node in nodes(path) if isinstance(node, ast.Call))


def test_every_variable_of_the_environment_is_listed_once():
    read = {name for path in SOURCES for name in VARIABLE.findall(text(path))}
    rows = re.findall(r"^\| `(GREENROOM_[A-Z_]+)` \|", pages()[SETTINGS], re.MULTILINE)
    assert sorted(rows) == sorted(read)


def test_no_page_names_another_variable():
    rows = set(VARIABLE.findall(pages()[SETTINGS]))
    tests = {"GREENROOM_KILLS", "GREENROOM_FUZZ_CALLS", "GREENROOM_FUZZ_SEED", "GREENROOM_TEST_INSTALL"}
    others = {
        (page, name) for page, body in pages().items() for name in VARIABLE.findall(body) if name not in rows | tests
    }
    assert not others


def error_ids() -> set[str]:
    """Ids of error classes, and of calls with their own id."""
    found = set()
    for path in SOURCES:
        if "greenroom_cli" in path.parts:
            continue
        texts = {
            node.targets[0].id: node.value.value
            for node in tree(path).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and isinstance(node.value, ast.Constant)
        }
        for node in nodes(path):
            if isinstance(node, ast.ClassDef) and node.name.endswith("Error"):
                found |= {
                    part.value.value
                    for part in node.body
                    if isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "id"
                }
            if isinstance(node, ast.Call) and dotted(node.func).endswith("Error"):
                given = [word.value for word in node.keywords if word.arg == "id"]
                found |= {value.value for value in given if isinstance(value, ast.Constant)}
                found |= {texts[value.id] for value in given if isinstance(value, ast.Name) and value.id in texts}
    return found


def test_every_error_id_is_listed():
    assert set(table("docs/reference/errors.md", "Error ids")) == error_ids()


def test_every_kind_of_webhook_event_is_listed():
    assert set(table("docs/reference/events.md", "Kinds of webhook events")) == set(rules.INCLUDES)


def audited() -> tuple[set[str], list[re.Pattern[str]]]:
    """(actions named in the code, patterns of composed ones)."""
    names, patterns = set(), []
    for path in SOURCES:
        for call in calls(path):
            if dotted(call.func).rpartition(".")[2] != "audit":
                continue
            for value in (word.value for word in call.keywords if word.arg == "action"):
                for node in [value.body, value.orelse] if isinstance(value, ast.IfExp) else [value]:
                    if isinstance(node, ast.Constant):
                        names.add(node.value)
                    elif isinstance(node, ast.JoinedStr):
                        parts = [re.escape(p.value) if isinstance(p, ast.Constant) else "[a-z_]+" for p in node.values]
                        patterns.append(re.compile("".join(parts)))
    return names, patterns


def test_every_action_of_the_audit_log_is_listed():
    rows = set(table("docs/reference/events.md", "Actions in the audit log"))
    names, patterns = audited()
    assert names <= rows
    assert not [row for row in rows - names if not any(pattern.fullmatch(row) for pattern in patterns)]
    assert not [pattern.pattern for pattern in patterns if not any(pattern.fullmatch(row) for row in rows)]


def test_every_audited_webhook_event_is_an_action_of_the_audit_log():
    assert set(rules.AUDITED) <= set(table("docs/reference/events.md", "Actions in the audit log"))


def test_every_make_target_on_a_page_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    code = [text for body in pages().values() for text in paragraphs(body)]
    named = {match for text in code for match in re.findall(r"^make ([a-z-]+)", text)}
    assert named
    assert named <= targets


def defaults() -> dict[str, str]:
    """Variable -> default, of the calls in project/settings.py and of the constants of the rooms."""
    found = {
        "GREENROOM_CACHE_MB": str(cache_budget.BUDGET_MB),
        "GREENROOM_HEALTH_SECONDS": f"{time_limits.HEALTH:g}",
        "GREENROOM_WATCH_SECONDS": f"{time_limits.WATCH:g}",
        "GREENROOM_KEEP_RELEASES": str(retention.KEEP_RELEASES),
        "GREENROOM_POSTGRES_CONNECTIONS": postgres.SETTINGS["max_connections"],
    }
    for call in calls(ROOT / "src" / "greenroom" / "project" / "settings.py"):
        values = [value.value for value in call.args if isinstance(value, ast.Constant)]
        if len(values) == 2 and VARIABLE.fullmatch(str(values[0])) and values[1] != "":
            found[str(values[0])] = str(values[1])
    return found


def test_the_defaults_are_those_of_the_code():
    rows = {name: cells[0].strip("`") for name, cells in table(SETTINGS, "Of an installation").items()}
    assert len(defaults()) > 10
    assert {name: rows[name] for name in defaults()} == defaults()


def test_the_limits_of_the_server_are_those_of_the_code():
    page = pages()["docs/reference/limits.md"]
    reserved, least = postgres.SETTINGS["reserved_connections"], postgres.LEAST_CONNECTIONS
    assert f"{postgres.SETTINGS['max_connections']}: {reserved} reserved for the platform" in page
    assert f"`GREENROOM_POSTGRES_CONNECTIONS` ({least} to 10000)" in page
    assert f"`GREENROOM_POSTGRES_MEMORY_MB` (at least {postgres.LEAST_MB})" in page
    assert postgres.SETTINGS["temp_file_limit"] == "1GB"
    assert "| temporary files of one session | 1 GB |" in page


def test_the_limits_of_an_account_are_those_of_the_code():
    page, given = pages()["docs/reference/limits.md"], defaults()
    assert re.search(rf"^\| apps per account.* \| {given['GREENROOM_ACCOUNT_APPS']};", page, re.MULTILINE)
    assert re.search(rf"^\| connections of all .* \| {given['GREENROOM_ACCOUNT_CONNECTIONS']};", page, re.MULTILINE)
    assert f"| size of one database | {int(given['GREENROOM_DATABASE_MB']):,} MB |" in page
