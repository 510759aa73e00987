"""The glossary lists each term once and each table of the control plane once."""

from __future__ import annotations

import re
from collections import Counter

from django.apps import apps

from tests.layout.pages import ROOT

ROWS = re.findall(r"^\| ([^|]+?) \|(?: `(\w+)`)? \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
TERMS = [term.removesuffix(" *") for term, _ in ROWS if term not in ("term", "--")]
TABLES = [table for _, table in ROWS if table]


def models() -> list[str]:
    return [model.__name__ for model in apps.get_models() if model.__module__.startswith("greenroom.")]


def test_every_table_is_listed_once():
    assert sorted(TABLES) == sorted(models())


def test_no_two_tables_share_a_name():
    assert not [name for name, count in Counter(models()).items() if count > 1]


def test_every_term_is_listed_once_and_in_order():
    assert sorted({term.lower() for term in TERMS}) == [term.lower() for term in TERMS]
