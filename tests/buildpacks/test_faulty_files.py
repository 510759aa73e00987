"""Files of a commit that PostgreSQL cannot store, or with values for reserved names: refused with the location and a
remedy.
"""

from __future__ import annotations

import json

import pytest

from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.inside import explain
from greenroom.buildpacks.rules import plan
from greenroom.buildpacks.rules.app_files import read_app_json, read_procfile, read_settings
from greenroom.buildpacks.rules.dependency_files import install_of
from greenroom.buildpacks.rules.package_managers import choose
from greenroom.buildpacks.rules.requirements import read_requirements
from greenroom.buildpacks.rules.slugignore import ignored
from greenroom.config_vars.rules import first_values

DEEP = b"[" * 200 + b"]" * 200


def refusal(call, *words):
    with pytest.raises(BuildError) as error:
        call(*words)
    assert error.value.hint
    return error.value


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"PORT": "8000"}, "listen on $PORT"),
        ({"HEROKU_APP_NAME": {"value": "shop"}}, "is already set in each dyno"),
        ({"HEROKU_X": {"value": ""}}, "for example APP_X"),
        ({"__X": {"generator": "secret"}}, "for example APP_X"),
        ({"GREENROOM_X": "1"}, "for example APP_X"),
    ],
)
def test_a_value_that_app_json_gives_to_a_reserved_name_is_ignored_and_said(env, words):
    assert read_app_json(json.dumps({"env": env, "environments": {"review": {"env": env}}}).encode())["env"] == env
    (key,) = env
    (text,) = plan._ignored_values({"env": env | {"A": "1", "DYNO": {"required": True}}})
    assert text.startswith(f"Warning: app.json gives {key} a value, which is ignored")
    assert words in text
    assert first_values(env | {"A": "1"}, set(), lambda: "secret") == {"A": "1"}


def test_app_json_may_require_a_reserved_name_and_give_the_tests_one():
    value = {
        "env": {"HEROKU_APP_NAME": {"required": True}, "DYNO": {}},
        "environments": {"test": {"env": {"PORT": "8000"}}},
    }
    assert read_app_json(json.dumps(value).encode()) == value


def test_a_name_that_is_too_long_for_a_config_var_is_refused():
    assert (
        "is not allowed"
        in refusal(read_app_json, json.dumps({"env": {"A" * 257: {"required": True}}}).encode()).message
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'{"scripts": {"test": "a\\u0000b"}}', "app.json, scripts.test: it contains a NUL character"),
        (b'{"a\\u0000": 1}', "app.json, top level: the name 'a\\x00' is invalid: it contains a NUL character"),
        (b'{"x": ["a", "\\ud800"]}', "app.json, x.2: it contains an unpaired surrogate"),
        (b'{"x": NaN}', "app.json, x: it is not a finite number"),
        (b'{"x": 1e999}', "app.json, x: it is not a finite number"),
        (b'{"x": ' + b"1" * 5000 + b"}", "number 11111111111111111111...: it has 5000 digits; 1000 are allowed"),
        (b'{"x": ' + DEEP + b"}", "nested too deeply"),
        (b'{"x": \0}', "app.json, line 1: it contains a NUL byte"),
    ],
)
def test_an_app_json_that_no_row_can_hold_is_refused(data, words):
    assert words in refusal(read_app_json, data).message


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b'[[tests.quarantine]]\ntest = "a\\u0000"', "tests.quarantine.1.test: it contains a NUL character"),
        (b"health_path = " + b"1" * 5000, "this is not TOML"),
        (b"[policy]\nhealth_timeout = 0x" + b"f" * 5000, "policy.health_timeout: the number is too long"),
        (b'root = "\0"', "line 1: it contains a NUL byte"),
    ],
)
def test_a_greenroom_toml_that_no_row_can_hold_is_refused(data, words):
    assert words in refusal(read_settings, data).message


def test_a_procfile_in_utf_16_is_refused():
    assert "Procfile, line 1: it contains a NUL byte" in refusal(read_procfile, "web: a\n".encode("utf-16-le")).message


@pytest.mark.parametrize(
    "data",
    [
        "six\n".encode("utf-16-le"),
        "six\n".encode("utf-16-be"),
        b"# coding: raw_unicode_escape\n\\ud800\n",
        b"# coding: undefined\nsix\n",
        b"six\0\n",
    ],
)
def test_requirements_that_are_no_text_are_refused(data):
    error = refusal(read_requirements, {"requirements.txt": data}.get)
    assert error.message.startswith("requirements.txt: this is not ")
    assert error.hint == "save requirements.txt as UTF-8"


@pytest.mark.parametrize("text", ["docs\\", "\\", "x\\ ", "[z-a]*.py", "[a--b]"])
def test_a_line_of_slugignore_that_is_no_pattern_is_named(text):
    error = refusal(ignored, f"# ours\n\nvenv/\n{text}\n".encode(), ["docs"])
    assert error.reason == "slugignore::invalid"
    assert error.message.startswith(f".slugignore, line 4: {text.rstrip()!r} ")
    assert "line 4" in error.hint


def test_slugignore_still_leaves_out_what_its_patterns_name():
    assert ignored(b"docs/\n!docs/a\n*.txt\n/only\n", ["docs/a", "b.txt", "only", "x/only"]) == [
        "b.txt",
        "docs/a",
        "only",
    ]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"Pipfile": "", "Pipfile.lock": '{"_meta": {"requires": {"python_version": "3.\\u0000"}}}'},
            "Pipfile.lock, _meta.requires.python_version",
        ),
        (
            {"pyproject.toml": "", "uv.lock": '[[package]]\nsource = { registry = "https://a\\u0000" }'},
            "uv.lock, registry of a package",
        ),
        ({"pyproject.toml": f"a = {'1' * 5000}", "uv.lock": ""}, "pyproject.toml is not TOML"),
    ],
)
def test_a_lock_file_that_no_row_can_hold_is_refused(files, words):
    class Files:
        def read(self, name):
            return files[name].encode() if name in files else None

    assert words in refusal(install_of, Files(), choose(list(files))).message


def test_a_reserved_name_that_no_dyno_gets_is_pointed_out():
    (text,) = plan._never_given(
        {
            "env": {
                "HEROKU_APP_NAME": {},
                "HEROKU_BRANCH": {"required": True},
                "HEROKU_Y": {"required": False},
                "PORT": {},
                "A": {},
            }
        }
    )
    assert text.startswith("Warning: app.json requires HEROKU_BRANCH, which Greenroom does not set")
    assert "APP_BRANCH" in text


@pytest.mark.parametrize("name", ["HEROKU_APP_NAME", "PORT", "__X"])
def test_settings_that_need_a_reserved_name_in_the_build_are_not_told_to_set_it(name):
    _, text, hint = explain.collectstatic(
        "manage.py", f"""Traceback\n    X = os.environ["{name}"]\nKeyError: '{name}'\n"""
    )
    assert "config:set" not in hint
    assert f'os.environ.get("{name}", "")' in hint
    assert "builds do not" in text
