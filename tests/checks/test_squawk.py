"""New migrations: their SQL is written without a database and looked at by the real squawk; each finding has its line and a way out."""

from __future__ import annotations

import shutil

import pytest

from tests.checks.dyno_side import BIN, DJANGO, archive, result, write

POSTGRES = DJANGO["conf/settings.py"] + (
    'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT": 1}}\n'
)
APP = {**DJANGO, "conf/settings.py": POSTGRES}
HEAD = "from django.db import migrations, models\n\n\ndef forwards(apps, schema_editor):\n    raise RuntimeError('never run by a look')\n\n\nclass Migration(migrations.Migration):\n"
SECOND = "shop/migrations/0002_change.py"


def migration(*operations, atomic=True, after="0001_initial"):
    lines = "".join(f"        {operation},\n" for operation in operations)
    return f'{HEAD}    dependencies = [("shop", "{after}")]\n    atomic = {atomic}\n\n    operations = [\n{lines}    ]\n'


@pytest.fixture
def look(tmp_path):
    def do(new, old=APP, **wish):
        folder = write(tmp_path / "app", new)
        wish = {"squawk": shutil.which("squawk", path=str(BIN)), "root": "", **wish}
        wish["old"] = str(archive(tmp_path / "old.tar", old)) if old is not None else None
        return result("models", home=tmp_path / "home", cwd=folder, wish=wish)

    return do


def squawk(answer):
    return [(item["rule"], item["line"]) for item in answer["squawk"]["findings"]]


MODELS = DJANGO["shop/models.py"]
CASES = {
    "renaming-column": ('migrations.RenameField("item", "name", "title")', MODELS.replace("name =", "title =")),
    "ban-drop-column": ('migrations.RemoveField("item", "name")', MODELS.replace("    name = models.CharField(max_length=20)\n", "    pass\n")),
    "ban-drop-table": ('migrations.DeleteModel("Item")', "from django.db import models\n"),
    "adding-required-field": (
        'migrations.AddField("item", "price", models.IntegerField(default=7), preserve_default=False)',
        f"{MODELS}    price = models.IntegerField()\n",
    ),
    "require-concurrent-index-creation": (
        'migrations.AddIndex("item", models.Index(fields=["name"], name="by_name"))',
        f'{MODELS}    class Meta:\n        indexes = [models.Index(fields=["name"], name="by_name")]\n',
    ),
    "disallowed-unique-constraint": (
        'migrations.AddConstraint("item", models.UniqueConstraint(fields=["name"], name="one_name"))',
        f'{MODELS}    class Meta:\n        constraints = [models.UniqueConstraint(fields=["name"], name="one_name")]\n',
    ),
    "changing-column-type": (
        'migrations.AlterField("item", "name", models.TextField(db_index=True))',
        MODELS.replace("CharField(max_length=20)", "TextField(db_index=True)"),
    ),
}
HARMLESS_HERE = {"adding-required-field"}
"""Django gives the column a default while it is added, so that PostgreSQL has one for old rows: squawk sees no hazard."""


@pytest.mark.parametrize("rule", sorted(set(CASES) - HARMLESS_HERE))
def test_each_hazard_is_found_at_its_operation_with_a_recipe_and_does_not_block(look, rule):
    operation, models = CASES[rule]
    answer = look({**APP, SECOND: migration("migrations.RunPython(forwards, migrations.RunPython.noop)", operation), "shop/models.py": models})
    assert answer["outcome"] == "success", answer
    assert answer["squawk"]["outcome"] == "success", answer["squawk"]
    assert (rule, 14) in squawk(answer), answer["squawk"]
    finding = next(item for item in answer["squawk"]["findings"] if item["rule"] == rule)
    assert (finding["path"], finding["severity"], finding["state"]) == (SECOND, 3, "new")
    assert ". Safer: " in finding["message"]
    assert len(finding["fingerprint"]) == 64


def test_an_app_may_have_hazards_block(look):
    operation, models = CASES["renaming-column"]
    answer = look({**APP, SECOND: migration(operation), "shop/models.py": models}, strict=True)
    assert (answer["squawk"]["outcome"], answer["squawk"]["findings"][0]["severity"]) == ("failure", 2)


def test_what_is_deployed_already_is_not_looked_at(look):
    operation, models = CASES["renaming-column"]
    app = {**APP, SECOND: migration(operation), "shop/models.py": models}
    answer = look(app, app)
    assert (answer["squawk"]["migrations"], squawk(answer)) == (0, [])


