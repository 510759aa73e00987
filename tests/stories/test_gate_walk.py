"""A day at the gate: pushes that overtake each other, an override and its end, a pause with an end, a check that is
never reported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.stories.team import Team
from tests.stories.test_host import small_team

RED = "import sys; print('FAIL: the till does not add up'); sys.exit(1)"


@pytest.fixture(scope="module")
def team(installation, tmp_path_factory) -> Iterator[Team]:
    team = small_team(installation, tmp_path_factory.mktemp("walk"), "s-gate-walk")
    team.push()
    team.assert_live()
    yield team
    team.destroy()


def change(team: Team, script: str, message: str) -> str:
    """A commit with this line of Python as its test command."""
    team.choose_tests(f'python -c "{script}"')
    return team.commit(message)


def state(team: Team, sha: str) -> str:
    return str(team.delivery(sha)["state"])


def test_of_pushes_that_overtake_each_other_the_newest_goes_live_and_none_twice(team):
    shas, pushes = [], []
    for number in range(4):
        shas.append(change(team, "import time; time.sleep(6)", f"Push {number}"))
        before = team.place.api("GET", f"/apps/{team.name}/deliveries?limit=20")[1]
        pushes.append(team.push_in_background())
        team.wait_for(lambda: team.delivery(shas[-1]), bool)
        assert len(team.place.api("GET", f"/apps/{team.name}/deliveries?limit=20")[1]) == len(before) + 1
    said = [push.communicate(timeout=120)[0] for push in pushes]
    for sha in shas:
        team.wait_until_ended(sha)
    states = [state(team, sha) for sha in shas]
    assert states[-1] == "live", states
    assert set(states[:-1]) <= {"superseded", "live"}, states
    assert "superseded" in states[1:3], states
    assert any("Superseded" in text for text in said), said
    live = [row["release"]["version"] for sha in shas if (row := team.delivery(sha))["state"] == "live"]
    assert live == sorted(set(live))
    team.assert_live(shas[-1])


def test_an_override_lets_one_commit_pass_is_shown_for_ever_and_ends_with_the_next_attempt(team):
    good = team.sha
    red = change(team, RED, "Red, and let through")
    text = team.push()
    assert state(team, red) == "refused"
    assert "the till does not add up" in text
    refused = team.greenroom("deploy:override", red, "--check", "tests", "--reason", "so", check=False)
    assert refused.returncode != 0
    assert "10 characters" in refused.stderr
    team.greenroom("deploy:override", red, "--check", "scan", "--reason", "of another check than the red one")
    assert team.wait_until_ended(red)["state"] == "refused"
    team.greenroom("deploy:override", red, "--check", "tests", "--reason", "the till is being repaired today")
    team.wait_for(lambda: state(team, red), lambda now: now == "live")
    shown = team.greenroom("checks", red).stdout
    assert "the till is being repaired today" in shown

    next_red = change(team, RED, "Red again")
    team.push()
    assert state(team, next_red) == "refused", "an override is for one commit"
    team.greenroom("deploy:pause", "--reason", "stocktaking until noon")
    team.greenroom("deploy:override", next_red, "--check", "tests", "--reason", "will be void before it counts")
    team.greenroom("checks:rerun", "tests", "--sha", next_red)
    team.wait_for(
        lambda: team.read("checks", next_red),
        lambda found: '"attempt": 2' in json.dumps(found) and "in_progress" not in json.dumps(found),
    )
    team.greenroom("deploy:resume")
    later = team.wait_until_ended(next_red)
    assert later["state"] == "refused", later
    assert "void" in team.greenroom("checks", next_red).stdout
    team.assert_live(red)
    assert good != red


def test_a_pause_withholds_with_its_reason_and_its_end_deploys_the_newest(team):
    reason = "demo for the board"
    team.greenroom("deploy:pause", "--reason", reason, "--for", "1h")
    first, text = change(team, "pass", "During the demo"), team.push()
    assert "demo for the board" in text
    assert state(team, first) == "refused"
    second, text = change(team, "print()", "Still during the demo"), team.push()
    assert "demo for the board" in text
    assert state(team, second) == "refused"
    end = (datetime.now(UTC) + timedelta(seconds=3)).isoformat(timespec="seconds")
    changed = {"deploy_paused": reason, "deploy_paused_until": end}
    assert team.place.api("PATCH", f"/apps/{team.name}", changed)[0] == 200
    team.wait_for(lambda: state(team, second), lambda now: now == "live", 90)
    assert state(team, first) != "live"
    team.assert_live(second)


def test_a_required_check_that_nobody_has_reported_is_waited_for_and_its_report_counts(team):
    settings = 'required_checks = ["tests", "scan", "ci/till"]\n'
    team.write("greenroom.toml", settings)
    sha = change(team, "pass", "Waits for the till")
    push = team.push_in_background()
    team.wait_for(
        lambda: team.delivery(sha),
        lambda row: row and row["state"] == "checking" and "ci/till" in json.dumps(row["verdict"]),
    )
    token = team.greenroom("checks:token", "--context", "ci/till").stdout.split()[-1]
    path = f"/api/v3/repos/greenroom/{team.name}/statuses/{sha}"
    assert team.place.api("POST", path, {"state": "success", "context": "ci/other"}, token=token)[0] in (403, 422)
    assert team.place.api("POST", path, {"state": "success", "context": "ci/till"}, token=token)[0] == 201
    team.wait_for(lambda: state(team, sha), lambda now: now == "live")
    push.communicate(timeout=60)


def test_a_check_of_what_is_live_can_be_run_again_and_ends(team):
    team.wait_for(team.delivery, lambda row: row["state"] == "live")
    team.greenroom("checks:rerun", "tests")
    found = team.wait_for(lambda: team.read("checks"), lambda rows: all(row["status"] == "completed" for row in rows))
    assert [(row["attempt"], row["conclusion"]) for row in found if row["name"] == "tests"] == [(2, "success")]
    team.assert_live()
    assert "neither Django's migrations nor Alembic's" in team.greenroom("migrations").stdout
