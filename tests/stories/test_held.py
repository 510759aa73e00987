"""New code that cannot work with the current schema waits for a user's migrations while the old code is live."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.stories.conftest import QUICK
from tests.stories.team import Team, live_team
from tests.stories.test_without_loss import Clients


def seeded_team(place, folder, name: str) -> Team:
    """A team with a live app, a migrated database and the demo data."""
    team = live_team(place, folder / "work", name, QUICK)
    team.greenroom("run", "python", "manage.py", "migrate")
    team.greenroom("run", "python", "manage.py", "seed_demo", "--password", "only-for-stories")
    return team


@pytest.fixture(scope="module")
def ready(installation, tmp_path_factory, request) -> Iterator[Team]:
    """A seeded app for the consecutive tests of a file; each documents the state that it leaves."""
    name = "s-" + request.module.__name__.rpartition("test_")[2].replace("_", "-")
    team = seeded_team(installation, tmp_path_factory.mktemp("ready"), name)
    yield team
    team.destroy()


@pytest.fixture(scope="module")
def waiting(installation, tmp_path_factory) -> Iterator[Team]:
    """A second seeded app, for the tests that leave a release held."""
    team = seeded_team(installation, tmp_path_factory.mktemp("waiting"), "s-waiting")
    yield team
    team.destroy()


@pytest.fixture
def held(waiting) -> Team:
    """The second app with the renamed column held: by the previous test, or pushed now."""
    if waiting.delivery()["state"] != "held":
        hold(waiting)
    return waiting


def hold(team) -> str:
    """Push the renamed column; returns the pusher's output."""
    team.apply("renamed-column")
    output = team.push()
    row = team.delivery()
    assert (row["state"], row["migrations"]) == ("held", {"pending": ["payroll.0004_staff_iban"], "held": True}), output
    return output


def versions(team) -> dict[str, int]:
    """The live version and the newest version."""
    releases = team.place.api("GET", f"/apps/{team.name}/releases")[1]
    return {
        "current": next(row["version"] for row in releases if row["current"]),
        "newest": max(row["version"] for row in releases),
    }


def test_a_renamed_column_is_held_and_goes_live_by_itself_after_the_humans_migrate(ready):
    """Leaves the renamed column live and migrated."""
    before = versions(ready)["current"]
    with Clients(ready, 10, pause=0.5) as clients:
        output = hold(ready)
        assert "Rehearsing on a copy of the data" in output
        assert "payroll_staffmember.iban" in output
        assert f"greenroom run -a {ready.name} python manage.py migrate" in output
        assert f"v{before} keeps running" in output
        assert versions(ready)["current"] == before
        waited = ready.greenroom("deliveries:wait", ready.sha, check=False)
        assert waited.returncode == 3
        assert "Held" in waited.stderr
        shown = ready.read("migrations")
        assert (shown["held"], shown["pending"]) == (True, ["payroll.0004_staff_iban"])
        ran = ready.greenroom("run", "python", "manage.py", "migrate")
        assert "0004_staff_iban... OK" in re.sub(r"\x1b\[[0-9;]*m", "", ran.stdout)
        assert ready.greenroom("deliveries:wait", ready.sha).returncode == 0, "right after the migrate"
    assert clients.bad == []
    after = versions(ready)
    assert after["current"] == after["newest"] > before
    assert ready.read("migrations")["held"] is False
    asked = ready.greenroom("rollback", f"v{before}", check=False)
    assert asked.returncode == 1
    assert (
        f"1 migration was applied since v{before} and is not undone by a rollback: payroll.0004_staff_iban. In"
        " rehearsal " in asked.stderr
    )
    assert f"v{before}'s code FAILED after them" in asked.stderr
    assert f"greenroom rollback v{before} -a {ready.name} --confirm {ready.name}" in asked.stderr
    refused = ready.greenroom("rollback", f"v{before}", "--confirm", ready.name, check=False)
    assert refused.returncode == 1
    assert "payroll_staffmember.bank_account" in refused.stderr
    assert "rollback --force" in refused.stderr
    assert versions(ready)["current"] == after["current"]
    assert ready.get("/sign-in/")[0] == 200


def test_a_held_release_can_be_dropped_and_a_newer_one_takes_its_place(waiting):
    """Leaves the newer one held."""
    before = versions(waiting)["current"]
    hold(waiting)
    dropped = json.loads(waiting.greenroom("deliveries:drop", "--json").stdout)
    assert (dropped["state"], versions(waiting)["current"]) == ("superseded", before)
    assert waiting.greenroom("deliveries:drop", check=False).returncode == 1
    waiting.git("revert", "--no-edit", "HEAD")
    waiting.push()
    waiting.assert_live()
    waiting.apply("renamed-column")
    waiting.push()
    first = waiting.sha
    assert waiting.delivery(first)["state"] == "held"
    waiting.write("static/story.txt", "newer\n")
    waiting.commit("A newer commit on top")
    waiting.push()
    assert (waiting.delivery()["state"], waiting.delivery(first)["state"]) == ("held", "superseded")


def test_a_migrate_that_fails_changes_nothing_and_the_release_stays_held(held):
    before = versions(held)["current"]
    failed = held.greenroom("run", "python", "manage.py", "migrate", "payroll", "0099", check=False)
    assert failed.returncode != 0
    held.wait_for(lambda: held.read("migrations")["runs"][0], lambda run: run["finished_at"])
    assert held.delivery()["state"] == "held"
    assert versions(held)["current"] == before


def rehearsed(team) -> tuple[dict, str]:
    """A rehearsal requested by a user: (its row with the report, the command's output)."""
    said = team.greenroom("migrations:rehearse")
    row = newest_rehearsal(team)
    return row, said.stdout + said.stderr