def test_an_index_on_a_table_that_the_same_push_makes_is_no_hazard(look):
    models = MODELS + '\n\nclass Box(models.Model):\n    name = models.CharField(max_length=20)\n    class Meta:\n        indexes = [models.Index(fields=["name"], name="box_name")]\n'
    made = migration(
        'migrations.CreateModel("Box", fields=[("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")), ("name", models.CharField(max_length=20))])'
    )
    indexed = migration('migrations.AddIndex("box", models.Index(fields=["name"], name="box_name"))', after="0002_change")
    answer = look({**APP, SECOND: made, "shop/migrations/0003_more.py": indexed, "shop/models.py": models})
    assert (answer["outcome"], answer["squawk"]["migrations"], squawk(answer)) == ("success", 2, []), answer


def test_an_index_built_concurrently_outside_a_transaction_is_no_hazard(look):
    operation, models = CASES["require-concurrent-index-creation"]
    operation = operation.replace("migrations.AddIndex(", "AddIndexConcurrently(")
    text = "from django.contrib.postgres.operations import AddIndexConcurrently\n"
    answer = look({**APP, SECOND: text + migration(operation, atomic=False), "shop/models.py": models})
    assert (answer["outcome"], squawk(answer), answer["squawk"].get("note")) == ("success", [], ""), answer


def test_a_foreign_key_is_written_with_its_constraint(look):
    models = f'{MODELS}    other = models.ForeignKey("self", null=True, on_delete=models.CASCADE)\n'
    operation = 'migrations.AddField("item", "other", models.ForeignKey("shop.item", null=True, on_delete=models.CASCADE))'
    rules = {rule for rule, _ in squawk(look({**APP, SECOND: migration(operation), "shop/models.py": models}))}
    assert "adding-foreign-key-constraint" in rules


def test_in_a_repository_with_several_projects_paths_are_the_repository_s(look):
    operation, models = CASES["renaming-column"]
    old = {f"backend/{path}": text for path, text in APP.items()}
    answer = look({**APP, SECOND: migration(operation), "shop/models.py": models}, old, root="backend")
    assert answer["squawk"]["findings"][0]["path"] == f"backend/{SECOND}"


def test_the_first_deployment_and_another_kind_of_database_have_nothing_to_look_at(look):
    operation, models = CASES["renaming-column"]
    new = {SECOND: migration(operation), "shop/models.py": models}
    assert look({**APP, **new}, None)["squawk"]["findings"] == []
    answer = look({**DJANGO, **new}, DJANGO)
    assert (answer["squawk"]["outcome"], "sqlite" in answer["squawk"]["note"]) == ("success", True)


def test_an_operation_that_needs_a_database_is_told_and_the_others_are_still_looked_at(look):
    operation, models = CASES["renaming-column"]
    own = "class Asks(migrations.RunSQL):\n    def database_forwards(self, app, editor, before, after):\n        editor.connection.cursor()\n\n\n"
    asks = migration('Asks("SELECT 1")').replace("class Migration", own + "class Migration")
    answer = look({**APP, SECOND: asks, "shop/migrations/0003_more.py": migration(operation, after="0002_change"), "shop/models.py": models})
    assert "shop.0002_change could not be written without a database" in answer["squawk"]["note"]
    assert [rule for rule, _ in squawk(answer)] == ["renaming-column"]


@pytest.mark.parametrize("script", ["#!/bin/sh\necho panicked >&2\nexit 101\n", "#!/bin/sh\necho fine\n"])
def test_a_squawk_that_crashes_or_talks_nonsense_is_an_error(look, tmp_path, script):
    broken = tmp_path / "squawk"
    broken.write_text(script)
    broken.chmod(0o755)
    operation, models = CASES["renaming-column"]
    answer = look({**APP, SECOND: migration(operation), "shop/models.py": models}, squawk=str(broken))
    assert answer["squawk"]["outcome"] == "error"


def test_a_system_check_that_fails_is_red(look):
    answer = look({**APP, "shop/models.py": MODELS.replace("CharField(max_length=20)", "CharField()")})
    assert (answer["outcome"], answer["detail"]) == ("failure", "Django's system check fails")
    assert any("fields.E120" in line for line in answer["changes"])
