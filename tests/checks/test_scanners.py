"""The contract of every optional scanner, with its real tool: new findings differ from known ones, and an unknown
result is never green.

bandit, djlint and pip-audit are the real ones, installed as an operator installs them. semgrep (270 MB) is a small
program that answers in semgrep's format. The real one is used where it is installed: `python -m
greenroom.checks.drivers.scanner_tools .tools/scanners install semgrep`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.basics.errors import PlatformError, UserError
from greenroom.checks.drivers import scanner_tools
from greenroom.checks.inside import scanners
from greenroom.checks.inside.scanners import pip_audit
from greenroom.checks.inside.scanners.kind import ScanError
from tests.checks.dyno_side import archive, result

SHELF = Path(__file__).parents[2] / ".tools" / "scanners"
EVAL = "def f(x):\n    return eval(x)\n"
SAFE = "def f(x):\n    return x\n"
RULE = {".semgrep/rules.yml": "rules: []\n"}
BAD = {
    "bandit": ("app/run.py", "import os\n\ndef f(x):\n    os.system('ls ' + x)\n", SAFE),
    "djlint": ("templates/a.html", "{% block a %}\n<p>x</p>\n", "<p>x</p>\n"),
    "semgrep": ("app/run.py", EVAL, SAFE),
}
MOVED = {"bandit": "X = 1", "djlint": "<p>y</p>", "semgrep": "X = 1"}
FAKE_SEMGREP = """#!{python}
import json, os, sys
assert sys.argv[2] == "scan" and "--metrics=off" in sys.argv and os.environ["SEMGREP_SEND_METRICS"] == "off", sys.argv
rules = sys.argv[sys.argv.index("--config") + 1]
assert os.path.isdir(rules), rules
found = []
for folder, _, names in os.walk("."):
    for name in names:
        path = os.path.join(folder, name)
        lines = open(path).read().split("\\n")
        check = rules.strip("/").replace("/", ".") + ".no-eval"
        extra = {{"message": "eval runs text as code", "severity": "ERROR", "lines": "requires login",
            "fingerprint": "requires login", "metadata": {{}}, "is_ignored": False}}
        found += [{{"check_id": check, "path": path[2:], "start": {{"line": n, "col": 12, "offset": 0}},
            "end": {{"line": n, "col": 19, "offset": 0}}, "extra": extra}}
            for n, line in enumerate(lines, 1) if "eval(" in line and "nosem" not in line]
