"""Errors that ``greenroom up`` reports before it changes anything: one line each, with the next step."""

from __future__ import annotations

import os
import shutil
import sys
from collections import namedtuple

import pytest

from greenroom_cli.host import home as homes
from greenroom_cli.host import up
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation

Usage = namedtuple("Usage", "total used free")


def refused(home) -> HostError:
    with pytest.raises(HostError) as caught:
        up.check(home, Installation())
    assert "\n" not in caught.value.message
    assert caught.value.hint
    assert not home.exists()
    return caught.value


def test_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Usage(10**12, 10**12, 12_000_000))
    assert "12 MB free; Greenroom needs 500 MB" in refused(tmp_path / "deep" / "home").message


def test_a_python_that_is_too_old(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    assert "needs Python 3.11 or newer" in refused(tmp_path / "home").message


def test_another_operating_system(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "runs on Linux" in refused(tmp_path / "home").message


def test_a_place_that_cannot_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    assert "is not writable" in refused(tmp_path / "home").message


def test_a_home_of_another_mode_or_with_a_broken_file(tmp_path, monkeypatch):
    homes.write(tmp_path, Installation(mode="root" if os.geteuid() else "development"))
    with pytest.raises(HostError, match="was created by"):
        homes.settle(tmp_path, None, None, None)
    (tmp_path / homes.FILE).write_text("{")
    with pytest.raises(HostError, match="is not valid JSON"):
        homes.settle(tmp_path, None, None, None)


def test_the_database_of_an_installation_does_not_change_silently(tmp_path, monkeypatch):
    mode = "development" if os.geteuid() else "root"
    homes.write(tmp_path, Installation(mode=mode, postgres="embedded"))
    monkeypatch.setenv("DATABASE_URL", "postgres://u:p@db.example.com/x")
    with pytest.raises(HostError, match="uses the embedded"):
        homes.settle(tmp_path, None, None, None)
    homes.write(tmp_path, Installation(mode=mode, postgres="external"))
    assert homes.settle(tmp_path, None, None, None).postgres == "external"
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(HostError, match="uses an external"):
        homes.settle(tmp_path, None, None, None)


def test_ports_follow_the_api_port(tmp_path):
    install = homes.settle(tmp_path, 7100, None, None)
    assert (install.tls_port, install.rendezvous_port, install.pg_port) == (7101, 7102, 7103)
    assert (install.http_port, install.https_port) == (8080, 8443)
