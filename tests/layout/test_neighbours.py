"""The fixtures that mark tests as tests with real neighbours exist, and the selection finds them."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from tests.neighbours import FILES, FIXTURES, TESTS, needs_neighbours
from tests.source_trees import text

DEFINED = re.compile(r"@pytest\.fixture(?:\([^\n]*\))?\ndef (\w+)|@pytest\.fixture\([^\n]*name=\"(\w+)\"")
IMPORTED = re.compile(r"^from tests\.\S+ import (.+?)  # noqa: F401", re.MULTILINE)


def fixtures(folder: str) -> set[str]:
    """Those that a folder's files define or import, and those that its parents' conftest.py define."""
    files = [*(TESTS / folder).glob("*.py"), TESTS / "conftest.py"]
    found = {name for path in files for pair in DEFINED.findall(text(path)) for name in pair if name}
    return found | {
        name.strip() for path in files for names in IMPORTED.findall(text(path)) for name in names.split(",")
    }


def test_every_fixture_of_the_list_exists():
    assert {folder: names - fixtures(folder) for folder, names in FIXTURES.items() if names - fixtures(folder)} == {}


@pytest.mark.parametrize(
    ("file", "fixtures", "params", "needs"),
    [
        ("engine/test_life.py", ["machine"], {"machine": "root"}, True),
        ("contracts/engine/test_engine_contract.py", ["rig"], {"rig": "toy"}, True),
        ("contracts/engine/test_engine_contract.py", ["rig"], {"rig": "memory"}, False),
        ("git/test_push.py", ["home", "server"], {}, True),
        ("cli/test_target.py", ["server"], {}, False),
    ],
)
def test_a_test_needs_neighbours_by_its_fixtures(file, fixtures, params, needs):
    item = SimpleNamespace(path=TESTS / file, fixturenames=fixtures, callspec=SimpleNamespace(params=params))
    assert needs_neighbours(item) is needs


def test_every_file_of_the_list_exists():
    assert not [name for name in FILES if not (TESTS / name).exists()]
