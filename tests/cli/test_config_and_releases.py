"""Tests of config vars, releases and rollbacks: their output and the reported outcome of the release."""

from __future__ import annotations

import json

import pytest

from tests.cli.fake import Reply
from tests.cli.rows import APP, release


def test_config_looks_as_on_heroku(at_server, greenroom):
    result = greenroom("config", "-a", APP)
    assert result.stdout.splitlines() == [f"=== {APP} Config Vars", "", "DEBUG:      1", "EMPTY:", "SECRET_KEY: s3cret"]


def test_config_for_a_shell_survives_any_value(at_server, greenroom):
    at_server.config = {"A": "it's $HOME; rm -rf /", "B": "two\nlines"}
    result = greenroom("config", "--shell", "-a", APP)
    import subprocess

    script = result.stdout + 'printf "%s|%s" "$A" "$B"'
    assert (
        subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
        == "it's $HOME; rm -rf /|two\nlines"
    )


def test_config_get_prints_the_value_alone(at_server, greenroom):
    assert greenroom("config:get", "SECRET_KEY", "-a", APP).stdout == "s3cret\n"
    assert greenroom("config:get", "EMPTY", "-a", APP).stdout == "\n"
    result = greenroom("config:get", "NOPE", "-a", APP)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"NOPE is not set on {APP}" in result.stderr


def test_config_set_waits_for_the_release_and_echoes_its_own_keys_alone(at_server, greenroom):
    answers = iter(["pending", "pending", "succeeded"])
    at_server.on("GET", "A/releases/13", lambda request: release(13, status=next(answers)))
    result = greenroom("config:set", "A=1", "B=x=y", "-a", APP)
    assert result.exit_code == 0, result.stderr
    assert f"Setting A, B and restarting ⬢ {APP}... done, v13" in result.stderr
    assert result.stdout == "A: 1\nB: x=y\n"
    assert "s3cret" not in result.output
    assert at_server.asked("PATCH")[0].body == {"A": "1", "B": "x=y"}
    assert f"undo with: greenroom rollback v12 -a {APP}" in result.stderr


def test_a_refused_config_change_fails_and_says_what_is_missing(at_server, greenroom):
    reason = "SECRET_KEY is not set.\nhint: greenroom config:set SECRET_KEY=..."
    at_server.on("GET", "A/releases/13", release(13, status="failed", refused=True, reason=reason))
    result = greenroom("config:unset", "SECRET_KEY", "-a", APP)
    assert result.exit_code == 1
    assert "Unsetting SECRET_KEY and restarting" in result.stderr
    assert " ▸    v13 was refused: SECRET_KEY is not set.\nhint: greenroom config:set SECRET_KEY=...\n" in result.stderr
    assert at_server.asked("PATCH")[0].body == {"SECRET_KEY": None}


def test_a_release_that_does_not_come_up_in_time_is_no_success(at_server, greenroom):
    at_server.on("GET", "A/releases/13", release(13, status="pending"))
    result = greenroom("config:set", "A=1", "--timeout", "0.2", "-a", APP)
    assert result.exit_code == 1
    assert "v13 is not live after 0.2 s" in result.stderr
    assert "done" not in result.stderr


def test_no_wait_does_not_ask_for_the_release(at_server, greenroom):
    assert greenroom("config:set", "A=1", "--no-wait", "-a", APP).exit_code == 0
    assert not at_server.asked("GET")


def test_nothing_changed_is_said(at_server, greenroom):
    at_server.on("PATCH", "A/config-vars", lambda request: Reply(at_server.config))
    result = greenroom("config:set", "DEBUG=1", "-a", APP)
    assert result.exit_code == 0
    assert "done, nothing changed" in result.stderr
    assert "undo" not in result.stderr


@pytest.mark.parametrize("words", [["A"], ["=1"], [], ["A=1", "oops"]])
def test_what_is_no_pair_is_an_error_of_use_and_changes_nothing(at_server, greenroom, words):
    result = greenroom("config:set", *words, "-a", APP)
    assert result.exit_code == 2
    assert "FOO=bar" in result.stderr
    assert not at_server.requests


