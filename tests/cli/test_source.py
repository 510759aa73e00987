"""Tests of source commands: secrets are read from files and printed once, and the exit code tells whether the app is up
to date with its source.
"""

from __future__ import annotations

from tests.cli.fake import Reply
from tests.cli.rows import APP, SHA, source


def test_a_source_is_set_and_its_first_fetch_is_waited_for(at_server, greenroom, tmp_path):
    token = tmp_path / "token.txt"
    token.write_text("ghp_secret\n")
    answers = iter([source(waiting=True, state="new"), source()])
    at_server.on("GET", "A/source", lambda request: next(answers))
    result = greenroom(
        "source:set", "https://github.com/ach/payslip.git", "--branch", "master", "--token-file", str(token), "-a", APP
    )
    assert result.exit_code == 0, result.stderr
    assert at_server.asked("PUT")[-1].body == {
        "url": "https://github.com/ach/payslip.git",
        "branch": "master",
        "token": "ghp_secret\n",
    }
    assert f"{at_server.url}/hooks/abc" in result.stdout
    assert "5ec2e7" in result.stdout
    assert "ghp_secret" not in result.output
    assert f"greenroom deliveries:wait {SHA[:8]} -a {APP}" in result.stderr


def test_a_deploy_key_is_printed_and_nothing_is_waited_for(at_server, greenroom):
    key = {"deploy_key": "ssh-ed25519 AAAA greenroom", "fingerprint": "SHA256:x", "token": False, "username": None}
    at_server.on("PUT", "A/source", lambda request: Reply(source(credentials=key, secret="5ec2e7"), 201))
    result = greenroom("source:set", "git@github.com:ach/payslip.git", "--deploy-key", "-a", APP)
    assert result.exit_code == 0
    assert at_server.asked("PUT")[-1].body["deploy_key"] == "new"
    assert "ssh-ed25519 AAAA greenroom" in result.stdout
    assert "greenroom source:sync" in result.stderr
    assert not at_server.asked("GET")


def test_a_source_that_cannot_be_followed_is_an_exit_code_and_a_hint(at_server, greenroom):
    hint = f"to follow it and lose the others here: greenroom source:accept {SHA[:8]} -a {APP}"
    at_server.on("GET", "A/source", source(state="rewritten", problem="master of the source was rewritten.", hint=hint))
    result = greenroom("source:sync", "-a", APP)
    assert result.exit_code == 1
    assert "was rewritten" in result.stderr
    assert hint in result.stderr


def test_a_rotated_secret_is_data_on_stdout(at_server, greenroom):
    result = greenroom("source:rotate-secret", "--overlap", "2", "-a", APP)
    assert result.stdout == "0e00\n"
    assert at_server.asked("POST")[-1].body == {"overlap_hours": 2}


def test_two_keys_are_one_too_many(at_server, greenroom, tmp_path):
    (tmp_path / "key").write_text("x")
    assert (
        greenroom(
            "source:set", "git@h:x", "--deploy-key", "--deploy-key-file", str(tmp_path / "key"), "-a", APP
        ).exit_code
        == 2
    )
    assert not at_server.requests


def test_a_file_that_is_not_there_is_said_before_anything_is_done(at_server, greenroom):
    result = greenroom("source:set", "https://h/x.git", "--token-file", "nowhere.txt", "-a", APP)
    assert result.exit_code == 2
    assert "nowhere.txt: No such file or directory." in result.stderr
    assert not at_server.requests


def test_a_token_may_come_by_stdin(at_server, greenroom):
    assert (
        greenroom(
            "source:set", "https://h/x.git", "--token-file", "-", "--no-wait", "-a", APP, stdin="s3cret"
        ).exit_code
        == 0
    )
    assert at_server.asked("PUT")[-1].body["token"] == "s3cret"
