"""The page of greenroom.toml names every key that the reader takes, and its example is read without an error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from greenroom.buildpacks.rules import app_files, gate_settings, job_settings

PAGE = (Path(__file__).parent.parent.parent / "docs" / "reference" / "greenroom-toml.md").read_text()
KEYS = {
    *app_files.SETTINGS,
    *app_files.POLICY,
    *gate_settings.SCAN,
    *gate_settings.LIMITS,
    *job_settings.KEYS,
    "quarantine",
}
TABLES = {"policy", "scan", "tests", "jobs"}


@pytest.mark.parametrize("key", sorted(KEYS - TABLES))
def test_every_key_has_a_row(key):
    assert re.search(rf"^\| `{key}` \|", PAGE, re.MULTILINE)


def test_every_row_is_a_key():
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == KEYS - TABLES


def test_the_example_is_allowed():
    example = re.search(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert example
    settings = app_files.read_settings(example[1].encode())
    assert settings["health_path"] == "/healthz"
    assert settings["tests"]["quarantine"][0]["owner"] == "alice@example.com"
