"""Tests of the doctor's row about compilers and headers."""

from __future__ import annotations

from greenroom_cli.host import build_headers, doctor


def host(include, *, without=""):
    """The include folder of a host with all headers but one, each in another usual place."""
    for number, header in enumerate(build_headers.HEADERS):
        if header != without:
            path = include / ("x86_64-linux-gnu" if number % 2 else "") / build_headers.BELOW[number % 5] / header
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    return include


def test_headers_are_found_in_each_usual_place_and_missing_ones_are_named_by_their_package(tmp_path):
    assert build_headers.missing(host(tmp_path / "a"), which=lambda name: f"/usr/bin/{name}") == []
    found = build_headers.missing(host(tmp_path / "b", without="mysql.h"), which=lambda name: None)
    assert found == ["build-essential", "default-libmysqlclient-dev"]
    assert len(build_headers.missing(tmp_path / "empty")) >= len(build_headers.HEADERS)


def test_doctor_warns_with_one_command_for_all_that_is_missing(monkeypatch):
    monkeypatch.setattr(build_headers, "missing", lambda: ["libpq-dev", "libffi-dev"])
    row = doctor._headers()
    assert (row.name, row.level) == ("headers", "warn")
    assert "apt-get install libpq-dev libffi-dev" in row.remedy
    monkeypatch.setattr(build_headers, "missing", list)
    assert doctor._headers().level == "ok"
