"""``make test`` announces the installation of a browser, and installs none where that is forbidden."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))
import chromium


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """A system without a browser. The folder of its programs."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("CHROMIUM", "GREENROOM_TEST_INSTALL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(chromium, "_download", lambda tools: print("(a download)"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    return tmp_path / "bin"


def program(folder, name, text=""):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_an_installed_browser_is_used_as_it_is(bare, tmp_path, capsys):
    path = program(bare, "google-chrome")
    assert (chromium.get(tmp_path), capsys.readouterr().out) == (path, "")


def test_the_variable_names_one(bare, tmp_path, monkeypatch):
    program(bare, "chromium")
    path = program(tmp_path, "mine")
    monkeypatch.setenv("CHROMIUM", path)
    assert chromium.get(tmp_path) == path
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "none"))
    with pytest.raises(SystemExit, match="not an executable"):
        chromium.get(tmp_path)


def test_what_an_earlier_run_downloaded_is_used_once_it_is_complete(bare, tmp_path):
    folder = tmp_path / "browsers" / "chromium-1"
    (folder / "chrome-linux64").mkdir(parents=True)
    path = program(folder / "chrome-linux64", "chrome")
    assert chromium.find(tmp_path) == ""
    (folder / "INSTALLATION_COMPLETE").touch()
    assert chromium.find(tmp_path) == path


def test_nothing_is_installed_where_that_is_forbidden(bare, tmp_path, monkeypatch, capsys):
    program(bare, "apt-get", f"/bin/touch {tmp_path}/called")
    monkeypatch.setenv("GREENROOM_TEST_INSTALL", "no")
    assert chromium.get(tmp_path) == ""
    assert "BROWSER TESTS ARE SKIPPED" in capsys.readouterr().out
    assert not (tmp_path / "called").exists()


def test_root_is_told_what_is_installed_before_it_is(bare, tmp_path, monkeypatch, capsys):
    program(bare, "apt-get", f"/bin/cp $0 {bare}/chromium")
    said = []
    monkeypatch.setattr(chromium, "_say", lambda *lines: said.append(((bare / "chromium").exists(), *lines)))
    assert chromium.get(tmp_path) == str(bare / "chromium")
    ((before, first, *_),) = said
    assert not before
    assert "Installing the package chromium" in first


def test_without_root_only_a_download_into_the_checkout_is_tried(bare, tmp_path, monkeypatch, capsys):
    program(bare, "apt-get", f"/bin/touch {tmp_path}/called")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert chromium.get(tmp_path) == ""
    assert "(a download)" in capsys.readouterr().out
    assert not (tmp_path / "called").exists()


def test_a_failed_installation_shows_its_output_and_leads_to_a_download(bare, tmp_path, capsys):
    program(bare, "apt-get", "echo E: no such package; exit 100")
    assert chromium.get(tmp_path) == ""
    out = capsys.readouterr().out
    assert "exit code 100:\nE: no such package" in out
    assert out.index("E: no such") < out.index("(a download)") < out.index("SKIPPED")
