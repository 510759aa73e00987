"""Which buildpacks build an app, which Node.js and package manager, and what a failed npm, yarn or pnpm means."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from greenroom.buildpacks import inside
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import buildpack_list, node_packages, node_versions, pins
from greenroom.buildpacks.rules.dyno_environment import build_env, runtime_env
from greenroom.buildpacks.rules.node_versions import Node

sys.path.insert(0, str(Path(inside.__file__).parent))
import node_explain

HOST = [Node((20, 20, 2), "/usr/bin")]
OFFERED = [Node(version) for version in pins.node_requirements()]
NODE, PYTHON = buildpack_list.NODE, buildpack_list.PYTHON


def app_json(*urls: object) -> bytes:
    return json.dumps({"buildpacks": [{"url": url} for url in urls]}).encode()


@pytest.mark.rule("15.2")
def test_the_list_of_a_user_comes_before_that_of_app_json():
    declared = app_json("heroku/nodejs", "https://github.com/heroku/heroku-buildpack-python")
    assert buildpack_list.choose(None, declared).names == (NODE, PYTHON)
    assert buildpack_list.choose([PYTHON], declared).names == (PYTHON,)
    assert buildpack_list.choose([], declared).names == (NODE, PYTHON)
    assert buildpack_list.choose(None, None).names == (PYTHON,)


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b'{"buildpacks": {}}', b'{"buildpacks": [1, {"url": 2}, " "]}', b"[" * 99999]
)
def test_a_faulty_app_json_lists_no_buildpack(data):
    assert buildpack_list.choose(None, data).names == (PYTHON,)


def test_an_unknown_buildpack_of_app_json_is_named_and_python_is_always_there():
    chosen = buildpack_list.choose(None, app_json("https://github.com/someone/geo", "heroku/nodejs"))
    assert chosen.names == (NODE, PYTHON)
    assert "https://github.com/someone/geo" in chosen.warnings[0]


@pytest.mark.parametrize(
    ("urls", "word"),
    [
        (["heroku/ruby"], "heroku/ruby cannot be used"),
        (["heroku/nodejs"], "heroku/python must be one"),
        (["heroku/python", "heroku/python"], "exactly once"),
        (["heroku/python", "https://github.com/heroku/heroku-buildpack-nodejs.evil"], "cannot be used"),
    ],
)
def test_a_list_that_cannot_build_an_app_is_refused(urls, word):
    assert word in buildpack_list.problem(urls)


def test_a_list_without_python_has_a_remedy_that_works():
    hint = buildpack_list.remedy([NODE])
    assert hint == "heroku buildpacks:set heroku/python, then heroku buildpacks:add --index 1 heroku/nodejs"
    assert "bin/pre_compile" in buildpack_list.remedy(["heroku/ruby"])


def test_each_form_of_a_name_is_known():
    assert not buildpack_list.problem(
        ["urn:buildpack:heroku/nodejs", "https://github.com/heroku/heroku-buildpack-python.git"]
    )
    assert not buildpack_list.problem([])


def test_a_package_json_that_nothing_builds_is_pointed_out_in_one_line():
    [line] = buildpack_list.unasked([PYTHON], ["package.json", "app.py"], [None, None])
    assert "heroku buildpacks:add --index 1 heroku/nodejs" in line
    assert "\n" not in line
    assert not buildpack_list.unasked([NODE, PYTHON], ["package.json"], [None])
    assert not buildpack_list.unasked([PYTHON], ["app.py"], [None])
    assert not buildpack_list.unasked([PYTHON], ["package.json"], [b"#!/bin/sh\nnpm ci\n"])


@pytest.mark.rule("15.3")
@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        ("", "20.20.2"),
        ("20.x", "20.20.2"),
        ("20", "20.20.2"),
        ("v20.20.2", "20.20.2"),
        (">=18", "20.20.2"),
        (">= 18 < 21", "20.20.2"),
        ("18 - 20", "20.20.2"),
        ("^20.1.0", "20.20.2"),
        ("~20.20", "20.20.2"),
        ("18 || 22", "22.20.0"),
        ("22.x", "22.20.0"),
        (">20", "22.20.0"),
        (">=24.0.0", "24.19.0"),
        ("<=22", "20.20.2"),
        ("lts/*", "20.20.2"),
    ],
)
def test_engines_node_is_a_range_of_npm_and_the_host_comes_first(wanted, version):
    got = node_versions.choose(wanted, HOST, [one for one in OFFERED if one.version[0] != 24 or "24" in wanted])
    assert (got.node.text, got.warning) == (version, "")


def test_an_exact_version_that_is_not_there_gives_its_major_one_with_a_warning():
    got = node_versions.choose("22.3.1", HOST, OFFERED)
    assert got.node.text == "22.20.0"
    assert "22.3.1" in got.warning


@pytest.mark.parametrize("wanted", ["16.x", "<18", ">=99", "21.4.0", ">=25 <25"])
def test_a_version_that_nobody_has_is_refused_with_those_that_are_there(wanted):
    with pytest.raises(BuildError) as error:
        node_versions.choose(wanted, HOST, OFFERED)
    assert error.value.reason == "nodejs::engines"
    for node in (*HOST, *OFFERED):
        assert node.text in error.value.message
    assert '"node": "24.x"' in error.value.hint


@pytest.mark.parametrize("wanted", ["twenty", "20.x.y.z", ">=", "20 ||| 22", "1" * 300, "^" * 50])
def test_what_is_no_range_is_refused(wanted):
    with pytest.raises(BuildError) as error:
        node_versions.choose(wanted, HOST, OFFERED)
    assert "is not a range" in error.value.message


def test_without_any_node_the_operator_is_named():
    with pytest.raises(BuildError) as error:
        node_versions.choose("", [], [])
    assert error.value.reason == "nodejs::not-here"


def packages(package: object, **files: bytes) -> node_packages.Packages:
    tree = {
        "package.json": json.dumps(package).encode(),
        **{name.replace("__", ".").replace("_", "-"): data for name, data in files.items()},
    }
    return node_packages.read(tree, tree.get)


@pytest.mark.rule("15.4")
def test_the_lock_file_decides_the_package_manager():
    assert packages({}, package_lock__json=b"{}").manager == "npm"
    assert packages({}, yarn__lock=b"# yarn lockfile v1\n").tool == "yarn"
    assert packages({}, pnpm_lock__yaml=b"lockfileVersion: '9.0'\n").tool == "pnpm-10"
    assert packages({"packageManager": "pnpm@9.1.0"}, pnpm_lock__yaml=b"lockfileVersion: '9.0'\n").tool == "pnpm-9"
    assert packages({}, pnpm_lock__yaml=b"lockfileVersion: 6.0\n").tool == "pnpm-8"


def test_without_a_lock_file_package_manager_decides_and_the_push_warns():
    found = packages({"packageManager": "yarn@1.22.22+sha1.x", "engines": {"node": "20.x"}})
    assert (found.manager, found.lock, found.engines) == ("yarn", "", "20.x")
    assert "no lock file" in found.warnings[0]
    assert packages({}).manager == "npm"


@pytest.mark.rule("15.4", "15.10")
@pytest.mark.parametrize(
    ("package", "files", "reason"),
    [
        ({}, {"package_lock__json": b"{}", "yarn__lock": b""}, "nodejs::two-lockfiles"),
        ({}, {"yarn__lock": b"__metadata:\n  version: 8\n"}, "nodejs::yarn-version"),
        ({"packageManager": "yarn@4.1.0"}, {}, "nodejs::yarn-version"),
        ({}, {"pnpm_lock__yaml": b"lockfileVersion: 5.4\n"}, "nodejs::pnpm-version"),
        ([], {}, "nodejs::invalid-package-json"),
        ({"engines": {"node": 20}}, {}, "nodejs::invalid-package-json"),
        ({"scripts": []}, {}, "nodejs::invalid-package-json"),
    ],
)
def test_what_cannot_be_built_is_refused_with_a_remedy(package, files, reason):
    with pytest.raises(BuildError) as error:
        packages(package, **files)
    assert error.value.reason == reason
    assert error.value.hint


def test_a_missing_or_broken_package_json_is_refused():
    for tree in ({}, {"package.json": b"{"}, {"package.json": b"\xff\xfe"}):
        with pytest.raises(BuildError):
            node_packages.read(tree, tree.get)


@pytest.mark.rule("15.10")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "npm error `npm ci` can only install packages when your package.json and package-lock.json are in sync",
            "npm install",
        ),
        ("npm error code EINTEGRITY", "locked hash"),
        ("npm error code E401\nnpm error 401 Unauthorized", "NPM_TOKEN"),
        ("npm error Failed to replace env in config: ${CORP_TOKEN}", "builds:vars:add CORP_TOKEN"),
        ("npm error code ENOTFOUND", "npm registry"),
        ("npm error 404 Not Found - GET http://r.example/nosuch-thing - not found", "nosuch-thing"),
        ("gyp ERR! stack Error: `gyp` failed with exit code: 1", "node-gyp"),
        ("something else", "something else"),
    ],
)
def test_a_failed_installation_is_explained(text, words):
    message, hint = node_explain.installer("npm", text, 1)
    assert words in f"{message} {hint}"
    assert hint


def test_a_failed_script_names_the_missing_program_or_its_last_lines():
    assert "webpack was not found" in node_explain.script("build", "sh: 1: webpack: not found", 127)[0]
    assert "vite is missing" in node_explain.script("build", "Error: Cannot find module 'vite'", 1)[0]
    assert "--max-old-space-size" in node_explain.script("build", "FATAL ERROR: JavaScript heap out of memory", 134)[1]
    assert "boom" in node_explain.script("build", "boom", 3)[0]


@pytest.mark.rule("15.8")
def test_node_and_the_apps_programs_are_on_the_path_of_apps_that_have_it():
    assert runtime_env(config={}, process="web.1", parts={"node"})["PATH"] == (
        "/app/.heroku/python/bin:/app/.heroku/node/bin:/usr/local/bin:/usr/bin:/bin:/app/node_modules/.bin"
    )
    assert "node" not in runtime_env(config={}, process="web.1")["PATH"]
    assert runtime_env(config={}, process="web.1", parts={"node"})["NODE_ENV"] == "production"
    assert runtime_env(config={"NODE_ENV": "staging"}, process="web.1", parts={"node"})["NODE_ENV"] == "staging"
    assert "/app/mine" in runtime_env(config={"PATH": "/app/mine"}, process="web.1", parts={"node"})["PATH"].split(":")
    assert "/app/.heroku/node/bin" in build_env(config={}, commit="x", parts={"node"})["PATH"]
    assert "NODE_ENV" not in runtime_env(config={}, process="web.1")
