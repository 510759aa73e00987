"""server:install as a plan: the files that it writes, what a second run does, and what systemd says about the units."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from click.testing import CliRunner

from greenroom_cli.host import home as homes
from greenroom_cli.host import users
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.names import Asked
from greenroom_cli.host.server import acts, install, units
from greenroom_cli.main import cli

PROGRAM = Path(sys.executable).parent / "greenroom"
ASKED = Asked(domain="staging.example.org", email="ops@example.org")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it makes a server installation")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without systemd whose /etc is in the test's folder."""
    for name in ("UNITS", "ENVIRONMENT", "PROFILE"):
        monkeypatch.setattr(units, name, tmp_path / "etc" / getattr(units, name).relative_to("/etc"))
    monkeypatch.setattr(acts, "RUNNING", tmp_path / "none")
    monkeypatch.setattr(users, "find", lambda name: True)
    return tmp_path


def plan(home: Path, asked: Asked = ASKED) -> list[acts.Act]:
    return install.plan(home, install.settled(home, asked, (None, None, None)), asked)


@needs_root
def test_a_dry_run_prints_all_acts_and_changes_nothing(machine):
    said: list[str] = []
    count = acts.carry_out(plan(machine / "home"), dry=True, say=said.append)
    assert count == len([line for line in said if "would" in line]) > 3
    assert sorted(path.name for path in machine.iterdir()) == []


@needs_root
def test_a_second_run_does_nothing_and_a_changed_domain_is_one_act(machine):
    home = machine / "home"
    acts.carry_out(plan(home), dry=False, say=print)
    assert homes.read(home).http_port == 80
    assert homes.read(home).certificates == "acme"
    assert not [act.text for act in plan(home, Asked()) if act.needed]
    changed = [act.text for act in plan(home, Asked(domain="other.example.org")) if act.needed]
    assert len(changed) == 1
    assert "other.example.org" in changed[0]


@needs_root
def test_the_settings_file_of_the_administrators_is_kept(machine):
    acts.carry_out(plan(machine / "home"), dry=False, say=print)
    assert units.ENVIRONMENT.stat().st_mode & 0o777 == 0o600
    units.ENVIRONMENT.write_text("GREENROOM_ACCOUNT_APPS=7\n")
    acts.carry_out(plan(machine / "home"), dry=False, say=print)
    assert units.ENVIRONMENT.read_text() == "GREENROOM_ACCOUNT_APPS=7\n"


def test_the_settings_file_is_read_as_by_systemd_and_the_shell_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "environ", {"GREENROOM_LFS_MB": "1"})
    (tmp_path / "environment").write_text('# A\nGREENROOM_LFS_MB=2\nGREENROOM_PRIVATE_EGRESS="10.0.0.0/8 fd00::/8"\n')
    install.read_environment(tmp_path / "environment")
    assert os.environ == {"GREENROOM_LFS_MB": "1", "GREENROOM_PRIVATE_EGRESS": "10.0.0.0/8 fd00::/8"}
    (tmp_path / "environment").write_text('A="open\n')
    with pytest.raises(HostError, match="line 1"):
        install.read_environment(tmp_path / "environment")


@needs_root
def test_uninstall_keeps_the_data_and_purge_removes_it_but_not_the_files_of_the_machine(machine):
    home = machine / "home"
    acts.carry_out(plan(home), dry=False, say=print)
    (home / "users.lock").touch()
    acts.carry_out(install.removal(home, purge=False), dry=False, say=print)
    assert homes.read(home) is not None
    assert not list(units.UNITS.iterdir())
    acts.carry_out(install.removal(home, purge=True), dry=False, say=print)
    assert [path.name for path in home.iterdir()] == ["users.lock"]
    assert not units.ENVIRONMENT.exists()


@needs_root
def test_purge_refuses_a_folder_that_is_no_home(machine):
    (machine / "project" / "run").mkdir(parents=True)
    with pytest.raises(HostError, match=r"no installation\.json"):
        install.removal(machine / "project", purge=True)


@needs_root
@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["server:install", "--email", "ops@example.org"], "--domain is missing"),
        (["server:install", "--domain", "staging.example.org"], "--email is missing"),
        (["server:check"], "There is no installation"),
    ],
)
def test_what_is_missing_is_said_in_one_line(machine, words, part):
    result = CliRunner().invoke(cli.get_command(None, words[0]), [*words[1:], "--home", str(machine / "home")])
    assert result.exit_code == 1
    assert part in result.output


def test_systemd_finds_no_fault_in_any_unit(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        warnings.warn("systemd-analyze is missing (apt-get install systemd): THE UNITS ARE NOT VERIFIED", stacklevel=1)
        pytest.skip("systemd-analyze is missing: the units are not verified")
    rows = units.files(Path("/var/lib/greenroom"), PROGRAM, backup=True)
    paths = []
    for path, text in rows.items():
        if path.parent == units.UNITS:
            paths.append(tmp_path / path.name)
            paths[-1].write_text(text)
    assert len(paths) == 4
    result = subprocess.run([program, "verify", *map(str, paths)], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_path_with_blanks_and_percent_signs_stays_one_word_of_a_unit():
    texts = units.files(Path("/srv/100% green room"), PROGRAM, backup=False)
    line = next(line for line in texts[units.UNITS / units.SERVICE].splitlines() if line.startswith("ExecStart="))
    assert line.endswith(' up --home "/srv/100%% green room"')
    assert shlex.quote("/srv/100% green room") in texts[units.PROFILE]
    assert "shutdown" in texts[units.UNITS / units.SERVICE]
