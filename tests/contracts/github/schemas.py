"""Compares tests/api/github_schemas.json with GitHub's published OpenAPI description, or regenerates it with
``--write``.

First run ``tests/contracts/github/install.sh openapi``; it needs npm and 400 MB. The file contains the schemas of
statuses and check runs and all schemas they refer to, without descriptions and examples, and without ``pattern`` and
similar keywords, which the tests do not use.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent.parent
OURS = ROOT / "tests" / "api" / "github_schemas.json"
THEIRS = ROOT / ".tools/github-openapi/node_modules/@octokit/openapi/generated/api.github.com.json"
KEPT = {"type", "properties", "required", "nullable", "items", "enum", "anyOf", "oneOf", "allOf", "format", "$ref"}

LEFT_OUT = {"check-run": {"pull_requests", "deployment"}}
"""Properties that Greenroom never fills (an empty list, nothing), and that refer to other large schemas."""


def cut(schema: Any, found: set[str]) -> Any:
    """The schema reduced for the tests; the names that it refers to are added to ``found``."""
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "$ref":
            name = value.rpartition("/")[2]
            found.add(name)
            kept[key] = name
        elif key == "properties":
            kept[key] = {name: cut(part, found) for name, part in value.items()}
        elif key in ("anyOf", "oneOf", "allOf"):
            kept[key] = [cut(part, found) for part in value]
        elif key == "items":
            kept[key] = cut(value, found)
        elif key in KEPT:
            kept[key] = value
    return kept


def main(write: bool) -> int:
    """0 if both are equal; otherwise the names that differ are printed."""
    ours = json.loads(OURS.read_text())
    theirs = json.loads(THEIRS.read_text())["components"]["schemas"]
    fresh = {name: cut(theirs[name], set()) for name in ours["schemas"] if name in theirs}
    for name, properties in LEFT_OUT.items():
        for one in properties:
            fresh[name]["properties"].pop(one, None)
    different = [name for name in ours["schemas"] if fresh.get(name) != cut(ours["schemas"][name], set())]
    if write and different:
        ours["schemas"].update({name: fresh[name] for name in different if name in fresh})
        OURS.write_text(json.dumps(ours, indent=1, sort_keys=True) + "\n")
    print("\n".join(different) or f"the {len(fresh)} schemas are GitHub's")
    return 1 if different and not write else 0


if __name__ == "__main__":
    sys.exit(main("--write" in sys.argv[1:]))
