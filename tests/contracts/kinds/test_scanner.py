"""CONTRIBUTING's recipe for a new optional scanner, followed in a copy of the dyno side.

tests/checks/test_scanners.py tests the contract of the existing scanners, with their real tools.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import pytest

from greenroom.checks.drivers import tools
from greenroom.checks.inside import scanners
from greenroom.engine import artefacts
from tests.checks.dyno_side import archive
from tests.contracts.kinds.recipes import ROOT, recipe

TOY = '''"""toy-lint: finds the word TOY."""

from ..kind import Raw, Report, Scanner, call, python, read_json


def look(tool, sources):
    found = read_json(call([python(tool)], cwd=sources.folder))["found"]
    return Report([Raw(rule="toy", path=row[0], line=row[1], message="a toy", severity=2) for row in found])


SCANNER = Scanner(name="toy-lint", requirement="toy-lint==1.0", wanted=lambda path: path.endswith(".txt"), look=look)
'''
TOOL = """#!{python}
import json, os
found = [[name, n] for name in sorted(os.listdir(".")) for n, line in enumerate(open(name), 1) if "TOY" in line]
print(json.dumps({{"found": found}}))
"""


@pytest.mark.parametrize("name", scanners.names())
def test_a_scanner_is_pinned_bounded_and_told_of_in_the_guide(name):
    scanner = scanners.find(name)
    assert scanner.name == name
    assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9.]*", scanner.requirement)
    assert not scanner.wanted("a.unknown-kind-of-file") or scanner.rules
    assert f"\n| {name} |" in (ROOT / "docs/reference/gate.md").read_text()
    assert f"`{name}`" in (ROOT / "docs/reference/greenroom-toml.md").read_text()


def test_an_unknown_scanner_is_none():
    for name in ("", "kind", "../scanners", "toy-lint"):
        with pytest.raises(KeyError):
            scanners.find(name)


def test_no_code_outside_the_folders_decides_by_the_name_of_a_scanner():
    words = "|".join(rf"(==|!=|in|:) *[\"'({{\[]+\.?{name}[\"']" for name in scanners.names())
    command = ["grep", "-rnE", words, "--include=*.py", "src/greenroom"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout.splitlines()
    assert not [line for line in found if "/checks/inside/scanners/" not in line]


@pytest.fixture
def run(tmp_path):
    """The scanners' job in a dyno side with one more folder."""
    runner = tmp_path / "home" / artefacts.path(tools.runner_mount(tmp_path / "home").source)
    more = tmp_path / "runner"
    shutil.copytree(runner, more)
    package = next(more.rglob("scanners/kind.py")).parent / "toy_lint"
    package.mkdir()
    (package / "__init__.py").write_text(TOY)
    tool = tmp_path / "tool" / "bin" / "python"
    tool.parent.mkdir(parents=True)
    tool.write_text(TOOL.format(python=sys.executable))
    tool.chmod(0o755)

    def do(new, old):
        out = tmp_path / "out"
        out.mkdir(exist_ok=True)
        wish = {
            "new": str(archive(tmp_path / "new.tar", new)),
            "old": str(archive(tmp_path / "old.tar", old)),
            "work": str(tmp_path / "work"),
            "scanners": {"toy-lint": str(tool.parent.parent)},
        }
        argv = [sys.executable, "-I", str(more), "scanners", str(out)]
        done = subprocess.run(argv, input=json.dumps(wish), text=True, capture_output=True, cwd=tmp_path, check=False)
        assert (out / "result.json").exists(), done.stderr
        return json.loads((out / "result.json").read_text())["scanners"]["toy-lint"]

    return do


def test_a_scanner_made_by_the_recipe_tells_new_findings_from_known_ones(run):
    steps = recipe("Add a scanner")
    assert "checks/inside/scanners/<name>/__init__.py" in steps
    assert "`SCANNER`" in steps
    found = run({"a.txt": "TOY 1\nTOY 2\n", "b.py": "TOY"}, {"a.txt": "TOY 1\n"})
    assert (found["outcome"], found["total"], found["new"]) == ("failure", 2, 1), found
    assert [(row["rule"], row["path"], row["line"]) for row in found["findings"] if row["state"] == "new"] == [
        ("toy", "a.txt", 2)
    ]
