"""Allowed entries of an Aptfile, the places of its packages, and the explanation of a failed apt-get."""

from __future__ import annotations

import io
import os
import sys
import urllib.request
from pathlib import Path

import pytest

from greenroom.buildpacks import inside
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import aptfile, buildpack_list
from greenroom.buildpacks.rules.dyno_environment import build_env, runtime_env
from greenroom.builds.drivers import apt_host, tools

sys.path.insert(0, str(Path(inside.__file__).parent))
import apt
import common

APT = buildpack_list.APT


@pytest.mark.rule("16.1")
def test_packages_urls_and_repositories_are_read_in_order():
    found = aptfile.read(
        b"# geo\nlibpq-dev\nlibgeos-c1v5 gdal-bin=3.6.2+dfsg-1\ncurl/bookworm\nlibssl3:i386\n\n"
        b"https://example.com/pool/tool_1.0_amd64.deb\n:repo:deb [trusted=yes] https://example.com/debian stable main\n"
    )
    assert found.packages == ("libpq-dev", "libgeos-c1v5", "gdal-bin=3.6.2+dfsg-1", "curl/bookworm", "libssl3:i386")
    assert found.debs == ("https://example.com/pool/tool_1.0_amd64.deb",)
    assert found.repositories == ("deb [trusted=yes] https://example.com/debian stable main",)


@pytest.mark.rule("16.1")
@pytest.mark.parametrize(
    "line",
    [
        b"--allow-unauthenticated",
        b"-o=Dir::Etc=/tmp",
        b"LibPQ",
        b"../x.deb",
        b"http://example.com/a.deb",
        b"file:///etc/passwd",
        b"https://example.com/a.tar",
        b":repo:deb http://example.com/debian stable main",
        b":repo:deb [trusted=yes] http://example.com/debian stable main",
        b":repo:deb https://example.com/debian stable main",
        b":repo:deb [trusted=yes] file:/etc stable main",
        b":repo:deb [trusted=yes signed-by=/x] https://example.com/debian stable main",
        b':repo:deb [trusted=yes] https://example.com/ stable "; Dir::Bin "',
        b"pkg;rm",
        b"\xff",
    ],
)
def test_an_option_a_path_and_what_nothing_vouches_for_are_refused_with_their_line(line):
    with pytest.raises(BuildError) as error:
        aptfile.read(b"libpq-dev\n" + line + b"\n")
    assert error.value.reason == "apt::invalid"
    assert "line 2" in error.value.message or "UTF-8" in error.value.message
    assert error.value.hint


def test_an_empty_aptfile_names_nothing():
    assert not aptfile.read(b"# nothing\n\n")


def test_an_aptfile_that_nothing_builds_is_pointed_out_in_one_line():
    lines = buildpack_list.unasked(["heroku/python"], ["Aptfile", "package.json"], [None])
    assert [line.partition(" ")[0] for line in lines] == ["package.json", "Aptfile"]
    assert "heroku buildpacks:add --index 1 heroku-community/apt" in lines[1]
    assert not buildpack_list.unasked([APT, "heroku/python"], ["Aptfile"], [None])


@pytest.mark.rule("16.3")
def test_dynos_find_the_packages_where_herokus_buildpack_puts_them():
    env = runtime_env(config={"LD_LIBRARY_PATH": "/app/own"}, process="web.1", parts={"apt"})
    assert env["PATH"].split(":")[:2] == ["/app/.heroku/python/bin", "/app/.apt/usr/bin"]
    assert env["LD_LIBRARY_PATH"].split(":")[0] == "/app/.heroku/python/lib"
    assert {"/app/.apt/usr/lib", "/app/own"} <= set(env["LD_LIBRARY_PATH"].split(":"))
    for name in ("CPATH", "LIBRARY_PATH", "PKG_CONFIG_PATH"):
        assert env[name].startswith("/app/.apt/")
        assert build_env(config={}, commit="x", parts={"apt"})[name] == env[name]
        assert name not in runtime_env(config={}, process="web.1")
    assert "LD_LIBRARY_PATH" not in runtime_env(config={}, process="web.1")