invalid = {{"code": 2, "level": "error", "type": "Rule parse error", "message": "invalid rule"}}
errors = [invalid] if os.path.exists(rules + "/broken.yml") else []
print(json.dumps({{"version": "1.182.0", "results": found, "errors": errors, "paths": {{"scanned": []}}}}))
sys.exit(0)
"""


def program(folder: Path, text: str) -> str:
    """A tool with this script as its interpreter."""
    (folder / "bin").mkdir(parents=True, exist_ok=True)
    path = folder / "bin" / "python"
    path.write_text(text)
    path.chmod(0o755)
    return str(folder)


@pytest.fixture(scope="session")
def shelf():
    """name -> the folder of its tool; made once for this checkout."""

    def find(name: str, place: Path) -> str:
        if name == "semgrep":
            return program(place / "semgrep-tool", FAKE_SEMGREP.format(python=sys.executable))
        folder = scanner_tools.tools.scanner_folder(SHELF, name)
        known = [row for row in scanner_tools.listed(SHELF) if row["name"] == name and row["installed"]]
        pinned = scanners.find(name).requirement.replace("==", "-").replace("-", "_", name.count("-"))
        if not known or not list(folder.glob(f"lib/python3*/site-packages/{pinned}.dist-info")):
            try:
                scanner_tools.install(SHELF, name)
            except PlatformError as error:
                pytest.skip(f"THE REAL {name} CANNOT BE INSTALLED HERE: {error}")
        return str(folder)

    return find


@pytest.fixture
def scan(shelf, tmp_path):
    def do(name, new, old=None, tool=""):
        extra = RULE if name == "semgrep" else {}
        wish = {
            "new": str(archive(tmp_path / "new.tar", {**extra, **new})),
            "old": None,
            "work": str(tmp_path / "work"),
        }
        if old is not None:
            wish["old"] = str(archive(tmp_path / "old.tar", {**extra, **old}))
        wish["scanners"] = {name: shelf(name, tmp_path) if tool == "" else tool}
        return result("scanners", home=tmp_path / "home", cwd=tmp_path, wish=wish)["scanners"][name]

    return do


def test_these_are_the_scanners_and_each_is_pinned():
    assert scanners.names() == ["bandit", "djlint", "pip-audit", "semgrep"]
    assert all("==" in scanners.find(name).requirement for name in scanners.names())
    assert [name for name in scanners.names() if scanners.find(name).network] == ["pip-audit"]


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_new_finding_has_its_place_and_a_deployed_one_is_known_wherever_it_moved(scan, name):
    path, bad, good = BAD[name]
    one = scan(name, {path: bad}, {path: good})
    fresh = [item for item in one["findings"] if item["state"] == "new"]
    assert fresh, one
    assert all((item["tool"], item["path"], len(item["fingerprint"])) == (name, path, 64) for item in fresh)
    assert all(0 < item["line"] <= bad.count("\n") and item["message"] for item in fresh)
    assert (one["new"], one["baseline"], bool(one["version"]) or name == "semgrep") == (len(fresh), False, True)
    again = scan(name, {path: f"{MOVED[name]}\n{bad}"}, {path: bad})
    assert (again["outcome"], again["new"]) == ("success", 0), again


@pytest.mark.parametrize("name", sorted(BAD))
def test_the_first_scan_takes_all_as_known_and_an_ignored_file_is_left_out(scan, name):
    path, bad, _ = BAD[name]
    first = scan(name, {path: bad})
    assert (first["outcome"], first["new"], first["baseline"], first["total"] > 0) == ("success", 0, True, True)
    left_out = scan(name, {path: bad, ".checkignore": f"{path}\n"}, {})
    assert (left_out["outcome"], left_out["total"], left_out["ignored"] > 0) == ("success", 0, True)


@pytest.mark.parametrize(("name", "outcome"), [("bandit", "failure"), ("semgrep", "failure"), ("djlint", "success")])
def test_only_what_is_likely_a_bug_is_red(scan, name, outcome):
    path, bad, good = BAD[name]
    assert scan(name, {path: bad}, {path: good})["outcome"] == outcome


@pytest.mark.parametrize("name", ["bandit", "djlint", "pip-audit", "semgrep"])
@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("#!/bin/sh\necho panicked >&2\nexit 101\n", "panicked"),
        ("#!/bin/sh\necho all is well\n", "cannot be read"),
        ("#!/bin/sh\nexit 0\n", "reported nothing"),
        ("#!/bin/sh\necho '{}'\n", "no"),
        ('#!/bin/sh\necho \'{"results": [{}], "runs": [{"results": [{}]}], "dependencies": [7]}\'\n', ""),
        ("#!/nonexistent/python\n", "could not be started"),
    ],
)
def test_a_tool_that_crashes_or_talks_nonsense_is_an_error(scan, tmp_path, name, script, words):
    files = {"app/run.py": EVAL, "a.html": "<p>", "requirements.txt": "Django==5.2\n"}
    answer = scan(name, files, {}, tool=program(tmp_path / "tool", script))
    assert answer["outcome"] == "error", answer
    assert words in answer["detail"]


@pytest.mark.parametrize("name", ["bandit", "djlint", "pip-audit", "semgrep", "pylint"])
def test_a_tool_that_is_missing_is_an_error_that_names_the_remedy(scan, name):
    answer = scan(name, {"app/run.py": EVAL}, {}, tool=None)
    assert answer["outcome"] == "error"
    assert ("available: bandit, djlint" if name == "pylint" else f"greenroom scanners:install {name}") in answer[
        "detail"
    ]


@pytest.mark.neighbours
def test_a_tool_that_hangs_is_an_error(tmp_path, monkeypatch):
    from greenroom.checks.inside.scanners import kind

    monkeypatch.setattr(kind, "SECONDS", 0.05)
    with pytest.raises(ScanError, match="timed out"):
        kind.call(["/bin/sleep", "5"], cwd=str(tmp_path))


def test_bandit_s_suppressions_are_counted_and_its_findings_in_tests_left_out(scan):
    path, bad, good = BAD["bandit"]
    quiet = bad.replace("+ x)", "+ x)  # nosec")
    answer = scan("bandit", {path: quiet, "app/tests/test_run.py": bad}, {path: good})
    assert (answer["outcome"], answer["new"], answer["suppressed"] > answer["suppressed_before"]) == (
        "success",
        0,
        True,
    )


def test_semgrep_without_rules_of_the_repository_or_with_broken_ones_is_an_error(scan, tmp_path, shelf):
    wish = {
        "new": str(archive(tmp_path / "n.tar", {"a.py": EVAL})),
        "old": None,
        "work": str(tmp_path / "w"),
        "scanners": {"semgrep": shelf("semgrep", tmp_path)},
    }
    bare = result("scanners", home=tmp_path / "home", cwd=tmp_path, wish=wish)
    assert (bare["outcome"], ".semgrep/" in bare["scanners"]["semgrep"]["detail"]) == ("error", True)
    assert scan("semgrep", {"a.py": EVAL, ".semgrep/broken.yml": "?"}, {})["detail"] == "invalid rule"


def test_semgrep_s_new_rule_makes_no_old_code_new(scan):
    answer = scan("semgrep", {"a.py": EVAL, ".semgrep/more.yml": "rules: []\n"}, {"a.py": EVAL})
    assert (answer["outcome"], answer["findings"][0]["rule"], answer["new"]) == ("success", "no-eval", 0)


REAL_RULES = """rules:
  - {id: no-eval, languages: [python], severity: ERROR, message: eval runs text as code, pattern: eval(...)}
  - {id: no-print, languages: [python], severity: INFO, message: say it to the log, pattern: print(...)}
