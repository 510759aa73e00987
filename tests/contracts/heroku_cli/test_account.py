"""Tests of the unmodified Heroku CLI's commands about the user's own account: SSH keys."""

from __future__ import annotations

import re
import subprocess

import pytest

pytestmark = pytest.mark.story


def keys(app):
    return app.place.api("GET", "/account/keys")[1]


@pytest.fixture
def pair(tmp_path):
    """Two key pairs; the paths of the private keys."""
    paths = [tmp_path / "laptop", tmp_path / "desk"]
    for path in paths:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"anton@{path.name}", "-f", str(path)], check=True
        )
    return paths


def test_keys_are_added_listed_removed_and_cleared(app, pair):
    laptop, desk = pair
    assert "You have no SSH keys" in app.cli("heroku keys")
    said = app.cli(f"heroku keys:add {laptop}.pub")
    assert "use HTTPS with your" in " ".join(re.findall(r"[\w:,]+", said))
    app.cli(f"heroku keys:add {desk}.pub")
    assert [row["comment"] for row in keys(app)] == ["anton@laptop", "anton@desk"]
    assert "anton@laptop" in app.cli("heroku keys")
    assert laptop.with_suffix(".pub").read_text().strip() in app.cli("heroku keys --long")
    assert "Fingerprint already exists" in app.cli(f"heroku keys:add {desk}.pub", code=2)
    app.cli("heroku keys:remove anton@laptop")
    assert [row["comment"] for row in keys(app)] == ["anton@desk"]
    app.cli("heroku keys:clear")
    assert keys(app) == []


def test_the_key_of_the_home_is_found_and_a_private_one_refused(app, pair):
    laptop = pair[0]
    folder = app.cli.home / ".ssh"
    folder.mkdir(mode=0o700)
    folder.joinpath("id_ed25519.pub").write_text(laptop.with_suffix(".pub").read_text())
    app.cli("heroku keys:add --yes")
    assert [row["comment"] for row in keys(app)] == ["anton@laptop"]
    said = app.cli(f"heroku keys:add {laptop}", code=2)
    assert "This is a private key" in said
    assert len(keys(app)) == 1
    app.cli("heroku keys:clear")
