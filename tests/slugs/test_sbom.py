"""Tests of a slug's bill of materials: its components, and identical text for the same slug."""

from __future__ import annotations

import json

import pytest

from greenroom.buildpacks.rules.lock_hashes import hashes
from greenroom.slugs.rules import cyclonedx

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
MANIFEST = {
    "commit": "a" * 40,
    "tree": "t",
    "python_version": "3.12.4",
    "tools": {"uv": "0.9", "poetry": "2.4.1"},
    "packages": {
        "six": {"version": "1.16.0", "size": 10, "record": "r", "hashes": [ONE, TWO]},
        "attrs": {"version": "25.1", "size": 20, "record": "", "hashes": [ONE]},
    },
}


def make(**changes):
    return cyclonedx(app="shop", digest="d" * 64, created="2026-11-23T09:00:00Z", manifest={**MANIFEST, **changes})


def problem(bill: dict) -> object:
    """The errors found by CycloneDX's own schema. The validator is imported here, as the import takes seconds."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"packages": {}},
        {"tools": {}},
        {"tree": "", "python_version": ""},
        {"packages": {"a-b": {"version": "1!2.0+local.1", "size": 0, "record": "", "hashes": ["sha384:" + "3" * 96]}}},
    ],
)
def test_the_document_is_valid_by_the_schema_of_cyclonedx(changes):
    assert problem(make(**changes)) is None
    assert problem({**make(), "components": [{"name": "six"}]}) is not None


def test_each_package_is_a_component_with_its_purl_and_its_one_hash():
    found = {component["name"]: component for component in make()["components"]}
    assert found["attrs"]["purl"] == "pkg:pypi/attrs@25.1"
    assert found["attrs"]["hashes"] == [{"alg": "SHA-256", "content": "1" * 64}]
    assert found["cpython"]["version"] == "3.12.4"


def test_where_the_lock_allows_several_files_none_of_their_hashes_is_claimed():
    six = next(component for component in make()["components"] if component["name"] == "six")
    assert "hashes" not in six
    assert {"name": "greenroom:allowed-sha256", "value": "2" * 64} in six["properties"]


def test_the_document_refers_to_itself_rightly_and_is_the_same_each_time():
    document = make()
    refs = {component["bom-ref"] for component in document["components"]}
    assert set(document["dependencies"][0]["dependsOn"]) == refs
    assert document["metadata"]["component"]["hashes"][0]["content"] == "d" * 64
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert json.dumps(make()) == json.dumps(document)
    assert make(commit="b" * 40)["serialNumber"] != document["serialNumber"]


def test_the_hashes_of_each_kind_of_lock_are_read():
    assert hashes("pip", f"six==1.16.0 --hash={ONE} --hash={TWO}\n") == {("six", "1.16.0"): [ONE, TWO]}
    assert hashes("pip", f"Foo_Bar[x]==2 ; python_version > '3' --hash={ONE}\n")[("foo-bar", "2")] == [ONE]
    pipfile = {"default": {"six": {"version": "==1.16.0", "hashes": [TWO, ONE]}}}
    assert hashes("pipenv", json.dumps(pipfile)) == {("six", "1.16.0"): [ONE, TWO]}
    poetry = f"[[package]]\nname = 'Six'\nversion = '1.16.0'\nfiles = [{{file = 'a', hash = '{ONE}'}}]\n"
    assert hashes("poetry", poetry) == {("six", "1.16.0"): [ONE]}
    uv = (
        f"[[package]]\nname = 'six'\nversion = '1.16.0'\nsdist = {{ hash = '{TWO}' }}\nwheels = [{{ hash = '{ONE}'"
        " }]\n"
    )
    assert hashes("uv", uv) == {("six", "1.16.0"): [ONE, TWO]}


def test_a_lock_that_cannot_be_read_gives_no_hashes():
    for manager in ("pip", "uv", "pipenv", "poetry"):
        assert hashes(manager, "[[[ {") == {}
    assert hashes("pipenv", '{"default": {"six": null}}') == {}