def test_values_may_come_by_stdin_and_are_not_echoed_in_errors(at_server, greenroom):
    result = greenroom("config:set", "--stdin", "--no-wait", "-a", APP, stdin="# comment\nTOKEN=abc def\n\nB=2\n")
    assert result.exit_code == 0
    assert at_server.asked("PATCH")[0].body == {"TOKEN": "abc def", "B": "2"}
    result = greenroom("config:set", "--stdin", "-a", APP, stdin="a-secret-without-a-key\n")
    assert result.exit_code == 2
    assert "a-secret" not in result.output


def test_the_wait_survives_a_control_plane_that_is_restarted(at_server, greenroom):
    tries = []

    def away(request):
        tries.append(1)
        return Reply({}, cut=True) if len(tries) < 3 else release(13)

    at_server.on("GET", "A/releases/13", away)
    assert greenroom("config:set", "A=1", "-a", APP).exit_code == 0
    assert len(tries) == 3


def test_releases_look_as_on_heroku(at_server, greenroom):
    lines = greenroom("releases", "-a", APP).stdout.splitlines()
    assert lines[0] == f"=== {APP} Releases - Current: v12"
    assert lines[2].split()[:3] == ["v12", "Deploy", "1f3a9c2b"]
    assert "2026/11/23 09:11:00 +0000" in lines[2]
    assert at_server.asked("GET", "releases")[0].query == {"limit": "15"}


def test_a_release_may_be_named_with_or_without_its_v(at_server, greenroom):
    for name in ("v12", "12"):
        assert "Release v12" in greenroom("releases:info", name, "-a", APP).stdout
    assert "Release v12" in greenroom("releases:info", "-a", APP).stdout
    assert greenroom("releases:info", "twelve", "-a", APP).exit_code == 2


def test_a_release_that_does_not_exist_leads_to_the_list(at_server, greenroom):
    at_server.refuse("GET", "A/releases/99", 404, "Couldn't find that release.", id="not_found")
    result = greenroom("releases:info", "v99", "-a", APP)
    assert result.exit_code == 1
    assert f"hint: greenroom releases -a {APP}" in result.stderr


def test_rollback_waits_and_says_what_it_does_not_undo(at_server, greenroom):
    result = greenroom("rollback", "v11", "-a", APP)
    assert result.exit_code == 0, result.stderr
    assert f"Rolling back ⬢ {APP} to v11... done, v13" in result.stderr
    assert "doesn't change the database" in result.stderr
    assert f"undo with: greenroom rollback v12 -a {APP}" in result.stderr
    assert at_server.asked("POST", "releases")[0].body == {"release": "v11"}


def test_a_rollback_across_migrations_is_confirmed_by_the_apps_name_or_not_made(at_server, greenroom):
    at_server.refuse(
        "POST",
        "A/releases",
        409,
        "1 migration was applied since v11.",
        hint=f"--confirm {APP}",
        id="rollback_across_migrations",
    )
    result = greenroom("rollback", "v11", "-a", APP)
    assert (result.exit_code, "1 migration was applied since v11." in result.stderr) == (1, True)
    assert greenroom("rollback", "v11", "--confirm", "other", "-a", APP).exit_code == 1
    greenroom("rollback", "v11", "--confirm", APP, "-a", APP)
    assert [asked.body for asked in at_server.asked("POST", "releases")] == [
        {"release": "v11"},
        {"release": "v11", "confirm": APP},
    ]


def test_rollback_without_a_version_leaves_the_choice_to_the_server(at_server, greenroom):
    assert greenroom("rollback", "-a", APP).exit_code == 0
    assert at_server.asked("POST", "releases")[0].body == {}


def test_a_rollback_that_fails_is_an_error(at_server, greenroom):
    at_server.on("GET", "A/releases/13", release(13, status="failed", reason="web.1 did not answer within 60 s"))
    result = greenroom("rollback", "v11", "-a", APP)
    assert result.exit_code == 1
    assert "v13 failed: web.1 did not answer within 60 s" in result.stderr
    assert f"hint: greenroom logs -a {APP}" in result.stderr


def test_no_releases_is_no_error(at_server, greenroom):
    at_server.on("GET", "A/releases", [])
    result = greenroom("releases", "-a", APP)
    assert (result.exit_code, result.stdout) == (0, "")
    assert json.loads(greenroom("releases", "-a", APP, "--json").stdout) == []


