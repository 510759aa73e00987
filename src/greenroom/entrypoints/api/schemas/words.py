"""Converts the short declarations of shapes to JSON Schema 2020-12. A shape is declared once; routes refer to it by
name.

``declare("domain", "A host name.", {"id": "uuid", "hostname": "text", "cname": "text?", "app": "#named"})``

A value is one of WORDS, ``a|b|c`` for one of these strings, ``#name`` for another shape, ``[value]`` for a list, or a
dict for an object. A ``?`` at its end makes it nullable; a ``?`` before a key makes the key optional (mostly in request
bodies).
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

WORDS: dict[str, Schema] = {
    "text": {"type": "string"},
    "name": {"type": "string", "minLength": 1},
    "integer": {"type": "integer"},
    "count": {"type": "integer", "minimum": 0},
    "seconds": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "true": {"const": True},
    "uuid": {"type": "string", "format": "uuid"},
    "moment": {"type": "string", "format": "date-time"},
    "email": {"type": "string", "minLength": 1},
    "sha": {"type": "string", "pattern": "^[0-9a-f]{40}$"},
    "any": {},
    "object": {"type": "object", "additionalProperties": True},
    "strings": {"type": "object", "additionalProperties": {"type": "string"}},
    "nullable-strings": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
    "null": {"type": "null"},
}
"""word -> schema. strings: an object with string values, such as config vars."""

SHAPES: dict[str, Schema] = {}
"""name -> schema of each declared shape: the components of the OpenAPI document."""


def declare(name: str, about: str, value: Any) -> None:
    """Add a shape. Raises ValueError for a duplicate name."""
    if name in SHAPES:
        raise ValueError(f"the shape {name!r} is declared twice")
    SHAPES[name] = {"description": about, **schema(value)}


def schema(value: Any) -> Schema:
    """The JSON schema of a declared value. Raises ValueError for an unknown word."""
    if isinstance(value, dict):
        fields = {key.removeprefix("?"): schema(field) for key, field in value.items()}
        needed = [key for key in value if not key.startswith("?")]
        return {"type": "object", "properties": fields, **({"required": needed} if needed else {})}
    if isinstance(value, list):
        return {"anyOf": [schema(item) for item in value]}
    if value.startswith("[") and value.endswith("]"):
        return {"type": "array", "items": schema(value[1:-1])}
    if value.endswith("?"):
        return _or_null(schema(value[:-1]))
    if value.startswith("#"):
        return {"$ref": f"#/components/schemas/{value[1:]}"}
    if "|" in value:
        return {"type": "string", "enum": value.split("|")}
    if value not in WORDS:
        raise ValueError(f"unknown schema word {value!r}: use one of {', '.join(WORDS)}, #shape, [list] or a|b")
    return dict(WORDS[value])


def _or_null(found: Schema) -> Schema:
    if isinstance(found.get("type"), str) and "enum" not in found:
        return {**found, "type": [found["type"], "null"]}
    return {"anyOf": [found, {"type": "null"}]}
