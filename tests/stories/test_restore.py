"""A team damages its data and restores it; the app's processes continue with the restored database."""

from __future__ import annotations

import psycopg

COUNT = "from django.contrib.sessions.models import Session as S; print(S.objects.count())"


def migrated(team):
    """Bring the app live, with all migrations of its code applied."""
    team.set_secret()
    team.push()
    team.assert_live()
    team.greenroom("run", "--", "python", "manage.py", "migrate", "--no-input")
    up_to_date(team)


def up_to_date(team):
    team.wait_for(lambda: team.read("migrations"), lambda row: row["status"] == "ok" and not row["pending"])


def test_a_team_puts_its_database_back(team):
    migrated(team)
    url = team.read("config")["DATABASE_URL"]
    team.greenroom("pg:snapshots:capture", "--reason", "before we break it")
    taken = team.read("pg:snapshots")[0]["name"]
    before = {row["name"]: row["id"] for row in team.dynos() if row["type"] == "web"}

    with psycopg.connect(url, autocommit=True) as connection:
        applied = connection.execute("SELECT count(*) FROM django_migrations").fetchone()
        connection.execute("DELETE FROM django_migrations WHERE app = 'sessions'")
        connection.execute("DROP TABLE django_session")

    said = team.greenroom("pg:restore", taken, check=False)
    assert said.returncode == 1
    assert "of writes" in said.stderr
    team.greenroom("pg:restore", taken, "--confirm", team.name)

    assert team.read("config")["DATABASE_URL"] == url
    with psycopg.connect(url, autocommit=True) as connection:
        assert connection.execute("SELECT count(*) FROM django_migrations").fetchone() == applied
        assert connection.execute("SELECT count(*) FROM django_session").fetchone() is not None

    def renewed():
        return {row["name"]: row["id"] for row in team.dynos() if row["type"] == "web" and row["state"] == "up"}

    team.wait_for(renewed, lambda now: now.keys() == before.keys() and not set(now.values()) & set(before.values()))
    team.wait_for(lambda: team.get("/healthz")[0], lambda status: status == 200)
    assert team.get("/sign-in/")[0] == 200
    counted = team.greenroom("run", "--", "python", "manage.py", "shell", "-c", COUNT)
    assert counted.stdout.split()[-1].isdigit()
    up_to_date(team)
    rows = {row["name"]: row for row in team.read("pg:snapshots")}
    saved = next(row for row in rows.values() if row["kind"] == "before_restore")
    assert saved["state"] == "succeeded"
    assert rows[taken]["release"]["version"] == saved["release"]["version"]
    assert [row["kind"] for row in rows.values() if row["pinned"]] == ["before_migrate"]
