"""New code that cannot work on the present schema waits for a human's migrations, while the old code serves."""

from __future__ import annotations

import json
import re

import pytest

from tests.stories.test_without_loss import Clients


@pytest.fixture
def ready(team):
    """An app that is live, with its database migrated and its demo data in."""
    team.set_secret()
    team.push()
    team.assert_live()
    team.greenroom("run", "python", "manage.py", "migrate")
    team.greenroom("run", "python", "manage.py", "seed_demo", "--password", "only-for-stories")
    return team


def hold(team) -> str:
    """Push the renamed column; what the pusher reads."""
    team.apply("renamed-column")
    output = team.push()
    row = team.delivery()
    assert (row["state"], row["migrations"]) == ("held", {"pending": ["payroll.0004_staff_iban"], "held": True}), output
    return output


def versions(team) -> dict[str, int]:
    """What serves and what is newest."""
    releases = team.place.api("GET", f"/apps/{team.name}/releases")[1]
    return {
        "current": next(row["version"] for row in releases if row["current"]),
        "newest": max(row["version"] for row in releases),
    }


def test_a_renamed_column_is_held_and_goes_live_by_itself_after_the_humans_migrate(ready):
    before = versions(ready)["current"]
    with Clients(ready, 10) as clients:
        output = hold(ready)
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


def test_a_migrate_that_fails_changes_nothing_and_the_release_stays_held(ready):
    before = versions(ready)["current"]
    hold(ready)
    failed = ready.greenroom("run", "python", "manage.py", "migrate", "payroll", "0099", check=False)
    assert failed.returncode != 0
    ready.wait_for(lambda: ready.read("migrations")["runs"][0], lambda run: run["finished_at"])
    assert ready.delivery()["state"] == "held"
    assert versions(ready)["current"] == before


def test_a_held_release_can_be_dropped_and_a_newer_one_takes_its_place(ready):
    before = versions(ready)["current"]
    hold(ready)
    dropped = json.loads(ready.greenroom("deliveries:drop", "--json").stdout)
    assert (dropped["state"], versions(ready)["current"]) == ("superseded", before)
    assert ready.greenroom("deliveries:drop", check=False).returncode == 1
    ready.git("revert", "--no-edit", "HEAD")
    ready.push()
    ready.assert_live()
    ready.apply("renamed-column")
    ready.push()
    first = ready.sha
    assert ready.delivery(first)["state"] == "held"
    ready.write("static/story.txt", "newer\n")
    ready.commit("A newer commit on top")
    ready.push()
    assert (ready.delivery()["state"], ready.delivery(first)["state"]) == ("held", "superseded")


LOCK = """import time
from django.db import connection, transaction
with transaction.atomic():
    connection.cursor().execute("LOCK TABLE payroll_staffmember IN SHARE MODE")
    print("held:", 40 + 2, flush=True)
    time.sleep(60)
"""


def test_a_migrate_that_cannot_get_its_lock_gives_up_soon_and_says_why(ready):
    hold(ready)
    words = ["python", "manage.py", "shell", "-c", LOCK]
    name = ready.greenroom("run", "--detached", "--", *words).stdout.strip()
    ready.wait_for(lambda: ready.greenroom("logs", "--dyno", name).stdout, lambda text: "held: 42" in text)
    result = ready.greenroom("migrations:run", check=False)
    assert result.returncode != 0
    said = result.stdout + result.stderr
    assert "lock timeout" in said, said
    assert ready.delivery()["state"] == "held"
    ready.greenroom("ps:stop", name)
    said = ready.greenroom("migrations:run").stderr
    assert ready.delivery()["state"] == "live"
    assert "Starting the held release" in said
    taken = [run["snapshot"] for run in ready.read("migrations")["runs"]]
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
    ready.write("payroll/migrations/0004_halfway.py", HALFWAY)
    ready.commit("A migration that breaks half-way where there are rows, so that no test on an empty database sees it")
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
