"""The conformance page matches the tests: each rule has a test, each marker names a rule, the page is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))
import conformance
from conformance_rules import RULES


def test_the_page_is_up_to_date():
    assert conformance.PAGE.read_text() == conformance.page(), "run: python scripts/conformance.py"


def test_every_marker_names_a_rule():
    assert set(conformance.markers()) <= set(RULES)


def test_every_rule_is_held_by_a_test():
    assert not set(RULES) - set(conformance.markers())
