"""The builtin checks as the deliveries loop drives them: step by step, killed at any point, never blocking."""

from __future__ import annotations

import json
import os
import tarfile
from datetime import timedelta

import psycopg
import pytest

from greenroom.accounts.rules import PLATFORM
from greenroom.addons.postgres.actions import throwaways
from greenroom.addons.postgres.drivers import server
from greenroom.basics import clock
from greenroom.checks import actions, steps
from greenroom.checks.actions import check_runs, policies
from greenroom.checks.drivers import tools
from greenroom.checks.models import CheckRun, Ignore
from greenroom.config_vars import actions as config_vars
from greenroom.engine import artefacts
from greenroom.engine.contract import Mount
from greenroom.slugs.models import Slug
from tests.checks.dyno_side import write
from tests.checks.stage import Stage

SHA, DEPLOYED = "a" * 40, "b" * 40
MOUNTS = (Mount(target="/app", mode="overlay", lower=(f"slug:{'d' * 64}",)),)
OK = {
    "outcome": "success",
    "command": "python manage.py test",
    "tests": 42,
    "seconds": 1.23,
    "flaky": [],
    "failures": [],
}
FAILED = {
    **OK,
    "outcome": "failure",
    "tests": 214,
    "failures": [
        {"name": "payroll.tests.Net.test_x", "kind": "failure", "output": "Traceback\nAssertionError: 1 != 2"},
        {"name": "payroll.tests.Net.test_y", "kind": "error", "output": "KeyError"},
    ],
}
CLEAN = {"outcome": "success", "total": 3, "new": 0, "findings": [], "suppressed": 0, "suppressed_before": 0}
FINDING = {
    "path": "app/db.py",
    "line": 2,
    "column": 5,
    "tool": "ruff",
    "rule": "S608",
    "severity": 1,
    "state": "new",
    "message": "Possible SQL injection",
    "fingerprint": "f" * 64,
}
RED = {**CLEAN, "outcome": "failure", "total": 4, "new": 1, "findings": [FINDING]}
NO_CHANGE = {"outcome": "success", "detail": "", "changes": []}
APP_JSON = {
    "env": {
        "PLAIN": "from-root",
        "OVER": {"value": "root"},
        "TOKEN": {"generator": "secret"},
        "NEEDED": {"required": True},
    },
    "environments": {
        "test": {"env": {"OVER": "test", "NUMBER": 3}, "scripts": {"test-setup": "make prepare", "test": "make test"}}
    },
}
pytestmark = pytest.mark.django_db


class Play:
    """One app with a built slug, an engine without processes, and the printed lines."""

    def __init__(self, app, home, **slug):
        self.app, self.home, self.engine, self.said = app, home, Stage(home), []
        facts = {"digest": "d" * 64, "commit": SHA, "env_key": "e", "is_django": True, "app_json": APP_JSON, **slug}
        self.slug = Slug.objects.create(app=app, **facts)
        self.deployed = ""
        self.built = True

    def run(self, name) -> CheckRun:
        return actions.begin(app=self.app, sha=SHA, names=[name])[0]

    def tests(self) -> CheckRun:
        return steps.advance_tests(
            run=self.run("tests"),
            slug=self.slug,
            mounts=MOUNTS,
            engine=self.engine,
            home=self.home,
            say=self.said.append,
        )

    def scan(self) -> CheckRun:
        slug = self.slug if self.built else None
        return steps.advance_scan(
            run=self.run("scan"),
            app=self.app,
            sha=SHA,
            deployed_sha=self.deployed,
            slug=slug,
            mounts=MOUNTS if slug else None,
            engine=self.engine,
            home=self.home,
            say=self.said.append,
        )

    @property
    def test_id(self):
        return f"test-{self.run('tests').id.hex}"

    @property
    def scan_id(self):
        return f"scan-{self.run('scan').id.hex}"

    @property
    def models_id(self):
        return f"{self.scan_id}-models"

    @property
    def text(self):
        return "\n".join(self.said)


