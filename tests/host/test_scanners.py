"""Tests of ``greenroom scanners``: available and installed scanners, and an error that lists the available ones."""

from __future__ import annotations

import pytest

from greenroom_cli.host import scanners
from greenroom_cli.host.errors import HostError


@pytest.mark.neighbours
def test_the_scanners_are_listed_with_their_pins_and_an_unknown_one_is_refused(tmp_path):
    rows = {row["name"]: row for row in scanners.listed(tmp_path)}
    assert rows["bandit"] == {"name": "bandit", "requirement": "bandit==1.9.4", "installed": False}
    (tmp_path / "cache/scanners/bandit/bin").mkdir(parents=True)
    (tmp_path / "cache/scanners/bandit/bin/python").write_text("")
    assert {row["name"]: row for row in scanners.listed(tmp_path)}["bandit"]["installed"] is True
    with pytest.raises(HostError) as caught:
        scanners.install(tmp_path, "pylint")
    assert (caught.value.message, caught.value.hint) == (
        "Unknown scanner pylint. Available: bandit, djlint, pip-audit, semgrep.",
        "greenroom scanners",
    )
