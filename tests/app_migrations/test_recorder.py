"""The recorder measures the effects of migrations, with real Django apps and a real PostgreSQL."""

from __future__ import annotations

import psycopg
import pytest

from greenroom.app_migrations.rules import rehearsal, rehearsal_text, sql_warnings
from tests.app_migrations.recording import APP, back, database, manage, migration, record
from tests.checks.dyno_side import write

MANY = 150_000


@pytest.fixture
def app(tmp_path):
    return write(tmp_path / "app", APP)


@pytest.fixture
def url(app):
    """A database with the first migration applied and no rows."""
    with database() as url:
        manage(app, url, "migrate", "--verbosity", "0")
        yield url


def fill(url: str, rows: int = MANY) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO shop_item (name) SELECT 'name ' || n FROM generate_series(1, %s) n", [rows])
        connection.execute("ANALYZE")


def run(app, url, operations: str, **more) -> tuple[dict, rehearsal.Measured]:
    """The document, and the measurements of its first migration."""
    write(app, {"shop/migrations/0002_next.py": migration(operations, **more)})
    document = record(app, url)
    return document, rehearsal.measured(document["migrations"][0])


def lock(one: rehearsal.Measured, table: str = "shop_item") -> dict[str, float]:
    return {item.mode: item.seconds for item in one.locks if item.table == table}


def rows(url: str, query: str) -> list:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


SLEEP = "migrations.RunPython(lambda apps, editor: __import__('time').sleep(0.4), migrations.RunPython.noop)"
ADD_INDEX = "migrations.AddIndex('item', models.Index(fields=['name'], name='by_name'))"
CONCURRENTLY = "AddIndexConcurrently('item', models.Index(fields=['name'], name='by_name'))"


def test_an_index_is_seen_to_block_writes_until_the_commit(app, url):
    fill(url, 10)
    document, one = run(app, url, f"{ADD_INDEX}, {SLEEP}")
    assert document["status"] == "ok", document["detail"]
    assert lock(one)["ShareLock"] >= 0.4
    assert "AccessExclusiveLock" not in lock(one)
    judged = rehearsal.judge(one)
    assert (judged.kind, judged.table) == ("blocks writes", "shop_item")
    assert [warning.rule for warning in sql_warnings.warnings(one)] == ["index"]


def test_an_index_built_concurrently_blocks_nobody_and_its_lock_is_seen_from_outside(app, url):
    fill(url)
    document, one = run(app, url, CONCURRENTLY, more="atomic = False")
    assert document["status"] == "ok", document["detail"]
    assert lock(one)["ShareUpdateExclusiveLock"] > 0
    assert rehearsal.judge(one).kind == "harmless"
    assert (one.atomic, sql_warnings.warnings(one)) == (False, [])


def test_a_changed_type_rewrites_the_table_and_its_index_under_a_lock_that_blocks_reads(app, url):
    fill(url)
    add = "migrations.AddField('item', 'stock', models.IntegerField(default=0, db_index=True))"
    write(app, {"shop/migrations/0002_stock.py": migration(add)})
    wider = "migrations.AlterField('item', 'stock', models.BigIntegerField(default=0, db_index=True))"
    write(app, {"shop/migrations/0003_wider.py": migration(wider, after="0002_stock")})
    document = record(app, url)
    one = rehearsal.measured(document["migrations"][1])
    sizes = {item.relation: item.bytes for item in one.rewrites}
    assert sizes["shop_item"] > 1_000_000
    assert len(sizes) >= 2, "the index is written anew as well"
    assert lock(one)["AccessExclusiveLock"] > 0.02
    assert [warning.rule for warning in sql_warnings.warnings(one)] == ["type"]


def test_a_required_column_without_a_default_in_the_database_breaks_inserts_of_old_code(app, url):
    fill(url, 3)
    _, one = run(app, url, "migrations.AddField('item', 'kind', models.CharField(max_length=5, default='tea'))")
    assert rehearsal.breaks_old([one]) == ["insert into shop_item (kind is required and has no default)"]
    assert rehearsal.needs_new([one]) == ["use shop_item (kind is missing)"]
    assert [warning.rule for warning in sql_warnings.warnings(one)] == ["not-null"]
    assert "tea" not in str(one.statements)