def newest_rehearsal(team) -> dict:
    """Its row with the report."""
    number = team.wait_for_rehearsal()["number"]
    row = json.loads(team.greenroom("migrations:rehearsal", str(number), "--json", check=False).stdout)
    assert row["state"] == "done", row
    return row


def cells(row: dict) -> dict[str, str]:
    return {name: cell["state"] for name, cell in row["report"]["cells"].items()}


def copies(team) -> list[str]:
    """The existing databases of rehearsals, and their roles."""
    rows = team.greenroom("run", "--", "python", "manage.py", "shell", "-c", COPIES).stdout
    return [line for line in rows.splitlines() if "_rehearsal_" in line]


COPIES = """from django.db import connection as c
k = c.cursor()
k.execute("SELECT datname FROM pg_database UNION SELECT rolname FROM pg_roles")
print(*(row[0] for row in k), sep=chr(10))"""


def test_a_rename_is_said_to_break_both_codes_and_nothing_is_left_of_the_copy(held):
    row = held.wait_for_rehearsal()
    assert (row["state"], row["pending"]) == ("done", ["payroll.0004_staff_iban"]), row
    row, said = rehearsed(held)
    assert cells(row) == {"old_old": "ok", "new_old": "fails", "new_new": "ok", "old_new": "fails"}, row["report"][
        "cells"
    ]
    assert row["report"]["reverse"]["done"]
    assert row["report"]["reverse"]["differences"] == []
    assert "payroll_staffmember (iban is missing)" in said
    assert "payroll_staffmember (bank_account is renamed to iban)" in said
    assert row["report"]["migrations"][0]["locks"][0]["mode"] == "AccessExclusiveLock"
    assert row["colour"] == "amber"
    assert copies(held) == []


LOCK = """import time
from django.db import connection, transaction
with transaction.atomic():
    connection.cursor().execute("LOCK TABLE payroll_staffmember IN SHARE MODE")
    print("held:", 40 + 2, flush=True)
    time.sleep(60)
"""


def test_a_migrate_that_cannot_get_its_lock_gives_up_soon_and_says_why(held):
    """Leaves the renamed column live."""
    words = ["python", "manage.py", "shell", "-c", LOCK]
    name = held.greenroom("run", "--detached", "--", *words).stdout.strip()
    held.wait_for(lambda: held.greenroom("logs", "--dyno", name).stdout, lambda text: "held: 42" in text)
    result = held.greenroom("migrations:run", check=False)
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "lock timeout" in said, said
    assert held.delivery()["state"] == "held"
    held.greenroom("ps:stop", name)
    said = held.greenroom("migrations:run").stderr
    assert held.delivery()["state"] == "live"
    assert "Starting the held release" in said
    assert "Rehearsed" in said
    runs = held.read("migrations")["runs"]
    assert runs[0]["seconds"] > 0
    assert runs[0]["rehearsed_seconds"] is not None
    taken = [run["snapshot"] for run in runs]
    assert len(set(taken)) == len(taken)
    assert all(taken[:2]), "each migrate of something pending has its snapshot"


HALFWAY = """from django.db import migrations


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("payroll", "0003_runs_and_payslips")]
    operations = [
        migrations.RunSQL("UPDATE payroll_staffmember SET name = 'lost'", migrations.RunSQL.noop),
        migrations.RunSQL(
            "SELECT 1 / (CASE WHEN count(*) > 0 THEN 0 ELSE 1 END) FROM payroll_staffmember", migrations.RunSQL.noop
        ),
    ]
"""
LAST = "0003_runs_and_payslips"
"""The sample's last migration."""


def next_migration(team) -> tuple[int, str]:
    """(number of the next migration of the checkout, number of the one before)."""
    names = sorted(path.stem for path in (team.work / "payroll" / "migrations").glob("0*.py"))
    return int(names[-1][:4]) + 1, names[-1]


def break_half_way(team) -> str:
    """Write a migration that fails half-way if there are rows, so that no test on an empty database detects it."""
    number, earlier = next_migration(team)
    name = f"{number:04}_halfway"
    team.write(f"payroll/migrations/{name}.py", HALFWAY.replace(LAST, earlier))
    team.commit("A migration that breaks half-way")
    return name


def test_a_migration_that_breaks_half_way_is_undone_by_one_command(ready):
    names = [
        "manage.py",
        "shell",
        "-c",
        (
            "from payroll.models import StaffMember as S; print(*S.objects.order_by('number').values_list('name',"
            " flat=True), sep='|')"
        ),
    ]
    before = ready.greenroom("run", "--", "python", *names).stdout
    assert "|" in before
    break_half_way(ready)
    said = ready.push()
    assert ": red, " in said, said
    ready.assert_live()
    refused = ready.greenroom("run", "python", "manage.py", "migrate", check=False)
    assert (refused.returncode, "was red" in refused.stderr, "--force" in refused.stderr) == (1, True, True)
    result = ready.greenroom("run", "--force", "python", "manage.py", "migrate", check=False)
    assert result.returncode != 0
    taken = ready.read("migrations")["runs"][0]["snapshot"]
    assert f"greenroom pg:restore {taken} -a {ready.name}" in result.stderr
    assert ready.greenroom("run", "--", "python", *names).stdout.count("lost") > 3
    ready.greenroom("pg:restore", taken, "--confirm", ready.name)
    assert ready.greenroom("run", "--", "python", *names).stdout == before
    ready.wait_for(lambda: ready.get("/readyz")[1], lambda body: body.startswith("migrations to apply: 1"))
    assert ready.get("/sign-in/")[0] == 200