@pytest.fixture
def play(shop, home, settings):
    settings.INSTALLATION = {**settings.INSTALLATION, "postgres": "external"}
    (home / "sources").mkdir()
    for sha in (SHA, DEPLOYED):
        tarfile.open(home / f"sources/{sha}.tar", "w").close()
    play = Play(shop, home)
    yield play
    for run in CheckRun.objects.filter(name="tests"):
        throwaways.drop(label=f"test-{run.id.hex}")


def test_tests_run_on_the_slug_with_a_database_of_their_own(play):
    assert play.tests().status == "in_progress"
    spec = play.engine.specs[play.test_id]
    assert (spec.kind, spec.owner, spec.uid, spec.output) == ("test", play.app.id.hex, play.app.number, True)
    assert (spec.limits.silence, spec.limits.timeout) == (600, 3000)
    assert spec.mounts[0] == MOUNTS[0]
    assert json.loads(spec.stdin) == {"setup": "make prepare", "test": "make test"}
    with psycopg.connect(spec.env["DATABASE_URL"], autocommit=True) as connection:
        connection.execute("CREATE DATABASE test_of_the_tests")
        connection.execute("DROP DATABASE test_of_the_tests")


def test_tests_find_what_other_buildpacks_have_built(play):
    assert play.tests()
    assert "node" not in play.engine.specs[play.test_id].env["PATH"]
    Slug.objects.filter(pk=play.slug.pk).update(manifest={"node": {"version": "22.20.0", "tool": ""}, "apt": ["jq"]})
    play.slug.refresh_from_db()
    play.engine.states.clear()
    play.tests()
    env = play.engine.specs[play.test_id].env
    assert {"/app/.heroku/node/bin", "/app/node_modules/.bin", "/app/.apt/usr/bin"} <= set(env["PATH"].split(":"))
    assert env["LD_LIBRARY_PATH"].startswith("/app/.heroku/python/lib:/app/.apt/")


def test_the_test_environment_is_app_json_s_and_holds_no_config_var(play, alice):
    config_vars.change(actor=alice, app=play.app, home=play.home, updates={"STRIPE_KEY": "live", "PLAIN": "of the app"})
    play.tests()
    env = play.engine.specs[play.test_id].env
    assert (env["PLAIN"], env["OVER"], env["NUMBER"], env["CI"]) == ("from-root", "test", "3", "true")
    assert len(env["TOKEN"]) == 64
    assert len(env["SECRET_KEY"]) == 64
    assert env["HEROKU_TEST_RUN_COMMIT_VERSION"] == SHA
    assert "STRIPE_KEY" not in env
    assert "NEEDED" not in env


def test_tests_that_need_a_missing_extension_fail_with_its_name_and_the_way_out(play):
    play.tests()
    play.engine.print(play.test_id, b'django.db.utils.NotSupportedError: extension "pgcrypto" is not available\n')
    play.engine.end(
        play.test_id, {"outcome": "error", "detail": "the test command ended with exit code 1"}, exit_code=1
    )
    run = play.tests()
    assert run.title.endswith(": this PostgreSQL does not have the extension pgcrypto")
    assert "hint: this PostgreSQL does not have the extension pgcrypto; the operator gets" in play.text


def test_tests_that_pass_are_one_line(play):
    play.tests()
    play.engine.leave(play.test_id, "plan.json", {"command": "make test"})
    assert play.tests().status == "in_progress"
    play.engine.end(play.test_id, OK)
    run = play.tests()
    assert (run.status, run.conclusion, run.title) == ("completed", "success", "Ran 42 tests in 1.2 s: OK")
    assert play.said == ["-----> Running tests: make test", "       Ran 42 tests in 1.2 s: OK"]
    assert run.data["tests"] == 42
    assert run.slug == play.slug


def test_tests_that_fail_show_the_failing_ones_alone_and_why(play):
    play.tests()
    play.engine.end(play.test_id, FAILED)
    run = play.tests()
    assert (run.conclusion, run.brief) == ("failure", "2 of 214, first: payroll.tests.Net.test_x")
    assert " !     Tests failed: 2 of 214, first: payroll.tests.Net.test_x" in play.text
    assert "       FAILURE: payroll.tests.Net.test_x" in play.text
    assert "       AssertionError: 1 != 2" in play.text
    verdict = actions.judge(app=play.app, sha=SHA, required=["tests"])
    assert verdict.reasons == ["`tests` failed: 2 of 214, first: payroll.tests.Net.test_x"]


