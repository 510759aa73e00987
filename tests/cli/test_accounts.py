"""Tests of an administrator's commands for other users' accounts."""

from __future__ import annotations

import json


def test_a_new_token_is_data_and_shown_once(at_server, greenroom):
    result = greenroom("accounts:token", "bob+x@example.com")
    assert (result.exit_code, result.stdout) == (0, "grm_new\n"), result.stderr
    assert "This token is not shown again." in result.stderr
    assert [request.path for request in at_server.asked("POST")] == ["/accounts/bob+x@example.com/token"]


def test_its_json_is_the_apis(at_server, greenroom):
    result = greenroom("accounts:token", "bob@example.com", "--json")
    assert json.loads(result.stdout) == {"email": "bob@example.com", "token": "grm_new"}