def test_a_column_with_a_default_in_the_database_breaks_nothing(app, url):
    fill(url, 3)
    _, one = run(
        app, url, "migrations.AddField('item', 'kind', models.CharField(max_length=5, db_default='tea', default='tea'))"
    )
    assert (rehearsal.breaks_old([one]), sql_warnings.warnings(one)) == ([], [])
    assert rehearsal.judge(one).colour == "green"


def test_a_column_that_rows_make_impossible_fails_with_its_reason_and_leaves_nothing(app, url):
    fill(url, 3)
    document, one = run(app, url, "migrations.RunSQL('ALTER TABLE shop_item ADD COLUMN kind text NOT NULL')")
    assert document["status"] == "failed"
    assert "contains null values" in one.error
    assert "Traceback" in one.traceback
    assert rehearsal.judge(one).colour == "red"
    assert one.columns == ()
    assert rows(url, "SELECT count(*) FROM django_migrations WHERE app = 'shop'") == [(1,)]


def test_rows_that_python_writes_are_counted_and_its_values_are_not_kept(app, url):
    fill(url, 500)
    work = "def work(apps, editor):\n    apps.get_model('shop', 'Item').objects.update(name='secret-value')\n"
    document, one = run(app, url, "migrations.RunPython(work)", before=work)
    assert one.rows == (("shop_item", 0, 500, 0),)
    assert "secret-value" not in str(document)
    assert (one.reversible, rehearsal.judge(one).reasons) == (False, ("cannot be undone",))


def test_many_statements_are_counted_and_the_first_200_kept(app, url):
    work = (
        "def work(apps, editor):\n    for n in range(300): apps.get_model('shop', 'Item').objects.create(name=str(n))\n"
    )
    _, one = run(app, url, "migrations.RunPython(work, work)", before=work)
    assert len(one.statements) == 200
    assert one.count > 300
    assert one.rows == (("shop_item", 300, 0, 0),)


def test_a_dropped_column_is_counted_before_it_is_lost(app, url):
    fill(url, 7)
    document, one = run(app, url, "migrations.RemoveField('item', 'name')")
    assert rehearsal.lost(one) == ["drops shop_item.name with 7 values"]
    assert rehearsal.judge(one).colour == "amber"
    assert rehearsal.breaks_old([one]) == ["use shop_item (name is dropped)"]
    assert "0002 drops shop_item.name with 7 values" in rehearsal_text.paragraph([one], {}), document


def test_a_dropped_table_is_lost_and_an_empty_one_is_not(app, url):
    _, one = run(app, url, "migrations.DeleteModel('item')")
    assert rehearsal.lost(one) == []
    with database() as other:
        (app / "shop/migrations/0002_next.py").unlink()
        manage(app, other, "migrate", "--verbosity", "0")
        fill(other, 4)
        _, one = run(app, other, "migrations.DeleteModel('item')")
    assert rehearsal.lost(one) == ["drops shop_item with 4 rows"]


def test_a_renamed_column_is_told_from_one_dropped_and_one_added(app, url):
    fill(url, 2)
    _, one = run(app, url, "migrations.RenameField('item', 'name', 'title')")
    assert rehearsal.breaks_old([one]) == ["use shop_item (name is renamed to title)"]
    assert rehearsal.needs_new([one]) == ["use shop_item (title is missing)"]
    assert rehearsal.lost(one) == []


def test_tables_that_the_plan_makes_count_for_nothing(app, url):
    make = (
        "migrations.CreateModel('Box', [('id', models.BigAutoField(primary_key=True)), ('size',"
        " models.IntegerField(db_index=True))])"
    )
    write(
        app,
        {
            "shop/migrations/0003_more.py": migration(
                "migrations.AddIndex('box', models.Index(fields=['size'], name='x'))", after="0002_next"
            )
        },
    )
    document, one = run(app, url, make)
    two = rehearsal.measured(document["migrations"][1])
    assert rehearsal.judge(one).colour == rehearsal.judge(two).colour == "green"
    assert rehearsal_text.all_warnings([one, two]) == {}
    assert not [item for item in (*one.locks, *two.locks) if item.table == "shop_box"]


