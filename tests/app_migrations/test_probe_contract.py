"""The contract of the frameworks of the migration radar, with real apps of both and a real PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from greenroom.app_migrations import frameworks
from greenroom.app_migrations.drivers.probes import probe_spec_parts
from tests.app_migrations.recording import APP, database, migration
from tests.checks.dyno_side import BIN, environment, write

ENV = """from logging.config import fileConfig
import os
from alembic import context
from sqlalchemy import create_engine
from models import Base
url = os.environ["DATABASE_URL"].replace("postgres://", "postgresql+psycopg://")
if context.is_offline_mode():
    context.configure(url=url, target_metadata=Base.metadata, literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    with create_engine(url).connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata)
        with context.begin_transaction():
            context.run_migrations()
"""
MODELS = """from sqlalchemy import Column, Integer, String
from sqlalchemy.orm import declarative_base
Base = declarative_base()
class Item(Base):
    __tablename__ = "shop_item"
    id = Column(Integer, primary_key=True)
    name = Column(String(20), nullable=False)
"""


def revision(name: str, before: str | None, upgrade: str, downgrade: str) -> str:
    head = (
        f'"""{name}"""\nimport sqlalchemy as sa\nfrom alembic import op\nrevision, down_revision = {name!r},'
        f" {before!r}\n"
    )
    return f"{head}def upgrade():\n    {upgrade}\ndef downgrade():\n    {downgrade}\n"


PRICE = 'op.add_column("shop_item", sa.Column("price", sa.Integer()))'
COLUMNS = 'sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(20), nullable=False)'
FIRST = revision("a1", None, f'op.create_table("shop_item", {COLUMNS})', "op.drop_table('shop_item')")


FLAGS = (
    "from django.db import migrations\nclass Migration(migrations.Migration):\n    initial = True\n    operations ="
    " []\n"
)


class Django:
    """One of the two frameworks: an app with a first migration, and changes to it."""

    first, second, model = "shop.0001_initial", "shop.0002_price", "shop/models.py"
    field = "    price = models.IntegerField(null=True)\n"

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = write(folder, APP), url

    def migrate(self) -> None:
        self.run("manage.py", "migrate", "--verbosity", "0")

    def run(self, *words: str) -> None:
        subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=environment(DATABASE_URL=self.url, SECRET_KEY="x"),
            check=True,
            capture_output=True,
        )

    def add(self, name: str = "0002_price") -> Path:
        text = migration("migrations.AddField('item', 'price', models.IntegerField(null=True))")
        write(self.folder, {f"shop/migrations/{name}.py": text})
        return self.folder / f"shop/migrations/{name}.py"

    def clash(self) -> None:
        self.add("0002_a")
        self.add("0002_b")


class Alembic(Django):
    """The same with Alembic and SQLAlchemy."""

    first, second, model = "a1", "b2", "models.py"
    field = "    price = Column(Integer)\n"

    def __init__(self, folder: Path, url: str) -> None:
        ini = "[alembic]\nscript_location = migrations\n"
        self.folder, self.url = (
            write(
                folder,
                {"alembic.ini": ini, "migrations/env.py": ENV, "migrations/versions/a1.py": FIRST, "models.py": MODELS},
            ),
            url,
        )

    def migrate(self) -> None:
        self.run("-m", "alembic", "upgrade", "head")

    def add(self, name: str = "b2") -> Path:
        write(
            self.folder,
            {f"migrations/versions/{name}.py": revision(name, "a1", PRICE, 'op.drop_column("shop_item", "price")')},
        )
        return self.folder / f"migrations/versions/{name}.py"

    def clash(self) -> None:
        self.add("b2")
        self.add("c3")


@pytest.fixture(params=[Django, Alembic], ids=frameworks.names())
def kind(request, tmp_path):
    """(framework's name, an app with no migrations applied)."""
    with database() as url:
        yield request.param.__name__.lower(), request.param(tmp_path / "app", url)


def ask(kind, **env: str) -> dict:
    name, app = kind
    parts = probe_spec_parts(name)
    out = app.folder.parent / "out"
    out.mkdir(exist_ok=True)
    argv = [sys.executable, *parts.command[1:-1], str(out)]
    variables = {**environment(SECRET_KEY="x", DATABASE_URL=app.url), "PATH": f"{BIN}:/usr/bin:/bin", **env}
    done = subprocess.run(argv, input=parts.stdin, cwd=app.folder, env=variables, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "probe.json").read_text())