def test_a_flaky_test_lets_the_commit_pass_and_is_shown_on_the_verdict(play):
    play.tests()
    play.engine.end(play.test_id, {**OK, "flaky": ["a.b.test_c"], "runs": 2})
    assert play.tests().conclusion == "success"
    verdict = actions.judge(app=play.app, sha=SHA, required=["tests"])
    assert verdict.colour == "green"
    assert "1 flaky: failed, then passed on the same code: a.b.test_c." in verdict.reasons[1]
    assert "Flaky: a.b.test_c" in play.text


@pytest.mark.parametrize(
    ("facts", "result", "conclusion", "words"),
    [
        ({"reason": "timeout"}, None, "timed_out", "more than 50 minutes"),
        ({"reason": "silence"}, OK, "timed_out", "no output for 10 minutes"),
        ({"reason": "oom", "exit_code": 137}, OK, "error", "out of memory"),
        ({"reason": "signal", "exit_code": 137}, None, "error", "ended by signal"),
        ({"exit_code": 1}, None, "error", "left no result"),
        ({}, "{", "error", "left no result"),
        ({}, "[1]", "error", "left no result"),
        ({}, {"outcome": "splendid"}, "error", "cannot be read"),
        ({}, {**FAILED, "failures": 7}, "error", "cannot be read"),
        ({}, {**OK, "seconds": "soon"}, "error", "cannot be read"),
        (
            {},
            {"outcome": "error", "detail": "test-setup ended with exit code 3", "tail": "no wheel"},
            "error",
            "exit code 3",
        ),
    ],
)
def test_a_run_that_did_not_end_well_is_never_green(play, facts, result, conclusion, words):
    play.tests()
    play.engine.end(play.test_id, result, **facts)
    run = play.tests()
    assert (run.status, run.conclusion) == ("completed", conclusion)
    assert words in run.title
    assert words in play.text
    assert actions.judge(app=play.app, sha=SHA, required=["tests"]).colour == "red"


def test_a_result_that_is_a_link_to_somebody_else_s_file_is_not_read(play):
    play.tests()
    secret = play.home / "secret.json"
    secret.write_text(json.dumps(OK))
    folder = play.engine.scratch(play.test_id, "out")
    (folder / "result.json").symlink_to(secret)
    play.engine.end(play.test_id)
    assert play.tests().conclusion == "error"


def test_a_result_that_is_a_pipe_does_not_stop_the_loop(play):
    play.tests()
    folder = play.engine.scratch(play.test_id, "out")
    os.mkfifo(folder / "result.json")
    play.engine.end(play.test_id)
    assert play.tests().conclusion == "error"


def test_output_cannot_steer_the_pusher_s_terminal_nor_break_the_database(play):
    play.tests()
    evil = {"name": "t\x1b[2J\u202e.x", "kind": "failure", "output": "a\x00b\x1b]0;title\x07\ud800"}
    play.engine.end(play.test_id, {**FAILED, "failures": [evil]})
    run = play.tests()
    assert run.conclusion == "failure"
    assert not set("\x00\x1b\x07\u202e") & set(play.text + json.dumps(run.data, ensure_ascii=False))


def test_the_end_of_the_output_is_shown_when_there_is_no_result(play):
    play.tests()
    play.engine.print(play.test_id, b"first\nImportError: no module named shop\n")
    play.engine.end(play.test_id, exit_code=1)
    assert "no module named shop" in play.tests().summary
    assert "       ImportError: no module named shop" in play.text


