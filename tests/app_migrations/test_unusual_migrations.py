"""Migrations of unusual shapes: the results of probe and recorder, with real Django apps and a real PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys

import psycopg
import pytest

from greenroom.app_migrations.drivers.probes import probe_spec_parts
from greenroom.app_migrations.rules import rehearsal
from greenroom.builds.steps.store import migrations_digest
from tests.app_migrations.recording import APP, back, database, manage, migration, record
from tests.checks.dyno_side import environment, write

AUTH = {
    "conf/settings.py": (
        APP["conf/settings.py"].replace(
            '["shop"]', '["django.contrib.contenttypes", "django.contrib.auth", "people", "shop"]'
        )
    )
}


@pytest.fixture
def app(tmp_path):
    return write(tmp_path / "app", APP)


@pytest.fixture
def url(app):
    with database() as url:
        manage(app, url, "migrate", "--verbosity", "0")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("INSERT INTO shop_item (name) SELECT 'name ' || n % 10 FROM generate_series(1, 100) n")
        yield url


def probe(folder, url: str) -> dict:
    out = folder.parent / "out"
    out.mkdir(exist_ok=True)
    parts = probe_spec_parts()
    argv = [sys.executable, *parts.command[1:-1], str(out)]
    subprocess.run(
        argv,
        input=parts.stdin,
        cwd=folder,
        env=environment(DATABASE_URL=url, SECRET_KEY="x"),
        capture_output=True,
        check=True,
    )
    return json.loads((out / "probe.json").read_text())


def first(document: dict) -> rehearsal.Measured:
    return rehearsal.measured(document["migrations"][0])


def test_what_separate_operations_do_to_the_database_alone_decides_whether_they_can_be_undone(app, url):
    inside = (
        "migrations.SeparateDatabaseAndState(database_operations=[migrations.RunSQL('ALTER TABLE shop_item ADD COLUMN"
        " extra int')])"
    )
    write(app, {"shop/migrations/0002_next.py": migration(inside)})
    assert [step["reversible"] for step in probe(app, url)["plan"]] == [False]
    document = record(app, url)
    assert rehearsal.judge(first(document)).reasons == ("cannot be undone",)
    assert "cannot be undone" in back(app, url, document)["reverse"]["detail"]


def test_operations_on_the_state_alone_touch_nothing(app, url):
    inside = (
        "migrations.SeparateDatabaseAndState(state_operations=[migrations.AddField('item', 'kind',"
        " models.TextField(null=True))])"
    )
    write(app, {"shop/migrations/0002_next.py": migration(inside)})
    one = first(record(app, url))
    assert (rehearsal.judge(one).colour, rehearsal.breaks_old([one]), rehearsal.needs_new([one])) == ("green", [], [])


def test_an_index_that_cannot_be_built_concurrently_is_said_to_stay_behind(app, url):
    work = "migrations.RunSQL('CREATE UNIQUE INDEX CONCURRENTLY one_name ON shop_item (name)', migrations.RunSQL.noop)"
    write(app, {"shop/migrations/0002_next.py": migration(work, more="atomic = False")})
    document = record(app, url)
    assert document["status"] == "failed"
    assert "the invalid index one_name remains" in first(document).error


def test_a_history_that_migrate_refuses_is_a_red_rehearsal(app, url):
    write(
        app,
        {
            "shop/migrations/0002_between.py": migration(""),
            "shop/migrations/0003_last.py": migration("", after="0002_between"),
        },
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0003_last', now())")
    document = record(app, url)
    assert (document["status"], document["migrations"]) == ("failed", [])
    assert "migrate would fail: InconsistentMigrationHistory" in document["detail"]


def test_a_squashed_migration_of_which_a_part_is_applied_is_rehearsed_by_its_parts(app, url):
    add = "migrations.AddField('item', {name!r}, models.IntegerField(null=True))"
    write(app, {"shop/migrations/0002_one.py": migration(add.format(name="one"))})
    manage(app, url, "migrate", "--verbosity", "0")
    write(
        app,
        {
            "shop/migrations/0003_two.py": migration(add.format(name="two"), after="0002_one"),
            "shop/migrations/0002_squashed_0003_two.py": migration(
                f"{add.format(name='one')}, {add.format(name='two')}",
                more="replaces = [('shop', '0002_one'), ('shop', '0003_two')]",
            ),
        },
    )
    assert probe(app, url)["pending"] == ["shop.0003_two"]
    document = record(app, url)
    assert ([one["name"] for one in document["migrations"]], document["status"]) == (["shop.0003_two"], "ok")
    assert back(app, url, document)["reverse"] == {
        "done": False,
        "detail": "shop.0003_two: squashed, and can only be reversed as a whole",
    }


def test_a_squashed_migration_is_rehearsed_and_taken_back_as_one(app, url):
    add = "migrations.AddField('item', {name!r}, models.IntegerField(null=True))"
    write(
        app,
        {
            "shop/migrations/0002_one.py": migration(add.format(name="one")),
            "shop/migrations/0002_squashed_0002_one.py": migration(
                add.format(name="one"), more="replaces = [('shop', '0002_one')]"
            ),
        },
    )
    document = record(app, url)
    assert (document["status"], document["pending"]) == ("ok", ["shop.0002_squashed_0002_one"]), document["detail"]
    assert back(app, url, document)["reverse"] == {
        "done": True,
        "detail": "",
        "seconds": pytest.approx(1, abs=30),
        "differences": [],
    }


@pytest.mark.neighbours
def test_an_app_with_users_of_its_own_is_rehearsed(tmp_path):
    person = "class Person(AbstractUser):\n    nick = models.CharField(max_length=9, default='')\n"
    people = {
        "people/__init__.py": "",
        "people/migrations/__init__.py": "",
        "people/models.py": (
            f"from django.contrib.auth.models import AbstractUser\nfrom django.db import models\n{person}"
        ),
    }
    settings = AUTH["conf/settings.py"] + "AUTH_USER_MODEL = 'people.Person'\n"
    folder = write(tmp_path / "app", {**APP, **people, "conf/settings.py": settings})
    with database() as url:
        manage(folder, url, "makemigrations", "people", "--verbosity", "0")
        manage(folder, url, "migrate", "--verbosity", "0")
        write(folder, {"people/models.py": people["people/models.py"] + "    badge = models.IntegerField(null=True)\n"})
        manage(folder, url, "makemigrations", "people", "--name", "badge", "--verbosity", "0")
        assert probe(folder, url)["pending"] == ["people.0002_badge"]
        document = record(folder, url)
        assert (document["status"], document["post_migrate"]["error"]) == ("ok", "")
        assert rehearsal.needs_new([first(document)]) == ["use people_person (badge is missing)"]
        assert back(folder, url, document)["reverse"]["differences"] == []


@pytest.mark.parametrize(
    "path",
    [
        "shop/migrations/0002_x.py",
        "db/changes/0002_x.py",
        "conf/settings.py",
        "site/settings/base.py",
        "mysite/special.py",
        "shop/apps.py",
        "alembic.ini",
        "revisions/3f2a9c1b77aa_price.py",
    ],
)
def test_whatever_decides_which_migrations_there_are_makes_the_radar_ask(path):
    def of(**changed: str) -> str:
        files = {"mysite/wsgi.py": "a", "shop/views.py": "a", "README.md": "a", path: "a", **changed}
        return migrations_digest({name: ("f", digest, 1) for name, digest in files.items()}, "env")

    assert of(**{path: "b"}) != of()
    assert of(**{"shop/views.py": "b", "README.md": "b"}) == of()
