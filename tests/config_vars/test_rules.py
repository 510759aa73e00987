"""Tests of valid config vars, and of the environment contract."""

from __future__ import annotations

import pytest

from greenroom.config_vars.rules import apply, first_values, missing, problem, refusal, too_large


@pytest.mark.parametrize("key", ["SECRET_KEY", "a", "_X", "A1"])
def test_ordinary_names_are_allowed(key):
    assert problem(key, "value") == ""


@pytest.mark.rule("14.5")
@pytest.mark.parametrize(
    "key", ["", "1A", "A-B", "A B", "A=B", "A\n", "HEROKU_APP_ID", "GREENROOM_X", "__X", "PORT", "DYNO", "Ä", "A" * 257]
)
def test_names_that_the_platform_needs_or_no_shell_knows_are_refused(key):
    assert problem(key, "value")


@pytest.mark.parametrize("value", [1, True, ["x"], {"a": 1}, "a\0b", "a\ud800"])
def test_values_are_strings_without_nul_and_half_pairs(value):
    assert problem("KEY", value)


@pytest.mark.rule("14.6")
def test_one_change_names_what_it_set_and_removed():
    change = apply({"A": "1", "B": "2"}, {"A": "1", "B": None, "C": "3", "D": None})
    assert change.values == {"A": "1", "C": "3"}
    assert change.describes == "Set C config vars; Remove B config vars"


def test_missing_keys_are_named_with_the_command_that_sets_them():
    gaps = missing({"SECRET_KEY": "Django needs it", "DATABASE_URL": "its database"}, ["DATABASE_URL"])
    text, hint = refusal("shop", gaps, {})
    assert "SECRET_KEY" in text
    assert hint == "greenroom config:set SECRET_KEY=... -a shop"


def test_a_reserved_name_is_never_missing_since_nobody_could_set_it():
    required = dict.fromkeys(
        ["HEROKU_APP_NAME", "HEROKU_OTHER", "GREENROOM_X", "__X", "PORT", "DYNO", "API_KEY"], "app.json requires it"
    )
    assert list(missing(required, [])) == ["API_KEY"]


@pytest.mark.rule("14.8")
def test_the_whole_map_is_limited_to_64_kb():
    assert too_large({"A": "x" * 65536})
    assert not too_large({"A": "x" * 65535})


@pytest.mark.rule("14.7")
def test_app_json_gives_values_to_keys_that_nobody_ever_touched():
    env = {"A": "1", "B": {"value": "2"}, "C": {"generator": "secret"}, "D": {"required": True}, "E": "5", "F": None}
    assert first_values(env, {"E"}, lambda: "random") == {"A": "1", "B": "2", "C": "random"}