def test_a_step_may_be_repeated_after_a_crash_between_row_and_start(play, monkeypatch):
    monkeypatch.setattr(play.engine, "start", lambda spec: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        play.tests()
    monkeypatch.undo()
    assert play.run("tests").status == "in_progress"
    play.tests()
    play.tests()
    assert play.engine.starts == [play.test_id]


def test_a_step_may_be_repeated_after_a_crash_between_end_and_record(play, monkeypatch):
    play.tests()
    play.engine.end(play.test_id, OK)
    monkeypatch.setattr(check_runs, "annotate", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        play.tests()
    assert CheckRun.objects.get(name="tests").status == "in_progress"
    monkeypatch.undo()
    assert play.tests().conclusion == "success"
    assert play.tests().conclusion == "success"
    assert play.said == ["       Ran 42 tests in 1.2 s: OK"]


def test_a_dyno_that_was_lost_is_started_once_more_then_it_is_an_error(play):
    play.tests()
    play.engine.end(play.test_id, phase="lost", reason="")
    assert play.tests().status == "in_progress"
    assert play.engine.starts == [play.test_id] * 2
    play.engine.end(play.test_id, phase="lost", reason="")
    assert play.tests().conclusion == "error"


def test_a_dyno_that_was_lost_and_may_still_run_is_not_started_again(play):
    play.tests()
    play.engine.end(play.test_id, phase="lost", reason="", certain=False)
    assert [play.tests().status for _ in range(3)] == ["in_progress"] * 3
    assert (play.engine.starts, play.engine.forgotten) == ([play.test_id], [])
    play.engine.end(play.test_id, phase="lost", reason="", certain=True)
    play.tests()
    assert play.engine.starts == [play.test_id] * 2


def test_a_dyno_that_was_killed_from_outside_is_started_once_more(play):
    play.tests()
    play.engine.end(play.test_id, exit_code=137)
    assert play.tests().status == "in_progress"
    assert play.engine.starts == [play.test_id] * 2
    play.engine.end(play.test_id, exit_code=137)
    assert play.tests().conclusion == "error"


EMPTY = {**OK, "outcome": "failure", "detail": "no tests found", "tests": 0, "empty": True}


def test_an_app_that_never_had_a_test_passes_and_is_told_so(play):
    play.tests()
    play.engine.end(play.test_id, EMPTY)
    run = play.tests()
    assert (run.conclusion, run.notes) == ("success", ["no tests: this commit was not tested."])
    assert "No tests: this commit was not tested" in play.text


def test_tests_that_the_deployed_commit_has_may_not_vanish(play):
    deployed = CheckRun.objects.create(
        app=play.app, sha=DEPLOYED, name="tests", builtin=True, number=900, data={"tests": 7}
    )
    assert deployed.data["tests"] == 7
    order = {
        "run": play.run("tests"),
        "slug": play.slug,
        "mounts": MOUNTS,
        "engine": play.engine,
        "home": play.home,
        "say": play.said.append,
    }
    steps.advance_tests(**order, deployed_sha=DEPLOYED)
    play.engine.end(play.test_id, EMPTY)
    run = steps.advance_tests(**order, deployed_sha=DEPLOYED)
    assert (run.conclusion, run.title) == ("failure", "no tests found, but the deployed commit has 7 tests")


def test_checks_see_which_settings_the_app_runs_with_and_no_secret(play, alice):
    updates = {
        "DJANGO_SETTINGS_MODULE": "config.settings.production",
        "STRIPE_KEY": "live",
        "DJANGO_CONFIGURATION": "Prod",
    }
    config_vars.change(actor=alice, app=play.app, home=play.home, updates=updates)
    write(
        play.home / play.slug.folder,
        {
            "config/settings/production.py": (
                'A = os.environ["STRIPE_KEY"]\nB = env.bool("HSTS")\nC = env("D", default="x")\n'
            )
        },
    )
    play.tests()
    play.scan()
    play.scan()
    for dyno in (play.test_id, play.models_id):
        env = play.engine.specs[dyno].env
        assert (env["DJANGO_SETTINGS_MODULE"], env["DJANGO_CONFIGURATION"], env["HSTS"]) == (
            "config.settings.production",
            "Prod",
            "False",
        )
        assert env["STRIPE_KEY"] not in ("live", "")
        assert "D" not in env


def test_settings_that_pytest_names_go_before_those_of_the_app(play, alice):
    config_vars.change(
        actor=alice, app=play.app, home=play.home, updates={"DJANGO_SETTINGS_MODULE": "config.settings.production"}
    )
    write(play.home / play.slug.folder, {"pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = config.settings.test\n"})
    play.tests()
    assert "DJANGO_SETTINGS_MODULE" not in play.engine.specs[play.test_id].env


def test_jobs_of_a_travis_file_are_named_with_their_outcome(play):
    jobs = [{"name": "lint", "outcome": "success", "tests": None}, {"name": "unit", "outcome": "success", "tests": 42}]
    play.tests()
    play.engine.end(play.test_id, {**OK, "jobs": jobs})
    assert play.tests().conclusion == "success"
    assert "job lint: success" in play.text
    assert "job unit: success, 42 tests" in play.text


def test_a_verdict_is_given_anew_when_checks_are_cancelled(play):
    play.tests()
    actions.judge(app=play.app, sha=SHA, required=["tests"])
    actions.cancel(app=play.app, sha=SHA, engine=play.engine, why="the build failed")
    verdict = actions.queries.newest_verdict(play.app, SHA)
    assert (verdict.colour, verdict.reasons) == ("blocked", ["`tests` was cancelled: the build failed"])


def test_an_engine_that_is_down_is_tried_again_and_is_an_error_after_a_minute(play, monkeypatch):
    moments = iter([0.0])
    play.engine.broken = "the supervisor does not answer"
    now = {"t": steps.clock.now()}
    monkeypatch.setattr(steps.clock, "now", lambda: now["t"])
    assert next(moments) == 0.0
    assert play.tests().status == "in_progress"
    now["t"] += steps.RETRY * 2
    play.engine.broken = ""
    assert play.tests().status == "in_progress"
    assert play.engine.starts == [play.test_id]
    play.engine.states.clear()
    play.engine.broken = "the supervisor does not answer"
    assert play.tests().status == "in_progress"
    now["t"] += steps.GIVE_UP
    run = play.tests()
    assert run.conclusion == "error"
    assert "the supervisor does not answer" in run.title


def test_a_re_run_has_a_dyno_of_its_own(play, alice):
    play.tests()
    first = play.test_id
    play.engine.end(first, FAILED)
    play.tests()
    actions.rerun(app=play.app, sha=SHA, name="tests", actor=alice)
    assert play.tests().status == "in_progress"
    assert play.test_id != first
    assert play.engine.starts == [first, play.test_id]


def test_the_scan_starts_before_the_build_has_ended_and_waits_for_it(play):
    play.built, play.deployed = False, DEPLOYED
    assert play.scan().status == "in_progress"
    spec = play.engine.specs[play.scan_id]
    assert (spec.kind, spec.egress, spec.forwards) == ("scan", False, ())
    assert not [key for key in spec.env if "SECRET" in key or "DATABASE" in key]
    sources = {mount.target: mount.source for mount in spec.mounts}
    assert sources["/greenroom/new.tar"] == f"source:{SHA}"
    assert sources["/greenroom/old.tar"] == f"source:{DEPLOYED}"
    play.engine.end(play.scan_id, CLEAN)
    assert play.scan().status == "in_progress"
    assert play.engine.starts == [play.scan_id]


def test_the_scan_looks_for_models_without_migrations_once_there_is_a_slug(play):
    play.scan()
    play.scan()
    assert play.engine.starts == [play.scan_id, play.models_id]
    env = play.engine.specs[play.models_id].env
    assert env["DATABASE_URL"].startswith("postgres://nobody:")
    assert len(env["SECRET_KEY"]) == 64
    play.engine.end(play.scan_id, CLEAN)
    assert play.scan().status == "in_progress"
    play.engine.end(play.models_id, NO_CHANGE)
    run = play.scan()
    assert (run.conclusion, run.title) == ("success", "0 new findings (3 known)")
    assert play.said == ["-----> Scan: 0 new findings (3 known)"]


def scanned(play, lint, models=None):
    play.scan()
    play.scan()
    play.engine.end(play.scan_id, lint)
    if play.slug.is_django:
        play.engine.end(play.models_id, models or NO_CHANGE)
    return play.scan()


def test_a_new_finding_is_red_with_its_place(play):
    run = scanned(play, RED)
    assert run.conclusion == "failure"
    assert run.brief == "1 new finding, first: app/db.py:2 S608 Possible SQL injection"
    assert "       app/db.py:2:5 S608 Possible SQL injection" in play.text
    row = run.annotations.get()
    assert (row.path, row.line, row.column, row.rule, row.severity, row.new) == ("app/db.py", 2, 5, "S608", 1, True)


def test_a_model_without_a_migration_is_red_with_the_change(play):
    changes = ["Migrations for 'shop':", "  shop/migrations/0002_item_price.py", "    + Add field price to item"]
    run = scanned(
        play, CLEAN, {"outcome": "failure", "detail": "models have changed without a migration", "changes": changes}
    )
    assert run.conclusion == "failure"
    assert run.brief == "makemigrations --check: models have changed without a migration"
    assert "           + Add field price to item" in play.text


def test_an_app_that_is_not_django_s_is_scanned_by_ruff_alone(play):
    Slug.objects.update(is_django=False)
    play.slug.refresh_from_db()
    assert scanned(play, CLEAN).conclusion == "success"
    assert play.engine.starts == [play.scan_id]


@pytest.mark.parametrize(
    ("lint", "models", "conclusion"),
    [
        ({"outcome": "error", "detail": "ruff ended with exit code 101"}, NO_CHANGE, "error"),
        (CLEAN, {"outcome": "error", "detail": "settings", "tail": "ImportError"}, "error"),
        (RED, {"outcome": "error", "detail": "settings"}, "failure"),
        ({"outcome": "green"}, NO_CHANGE, "error"),
        ({**CLEAN, "total": "many"}, NO_CHANGE, "error"),
        ({**RED, "findings": [{"state": "new"}]}, NO_CHANGE, "error"),
    ],
)
def test_a_scan_that_proves_nothing_is_not_green(play, lint, models, conclusion):
    assert scanned(play, lint, models).conclusion == conclusion
    assert actions.judge(app=play.app, sha=SHA, required=["scan"]).colour == "red"


@pytest.mark.parametrize("facts", [{"reason": "oom"}, {"reason": "signal"}, {"reason": "timeout"}, {"exit_code": 1}])
def test_a_scanner_that_was_killed_is_not_green(play, facts):
    play.scan()
    play.scan()
    play.engine.end(play.models_id, NO_CHANGE)
    play.engine.end(play.scan_id, **facts)
    assert play.scan().conclusion in ("error", "timed_out")


def test_the_first_scan_says_that_its_findings_count_as_known(play):
    run = scanned(play, {**CLEAN, "baseline": True, "total": 22})
    assert (run.conclusion, run.title) == ("success", "22 findings, counted as known: this is the first scan")
    assert run.notes == ["22 findings of the first scan count as known."]


def test_added_suppressions_are_shown_on_a_green_scan(play):
    run = scanned(play, {**CLEAN, "suppressed": 5, "suppressed_before": 2, "ignore_changed": True})
    assert run.notes == ["this push adds 3 suppressions (noqa).", "this push changes .checkignore."]
    assert "adds 3 suppressions" in play.text


def test_ended_dynos_and_their_databases_are_swept_away(play):
    play.tests()
    play.engine.end(play.test_id, OK)
    play.tests()
    scanned(play, CLEAN)
    name = throwaways._name_for(play.test_id)
    with server.connect() as connection:
        assert server.database_exists(connection, name)
        assert steps.sweep(engine=play.engine) == 2
        assert not server.database_exists(connection, name)
        assert not server.role_exists(connection, name)
    assert set(play.engine.forgotten) == {play.test_id, play.scan_id, play.models_id}
    assert steps.sweep(engine=play.engine) == 0


def test_a_run_that_cannot_be_swept_away_does_not_keep_the_others(play, monkeypatch):
    play.tests()
    play.engine.end(play.test_id, OK)
    play.tests()
    scanned(play, CLEAN)
    with monkeypatch.context() as patch:
        patch.setattr(
            steps.addons,
            "drop_doubles",
            lambda label: (_ for _ in ()).throw(psycopg.errors.WrongObjectType("a template")),
        )
        assert [steps.sweep(engine=play.engine, limit=1) for _ in range(3)] == [0, 1, 0]
    assert steps.sweep(engine=play.engine, limit=1) == 1
    assert not CheckRun.objects.exclude(dyno="").exists()


def test_a_running_check_is_not_swept_away(play):
    play.tests()
    assert steps.sweep(engine=play.engine) == 0


def test_the_dyno_side_is_placed_once_and_found_by_its_content(home):
    first = tools.runner_mount(home)
    assert tools.runner_mount(home) == first
    folder = home / artefacts.path(first.source)
    assert (folder / "runner" / "cli.py").exists()
    assert (folder / "__main__.py").exists()
    assert os.access(home / artefacts.path(tools.ruff_mount(home).source), os.X_OK)
    assert not [path for path in (home / "cache" / "tools").iterdir() if path.name.startswith("tmp")]


TRAVIS = "before_script: make x\nscript: pytest\nenv: A=1 DATABASE_URL=postgres://evil\n"


@pytest.mark.parametrize(("app_json", "used"), [({}, True), (APP_JSON, False)])
def test_a_travis_file_is_used_when_app_json_names_no_command(shop, home, app_json, used):
    play = Play(shop, home, app_json=app_json)
    folder = home / play.slug.folder
    folder.mkdir(parents=True)
    (folder / ".travis.yml").write_text(TRAVIS)
    play.tests()
    spec = next(iter(play.engine.specs.values()))
    wish = json.loads(spec.stdin)
    assert ("travis" in wish, spec.env.get("TRAVIS")) == (used, "true" if used else None)
    assert "evil" not in spec.env["DATABASE_URL"]
    if used:
        (job,) = wish["travis"]["jobs"]
        assert (job["setup"], job["script"], job["env"]) == (["make x"], ["pytest"], [["A", "1"]])


def test_a_travis_file_that_is_a_link_out_of_the_slug_is_not_read(shop, home, tmp_path):
    play = Play(shop, home, app_json={})
    folder = home / play.slug.folder
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_text(TRAVIS)
    (folder / ".travis.yml").symlink_to(tmp_path / "secret")
    play.tests()
    assert "travis" not in json.loads(next(iter(play.engine.specs.values())).stdin)


def test_enabled_scanners_run_beside_ruff_and_each_must_tell_something(play, monkeypatch):
    wish = {"scanners": ["bandit", "semgrep"], "migrations": "error"}
    monkeypatch.setattr(steps.scanning, "settings_of", lambda **_: wish)
    (play.home / "cache/scanners/bandit/bin").mkdir(parents=True)
    play.built, play.deployed = False, DEPLOYED
    for _ in range(3):
        play.scan()
    scanners = f"{play.scan_id}-scanners"
    assert play.engine.starts == [play.scan_id, scanners]
    spec = play.engine.specs[scanners]
    asked = json.loads(spec.stdin)
    assert asked["scanners"] == {"bandit": "/greenroom/scanners/bandit", "semgrep": None}
    assert ("/greenroom/scanners/bandit", "scanner:bandit") in [(mount.target, mount.source) for mount in spec.mounts]
    assert (spec.egress, [key for key in spec.env if "SECRET" in key or "DATABASE" in key]) == (False, [])
    play.built = True
    play.scan()
    assert json.loads(play.engine.specs[play.models_id].stdin)["strict"] is True
    play.engine.end(play.scan_id, CLEAN)
    play.engine.end(play.models_id, {**NO_CHANGE, "squawk": {**CLEAN, "total": 0}})
    assert play.scan().status == "in_progress"
    missing = {
        "outcome": "error",
        "detail": "it is not installed here; hint: the operator runs: greenroom scanners:install semgrep",
    }
    play.engine.end(
        scanners, {"outcome": "error", "scanners": {"bandit": {**CLEAN, "suppressed": 2}, "semgrep": missing}}
    )
    run = play.scan()
    assert (run.conclusion, run.brief) == ("error", f"semgrep: {missing['detail']}")
    assert run.notes == ["this push adds 2 suppressions (bandit)."]
    assert " !     semgrep: it is not installed here" in play.text
    assert steps.sweep(engine=play.engine) == 1
    assert scanners in play.engine.forgotten


@pytest.mark.parametrize(
    "result", [{"outcome": "success"}, {"outcome": "success", "scanners": {}}, {"outcome": "great"}, None]
)
def test_scanners_that_leave_no_result_are_an_error(play, monkeypatch, result):
    monkeypatch.setattr(steps.scanning, "settings_of", lambda **_: {"scanners": ["bandit"], "migrations": "warn"})
    Slug.objects.update(is_django=False)
    play.slug.refresh_from_db()
    play.scan()
    play.scan()
    play.engine.end(play.scan_id, CLEAN)
    play.engine.end(f"{play.scan_id}-scanners", result)
    assert play.scan().conclusion == "error"


def test_an_ignored_finding_lets_the_scan_pass_and_is_told(play, alice):
    first = scanned(play, RED)
    assert first.conclusion == "failure"
    until = clock.now() + timedelta(days=3)
    policies.ignore(app=play.app, fingerprint="f" * 64, reason="not reachable", until=until, actor=alice)
    actions.rerun(app=play.app, sha=SHA, name="scan", actor=alice)
    run = scanned(play, RED)
    assert (run.conclusion, run.title) == ("success", "0 new findings (4 known)")
    assert run.notes[0].startswith("1 new finding ignored, first: S608 app/db.py, by alice@example.com until ")
    assert (run.annotations.get().suppressed, run.annotations.get().new) == ("external", False)
    Ignore.objects.update(until=clock.now() - timedelta(days=1))
    actions.rerun(app=play.app, sha=SHA, name="scan", actor=alice)
    known = {**CLEAN, "total": 4, "findings": [{**FINDING, "state": "unchanged"}]}
    run = scanned(play, known)
    assert (run.conclusion, "ignore by alice@example.com expired" in run.brief) == ("failure", True)


def test_one_ignored_finding_does_not_hide_those_that_were_not_reported(play, alice):
    many = {**RED, "new": 1200, "total": 1200}
    scanned(play, many)
    policies.ignore(
        app=play.app, fingerprint="f" * 64, reason="not reachable", until=clock.now() + timedelta(days=3), actor=alice
    )
    actions.rerun(app=play.app, sha=SHA, name="scan", actor=alice)
    assert scanned(play, many).conclusion == "failure"


def test_hazards_of_new_migrations_are_told_and_block_only_where_the_app_wants_it(play):
    hazard = {
        **FINDING,
        "tool": "squawk",
        "rule": "renaming-column",
        "path": "shop/migrations/0002_x.py",
        "line": 14,
        "severity": 3,
        "message": "Renaming",
    }
    mild = {**NO_CHANGE, "squawk": {**CLEAN, "new": 1, "total": 1, "findings": [hazard]}}
    run = scanned(play, CLEAN, mild)
    assert (run.conclusion, run.title) == ("success", "1 new finding, which does not block (3 known)")
    assert run.notes == [
        "new migrations have 1 hazard for tables in use, first: shop/migrations/0002_x.py:14 renaming-column."
    ]
    actions.rerun(app=play.app, sha=SHA, name="scan", actor=PLATFORM)
    strict = {
        **NO_CHANGE,
        "squawk": {**CLEAN, "outcome": "failure", "new": 1, "total": 1, "findings": [{**hazard, "severity": 2}]},
    }
    run = scanned(play, CLEAN, strict)
    assert (run.conclusion, run.brief) == (
        "failure",
        "squawk: 1 new finding, first: shop/migrations/0002_x.py:14 renaming-column Renaming",
    )


@pytest.mark.django_db
def test_the_database_of_a_test_run_whose_app_is_gone_is_dropped(shop):
    CheckRun.objects.create(
        app=shop, sha="a" * 40, name="tests", builtin=True, status="completed", dyno="test-kept", number=1
    )
    kept, gone = (throwaways.make(label=label) for label in ("test-kept", "test-gone"))
    try:
        assert gone.name in steps.sweep_forsaken()
        assert {kept.name, gone.name} & throwaways.present() == {kept.name}
    finally:
        throwaways.drop(label="test-kept")