def test_a_plan_that_fails_half_way_stops_there_and_says_what_was_done(app, url):
    write(app, {"shop/migrations/0003_bad.py": migration("migrations.RunSQL('SELECT nothing')", after="0002_next")})
    write(app, {"shop/migrations/0004_never.py": migration(ADD_INDEX, after="0003_bad")})
    document, _ = run(app, url, ADD_INDEX)
    assert document["status"] == "failed"
    assert [item["name"] for item in document["migrations"]] == ["shop.0002_next", "shop.0003_bad"]
    assert document["detail"].startswith("shop.0003_bad: ProgrammingError")
    assert rows(url, "SELECT count(*) FROM django_migrations WHERE name = '0002_next'") == [(1,)]


def test_a_statement_longer_than_the_budget_is_ended(app, url):
    write(app, {"shop/migrations/0002_next.py": migration("migrations.RunSQL('SELECT pg_sleep(30)')")})
    document = record(app, url, {"budget": 1})
    assert document["status"] == "failed"
    assert "statement timeout" in document["detail"]


def test_the_schema_is_what_it_was_after_taking_the_plan_back(app, url):
    write(app, {"shop/migrations/0003_index.py": migration(ADD_INDEX, after="0002_next")})
    document, _ = run(
        app, url, "migrations.AddField('item', 'kind', models.CharField(max_length=5, default='tea', unique=False))"
    )
    assert document["added"]
    found = back(app, url, document)["reverse"]
    assert (found["done"], found["differences"]) == (True, []), found
    assert rows(url, "SELECT count(*) FROM django_migrations WHERE app = 'shop'") == [(1,)]


def test_a_reverse_that_does_not_restore_is_found_out(app, url):
    half = "migrations.RunSQL('CREATE INDEX left_here ON shop_item (name)', migrations.RunSQL.noop)"
    document, _ = run(app, url, half)
    differences = back(app, url, document)["reverse"]["differences"]
    assert [line.startswith("left over: CREATE INDEX left_here") for line in differences] == [True]


def test_an_irreversible_plan_is_not_taken_back(app, url):
    document, _ = run(app, url, "migrations.RunSQL('SELECT 1')")
    found = back(app, url, document)["reverse"]
    assert (found["done"], found["detail"]) == (False, "shop.0002_next cannot be undone")
    assert rows(url, "SELECT count(*) FROM django_migrations WHERE name = '0002_next'") == [(1,)]


def test_mail_that_a_migration_sends_goes_nowhere(app, url):
    work = (
        "def work(apps, editor):\n    from django.core import mail\n    mail.send_mail('s', 't', 'a@example.com',"
        " ['b@example.com'])\n"
    )
    document, _ = run(app, url, "migrations.RunPython(work, work)", before=work)
    assert document["status"] == "ok", document["detail"]


def test_an_app_that_cannot_be_loaded_is_an_error_with_its_reason(app, url):
    write(app, {"conf/settings.py": "import nothing_x\n"})
    document = record(app, url)
    assert (document["status"], document["migrations"]) == ("error", [])
    assert "nothing_x" in document["detail"]


def test_an_empty_database_is_migrated_with_django_s_own_apps(app):
    own = 'INSTALLED_APPS = ["shop", "django.contrib.contenttypes", "django.contrib.auth"]'
    write(app, {"conf/settings.py": APP["conf/settings.py"].replace('INSTALLED_APPS = ["shop"]', own)})
    with database() as url:
        document = record(app, url)
        assert (document["status"], document["post_migrate"]["error"]) == ("ok", ""), document["detail"]
        assert rows(url, "SELECT count(*) > 0 FROM auth_permission WHERE codename = 'add_item'") == [(True,)]
        assert len(document["migrations"]) > 10
        assert rehearsal.colour([rehearsal.measured(item) for item in document["migrations"]], {}) in ("green", "amber")
