"""The builtin checks in real dynos: the local engine, its sandbox, real git, ruff, Django and PostgreSQL."""

from __future__ import annotations

import pytest

from greenroom.checks import actions, steps
from greenroom.checks.drivers import scanner_tools
from greenroom.config_vars import actions as config_vars
from tests.checks.dyno_side import write
from tests.checks.hosting import (  # noqa: F401
    FILES,
    TESTS,
    a_journey,
    engine,
    engine_home,
    same_minor,
    server,
)

SQL = "def find(cursor, name):\n    cursor.execute(\"SELECT * FROM t WHERE n = '%s'\" % name)\n"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not same_minor(), reason="the suite's Django is copied for the system's Python of the same minor version"
    ),
]


def test_an_app_s_tests_pass_on_a_database_of_their_own(journey):
    journey.commit(FILES)
    journey.build(FILES)
    run = journey.check("tests")
    assert (run.conclusion, run.data["tests"]) == ("success", 2), journey.said
    assert journey.said[0] == "-----> Running tests: python manage.py test --noinput"
    assert not (journey.home / "slugs" / journey.slug.digest / "app" / "written").exists()
    assert steps.sweep(engine=journey.engine) == 1
    assert journey.engine.describe(f"test-{run.id.hex}") is None


def test_a_failing_test_reaches_the_verdict(journey):
    files = {**FILES, "shop/tests.py": TESTS.replace("count(), 1", "count(), 2")}
    journey.commit(files)
    journey.build(files)
    assert journey.check("tests").conclusion == "failure"
    verdict = actions.judge(app=journey.app, sha=journey.sha, required=["tests"])
    assert verdict.reasons == ["`tests` failed: 1 of 2, first: shop.tests.Items.test_an_item_is_stored"]
    assert any("AssertionError: 1 != 2" in text for text in journey.said)


def test_a_first_scan_is_green_a_new_finding_red_and_the_old_one_known(journey):
    journey.commit({**FILES, "shop/old.py": SQL})
    journey.build(FILES)
    assert journey.check("scan").conclusion == "success"
    assert "this is the first scan" in journey.said[0]
    journey.deployed = journey.sha
    journey.commit({"shop/new.py": SQL.replace("find", "other")})
    journey.slug = None
    assert journey.step("scan").status == "in_progress"
    journey.build(FILES)
    run = journey.check("scan")
    assert run.conclusion == "failure"
    assert sorted((row.path, row.new) for row in run.annotations.all()) == [
        ("shop/new.py", True),
        ("shop/old.py", False),
    ]


def test_a_model_without_a_migration_is_found_before_it_is_deployed(journey):
    files = {**FILES, "shop/models.py": FILES["shop/models.py"] + "    price = models.IntegerField(null=True)\n"}
    journey.commit(files)
    journey.build(files)
    run = journey.check("scan")
    assert (run.conclusion, run.brief) == ("failure", "makemigrations --check: models have changed without a migration")


def test_a_scanner_that_is_killed_is_an_error(journey):
    journey.commit({f"shop/many_{number}.py": SQL * 400 for number in range(40)})
    journey.build(FILES)
    run = journey.step("scan")
    journey.engine.signal(f"scan-{run.id.hex}", "KILL")
    assert journey.check("scan").conclusion == "error"


def test_tests_see_no_config_var_and_no_other_network(journey, alice):
    probe = """import os, socket, unittest
class Sandbox(unittest.TestCase):
    def test_environment(self):
        self.assertNotIn("STRIPE_KEY", os.environ)
        self.assertFalse([key for key in os.environ if key.startswith("GREENROOM")])
    def test_network(self):
        with self.assertRaises(OSError):
            socket.create_connection(("127.0.0.1", 5000), 1)
"""
    write(journey.home / "keys", {"master.key": "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="})
    config_vars.change(actor=alice, app=journey.app, home=journey.home, updates={"STRIPE_KEY": "live"})
    files = {**FILES, "shop/tests.py": probe}
    journey.commit(files)
    journey.build(files)
    run = journey.check("tests")
    assert run.conclusion == "success", journey.said


def test_an_enabled_scanner_and_squawk_look_at_the_push_inside_their_sandboxes(journey):
    toml = '[scan]\nscanners = ["bandit"]\n'
    old = {**FILES, "greenroom.toml": toml}
    journey.deployed = journey.commit(old)
    scanner_tools.install(journey.home, "bandit")
    migration = (
        'from django.db import migrations\nclass Migration(migrations.Migration):\n    dependencies = [("shop",'
        ' "0001_initial")]\n    operations = [\n        migrations.RenameField("item", "name", "title"),\n    ]\n'
    )
    run_it = "import os\n\n\ndef f(x):\n    os.system('ls ' + x)\n"
    models = FILES["shop/models.py"].replace("name =", "title =")
    new = {**old, "shop/run.py": run_it, "shop/models.py": models, "shop/migrations/0002_title.py": migration}
    journey.commit(new)
    journey.build(new)
    run = journey.check("scan")
    assert run.conclusion == "failure", (run.brief, journey.said)
    found = {(row.tool, row.rule, row.path, row.line) for row in run.annotations.filter(new=True)}
    assert {
        ("bandit", "B605", "shop/run.py", 5),
        ("squawk", "renaming-column", "shop/migrations/0002_title.py", 5),
    } <= found, found
    assert "bandit: 1 new finding, first: shop/run.py:5 B605" in run.brief
    assert run.data["scanners"]["bandit"]["version"] == "1.9.4"
    assert any("Safer: keep the column name with db_column" in text for text in journey.said)
