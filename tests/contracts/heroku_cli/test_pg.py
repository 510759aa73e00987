"""Tests of the unmodified Heroku CLI's database commands: each is run, and its effect is checked independently."""

from __future__ import annotations

import json
import re
import ssl
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import psycopg
import pytest

from greenroom_cli.host.postgres import binaries
from tests.stories.team import Installation

pytestmark = pytest.mark.story
HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
APP = "contract-pg"


class Cli:
    """The command on an installation, and checks that bypass it."""

    def __init__(self, place: Installation, folder: Path) -> None:
        self.place, self.folder = place, folder
        exported = json.loads(place.run("env", "--home", place.home, "--json").stdout)
        # an older pg_dump on the host refuses this server
        path = f"{ROOT / '.tools/heroku/node_modules/.bin'}:{binaries()}:{place.env['PATH']}"
        self.env = {**place.env, **exported, "PATH": path, "HOME": str(folder), "TERM": "dumb", "NO_COLOR": "1"}

    def __call__(self, *words: str, app: str | None = APP, check: bool = True) -> str:
        argv = ["heroku", *words, *(("-a", app) if app else ())]
        result = subprocess.run(
            argv,
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        self.code = result.returncode
        assert not check or result.returncode == 0, f"{argv}\n{result.stdout}{result.stderr}\n{self.place.trouble()}"
        return result.stdout + result.stderr

    def config(self, app: str = APP) -> dict[str, str]:
        return self.place.api("GET", f"/apps/{app}/config-vars")[1]

    def sql(self, text: str, url: str = "") -> list[tuple]:
        with psycopg.connect(url or self.config()["DATABASE_URL"], autocommit=True) as connection:
            cursor = connection.execute(text)
            return cursor.fetchall() if cursor.description else []

    def snapshots(self) -> list[dict]:
        return self.place.api("GET", f"/apps/{APP}/pg/snapshots")[1]


@pytest.fixture(scope="module")
def tool():
    if subprocess.run(["sh", str(HERE / "install.sh")], capture_output=True, timeout=300, check=False).returncode:
        pytest.skip("THE HEROKU CLI COULD NOT BE INSTALLED: its contract is not tested")


@pytest.fixture
def heroku(place, tool, tmp_path):
    place.run("create", APP)
    cli = Cli(place, tmp_path)
    cli.sql("CREATE TABLE note (n int)")
    cli.sql("INSERT INTO note VALUES (1), (2), (3)")
    yield cli
    place.run("destroy", APP, "--confirm", APP, check=False)


def test_info_credentials_and_wait_show_the_database_that_the_app_uses(heroku):
    said = heroku("pg:info")
    assert "DATABASE_URL" in said
    assert re.search(r"Tables: +1\b", said)
    assert re.search(r"PG Version: +1[5-9]", said)
    assert heroku.config()["DATABASE_URL"] in heroku("pg:credentials:url")
    heroku("pg:wait")
    assert "postgresql-" in heroku("addons")
    assert "postgresql-" in heroku("addons", app=None)


def test_a_backup_is_taken_downloaded_and_restored(heroku):
    heroku("pg:backups:capture")
    row = heroku.snapshots()[0]
    assert (row["name"], row["state"], row["tables"]) == ("b001", "succeeded", 1)
    assert "b001" in heroku("pg:backups")
    assert row["sha256"] in heroku("pg:backups:info", "b001")
    heroku("pg:backups:download", "b001", "-o", "x.dump")
    assert (heroku.folder / "x.dump").stat().st_size == row["size_bytes"]
    heroku.sql("DELETE FROM note")
    heroku("pg:backups:restore", "b001", "DATABASE_URL", "--confirm", APP)
    assert heroku.sql("SELECT count(*) FROM note") == [(3,)]
    assert heroku.sql("INSERT INTO note VALUES (4) RETURNING n") == [(4,)]
    assert "r002" in heroku("pg:backups")


def test_a_backups_link_gives_the_file_to_whoever_has_it_and_a_forged_one_does_not(heroku):
    heroku("pg:backups:capture")
    url = re.search(r"https://\S+", heroku("pg:backups:url"))[0]
    trust = ssl.create_default_context(cafile=heroku.env["NODE_EXTRA_CA_CERTS"])
    with urllib.request.urlopen(url, context=trust) as answer:
        assert answer.read(5) == b"PGDMP"
        assert "b001.dump" in answer.headers["content-disposition"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(url[:-4] + "AAAA", context=trust)


def test_nothing_is_restored_from_elsewhere(heroku):
    said = heroku("pg:backups:restore", "https://example.com/x.dump", "DATABASE_URL", "--confirm", APP, check=False)
    assert heroku.code != 0
    assert "Only backups of this installation" in said
    assert heroku.sql("SELECT count(*) FROM note") == [(3,)]


def test_a_backup_can_be_deleted(heroku):
    heroku("pg:backups:capture")
    heroku("pg:backups:delete", "b001", "--confirm", APP)
    assert heroku.snapshots() == []
    assert not list((heroku.place.home / "snapshots").rglob("*.dump"))


def test_daily_backups_are_scheduled_shown_and_stopped(heroku):
    heroku("pg:backups:schedule", "DATABASE_URL", "--at", "02:00 Europe/Paris")
    assert "daily at 2:00 Europe/Paris" in heroku("pg:backups:schedules")
    heroku("pg:backups:unschedule")
    assert "No backup schedules" in heroku("pg:backups:schedules")


def test_a_reset_empties_the_database_and_keeps_a_snapshot_of_what_was_in_it(heroku):
    before = heroku.config()["DATABASE_URL"]
    heroku("pg:reset", "--confirm", APP)
    assert heroku.config()["DATABASE_URL"] == before
    assert heroku.sql("SELECT to_regclass('note')") == [(None,)]
    saved = heroku.snapshots()[0]
    assert (saved["kind"], saved["tables"]) == ("before_restore", 1)
    heroku("pg:backups:restore", saved["name"], "DATABASE_URL", "--confirm", APP)
    assert heroku.sql("SELECT count(*) FROM note") == [(3,)]


def test_nothing_happens_to_the_data_without_the_apps_name(heroku):
    heroku("pg:reset", "--confirm", "other", check=False)
    assert heroku.code != 0
    assert heroku.sql("SELECT count(*) FROM note") == [(3,)]


def test_a_second_database_is_made_promoted_and_destroyed(heroku):
    first = heroku.config()["DATABASE_URL"]
    heroku("addons:create", "heroku-postgresql", "--as", "NEW", "--name", "ach-second")
    second = heroku.config()["NEW_URL"]
    assert heroku.sql("SELECT count(*) FROM pg_class WHERE relname = 'note'", second) == [(0,)]
    heroku("pg:promote", "NEW")
    config = heroku.config()
    assert config["DATABASE_URL"] == second
    assert first in config.values()
    assert "ach-second" in heroku("addons:info", "ach-second")
    heroku("addons:attach", "ach-second", "--as", "READ")
    assert heroku.config()["READ_URL"] == second
    heroku("addons:detach", "READ")
    assert "READ_URL" not in heroku.config()
    heroku("addons:destroy", "ach-second", "--confirm", APP)
    assert second not in heroku.config().values()
    with pytest.raises(psycopg.OperationalError):
        heroku.sql("SELECT 1", second)
    assert heroku.sql("SELECT count(*) FROM note", first) == [(3,)]


def test_a_backup_of_one_database_can_be_restored_into_another(heroku):
    heroku("pg:backups:capture")
    heroku("addons:create", "heroku-postgresql", "--as", "COPY")
    heroku("pg:backups:restore", "b001", "COPY_URL", "--confirm", APP)
    assert heroku.sql("SELECT count(*) FROM note", heroku.config()["COPY_URL"]) == [(3,)]
    assert heroku.sql("SELECT count(*) FROM note") == [(3,)]


def test_a_database_is_copied_pushed_and_pulled(heroku):
    heroku("addons:create", "heroku-postgresql", "--as", "COPY")
    source, target = (heroku.config()[name] for name in ("DATABASE_URL", "COPY_URL"))
    count = "SELECT count(*) FROM note"
    heroku("pg:copy", "DATABASE_URL", "COPY_URL", "--confirm", "COPY", "--wait-interval", "1")
    assert heroku.sql(count, target) == [(3,)]
    assert "not empty" in heroku("pg:push", source, "COPY_URL", check=False)
    heroku.sql("DROP TABLE note", target)
    heroku("pg:push", source, "COPY_URL")
    assert heroku.sql(count, target) == [(3,)]
    heroku.sql("DROP TABLE note", target)
    heroku("pg:pull", "DATABASE_URL", target)
    assert heroku.sql(count, target) == [(3,)]
    assert heroku.sql(count, source) == [(3,)]


def test_an_attachment_in_use_is_not_taken_without_confirmation(heroku):
    before = heroku.config()["DATABASE_URL"]
    heroku("addons:create", "heroku-postgresql", "--as", "DATABASE", check=False)
    assert heroku.config()["DATABASE_URL"] == before
    heroku("addons:create", "heroku-postgresql", "--as", "DATABASE", "--confirm", APP)
    assert heroku.config()["DATABASE_URL"] != before


def test_psql_reaches_the_database_also_with_what_is_typed(heroku):
    assert "3" in heroku("pg:psql", "-c", "SELECT count(*) FROM note")
    assert "note" in heroku("psql", "--command", "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")


def test_the_database_is_looked_into(heroku):
    heroku.sql("CREATE INDEX note_by_n ON note (n)")
    heroku.sql("ANALYZE note")
    for command, shown in {
        "pg:table-size": "note",
        "pg:total-table-size": "note",
        "pg:table-indexes-size": "note",
        "pg:index-size": "note_by_n",
        "pg:total-index-size": "kB",
        "pg:index-usage": "rows_in_table",
        "pg:unused-indexes": "index_scans",
        "pg:seq-scans": "note",
        "pg:records-rank": "note",
        "pg:vacuum-stats": "note",
        "pg:cache-hit": "hit rate",
        "pg:long-running-queries": "duration",
        "pg:user-connections": "connections",
        "pg:blocking": "blocking_pid",
        "pg:bloat": "waste",
    }.items():
        assert shown in heroku(command), command


def test_sessions_are_seen_and_ended(heroku):
    with psycopg.connect(heroku.config()["DATABASE_URL"]) as session:
        session.execute("LOCK TABLE note")
        pid = str(session.info.backend_pid)
        assert pid in heroku("pg:ps", "--verbose")
        assert "note" in heroku("pg:locks")
        heroku("pg:kill", pid, "--force")
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    with psycopg.connect(heroku.config()["DATABASE_URL"]) as session:
        session.execute("SELECT 1")
        heroku("pg:killall")
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert heroku.sql("SELECT count(*) FROM note") == [(3,)]


def test_add_ons_are_listed_renamed_and_waited_for_and_have_one_plan(heroku):
    assert "heroku-postgresql" in heroku("addons:services", app=None)
    assert "essential-0" in heroku("addons:plans", "heroku-postgresql", app=None)
    assert "articles/heroku-postgresql" in heroku("addons:docs", "heroku-postgresql", app=None, check=False)
    heroku("addons:create", "heroku-postgresql", "--as", "OTHER", "--name", "ach-other")
    heroku("addons:wait", "ach-other")
    heroku("addons:rename", "ach-other", "ach-renamed", app=None)
    assert "ach-renamed" in heroku("addons")
    assert "the only plan" in " ".join(
        heroku("addons:upgrade", "ach-renamed", "heroku-postgresql:standard-0", check=False).split()
    )
    assert "default" in heroku("pg:credentials")


def test_there_is_nothing_to_cancel_when_no_backup_runs(heroku):
    assert "No active backups" in heroku("pg:backups:cancel", check=False)
