"""The sample's migrations, one after the other on one app: the report before, the effect of the user's migrate, and the
requests that fail.
"""

from __future__ import annotations

import json
import re

from tests.stories.test_held import LAST, break_half_way, cells, newest_rehearsal, ready  # noqa: F401 -- a fixture
from tests.stories.test_without_loss import Clients

STUCK = """from django.db import migrations


def shout(apps, editor):
    for member in apps.get_model("payroll", "StaffMember").objects.all():
        member.name = member.name.upper()
        member.save()


class Migration(migrations.Migration):
    dependencies = [("payroll", "0006_lines_by_component")]
    operations = [migrations.RunPython(shout)]
"""


def after(team, scenario: str, name: str, number: int, earlier: str) -> str:
    """Apply a scenario as the migration after the current one; returns the pusher's output."""
    team.apply(scenario)
    file = team.work / "payroll" / "migrations" / f"0004_{name}.py"
    team.write(f"payroll/migrations/{number:04}_{name}.py", file.read_text().replace(LAST, earlier))
    file.unlink()
    team.commit(f"{scenario} follows {earlier}")
    return team.push()


def migrated(team) -> tuple[dict, str]:
    """(the recorded run, the command's output) of a successful migrate."""
    said = team.greenroom("migrations:run").stderr
    run = team.read("migrations")["runs"][0]
    assert run["exit_code"] == 0
    return run, said


def held(one: dict, mode: str) -> float:
    return max((lock["seconds"] for lock in one["locks"] if lock["mode"] == mode), default=0.0)


def the_old_code_cannot_insert(team) -> None:
    """The rehearsal's report contains this in each of its formats."""
    row = newest_rehearsal(team)
    assert (cells(row)["old_old"], cells(row)["old_new"]) == ("ok", "fails"), row["report"]["cells"]
    assert "purpose" in row["report"]["cells"]["old_new"]["detail"]
    said = team.greenroom("migrations:rehearsal", str(row["number"]), check=False).stdout
    assert "insert into payroll_payrun (purpose is required and has no default)" in said, said


def the_lock_is_measured(team) -> None:
    row = newest_rehearsal(team)
    assert row["colour"] == "amber"
    assert 3 <= held(row["report"]["migrations"][0], "ShareLock") < 6, row["report"]["migrations"]


def test_each_kind_of_migration_is_told_of_before_and_seen_while_it_runs_and_no_request_fails(ready):
    with Clients(ready, 4, pause=0.5) as clients:
        ready.apply("harmless-migration")
        said = ready.push()
        assert ready.delivery()["state"] == "held", (
            "Django names the new column in each query, though the migration harms nobody"
        )
        assert re.search(r"Rehearsal \d+: green, 1 pending migration", said), said
        assert "1 migration is pending: payroll.0004_staff_phone" in said
        run, said = migrated(ready)
        ready.assert_live()
        assert [one["name"] for one in run["migrations"]] == ["payroll.0004_staff_phone"]
        assert run["migrations"][0]["rehearsed"]["seconds"] is not None
        assert "payroll.0004_staff_phone" in said
        assert re.search(r"Health of the live release: v\d+: GET /healthz .* answered 200", said), said

        said = after(ready, "not-null-without-default", "run_purpose", 5, "0004_staff_phone")
        assert (
            "adds payroll_payrun.purpose NOT NULL without a default in the database; old code can no longer insert"
            in said
        ), said
        assert re.search(r"; \d+ rows? of payroll_payrun", said), said
        assert "safe: Give the field db_default" in said
        assert "old code after migrate: FAILS" in said
        the_old_code_cannot_insert(ready)
        migrated(ready)

        ready.greenroom("config:set", "SLOW_INDEX_SECONDS=3")
        said = after(ready, "slow-index", "lines_by_component", 6, "0005_run_purpose")
        assert re.search(r"blocks writes 3\.\d s in the rehearsal", said), said
        assert "AddIndexConcurrently" in said
        the_lock_is_measured(ready)
        ready.assert_live()
        (one,) = migrated(ready)[0]["migrations"]
        real, rehearsed = held(one, "ShareLock"), held(one["rehearsed"], "ShareLock")
        assert 0.5 < real / rehearsed < 2, (real, rehearsed)

        ready.write("payroll/migrations/0007_shout.py", STUCK)
        ready.commit("A migration that cannot be undone")
        assert "0007 cannot be undone" in ready.push()
        migrated(ready)
    assert clients.bad == []


def test_a_required_rehearsal_that_is_red_holds_the_release_until_a_person_lets_it_pass(ready):
    """The last test: the app requires rehearsals from here on."""
    assert ready.place.api("PATCH", f"/apps/{ready.name}", {"required_checks": ["rehearsal"]})[0] == 200
    name = break_half_way(ready)
    said = ready.push()
    assert "`rehearsal` is required, and it is red" in said, said
    assert ready.delivery()["state"] == "held"
    assert ready.greenroom("deliveries:wait", ready.sha, check=False).returncode == 3
    check = next(row for row in json.loads(ready.greenroom("checks", "--json").stdout) if row["name"] == "rehearsal")
    assert (check["conclusion"], check["required"]) == ("failure", True)
    assert ready.get("/healthz")[0] == 200
    ready.greenroom(
        "deploy:override", ready.sha, "--check", "rehearsal", "--reason", "the code works without this migration"
    )
    ready.wait_for(ready.delivery, lambda row: row["state"] == "live")
    assert ready.read("migrations")["pending"] == [f"payroll.{name}"]