def test_nothing_is_offered_to_undo_where_nothing_served(at_server, greenroom):
    at_server.on("PATCH", "A/config-vars", lambda request: Reply(at_server.config, 200, {"X-Greenroom-Release": "v4"}))
    at_server.on("GET", "A/releases/4", release(4))
    assert "undo" not in greenroom("config:set", "A=1", "-a", APP).stderr


def test_the_wait_lasts_as_long_as_greenroom_gives_the_release(at_server, greenroom):
    at_server.on("GET", "A/releases/13", {**release(13, status="pending"), "patience": 0})
    result = greenroom("config:set", "A=1", "-a", APP)
    assert (result.exit_code, "v13 is not live after 0 s" in result.stderr) == (1, True)
    answers = iter([{**release(13, status="pending"), "patience": 90}] * 2 + [release(13)])
    at_server.on("GET", "A/releases/13", lambda request: next(answers))
    assert "done, v13" in greenroom("config:set", "A=1", "-a", APP).stderr


def test_a_change_that_a_newer_one_replaced_ends_as_the_newer_one(at_server, greenroom):
    at_server.on("GET", "A/releases", [release(14), release(13, status="expired")])
    at_server.on("GET", "A/releases/13", release(13, status="expired"))
    assert "done, v14" in greenroom("config:set", "A=1", "-a", APP).stderr


def test_a_held_config_change_does_not_wait_for_ever(at_server, greenroom):
    at_server.on("GET", "A/releases/13", {**release(13, status="pending"), "patience": 90, "held": True})
    result = greenroom("config:set", "A=1", "-a", APP)
    assert result.exit_code == 1
    assert f"greenroom migrations -a {APP}" in result.stderr


def test_a_failed_release_is_retried_by_one_command(at_server, greenroom):
    slug = {"id": "c0ffee", "commit": "1f3a9c2b"}
    at_server.on("GET", "A/releases", [{**release(12, status="failed"), "slug": slug}])
    result = greenroom("releases:retry", "-a", APP)
    assert result.exit_code == 0, result.stderr
    assert f"Retrying v12 on ⬢ {APP}... done, v13" in result.stderr
    assert at_server.asked("POST", "releases")[0].body == {"slug": "c0ffee"}


def test_a_delivery_is_retried_and_followed_to_its_end(at_server, greenroom):
    result = greenroom("deliveries:retry", "-a", APP)
    assert result.exit_code == 0, result.stderr
    assert "Live" in result.stderr
    assert at_server.asked("POST", "/actions/retry")


@pytest.mark.parametrize("command", ["config:set", "ci:config:set"])
def test_stdin_in_another_encoding_is_refused_with_its_line_and_without_its_text(at_server, greenroom, command):
    result = greenroom(command, "--stdin", "-a", APP, stdin=b"# words\nGREETING=hello\nNAME=caf\xe9 s3cret\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Line 3 of stdin is not valid UTF-8 at byte 9. Nothing was changed." in result.stderr
    assert "hint: convert the file, for example: iconv -f latin1 -t UTF-8 FILE\n" in result.stderr
    assert "s3cret" not in result.output
    assert not at_server.asked("PATCH")


def test_a_line_of_stdin_that_sets_nothing_is_named_by_its_number(at_server, greenroom):
    result = greenroom("config:set", "--stdin", "-a", APP, stdin=b"A=1\r\n\ns3cret\n")
    assert result.exit_code == 2
    assert "Line 3 of stdin is invalid. Must be in the format FOO=bar." in result.stderr
    assert "s3cret" not in result.output


def test_lines_of_stdin_are_read_whatever_their_ends(at_server, greenroom):
    assert (
        greenroom("config:set", "--stdin", "--no-wait", "-a", APP, stdin="# c\r\nA=1\r\n\nB=zwei ä ".encode()).exit_code
        == 0
    )
    assert at_server.asked("PATCH")[0].body == {"A": "1", "B": "zwei ä "}


def test_a_password_in_another_encoding_is_refused_too(at_server, greenroom):
    result = greenroom("accounts:password", stdin=b"caf\xe9 au lait s3cret\n")
    assert (result.exit_code, "Line 1 of stdin is not valid UTF-8" in result.stderr, "s3cret" in result.output) == (
        2,
        True,
        False,
    )