def starts(found: list[str], *wanted: str) -> bool:
    """Whether the names are these. Alembic's are followed by the author's message."""
    return [name.split()[0] for name in found] == list(wanted)


def test_what_is_pending_and_what_it_would_run_are_told_and_nothing_is_changed(kind):
    name, app = kind
    found = ask(kind)
    assert (found["framework"], found["status"], found["missing"], found["conflicts"]) == (name, "ok", [], {}), found
    assert starts(found["pending"], app.first)
    assert any(line.startswith("CREATE TABLE") and "shop_item" in line for line in found["plan"][0]["statements"]), (
        found["plan"]
    )
    with psycopg.connect(app.url) as connection:
        assert connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchone() == (0,)


def test_a_new_migration_is_pending_until_it_is_applied_and_its_tables_rows_are_counted(kind):
    _, app = kind
    app.migrate()
    assert (ask(kind)["pending"], ask(kind)["unmade"]) == ([], [])
    with psycopg.connect(app.url, autocommit=True) as connection:
        connection.execute("INSERT INTO shop_item SELECT n, n::text FROM generate_series(1, 500) n")
        connection.execute("ANALYZE shop_item")
    app.add()
    model = app.folder / app.model
    model.write_text(model.read_text() + app.field)
    found = ask(kind)
    assert starts(found["pending"], app.second)
    assert (found["lacking"], found["rows"]) == (["shop_item.price"], {"shop_item": 500})
    assert any("ADD COLUMN" in line for line in found["plan"][0]["statements"])
    app.migrate()
    found = ask(kind)
    assert (found["pending"], found["lacking"], found["unmade"]) == ([], [], [])


def test_what_another_branch_has_applied_is_missing(kind):
    _, app = kind
    file = app.add()
    app.migrate()
    file.unlink()
    found = ask(kind)
    assert (found["status"], found["pending"], found["missing"]) == ("ok", [], [app.second])


def test_migrations_without_a_common_successor_conflict(kind):
    _, app = kind
    app.migrate()
    app.clash()
    found = ask(kind)
    assert (found["status"], len(found["conflicts"]), len(next(iter(found["conflicts"].values())))) == (
        "ok",
        1,
        2,
    ), found


def test_a_change_of_the_models_without_a_migration_is_unmade(kind):
    _, app = kind
    app.migrate()
    model = app.folder / app.model
    model.write_text(model.read_text() + app.field)
    found = ask(kind)
    assert (found["pending"], found["lacking"]) == ([], ["shop_item.price"])
    assert len(found["unmade"]) == 1
    assert "price" in found["unmade"][0]


@pytest.mark.neighbours
@pytest.mark.parametrize("place", ["site-packages", "libs"])
def test_changes_of_an_installed_package_are_not_the_teams(tmp_path, place):
    with database() as url:
        app = Django(tmp_path / "app", url)
        package = {
            "__init__.py": "",
            "models.py": "from django.db import models\nclass Flag(models.Model):\n    on = models.BooleanField()\n",
            "migrations/__init__.py": "",
            "migrations/0001_initial.py": FLAGS,
        }
        write(tmp_path / "app" / place / "flags", package)
        settings = next(path for path in app.folder.rglob("*.py") if "INSTALLED_APPS" in path.read_text())
        settings.write_text(
            f"import sys\nsys.path.append({str(tmp_path / 'app' / place)!r})\n{settings.read_text()}\nINSTALLED_APPS ="
            " [*INSTALLED_APPS, 'flags']\n"
        )
        found = ask(("django", app))
    assert found["status"] == "ok", found
    assert [text.partition(":")[0] for text in found["unmade"]] == ([] if place == "site-packages" else ["flags"])


def test_a_database_that_is_down_is_an_error_and_never_pending(kind):
    found = ask(kind, DATABASE_URL="postgres://x:y@127.0.0.1:1/z")
    assert (found["status"], found["kind"], found["pending"]) == ("error", "database", []), found


def test_code_that_cannot_be_loaded_is_an_error_with_its_reason(kind):
    _, app = kind
    (app.folder / app.model).write_text("import nothing_x\n")
    found = ask(kind)
    assert (found["status"], found["kind"]) == ("error", "code")
    assert "nothing_x" in found["detail"]


def test_an_app_without_its_configuration_is_not_of_the_kind(kind):
    _, app = kind
    for name in ("manage.py", "alembic.ini"):
        (app.folder / name).unlink(missing_ok=True)
    assert (ask(kind)["framework"], ask(kind)["status"]) == ("none", "none")