def test_a_failed_apt_get_is_explained():
    assert apt.explain("E: Unable to locate package libnosuch", 100)[0] == "apt::unknown-package"
    assert "libnosuch" in apt.explain("E: Unable to locate package libnosuch", 100)[1]
    assert apt.explain("E: Failed to fetch http://x/y.deb", 100)[0] == "apt::download"
    assert "exit code 3" in apt.explain("strange", 3)[1]


class Answer(io.BytesIO):
    """The response to a download, from an address."""

    def __init__(self, data: bytes, url: str) -> None:
        super().__init__(data)
        self.geturl = lambda: url


@pytest.mark.parametrize(
    ("url", "data", "words"),
    [
        ("https://example.com/a.deb", b"x" * 10, ""),
        ("http://example.com/a.deb", b"x", "without https"),
        ("https://example.com/a.deb", b"x" * 11, "larger than"),
    ],
)
def test_a_deb_file_is_fetched_over_https_only_and_up_to_a_limit(monkeypatch, tmp_path, url, data, words):
    monkeypatch.setattr(apt, "LARGEST", 10)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Answer(data, url))
    if not words:
        path = apt._fetch("https://example.com/a.deb", str(tmp_path / "a.deb"))
        assert Path(path).read_bytes() == data
        return
    with pytest.raises(common.Failed) as error:
        apt._fetch("https://example.com/a.deb", str(tmp_path / "a.deb"))
    assert error.value.reason == "apt::download"
    assert words in error.value.message


@pytest.mark.skipif(not apt_host.available(), reason="apt-get is not here: ITS COPIES ARE NOT TESTED")
def test_copies_of_the_hosts_package_lists_have_no_credentials_and_go_when_they_are_stale(tmp_path):
    old = tmp_path / tools.FOLDER / "apt-0123456789abcdef"
    old.mkdir(parents=True)
    os.utime(old, (0, 0))
    folder = tmp_path / tools.FOLDER / apt_host.folder(tmp_path)
    assert (folder / "status").is_file()
    assert not [path for path in folder.rglob("*") if "auth" in path.name]
    assert not old.exists()
    assert apt_host.folder(tmp_path) == folder.name


@pytest.mark.rule("16.3")
def test_links_and_config_scripts_lead_to_the_unpacked_files_or_to_the_host(tmp_path):
    lib, programs = tmp_path / "usr" / "lib", tmp_path / "usr" / "bin"
    lib.mkdir(parents=True)
    programs.mkdir()
    (lib / "liba.so.1").write_text("a")
    (lib / "liba.so").symlink_to("/usr/lib/liba.so.1")
    (lib / "os-here").symlink_to("../lib/os-release")
    (programs / "a-config").write_text("#!/usr/bin/sh\nprefix=/usr\necho -I/usr/include/a -L/usr/lib\n")
    (lib / "a.pc").write_text("prefix=/usr\nlibdir=/usr/lib/x\n")
    (programs / "plain").write_text("#!/bin/sh\necho /usr/lib\n")
    apt.adapt(str(tmp_path))
    assert (lib / "liba.so").resolve() == lib / "liba.so.1"
    assert (lib / "os-here").readlink() == Path("/usr/lib/os-release")
    assert (programs / "a-config").read_text() == (
        "#!/usr/bin/sh\nprefix=/app/.apt/usr\necho -I/app/.apt/usr/include/a -L/app/.apt/usr/lib\n"
    )
    assert (lib / "a.pc").read_text() == "prefix=/app/.apt/usr\nlibdir=/app/.apt/usr/lib/x\n"
    assert (programs / "plain").read_text() == "#!/bin/sh\necho /usr/lib\n"
