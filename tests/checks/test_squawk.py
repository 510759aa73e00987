"""New migrations: their SQL is generated without a database and checked by the real squawk. Each finding has its line
and a remedy.
"""

from __future__ import annotations

import shutil

import pytest

from tests.checks.dyno_side import BIN, DJANGO, archive, result, write

POSTGRES = (
    DJANGO["conf/settings.py"]
    + 'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1", "PORT":'
    " 1}}\n"
)
APP = {**DJANGO, "conf/settings.py": POSTGRES}
HEAD = (
    "from django.db import migrations, models\n\n\ndef forwards(apps, schema_editor):\n    raise RuntimeError('never"
    " run by a look')\n\n\nclass Migration(migrations.Migration):\n"
)
SECOND = "shop/migrations/0002_change.py"


def migration(*operations, atomic=True, after="0001_initial"):
    lines = "".join(f"        {operation},\n" for operation in operations)
    return (
        f'{HEAD}    dependencies = [("shop", "{after}")]\n    atomic = {atomic}\n\n    operations = [\n{lines}    ]\n'
    )


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
RENAME = 'migrations.RenameField("item", "name", "title")'
RENAMED = {"shop/models.py": MODELS.replace("name =", "title =")}
INDEX = 'migrations.AddIndex("item", models.Index(fields=["name"], name="by_name"))'
INDEXED = {
    "shop/models.py": f'{MODELS}    class Meta:\n        indexes = [models.Index(fields=["name"], name="by_name")]\n'
}
FIRST = "shop/migrations/0001_initial.py"
ID = '("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"))'
TEXTS = ", ".join(f'("{name}", models.CharField(max_length=20))' for name in ("name", "gone", "kind", "code", "size"))
WIDE = migration(
    f'migrations.CreateModel("Item", fields=[{ID}, {TEXTS}])', f'migrations.CreateModel("Box", fields=[{ID}])'
).replace('[("shop", "0001_initial")]', "[]")
CHANGED = """from django.db import models
class Item(models.Model):
    title = models.CharField(max_length=20)
    kind = models.CharField(max_length=20)
    code = models.CharField(max_length=20)
    size = models.TextField()
    price = models.IntegerField()
    other = models.ForeignKey("self", null=True, on_delete=models.CASCADE)
    class Meta:
        indexes = [models.Index(fields=["kind"], name="by_kind")]
        constraints = [models.UniqueConstraint(fields=["code"], name="one_code")]
"""
HAZARDS = {
    "renaming-column": RENAME,
    "ban-drop-column": 'migrations.RemoveField("item", "gone")',
    "ban-drop-table": 'migrations.DeleteModel("Box")',
    "require-concurrent-index-creation": 'migrations.AddIndex("item", models.Index(fields=["kind"], name="by_kind"))',
    "disallowed-unique-constraint": (
        'migrations.AddConstraint("item", models.UniqueConstraint(fields=["code"], name="one_code"))'
    ),
    "changing-column-type": 'migrations.AlterField("item", "size", models.TextField())',
    "adding-foreign-key-constraint": (
        'migrations.AddField("item", "other", models.ForeignKey("shop.item", null=True, on_delete=models.CASCADE))'
    ),
}
HARMLESS = (
    "migrations.RunPython(forwards, migrations.RunPython.noop)",
    'migrations.AddField("item", "price", models.IntegerField(default=7), preserve_default=False)',
)
"""The first generates no SQL. With the second, PostgreSQL has a default for existing rows."""


def test_each_hazard_is_found_at_its_operation_with_a_recipe_and_does_not_block(look):
    text = migration(*HARMLESS, *HAZARDS.values())
    answer = look({**APP, FIRST: WIDE, SECOND: text, "shop/models.py": CHANGED}, {**APP, FIRST: WIDE})
    assert (answer["outcome"], answer["squawk"]["outcome"]) == ("success", "success"), answer
    lines = text.split("\n")
    found = {(rule, lines[line - 1].strip(" ,")) for rule, line in squawk(answer)}
    assert set(HAZARDS.items()) <= found
    assert not {operation for _, operation in found} & set(HARMLESS)
    for finding in answer["squawk"]["findings"]:
        assert (finding["path"], finding["severity"], finding["state"], len(finding["fingerprint"])) == (
            SECOND,
            3,
            "new",
            64,
        )
        assert ". Safer: " in finding["message"]


