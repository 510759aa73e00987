"""Each hint helps in its state: the real command runs against the real API and improves the state.

``FOLLOWED`` names the hints that are tested here, ``ELSEWHERE`` those that a story tests, ``WORDS`` those without a
command. A new hint in these files fails ``test_each_hint_is_followed_somewhere`` until it is in one of the three.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from greenroom.accounts.actions import create_token
from greenroom.accounts.models import Account
from greenroom.app_migrations.models import MigrationState
from greenroom.apps.models import App
from greenroom.basics.errors import GreenroomError
from greenroom.checks.models import CheckRun
from greenroom.deliveries import actions
from greenroom.deliveries.actions import held as holding
from greenroom.deliveries.actions import rollbacks
from greenroom.deliveries.actions.retries import retry, retry_release
from greenroom.deliveries.models import Delivery
from greenroom.dynos import actions as dynos
from greenroom.dynos import queries as dyno_queries
from greenroom.dynos.models import Dyno, Rollout
from greenroom.git import queries as git
from greenroom.git.models import Push
from greenroom.releases import queries as releases
from greenroom_cli.main import cli
from tests.api.world import client_of, place
from tests.deliveries.hints import all_hints
from tests.deliveries.world import World

ROOT = Path(__file__).parent.parent.parent


class Walker(World):
    """The world, the command in this process, and the API behind it; each request advances the deliveries by a step."""

    result: Result

    def turn(self) -> None:
        for row in list(Delivery.objects.filter(app=self.app, finished_at=None).order_by("seq")):
            rollout = (
                Rollout.objects.filter(release_id=row.release_id, state="candidate").first() if row.release_id else None
            )
            if rollout and not Dyno.objects.filter(release_id=row.release_id).exists():
                self.dyno(rollout.release)
            if row.state not in ("received", "building") or row.kind == "release":
                self.take(row)

    def follow(self, hint: str, **values: str) -> Result:
        """Run the command in the hint; ``...`` is filled in, and parts in brackets are omitted."""
        found = re.search(r"(?:greenroom|heroku) [a-z][^()`]*", hint)
        assert found, f"no command in {hint!r}"
        text = (
            found[0]
            .replace("...", values.get("value", "1"))
            .replace("vN", values.get("version", "vN"))
            .partition("; ")[0]
        )
        words = shlex.split(text)[1:]
        words = ["rollback" if word == "releases:rollback" else word for word in words]
        self.result = CliRunner().invoke(cli, words)
        if self.result.exception and not isinstance(self.result.exception, SystemExit):
            raise self.result.exception
        return self.result

    def run_command(self, *words: str) -> Result:
        return self.follow("greenroom " + shlex.join([*words, "-a", "shop"]))

    def newest_sha(self) -> str:
        return str(Push.objects.filter(app=self.app).order_by("-seq").values_list("after", flat=True).first())

    def delivery_state(self) -> str:
        return (
            Delivery.objects.filter(app=self.app, kind="push").order_by("-seq").values_list("state", flat=True).first()
            or ""
        )

    def config(self) -> dict[str, str]:
        return client_of(self.alice).get("/apps/shop/config-vars").json()

    def fresh_app(self) -> App:
        return App.objects.get(pk=self.app.pk)

    def api_hint(self, method: str, path: str) -> str:
        return (
            client_of(self.alice)
            .generic(method, path, b"{}", content_type="application/json")
            .json()["message"]
            .partition("hint: ")[2]
        )

    def pending_release(self) -> None:
        """From here on, releases stay pending."""
        self.turn = lambda: None  # type: ignore[method-assign]

    def hint_in(self, text: str, *, having: str) -> str:
        """The line of the text with this command."""
        lines = [line for line in text.splitlines() if having in line]
        assert lines, f"{having} is not in:\n{text}"
        return lines[0]


class Response:
    """A Django response with the interface of http.client."""

    def __init__(self, answer: Any) -> None:
        self.status, self.reason, self.answer = answer.status_code, answer.reason_phrase, answer

    def read(self) -> bytes:
        return self.answer.content

    def getheaders(self) -> list[tuple[str, str]]:
        return list(self.answer.items())

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture
def walker(alice, shop, settings, monkeypatch, db, tmp_path):
    monkeypatch.setattr("greenroom.deliveries.steps.intact", lambda *_: True)
    monkeypatch.setattr("greenroom.dynos.actions.intact", lambda *_: True)
    monkeypatch.setenv("GREENROOM_WATCH_SECONDS", "0")
    monkeypatch.setenv("HOME", str(tmp_path))
    _, token = create_token(actor=alice, account=Account.objects.get(pk=alice.account_id), scopes=("global",))
    monkeypatch.setenv("GREENROOM_URL", "http://localhost:1")
    monkeypatch.setenv("GREENROOM_TOKEN", token)
    monkeypatch.delenv("GREENROOM_HOME", raising=False)
    with place() as home:
        world = Walker(alice, shop, home, settings.INSTALLATION)
        client = client_of(alice)

        def ask(target, method, url, headers, body, *, seconds=None):
            world.turn()
            path = url.removeprefix(target.url)
            sent = {
                f"HTTP_{name.upper().replace('-', '_')}": value
                for name, value in headers.items()
                if name not in ("Content-Type", "Authorization")
            }
            return Response(client.generic(method, path, body or b"", content_type="application/json", **sent))

        monkeypatch.setattr("greenroom_cli.client._open", ask)
        monkeypatch.setattr(
            git,
            "resolve",
            lambda app, home, text: (
                Push.objects.filter(app=app, after__startswith=text).values_list("after", flat=True).first()
            ),
        )
        monkeypatch.setattr("greenroom_cli.git.commit", lambda text="": text or world.newest_sha())
        yield world


def refused_text(call: Callable[[], Any]) -> str:
    with pytest.raises(GreenroomError) as error:
        call()
    return error.value.hint


@dataclass
class Walk:
    """state: brings the app into the state and returns the hint. better: the condition afterwards. value: for ``...``
    in the hint.
    """

    state: Callable[[Walker], str]
    better: Callable[[Walker], object]
    value: str = "1"
    code: int = 0


def live(w: Walker) -> bool:
    newest = Delivery.objects.filter(app=w.app).order_by("-seq").first()
    for _ in range(40):
        w.turn()
        newest.refresh_from_db()
        if newest.finished_at:
            break
    return newest.state == "live"


def shown(word: str) -> Callable[[Walker], bool]:
    return lambda w: word in w.result.output


def refused(w: Walker) -> str:
    return w.hint_in(w.said(w.refused()), having="config:set")


def failed_first(w: Walker) -> str:
    return w.hint_in(w.said(w.failed()), having="deliveries:retry")


def failed_later(w: Walker) -> str:
    w.live()
    return failed_first(w)


def failed_boot_logs(w: Walker) -> str:
    return w.hint_in(w.said(w.failed()), having="greenroom logs")


def missing_variable(w: Walker) -> str:
    row = w.push()
    w.run(row, until="rolling_out")
    w.dyno(w.read(row).release, "exited with status 1", "KeyError: 'API_KEY'")
    w.take(row)
    return w.hint_in(w.said(row), having="config:set API_KEY")


def build_failed(w: Walker) -> str:
    row = w.push()
    row.build.slug, row.build.status = None, "errored"
    row.build.save()
    return w.hint_in(w.said(w.run(row)), having="deliveries:retry") + " --no-wait"


def broken_off(w: Walker) -> str:
    row = w.push()
    w.steps.break_off(row, "RuntimeError: x")
    return w.hint_in(w.said(row), having="deliveries:retry")


def red(w: Walker) -> str:
    return w.hint_in(w.said(w.run(w.push(colour="red"))), having="checks:info")


def no_result(w: Walker) -> str:
    row = w.push(colour="red")
    CheckRun.objects.filter(sha=row.sha).update(conclusion="error")
    return w.hint_in(w.said(w.run(row)), having="checks:rerun")


def red_delivery(w: Walker) -> str:
    row = w.run(w.push(colour="red"))
    return client_of(w.alice).get(f"/apps/shop/deliveries/{row.sha}").json()["hint"]


def pause(w: Walker) -> None:
    w.app.deploy_paused = "quarter's end"
    w.app.save()


def paused(w: Walker) -> str:
    pause(w)
    row = w.run(w.push())
    return client_of(w.alice).get(f"/apps/shop/deliveries/{row.sha}").json()["hint"]


def held(w: Walker) -> Any:
    w.live()
    row = w.push()
    w.run(row, until="rolling_out")
    row = w.read(row)
    w.dyno(row.release, "exited with status 1", 'relation "a" does not exist')
    MigrationState.objects.create(release=row.release, app=w.app, status="ok", framework="django", pending=["a.0001_x"])
    w.take(row)
    assert w.read(row).state == "held"
    return row


def scaled_to_zero(w: Walker) -> str:
    w.live()
    w.run_command("ps:scale", "web=0")
    Dyno.objects.all().update(state="ended", exit_reason="asked")
    return w.hint_in(w.run_command("ps").output, having="ps:scale web=1")


def undo_config(w: Walker) -> str:
    w.live()
    return w.hint_in(w.run_command("config:set", "FOO=1").output, having="undo with")


def undo_scale(w: Walker) -> str:
    w.live()
    return w.hint_in(w.run_command("ps:scale", "web=3").output, having="undo with")


def undo_rollback(w: Walker) -> str:
    w.live()
    w.live()
    return w.hint_in(w.run_command("rollback").output, having="undo with")


def failed_config(w: Walker) -> str:
    w.live()
    made = w.set(FOO="1")
    w.run(w.delivery_of(made), dies="exited with status 1")
    text = w.run_command("releases:info", f"v{made.version}").output
    assert "exited with status 1" in text
    return "greenroom releases:retry -a shop"


def retry_of(state: str) -> Callable[[Walker], str]:
    def make(w: Walker) -> str:
        row = w.live() if state == "live" else w.push()
        if state == "superseded":
            actions.advance(delivery=row, state=state, home=w.home)
        return refused_text(lambda: retry(actor=w.alice, delivery=w.read(row), home=w.home))

    return make


def retry_after(change: Callable[[Walker, Any], Any]) -> Callable[[Walker], str]:
    def make(w: Walker) -> str:
        row = w.failed()
        change(w, row)
        return refused_text(lambda: retry(actor=w.alice, delivery=w.read(row), home=w.home))

    return make


def green_and_paused(w: Walker) -> str:
    pause(w)
    row = w.run(w.push())
    return refused_text(lambda: retry(actor=w.alice, delivery=w.read(row), home=w.home))


def old_slug(w: Walker) -> str:
    first = w.live()
    w.live()
    return refused_text(lambda: retry_release(actor=w.alice, app=w.app, home=w.home, slug=str(first.release.slug_id)))


def no_command_to_retry(w: Walker) -> str:
    row = w.live()
    return refused_text(lambda: retry_release(actor=w.alice, app=w.app, home=w.home, slug=str(row.release.slug_id)))


def misfit(w: Walker) -> str:
    w.live()
    w.live()
    row, _ = rollbacks.roll_back(actor=w.alice, app=w.app, home=w.home)
    delivery = w.delivery_of(row)
    w.run(delivery, until="rolling_out")
    w.dyno(row)
    MigrationState.objects.create(
        release=row, app=w.app, status="ok", lacking=["shop_item.price"], missing=["shop.0002"]
    )
    w.take(delivery)
    return w.hint_in(w.said(delivery), having="rollback --force")


def first(w: Walker) -> str:
    return "v" + str(releases.of_app(w.app).filter(status="succeeded", slug__isnull=False).last().version)


D, C = "greenroom/deliveries/", "greenroom_cli/"
SECRET_KEY_SETTING = (
    'SECRET_KEY = os.environ["SECRET_KEY"]; then greenroom config:set SECRET_KEY=$(openssl rand -hex 32)'
)
FOLLOWED: dict[str, Walk] = {
    "config_vars: config:set of a refused release": Walk(refused, live),
    "evidence: config:set of a variable that the code asks for": Walk(missing_variable, live),
    "rules: deliveries:retry after a failed boot": Walk(failed_first, live),
    "rules: deliveries:retry beside a release that serves": Walk(failed_later, live),
    "rules: deliveries:retry after a failed build": Walk(build_failed, lambda w: w.delivery_state() == "received"),
    "rules: deliveries:retry after the platform's own failure": Walk(broken_off, live),
    D + "steps/outcomes.py|greenroom logs -a {}": Walk(failed_boot_logs, lambda w: True, code=1),
    D + "steps/__init__.py|greenroom checks {} -a {}": Walk(red_delivery, shown("tests"), code=1),
    "checks: checks:info of a red check": Walk(red, shown("tests")),
    "checks: checks:rerun of one without result": Walk(
        no_result, lambda w: CheckRun.objects.filter(attempt=2).exists()
    ),
    "advice: deploy:resume of a paused app": Walk(paused, live),
    D + "actions/held.py|greenroom deliveries -a {}": Walk(
        lambda w: refused_text(lambda: (w.live(), holding.drop(actor=w.alice, app=w.app, home=w.home))), shown("live")
    ),
    "holding: drop of a delivery that is not held": Walk(
        lambda w: w.api_hint("POST", f"/apps/shop/deliveries/{w.live().sha}/actions/drop"), shown("live")
    ),
    C + "deliveries.py|greenroom migrations:run{}   (or drop it: greenroom deliveries:drop{})": Walk(
        lambda w: (held(w), "greenroom deliveries:drop -a shop")[1], lambda w: w.delivery_state() == "superseded"
    ),
    "advice: ps:scale of an app that is scaled to zero": Walk(
        scaled_to_zero, lambda w: dyno_queries.formation(w.app)["web"].quantity == 1
    ),
    C + "config.py|undo with: greenroom rollback {}{}": Walk(
        undo_config, lambda w: live(w) and "FOO" not in w.config()
    ),
    C + "ps.py|undo with: greenroom ps:scale {}{}": Walk(
        undo_scale, lambda w: dyno_queries.formation(w.app)["web"].quantity == 1
    ),
    C + "releases.py|undo with: greenroom rollback v{}{}": Walk(
        undo_rollback, lambda w: live(w) and w.serving() == f"{2:040x}"
    ),
    C + "releases.py|to retry v{}: greenroom releases:retry{}": Walk(
        lambda w: (w.live(), w.failed(), w.hint_in(w.run_command("releases").output, having="releases:retry"))[2], live
    ),
    C + "releases.py|greenroom logs{}   (to retry: greenroom releases:retry{})": Walk(failed_config, live),
    D + "actions/retries.py|greenroom deliveries:wait {} -a {}": Walk(retry_of("checking"), live),
    D + "actions/retries.py|to restart the dynos: greenroom ps:restart -a {}": Walk(
        retry_of("live"), lambda w: Rollout.objects.get(state="live").restart_seq > 0
    ),
    D + "actions/retries.py|to restart its dynos: greenroom ps:restart -a {}": Walk(
        no_command_to_retry, lambda w: Rollout.objects.get(state="live").restart_seq > 0
    ),
    D + "actions/retries.py|greenroom deliveries -a {}": Walk(retry_of("superseded"), shown("superseded")),
    D + "actions/retries.py|greenroom releases -a {}": Walk(retry_after(lambda w, row: w.live()), shown("Current: v")),
    D + "actions/retries.py|greenroom checks {} -a {}": Walk(
        retry_after(lambda w, row: CheckRun.objects.filter(sha=row.sha, name="tests").update(conclusion="failure")),
        shown("failure"),
        code=1,
    ),
    D + "actions/retries.py|greenroom deploy:resume -a {}": Walk(
        retry_after(lambda w, row: pause(w)), lambda w: not w.fresh_app().deploy_paused
    ),
    "retrying: deploy:resume of a green commit": Walk(green_and_paused, live),
    D + "actions/retries.py|to return to an earlier release: heroku rollback vN -a {}": Walk(
        lambda w: old_slug(w).replace("vN", first(w)).removeprefix("to return to an earlier release: "),
        lambda w: live(w) and w.serving() == f"{1:040x}",
    ),
    D + "steps/outcomes.py|migrate back first, or go live with failing pages: greenroom rollback --force -a {}": Walk(
        misfit, lambda w: live(w) and w.serving() == f"{1:040x}"
    ),
    D + "actions/rollbacks.py|greenroom releases -a {}": Walk(
        lambda w: refused_text(lambda: rollbacks.rollback_target(w.app, 99)), lambda w: w.result.exit_code == 0
    ),
    D + "queries/__init__.py|greenroom deliveries -a {}": Walk(
        lambda w: (w.live(), refused_text(lambda: actions.queries.by_id(w.app, "f" * 9)))[1], shown("live")
    ),
    "greenroom/releases/queries/__init__.py|greenroom releases -a {}": Walk(
        lambda w: (w.live(), refused_text(lambda: releases.by_name(w.app, "v99")))[1], shown("Current: v")
    ),
    "greenroom/dynos/queries/__init__.py|greenroom ps -a {}": Walk(
        lambda w: (w.live(), refused_text(lambda: dyno_queries.by_name(w.app, "run.1")))[1], shown("web.1: up")
    ),
    "greenroom/dynos/actions/__init__.py|greenroom ps -a {}": Walk(
        lambda w: (w.live(), refused_text(lambda: dynos.restart(actor=w.alice, app=w.app, name="clock.1")))[1],
        shown("web.1: up"),
    ),
    "greenroom/dynos/actions/__init__.py|greenroom releases -a {}": Walk(
        lambda w: (
            w.live(),
            refused_text(
                lambda: dynos.scale(
                    actor=w.alice, app=w.app, home=w.home, updates=[{"type": "release"}], process_types={}
                )
            ),
        )[1],
        shown("Current: v"),
    ),
    "greenroom/entrypoints/api/views_formation.py|greenroom ps -a {}": Walk(
        lambda w: (w.live(), w.api_hint("DELETE", "/apps/shop/formations/clock"))[1], shown("web.1: up")
    ),
    C + "deliveries.py|greenroom deliveries{}": Walk(
        lambda w: (w.live(), w.hint_in(w.run_command("deliveries:drop").output, having="hint"))[1], shown("live")
    ),
    C + "releases.py|greenroom releases:info v{}{}": Walk(
        lambda w: (
            w.live(),
            w.pending_release(),
            w.hint_in(w.run_command("config:set", "A=1", "--timeout", "0").output, having="releases:info"),
        )[2],
        shown("Release v"),
    ),
    C + "config.py|greenroom config:set {}=...{}": Walk(
        lambda w: (w.live(), w.hint_in(w.run_command("config:get", "NOPE").output, having="config:set"))[1],
        lambda w: "NOPE" in w.config(),
    ),
    C + "ps.py|watch with: greenroom ps{}": Walk(
        lambda w: (w.live(), w.hint_in(w.run_command("ps:restart").output, having="watch with"))[1], shown("web.1: up")
    ),
    C + "checks.py|greenroom checks:info {} {}{}": Walk(
        lambda w: (w.run(w.push(colour="red")), w.hint_in(w.run_command("checks").output, having="checks:info"))[1],
        shown("tests"),
    ),
    C + "checks.py|run it again with: greenroom checks:rerun {} --sha {}{}": Walk(
        lambda w: (
            w.run(w.push(colour="red")),
            w.hint_in(w.run_command("checks:info", "tests").output, having="checks:rerun"),
        )[1],
        lambda w: CheckRun.objects.filter(attempt=2).exists(),
    ),
    C + "checks.py|undo with: greenroom deploy:resume{}": Walk(
        lambda w: (
            w.live(),
            w.hint_in(w.run_command("deploy:pause", "--reason", "quarter's end").output, having="deploy:resume"),
        )[1],
        lambda w: not w.fresh_app().deploy_paused,
    ),
    C + "checks.py|undo with: greenroom deploy:pause --reason ...{}": Walk(
        lambda w: (w.live(), w.hint_in(w.run_command("deploy:resume").output, having="deploy:pause"))[1],
        lambda w: w.fresh_app().deploy_paused,
        value="because",
    ),
}
STORIES = {
    "held": (
        "tests/stories/test_held.py::test_a_renamed_column_is_held_and_goes_live_by_itself_after_the_humans_migrate"
    ),
    "restore": "tests/stories/test_held.py::test_a_migration_that_breaks_half_way_is_undone_by_one_command",
    "push": "tests/stories/test_getting_started.py::",
    "retry": "tests/cli/test_config_and_releases.py::test_a_delivery_is_retried_and_followed_to_its_end",
    "checks": "tests/cli/test_checks.py::",
    "back": "tests/app_migrations/test_going_back.py::",
    "evidence": (
        "tests/deliveries/test_held_or_failed.py::test_debug_a_key_in_the_code_and_a_procfile_without_web_are_pointed_"
        "out"
    ),
}
PUSH = "git push greenroom HEAD:master"
ELSEWHERE: dict[str, str] = {
    **{
        f"{file}|{PUSH}": "push"
        for file in (
            D + "actions/retries.py",
            "greenroom/dynos/actions/__init__.py",
            "greenroom/entrypoints/api/views_gate.py",
            C + "deliveries.py",
            C + "releases.py",
        )
    },
    C + "deliveries.py|git push greenroom {}:master   (list: greenroom deliveries{})": "push",
    C + "deliveries.py|greenroom deliveries:wait {}{}": "held",
    C + "deliveries.py|greenroom migrations:run{}": "held",
    C + "deliveries.py|to retry the same commit: {}": "retry",
    C + "releases.py|greenroom migrations{}": "held",
    C + "checks.py|greenroom checks{}": "checks",
    C + "checks.py|greenroom deliveries:wait {}{}": "checks",
    C + "checks.py|greenroom deliveries{}": "checks",
    C + "checks.py|greenroom deliveries:wait {}{}   (undo: greenroom checks:rerun --sha {}{})": "checks",
    C + "migrations.py|to run another command: greenroom run{} -- COMMAND": "held",
    C + "migrations.py|greenroom logs{}": "held",
    C + "migrations.py|greenroom migrations:run{}": "held",
    C + "migrations.py|greenroom migrations{}": "held",
    C + "migrations.py|greenroom migrations{}   (restore: greenroom pg:restore {}{})": "restore",
    C + "migrations.py|{} greenroom migrations:run{} {}": "restore",
    C + "migrations.py|{}restore the database: greenroom pg:restore {}{}": "restore",
    C + "migrations.py|greenroom version --server": "held",
    "greenroom/deliveries/actions/addon_data.py|wait for them, or: greenroom ps:stop {} -a {}": "restore",
    "greenroom/app_migrations/actions/__init__.py|wait for it: greenroom logs --tail --dyno {} -a {}": "held",
    "greenroom/app_migrations/actions/__init__.py|wait for it: greenroom pg:snapshots -a {}": "restore",
    "greenroom/app_migrations/actions/rollback_consent.py|migrate back first, or: {} --force": "back",
    "greenroom/app_migrations/actions/rollback_consent.py|{} --confirm {}   (or {})": "back",
    "greenroom/app_migrations/actions/rollback_consent.py|run {}": "back",
    "greenroom/dynos/actions/__init__.py|greenroom run -a {} -- python manage.py shell": "held",
    "greenroom/dynos/actions/__init__.py|greenroom run -a {} -- COMMAND starts another": "held",
    D + 'rules/__init__.py|in the settings: DEBUG = os.environ.get("DEBUG") == "1"': "evidence",
    D + f"rules/__init__.py|in the settings: {SECRET_KEY_SETTING}": "evidence",
    D + "rules/__init__.py|in the settings: {}": "evidence",
    D + "rules/__init__.py|add this line to the Procfile, commit and push: {}": "evidence",
}
WORDS = {
    D + "actions/addon_lifecycle.py|detach it there, or use --force",
    D + "actions/__init__.py|push it again on top, or roll back",
    D + "actions/retries.py|push it again on top, or roll back",
    D + "actions/gate.py|push a new commit",
    D + "steps/outcomes.py|greenroom doctor",
    D + "actions/source_builds.py|POST /sources, PUT the archive to its put_url, then use its get_url",
    D + "actions/source_builds.py|upload it again",
    D + "loop/health_gate.py|\nhint: {}",
    "greenroom/dynos/actions/__init__.py|process types are: {}",
    "greenroom/dynos/actions/__init__.py|sizes are {}",
    "greenroom/dynos/actions/__init__.py|set WEB_CONCURRENCY for more processes in each dyno",
    C + "checks.py|a number and m, h or d: 90m, 3h, 2d",
    C + "checks.py|use one of them",
}
"""They name allowed values, or a step outside the command: nothing can be run from here."""


@pytest.mark.django_db
@pytest.mark.parametrize("name", FOLLOWED)
def test_the_hint_helps(walker, name):
    walk = FOLLOWED[name]
    hint = walk.state(walker)
    walker.follow(hint, value=walk.value)
    assert walker.result.exit_code in (0, walk.code), walker.result.output
    assert walk.better(walker), walker.result.output


def test_each_hint_is_followed_somewhere():
    printed = {f"{file}|{text}" for file, texts in all_hints().items() for text in texts}
    known = {name for name in FOLLOWED if "|" in name} | set(ELSEWHERE) | WORDS
    assert printed - known == set(), "a new hint needs a walk, here or in a story"
    assert known - printed == set(), "these are printed no more"


def test_the_stories_that_walk_the_others_are_there():
    for place_of in STORIES.values():
        file, _, name = place_of.partition("::")
        assert f"def {name}(" in (ROOT / file).read_text() if name else (ROOT / file).exists(), place_of


@pytest.mark.django_db
def test_the_walk_notices_a_hint_that_does_not_help(walker):
    walker.refused()
    walker.follow("greenroom config:set BAR=1 -a shop")
    assert walker.result.exit_code == 1, "the wrong variable helps nobody"
    assert not live(walker)
