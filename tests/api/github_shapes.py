"""Checks a value against GitHub's published OpenAPI schemas. ``github_schemas.json`` contains those in use."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

SCHEMAS = json.loads((Path(__file__).parent / "github_schemas.json").read_text())["schemas"]
TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "number": (int, float)}
FORMATS = {"date-time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "uri": r"https?://\S+"}


def problems(value: Any, schema: str | dict[str, Any], at: str = "") -> list[str]:
    """The differences between the value and the schema (a name or the schema itself). Empty if there are none."""
    rule = {"$ref": schema} if isinstance(schema, str) else schema
    if "$ref" in rule:
        rule = SCHEMAS[rule["$ref"]]
    if value is None and rule.get("nullable"):
        return []
    for word in ("anyOf", "oneOf"):
        if word in rule and all(problems(value, part, at) for part in rule[word]):
            return [f"{at}: none of {word}"]
    found = [text for part in rule.get("allOf", []) for text in problems(value, part, at)]
    kind = rule.get("type")
    if kind and (not isinstance(value, TYPES[kind]) or (kind != "boolean" and isinstance(value, bool))):
        return [f"{at}: {value!r} is no {kind}"]
    if "enum" in rule and value not in rule["enum"]:
        found.append(f"{at}: {value!r} is none of {rule['enum']}")
    form = FORMATS.get(rule.get("format", ""))
    if form and not re.fullmatch(form, value):
        found.append(f"{at}: {value!r} is no {rule['format']}")
    if kind == "object":
        found += [f"{at}.{name} is missing" for name in rule.get("required", []) if name not in value]
        found += [
            text
            for name, part in rule.get("properties", {}).items()
            if name in value
            for text in problems(value[name], part, f"{at}.{name}")
        ]
    if kind == "array" and "items" in rule:
        found += [text for index, item in enumerate(value) for text in problems(item, rule["items"], f"{at}[{index}]")]
    return found