def test_an_app_may_have_hazards_block(look):
    answer = look({**APP, SECOND: migration(RENAME), **RENAMED}, strict=True)
    assert (answer["squawk"]["outcome"], answer["squawk"]["findings"][0]["severity"]) == ("failure", 2)


def test_what_is_deployed_already_is_not_looked_at(look):
    app = {**APP, SECOND: migration(RENAME), **RENAMED}
    answer = look(app, app)
    assert (answer["squawk"]["migrations"], squawk(answer)) == (0, [])


def test_an_index_on_a_table_that_the_same_push_makes_is_no_hazard(look):
    models = (
        MODELS
        + "\n\nclass Box(models.Model):\n    name = models.CharField(max_length=20)\n    class Meta:\n        indexes ="
        ' [models.Index(fields=["name"], name="box_name")]\n'
    )
    made = migration(
        'migrations.CreateModel("Box", fields=[("id", models.BigAutoField(auto_created=True, primary_key=True,'
        ' serialize=False, verbose_name="ID")), ("name", models.CharField(max_length=20))])'
    )
    indexed = migration(
        'migrations.AddIndex("box", models.Index(fields=["name"], name="box_name"))', after="0002_change"
    )
    answer = look({**APP, SECOND: made, "shop/migrations/0003_more.py": indexed, "shop/models.py": models})
    assert (answer["outcome"], answer["squawk"]["migrations"], squawk(answer)) == ("success", 2, []), answer


def test_an_index_built_concurrently_outside_a_transaction_is_no_hazard(look):
    operation = INDEX.replace("migrations.AddIndex(", "AddIndexConcurrently(")
    text = "from django.contrib.postgres.operations import AddIndexConcurrently\n"
    answer = look({**APP, SECOND: text + migration(operation, atomic=False), **INDEXED})
    assert (answer["outcome"], squawk(answer), answer["squawk"].get("note")) == ("success", [], ""), answer


def test_in_a_repository_with_several_projects_paths_are_the_repository_s(look):
    old = {f"backend/{path}": text for path, text in APP.items()}
    answer = look({**APP, SECOND: migration(RENAME), **RENAMED}, old, root="backend")
    assert answer["squawk"]["findings"][0]["path"] == f"backend/{SECOND}"


def test_the_first_deployment_and_another_kind_of_database_have_nothing_to_look_at(look):
    new = {SECOND: migration(RENAME), **RENAMED}
    assert look({**APP, **new}, None)["squawk"]["findings"] == []
    answer = look({**DJANGO, **new}, DJANGO)
    assert (answer["squawk"]["outcome"], "sqlite" in answer["squawk"]["note"]) == ("success", True)


def test_an_operation_that_needs_a_database_is_told_and_the_others_are_still_looked_at(look):
    own = (
        "class Asks(migrations.RunSQL):\n    def database_forwards(self, app, editor, before, after):\n       "
        " editor.connection.cursor()\n\n\n"
    )
    asks = migration('Asks("SELECT 1")').replace("class Migration", own + "class Migration")
    answer = look(
        {**APP, SECOND: asks, "shop/migrations/0003_more.py": migration(RENAME, after="0002_change"), **RENAMED}
    )
    assert "cannot generate the SQL of shop.0002_change without a database" in answer["squawk"]["note"]
    assert [rule for rule, _ in squawk(answer)] == ["renaming-column"]


@pytest.mark.parametrize("script", ["#!/bin/sh\necho panicked >&2\nexit 101\n", "#!/bin/sh\necho fine\n"])
def test_a_squawk_that_crashes_or_talks_nonsense_is_an_error(look, tmp_path, script):
    broken = tmp_path / "squawk"
    broken.write_text(script)
    broken.chmod(0o755)
    answer = look({**APP, SECOND: migration(RENAME), **RENAMED}, squawk=str(broken))
    assert answer["squawk"]["outcome"] == "error"


def test_a_system_check_that_fails_is_red(look):
    answer = look({**APP, "shop/models.py": f'{MODELS}    class Meta:\n        ordering = ["nothing"]\n'})
    assert (answer["outcome"], answer["detail"]) == ("failure", "Django's system check fails")
    assert any("models.E015" in line for line in answer["changes"])
