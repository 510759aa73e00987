"""Writes docs/reference/buildpack-conformance.md: each rule of Heroku's buildpacks, and its tests.

conformance_rules.py contains the rules. A test names its rules with ``@pytest.mark.rule("5.3")``.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from conformance_rules import RULES, SECTIONS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "buildpack-conformance.md"


@cache
def markers() -> dict[str, list[tuple[str, str]]]:
    """rule -> [(test file, test)], from the markers in the test files."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "mark.rule" in text else ():
            for decorator in getattr(node, "decorator_list", []):
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.rule":
                    for word in decorator.args:
                        found[ast.literal_eval(word)].append((path.relative_to(ROOT).as_posix(), node.name))
    return found


def page() -> str:
    """The page's text."""
    held = markers()
    lines = [
        "# Conformance with Heroku's buildpacks",
        "",
        (
            "`python scripts/conformance.py` generates this page from the markers of the tests; a test keeps it up to"
            " date."
        ),
        (
            "The rules are those of heroku/heroku-buildpack-python v351 and of the platform around it, and in sections"
            " 15 and 16 those of the buildpacks for Node.js and apt. *Differs*: on purpose."
        ),
    ]
    for section, title in SECTIONS.items():
        lines += ["", f"## {section}. {title}", "", "| rule | Heroku | Greenroom | tested by |", "|--|--|--|--|"]
        for rule, (text, difference) in RULES.items():
            if rule.split(".")[0] == section:
                tests = "<br>".join(f"`{name}` ({path.removeprefix('tests/')})" for path, name in held.get(rule, []))
                lines.append(
                    f"| {rule} | {text} | {'differs: ' + difference if difference else 'the same'} | {tests or '-'} |"
                )
    count = sum(1 for rule in RULES if rule in held)
    return "\n".join([*lines, "", f"{count} of {len(RULES)} rules have a test.", ""])


if __name__ == "__main__":
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(ROOT)} written")
