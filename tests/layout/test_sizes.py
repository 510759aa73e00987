"""Limits of the code base: functions of 40 lines, files of 400, no shell, no markers of unfinished work."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.source_trees import dotted, nodes, text, tree

ROOT = Path(__file__).parent.parent.parent
SOURCES = sorted(
    path
    for folder in ("src", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "migrations/0" not in str(path)
)
UNFINISHED = re.compile(r"TODO|FIXME|NotImplementedError|XXX")
FIELD = 400
FUNCTION = 40
LINE = 120


def _functions(path: Path):
    for node in nodes(path):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_no_function_is_longer_than_40_lines():
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name} {node.end_lineno - node.lineno + 1}"
        for path in SOURCES
        for node in _functions(path)
        if node.end_lineno - node.lineno + 1 > FUNCTION
    ]
    assert not long


def test_no_file_is_longer_than_400_lines():
    long = {str(path.relative_to(ROOT)): n for path in SOURCES if (n := text(path).count("\n")) > FIELD}
    assert not long


def test_no_line_is_longer_than_120_characters():
    """ruff ignores comments such as ``noqa``, and text without spaces."""
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(text(path).splitlines(), 1)
        if len(line) > LINE
    ]
    assert not long


def test_nothing_builds_a_shell_string():
    """No ``shell=True``, no ``os.system``, no ``os.popen`` anywhere in shipped code."""
    found = []
    for path in SOURCES:
        for node in nodes(path):
            if isinstance(node, ast.Call):
                name = dotted(node.func)
                shell = any(
                    k.arg == "shell" and not (isinstance(k.value, ast.Constant) and not k.value.value)
                    for k in node.keywords
                )
                if name in ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput") or shell:
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert not found


def test_no_line_says_that_work_is_unfinished():
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in SOURCES
        for number, line in enumerate(text(path).splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not found


def test_every_module_says_what_it_is_for():
    silent = [
        str(path.relative_to(ROOT))
        for path in SOURCES
        if path.stat().st_size
        and not ast.get_docstring(tree(path))
        and path.name != "apps.py"
        and "/migrations/" not in str(path)
    ]
    assert not silent
