"""Host commands by a user who does not own the installation exit with one line that names the owner's command."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from greenroom_cli.host import commands, processes


def called(*words: str) -> Result:
    result = CliRunner().invoke(commands.down, list(words), prog_name="down")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def foreign(place, sleeper, monkeypatch) -> Path:
    """A home with a host process that this user may not signal."""
    processes.start(place, sleeper("host"))

    def refuse(who, number):
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patch:
        patch.setattr(processes, "send_signal", refuse)
        yield place


@pytest.mark.parametrize(
    ("uid", "words"),
    [(0, "sudo greenroom down --home"), (1, f"sudo -u {pwd.getpwuid(1).pw_name} greenroom down --home")],
)
def test_down_by_a_user_who_may_not_end_the_processes_names_the_owners_command(foreign, monkeypatch, uid, words):
    real = Path.stat
    values = list(real(foreign))
    values[4] = uid
    monkeypatch.setattr(
        Path, "stat", lambda self, **more: os.stat_result(values) if self == foreign else real(self, **more)
    )
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    result = called("--home", str(foreign))
    assert result.exit_code == 1
    assert "Cannot signal the processes of the installation in " in result.stderr
    assert ": Operation not permitted. They belong to " in result.stderr
    assert f"hint: {words} {foreign}\n" in result.stderr
    assert "Greenroom is down" not in result.stderr
    assert processes.known(foreign, "host"), "it still runs"


def test_a_file_that_may_not_be_used_is_named(place, monkeypatch):
    def refuse(home, say):
        raise PermissionError(13, "Permission denied", f"{home}/run/x")

    monkeypatch.setattr("greenroom_cli.host.down.take_down", refuse)
    result = called("--home", str(place))
    assert result.exit_code == 1
    assert f"No access to {place}/run/x: Permission denied." in result.stderr
    assert "hint: greenroom doctor --home" in result.stderr
