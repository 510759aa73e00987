"""deploy:pause: an end in the user's local time, or a duration; anything else is refused before a request is sent."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.rows import APP, app


@pytest.fixture
def answers(at_server):
    row = {**app(), "deploy_paused": "demo", "deploy_paused_until": "2126-11-27T17:00:00Z"}
    at_server.on("PATCH", "A", row)
    at_server.on("GET", "A", row)
    return at_server


def sent(server):
    return server.asked("PATCH")[0].body


def test_a_moment_is_taken_in_local_time(answers, greenroom, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Zurich")
    time.tzset()
    try:
        result = greenroom("deploy:pause", "--reason", "demo", "--until", "2126-11-27 18:00", "-a", APP)
    finally:
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()
    assert result.exit_code == 0, result.stderr
    assert sent(answers) == {"deploy_paused": "demo", "deploy_paused_until": "2126-11-27T17:00:00+00:00"}
    assert "The pause ends automatically: 2126/11/27 18:00:00 +0100." in result.output


@pytest.mark.parametrize(("span", "minutes"), [("90m", 90), ("3h", 180), ("2d", 2880)])
def test_a_span_counts_from_now(answers, greenroom, span, minutes):
    assert greenroom("deploy:pause", "--reason", "demo", "--for", span, "-a", APP).exit_code == 0
    end = datetime.fromisoformat(sent(answers)["deploy_paused_until"])
    assert abs(end - datetime.now(UTC) - timedelta(minutes=minutes)) < timedelta(minutes=1)


def test_without_an_end_none_is_sent(answers, greenroom):
    greenroom("deploy:pause", "--reason", "demo", "-a", APP)
    assert sent(answers) == {"deploy_paused": "demo"}


@pytest.mark.parametrize(
    "words", [("--for", "soon"), ("--for", "0h"), ("--for", "3h", "--until", "2126-11-27 18:00"), ("--until", "noon")]
)
def test_what_is_no_end_is_refused(answers, greenroom, words):
    result = greenroom("deploy:pause", "--reason", "demo", *words, "-a", APP)
    assert result.exit_code != 0
    assert words[0] in result.stderr
    assert answers.asked("PATCH") == []


def test_apps_info_says_until_when(answers, greenroom):
    assert "paused until 2126/11/27 17:00:00 +0000: demo" in greenroom("apps:info", "-a", APP).stdout