"""


def test_the_real_semgrep_with_rules_of_the_repository(tmp_path):
    tool = scanner_tools.tools.scanner_folder(SHELF, "semgrep")
    if not (tool / "bin" / "semgrep").exists():
        pytest.skip(
            "THE REAL SEMGREP IS NOT INSTALLED HERE: python -m greenroom.checks.drivers.scanner_tools .tools/scanners"
            " install semgrep"
        )

    turns = iter(range(9))

    def scan(new, old=None, rules=REAL_RULES):
        wish = {"work": str(tmp_path / f"work{next(turns)}"), "scanners": {"semgrep": str(tool)}, "old": None}
        wish["new"] = str(archive(tmp_path / "new.tar", {".semgrep/own.yml": rules, **new}))
        if old is not None:
            wish["old"] = str(archive(tmp_path / "old.tar", old))
        return result("scanners", home=tmp_path / "home", cwd=tmp_path, wish=wish)["scanners"]["semgrep"]

    red = scan({"app/run.py": EVAL + "print(f(1))\n"}, {"app/run.py": SAFE})
    rows = [
        (row["rule"], row["path"], row["line"], row["column"], row["severity"], row["state"]) for row in red["findings"]
    ]
    assert (red["outcome"], red["version"]) == ("failure", "1.182.0"), red
    assert rows == [("no-eval", "app/run.py", 2, 12, 2, "new"), ("no-print", "app/run.py", 3, 1, 4, "new")]
    known = scan({"app/moved.py": "X = 1\n" + EVAL}, {"app/run.py": EVAL})
    assert (known["outcome"], known["new"], known["total"]) == ("success", 0, 1)
    silenced = scan({"app/run.py": EVAL.replace("(x)\n", "(x)  # nosemgrep\n", 2)}, {})
    assert (silenced["outcome"], silenced["suppressed"]) == ("success", 1)
    broken = scan({"app/run.py": EVAL}, {}, rules="rules: [{id: x}]\n")
    assert broken["outcome"] == "error", broken


def test_the_real_pip_audit_without_a_network_has_audited_nothing(scan, shelf, tmp_path):
    real = shelf("pip-audit", tmp_path)
    apart = next(
        (
            words
            for words in (["unshare", "-n"], ["unshare", "-rn"])
            if shutil.which("unshare") and not subprocess.run([*words, "true"], capture_output=True).returncode
        ),
        None,
    )
    if apart is None:
        pytest.skip("A PROCESS WITHOUT A NETWORK CANNOT BE MADE HERE")
    tool = program(tmp_path / "cut-off", f'#!/bin/sh\nexec {" ".join(apart)} {real}/bin/python "$@"\n')
    answer = scan("pip-audit", {"requirements.txt": "Django==3.2.0\n"}, {"requirements.txt": ""}, tool=tool)
    assert answer["outcome"] == "error"
    assert answer["detail"].startswith("not audited: "), answer


def test_the_real_pip_audit_is_never_green_about_a_package_with_known_holes(scan):
    answer = scan("pip-audit", {"requirements.txt": "Django==3.2.0\n"}, {"requirements.txt": ""})
    assert answer["outcome"] in ("failure", "error")
    assert answer["outcome"] == "failure" or answer["detail"].startswith("not audited: "), answer


AUDITED = {
    "dependencies": [
        {
            "name": "django",
            "version": "3.2.0",
            "vulns": [{"id": "PYSEC-2021-98", "fix_versions": ["3.2.4"], "aliases": ["CVE-2021-33203"]}],
        },
        {"name": "own-lib", "skip_reason": "Dependency not found on PyPI and could not be audited: own-lib (1.0)"},
    ],
    "fixes": [],
}


def test_a_vulnerable_package_is_a_finding_at_its_line_and_one_that_nobody_knows_is_told(scan, tmp_path):
    tool = program(tmp_path / "tool", f"#!/bin/sh\ncat <<'END'\n{json.dumps(AUDITED)}\nEND\nexit 1\n")
    answer = scan(
        "pip-audit",
        {"requirements.txt": "own_lib==1.0\nDjango==3.2.0 \\\n    --hash=sha256:aa\n"},
        {"requirements.txt": "x==1\n"},
        tool=tool,
    )
    finding = answer["findings"][0]
    assert (finding["rule"], finding["path"], finding["line"], finding["severity"]) == (
        "PYSEC-2021-98",
        "requirements.txt",
        2,
        2,
    )
    assert finding["message"] == "django 3.2.0 has a known vulnerability; fixed in 3.2.4"
    assert answer["note"] == "1 of 2 packages could not be audited: own-lib"


def test_an_advisory_that_came_later_is_not_this_push_s_fault(scan, tmp_path):
    tool = program(tmp_path / "tool", f"#!/bin/sh\ncat <<'END'\n{json.dumps(AUDITED)}\nEND\nexit 1\n")
    same = {"requirements.txt": "Django==3.2.0\n"}
    assert scan("pip-audit", {**same, "a.py": ""}, same, tool=tool)["outcome"] == "success"


@pytest.mark.parametrize(
    ("path", "text", "pins"),
    [
        ("requirements.txt", "# x\nA.b[extra]==1.0 ; python_version > '3'\n-r other.txt\nc>=2\n", [("A.b", "1.0", 2)]),
        ("uv.lock", 'version = 1\n\n[[package]]\nname = "django"\nversion = "5.2"\n', [("django", "5.2", 4)]),
        (
            "Pipfile.lock",
            '{\n "default": {\n  "django": {\n   "version": "==5.2"\n  }\n }\n}\n',
            [("django", "5.2", 3)],
        ),
    ],
)
def test_each_lock_is_understood(path, text, pins):
    assert pip_audit.pins(path, text) == pins


@pytest.mark.parametrize("files", [{}, {"requirements.txt": "django>=4\n"}, {"Pipfile.lock": "{"}])
def test_without_a_lock_that_fixes_versions_nothing_was_audited(files):
    from greenroom.checks.inside.scanners.kind import Sources

    with pytest.raises(ScanError):
        pip_audit.look("/nonexistent", Sources("/nonexistent", files, "/nonexistent"))


def test_an_unknown_scanner_cannot_be_installed(tmp_path):
    with pytest.raises(UserError, match="Unknown scanner"):
        scanner_tools.install(tmp_path, "pylint")
