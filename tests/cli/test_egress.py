"""Tests of the commands for egress: they say what dynos reach, wait for the release, and how to go back."""

from __future__ import annotations

import json

from tests.cli.fake import Reply
from tests.cli.rows import APP, egress, release


def test_the_policy_and_the_targets_are_shown(at_server, greenroom):
    result = greenroom("egress", "-a", APP)
    assert f"=== {APP} Egress" in result.stdout
    assert "closed: dynos reach only the allowed targets" in result.stdout
    assert result.stdout.splitlines()[-1].split() == ["api.example.org", "443"]
    at_server.on("GET", "A/egress", egress(policy="open", rules=[{"target": "::/0", "host": "::/0", "port": None}]))
    result = greenroom("egress", "-a", APP)
    assert result.stdout.splitlines()[-1].split() == ["::/0", "all"]
    assert f"greenroom egress:close -a {APP}" in result.stderr


def test_dynos_that_follow_former_rules_are_told_with_the_remedy(at_server, greenroom):
    at_server.on("GET", "A/egress", egress(former_dynos=2))
    result = greenroom("egress", "-a", APP)
    assert "2 running dynos started before the last change and still follow the former rules." in result.stderr
    assert f"greenroom ps:restart -a {APP}" in result.stderr


def test_closing_waits_for_the_release_and_says_how_to_open(at_server, greenroom):
    answers = iter(["pending", "succeeded"])
    at_server.on("GET", "A/releases/13", lambda request: release(13, status=next(answers)))
    result = greenroom("egress:close", "-a", APP)
    assert (result.exit_code, at_server.asked("PATCH")[0].body) == (0, {"policy": "closed"})
    assert f"Closing egress for ⬢ {APP}... done, v13" in result.stderr
    assert f"undo with: greenroom egress:open -a {APP}" in result.stderr


def test_closing_without_a_rule_says_so(at_server, greenroom):
    at_server.on("GET", "A/egress", egress(rules=[]))
    result = greenroom("egress:close", "-a", APP)
    assert "No target is allowed." in result.stderr
    assert f"greenroom egress:allow api.example.org:443 -a {APP}" in result.stderr


def test_a_release_that_does_not_start_fails_and_tells_of_the_dynos_that_stay_as_they_were(at_server, greenroom):
    at_server.on("GET", "A/releases/13", release(13, status="failed", reason="web.1 exited with status 1"))
    at_server.on("GET", "A/egress", egress(former_dynos=1))
    result = greenroom("egress:close", "-a", APP)
    assert result.exit_code == 1
    assert "1 running dyno started before the last change and still follows the former rules." in result.stderr
    assert "web.1 exited with status 1" in result.stderr


def test_several_targets_are_one_change_and_are_quoted_in_the_undo(at_server, greenroom):
    at_server.on("GET", "A/releases/13", release(13, status="succeeded"))
    result = greenroom("egress:allow", "*.example.org", "[2001:db8::1]:443", "-a", APP)
    assert at_server.asked("PATCH")[0].body == {"allow": ["*.example.org", "[2001:db8::1]:443"]}
    assert f"undo with: greenroom egress:remove '*.example.org' '[2001:db8::1]:443' -a {APP}" in result.stderr
    greenroom("egress:remove", "*.example.org", "-a", APP)
    assert at_server.asked("PATCH")[1].body == {"remove": ["*.example.org"]}


def test_allowing_under_an_open_policy_says_that_it_has_no_effect_yet(at_server, greenroom):
    at_server.on("PATCH", "A/egress", egress(policy="open"))
    result = greenroom("egress:allow", "api.example.org:443", "-a", APP)
    assert "done" in result.stderr
    assert "the rules have no effect yet" in result.stderr
    assert f"greenroom egress:close -a {APP}" in result.stderr


def test_what_was_so_already_is_not_reported_as_a_change(at_server, greenroom):
    at_server.on("PATCH", "A/egress", egress())
    result = greenroom("egress:allow", "api.example.org:443", "-a", APP)
    assert "done, nothing changed" in result.stderr
    assert "undo with" not in result.stderr


def test_json_is_the_state_after_the_change(at_server, greenroom):
    at_server.on("PATCH", "A/egress", Reply(egress(), headers={"X-Greenroom-Release": "v13"}))
    result = greenroom("egress:open", "--no-wait", "--json", "-a", APP)
    assert json.loads(result.stdout)["policy"] == "closed"
    assert at_server.asked("PATCH")[0].body == {"policy": "open"}
