"""Tests of the commands for volumes: they say what is used, confirm, wait, and copy archives."""

from __future__ import annotations

import json

import pytest

from tests.cli.fake import Reply
from tests.cli.rows import APP, volume, volume_restore, volume_snapshot


def test_the_list_shows_the_use_and_the_state(at_server, greenroom):
    at_server.on("GET", "A/volumes", [volume(), volume(name="files", level="full"), volume(name="x", measured_at=None)])
    shown = greenroom("volumes", "-a", APP).stdout
    assert "1.5 GB of 5.0 GB" in shown
    assert "full, read-only" in shown
    assert "not measured, of 5.0 GB" in shown


def test_without_volumes_the_hint_creates_one(at_server, greenroom):
    at_server.on("GET", "A/volumes", [])
    assert f"greenroom volumes:create media --at /app/media -a {APP}" in greenroom("volumes", "-a", APP).stderr


def test_creating_sends_what_was_given_and_says_how_to_undo_it(at_server, greenroom):
    result = greenroom("volumes:create", "media", "--at", "/app/media", "--size", "5G", "-a", APP)
    assert at_server.asked("POST")[-1].body == {"name": "media", "at": "/app/media", "size": "5G"}
    assert "as VOLUME_MEDIA_PATH" in result.stderr
    assert f"undo with: greenroom volumes:destroy media -a {APP}" in result.stderr
    greenroom("volumes:create", "media", "-a", APP)
    assert at_server.asked("POST")[-1].body == {"name": "media"}, "the server has the defaults"


def test_destroying_asks_first(at_server, greenroom):
    result = greenroom("volumes:destroy", "media", "-a", APP)
    assert result.exit_code == 1
    assert "1.5 GB of 5.0 GB" in result.stderr
    assert not at_server.asked("DELETE")
    assert greenroom("volumes:destroy", "media", "-a", APP, "--confirm", APP).exit_code == 0
    assert at_server.asked("DELETE")


def test_a_full_volume_that_grew_says_when_the_app_can_write(at_server, greenroom):
    at_server.on("PATCH", "A/volumes/media", volume(level="full"))
    assert "can write again" in greenroom("volumes:resize", "media", "--size", "9G", "-a", APP).stderr


def test_a_snapshot_is_waited_for_and_a_failed_one_fails(at_server, greenroom):
    answers = iter(["wanted", "running", "succeeded"])
    at_server.on("GET", "A/volumes/media/snapshots/b001", lambda request: volume_snapshot(state=next(answers)))
    result = greenroom("volumes:snapshot", "media", "-a", APP)
    assert f"greenroom volumes:restore media b001 -a {APP}" in result.stderr
    at_server.on("GET", "A/volumes/media/snapshots/b001", volume_snapshot(state="failed", failure="No space."))
    result = greenroom("volumes:snapshot", "media", "-a", APP)
    assert (result.exit_code, "No space." in result.stderr) == (1, True)
    row = json.loads(greenroom("volumes:snapshot", "media", "--no-wait", "-a", APP, "--json").stdout)
    assert row["state"] == "wanted"


def test_a_restore_does_nothing_unless_confirmed_and_says_how_to_undo_it(at_server, greenroom):
    assert greenroom("volumes:restore", "media", "b001", "-a", APP).exit_code == 1
    assert not at_server.asked("POST")
    answers = iter(["wanted", "swapped", "done"])
    at_server.on("GET", "A/volumes/media/restores/r002", lambda request: volume_restore(next(answers)))
    result = greenroom("volumes:restore", "media", "b001", "-a", APP, "--confirm", APP)
    assert f"undo with: greenroom volumes:restore media b003 -a {APP}" in result.stderr
    at_server.on("GET", "A/volumes/media/restores/r002", volume_restore("failed", failure="No space."))
    result = greenroom("volumes:restore", "media", "b001", "-a", APP, "--confirm", APP)
    assert "The files are unchanged: No space." in result.stderr


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("volumes:pull", "media"), "exec tar -C /app/media -cf - -- ./ 2>/dev/null"),
        (
            ("volumes:pull", "media", "--only", "a b", "--exclude", "private", "--exclude", "$(id).*"),
            "exec tar -C /app/media --exclude=private '--exclude=$(id).*' -cf - -- './a b' 2>/dev/null",
        ),
        (("volumes:push", "media"), "exec tar -C /app/media -xf - --no-same-owner --no-same-permissions"),
    ],
)
def test_archives_pass_through_a_one_off_dyno(at_server, greenroom, words, command):
    at_server.on("POST", "A/dynos", Reply({"id": "forbidden", "message": "No."}, 403))
    assert greenroom(*words, "-a", APP).exit_code == 1
    body = at_server.asked("POST")[-1].body
    assert (body["command"], body["attach"], body["force_no_tty"]) == (command, True, True)


def test_an_archive_that_is_incomplete_is_not_kept(at_server, greenroom, tmp_path):
    at_server.on("POST", "A/dynos", Reply({"id": "forbidden", "message": "No."}, 403))
    assert greenroom("volumes:pull", "media", "-o", str(tmp_path / "media.tar"), "-a", APP).exit_code == 1
    assert list(tmp_path.glob("media.tar*")) == []
