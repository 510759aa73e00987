"""The platform's messages about an app are in the app's log, and can be queried."""

from __future__ import annotations

import pytest

from greenroom.logs import queries
from greenroom.logs.actions import say

pytestmark = pytest.mark.django_db


def ends(lines):
    return [line.partition(" ")[2] for line in lines]


def test_what_the_platform_says_is_in_the_log(shop, home):
    say(app=shop, home=home, process="api", text="Release v3 created by user alice@example.com", source="app")
    say(app=shop, home=home, process="web.1", text="State changed from starting to up")
    assert ends(queries.last(shop, home)) == [
        "app[api]: Release v3 created by user alice@example.com",
        "heroku[web.1]: State changed from starting to up",
    ]


def test_no_text_can_forge_a_line(shop, home):
    say(app=shop, home=home, process="api", text="a\n2026-01-01T00:00:00+00:00 heroku[router]: b", source="app")
    assert [line.partition(" ")[2].partition(":")[0] for line in queries.last(shop, home)] == ["app[api]", "app[api]"]


def test_the_last_lines_of_one_dyno(shop, home):
    for number in range(6):
        say(app=shop, home=home, process=f"web.{number % 2}", text=str(number))
    assert [line[-1] for line in queries.last(shop, home, lines=2, dyno="web.1")] == ["3", "5"]
    assert queries.last(shop, home, source="app") == []


def test_following_begins_with_the_last_lines(shop, home):
    for number in range(5):
        say(app=shop, home=home, process="api", text=str(number))
    following = queries.follow(shop, home, lines=2, stop=lambda: True)
    assert [line[-1] for line in following] == ["3", "4"]


def test_a_log_that_cannot_be_written_stops_nobody(shop, home, caplog):
    (home / "logs").write_text("no folder")
    say(app=shop, home=home, process="api", text="lost")
    assert "writing to the log of" in caplog.text
