"""Carries out the steps of a delivery, one call per step, each repeatable; the rules have decided which."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import transaction

from greenroom.app_migrations import actions as migrations
from greenroom.app_migrations import queries as migration_queries
from greenroom.app_migrations import rules as migration_rules
from greenroom.apps import queries as apps
from greenroom.builds import actions as builds
from greenroom.deliveries import actions, gate, holding, queries, rules, transcript
from greenroom.deliveries.commands import Commands
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.rules import Facts, Step
from greenroom.dynos import actions as dynos
from greenroom.dynos import queries as dyno_queries
from greenroom.engine.contract import Engine
from greenroom.logs.actions import say as log
from greenroom.releases import actions as releases
from greenroom.releases.rules import describe_deploy
from greenroom.router import actions as router
from greenroom.router import queries as router_queries
from greenroom.router.rules import target
from greenroom.slugs.actions import SlugDamagedError, intact

logger = logging.getLogger(__name__)


class Steps:
    """The hands of the delivery loop."""

    def __init__(self, engine: Engine, home: Path, installation: dict[str, Any]) -> None:
        self.engine = engine
        self.home = home
        self.installation = installation
        self.commands = Commands(engine, home)

    def take(self, step: Step, delivery: Delivery, facts: Facts) -> None:
        """Carry out one step."""
        table: dict[Step, Callable[[Delivery, Facts], None]] = {
            Step.SUPERSEDE: self.supersede,
            Step.BUILD: self.build,
            Step.BUILD_FAILED: self.build_failed,
            Step.CHECK: self.check,
            Step.WITHHOLD: self.withhold,
            Step.RELEASE: self.release,
            Step.REFUSE: self.refuse,
            Step.COMMAND: self.command,
            Step.ROLL_OUT: self.roll_out,
            Step.WATCH: self.watch,
            Step.GIVE_UP: self.give_up,
            Step.REHEARSE: self.rehearse,
            Step.HOLD: self.hold,
            Step.SWITCH: self.switch,
            Step.POSTDEPLOY: self.postdeploy,
            Step.FINISH: self.finish,
        }
        if step in table:
            table[step](delivery, facts)

    def say(self, delivery: Delivery) -> Callable[[str], None]:
        """A function that adds lines to the delivery's transcript."""
        path = self.home / delivery.transcript
        return lambda text: transcript.append(path, text)

    def once(self, delivery: Delivery, key: str, text: str) -> None:
        """Add lines once; nothing when there are none yet."""
        if not text:
            return
        actions.say_once(delivery=delivery, key=key, text=text, home=self.home)

    def end(self, delivery: Delivery, state: str, reason: str, **columns: object) -> None:
        """Write the end of the delivery."""
        actions.advance(delivery=delivery, state=state, reason=reason, home=self.home, **columns)
        logger.info("%s %s %s: %s", delivery.app.name, delivery.sha[:8], state, reason)

    def supersede(self, delivery: Delivery, facts: Facts) -> None:
        reason = "a newer release took its place" if delivery.release else "a newer push took its place"
        self.once(delivery, "superseded", f"-----> Superseded: {reason}")
        if delivery.build is not None:
            gate.cancel(delivery, self.engine, "superseded by a newer push")
        self.end(delivery, "superseded", reason)

    def build(self, delivery: Delivery, facts: Facts) -> None:
        """Start or continue the build; the scan of the sources runs beside it."""
        if delivery.build is None:
            row = builds.start(app=delivery.app, commit=delivery.sha, account=delivery.account)
            actions.advance(delivery=delivery, state="building", home=self.home, build=row)
            log(
                app=delivery.app,
                home=self.home,
                process="api",
                text=f"Build started by user {_who(delivery)}",
                source="app",
            )
        assert delivery.build is not None
        config = actions.config_of(delivery.app, self.home)
        builds.advance(build=delivery.build, engine=self.engine, home=self.home, say=self.say(delivery), config=config)
        if delivery.build.status == "succeeded":
            log(app=delivery.app, home=self.home, process="api", text="Build succeeded", source="app")
        gate.advance(delivery, self.engine, self.home, self.say(delivery))

    def build_failed(self, delivery: Delivery, facts: Facts) -> None:
        build = delivery.build
        assert build is not None
        lines = [f" !     {line}" for line in build.failure_message.splitlines()]
        lines += [f" !     hint: {build.failure_hint}"] if build.failure_hint else []
        self.once(delivery, "build-failed", "\n".join([*lines, " !", f" !     Build failed. {self._keeps(delivery)}"]))
        log(app=delivery.app, home=self.home, process="api", text="Build failed", source="app")
        gate.cancel(delivery, self.engine, "the build failed")
        self.end(
            delivery,
            "failed",
            f"build failed: {build.failure_message.splitlines()[0] if build.failure_message else build.failure_reason}",
        )

    def check(self, delivery: Delivery, facts: Facts) -> None:
        if delivery.state != "checking":
            actions.advance(delivery=delivery, state="checking", home=self.home)
        gate.advance(delivery, self.engine, self.home, self.say(delivery))

    @transaction.atomic
    def withhold(self, delivery: Delivery, facts: Facts) -> None:
        """The gate is not green, or automatic deployment is paused; unless that has changed since ``facts`` were read.

        The stored verdict is older than a re-run or an override that opened the delivery again, and one may come between two looks.
        """
        assert delivery.build is not None
        assert delivery.build.slug is not None
        if gate.colour_now(delivery, delivery.build.slug) != facts.verdict or (facts.verdict == "green" and not queries.paused(delivery.app_id)):
            return
        hints = [f"greenroom checks {delivery.sha[:8]} -a {delivery.app.name}"]
        if facts.verdict == "green":
            reasons = [rules.paused_text(actions.PAUSED, delivery.app.deploy_paused, delivery.app.deploy_paused_until)]
        else:
            verdict = queries.checks.newest_verdict(delivery.app, delivery.sha)
            reasons = list(verdict.reasons) if verdict else ["no verdict"]
            hints = gate.remedies(delivery) or hints
        lines = ["-----> Withheld: this commit is not deployed", *(f" !     {reason}" for reason in reasons)]
        lines += [f" !     {self._keeps(delivery)}", *(f" !     hint: {hint}" for hint in hints)]
        self.once(delivery, "withheld", "\n".join(lines))
        log(
            app=delivery.app,
            home=self.home,
            process="api",
            text=f"Deploy {delivery.sha[:8]} withheld: {'; '.join(reason.rstrip('.') for reason in reasons)}",
            source="app",
        )
        self.end(delivery, "refused", "; ".join(reason.rstrip(".") for reason in reasons))

    def _keeps(self, delivery: Delivery) -> str:
        live = dyno_queries.live(delivery.app)
        return f"v{live.release.version} keeps running." if live else "Nothing was running and nothing was started."

    def release(self, delivery: Delivery, facts: Facts) -> None:
        """Make the release of a green push, with the config vars of now.

        The stored verdict may be older than a report that came while the delivery waited: it is judged again, and reports wait meanwhile.
        """
        assert delivery.build is not None
        assert delivery.build.slug is not None
        with transaction.atomic():
            if gate.colour_now(delivery, delivery.build.slug) != "green":
                return
            actions.fill_config(actor=actions.account_actor(delivery), app=delivery.app, slug=delivery.build.slug, home=self.home)
            config = actions.config_queries.latest(delivery.app)
            assert config is not None
            row = releases.release(
                actor=actions.account_actor(delivery),
                app=delivery.app,
                kind="deploy",
                description=describe_deploy(delivery.sha),
                slug=delivery.build.slug,
                config=config,
            )
            actions.advance(delivery=delivery, state="releasing", home=self.home, release=row)
        log(
            app=delivery.app,
            home=self.home,
            process="api",
            text=f"Deploy {delivery.sha[:8]} by user {_who(delivery)}",
            source="app",
        )
        log(
            app=delivery.app,
            home=self.home,
            process="api",
            text=f"Release v{row.version} created by user {_who(delivery)}",
            source="app",
        )

    def refuse(self, delivery: Delivery, facts: Facts) -> None:
        """A required config var is missing: nothing is started, what runs keeps running."""
        assert delivery.release is not None
        text, hint = actions.refusal_text(delivery)
        releases.conclude(release=delivery.release, status="refused", reason=f"{text}\nhint: {hint}")
        lines = [
            f"-----> Refused: v{delivery.release.version} does not start",
            *(f" !     {line}" for line in text.splitlines()),
        ]
        lines += [f" !     hint: {hint}", f" !     {self._keeps(delivery)}"]
        self.once(delivery, "refused", "\n".join(lines))
        log(
            app=delivery.app,
            home=self.home,
            process="api",
            text=f"Release v{delivery.release.version} refused: {text.splitlines()[0]}",
            source="app",
        )
        self.end(delivery, "refused", text.splitlines()[0])

    def command(self, delivery: Delivery, facts: Facts) -> None:
        """The release command, before anything of the release starts. When it fails, what ran keeps running."""
        command = queries.command_of(delivery, "release")
        assert command is not None
        assert delivery.release is not None
        end = self.commands.advance(delivery, command, self.say(delivery))
        if end is not None and end.kind != "ok":
            releases.conclude(release=delivery.release, status="failed", reason=f"{end.message}\nhint: {end.hint}")

    def postdeploy(self, delivery: Delivery, facts: Facts) -> None:
        """The postdeploy script, after the app's first release went live. Its failure is told; the release stays."""
        command = queries.command_of(delivery, "postdeploy")
        assert command is not None
        end = self.commands.advance(delivery, command, self.say(delivery))
        if end is not None and end.kind != "ok":
            self.say(delivery)(f" !     {end.message} The release is live all the same.\n !     hint: {end.hint}")

    def roll_out(self, delivery: Delivery, facts: Facts) -> None:
        """Ask for the release's dynos, and for its migrations, side by side."""
        assert delivery.release is not None
        slug = delivery.release.slug
        if slug is not None and not intact(slug, self.home):
            releases.conclude(release=delivery.release, status="failed", reason=str(SlugDamagedError(slug)))
            return
        self.once(delivery, "launch", "-----> Launching...")
        holding.give_way(delivery=delivery, home=self.home)
        rollout = dynos.want(app=delivery.app, release=delivery.release)
        migrations.watch(release=delivery.release)
        if delivery.state != "rolling_out":
            actions.advance(delivery=delivery, state="rolling_out", home=self.home)
        if rollout.state == "retired":
            self.give_up(delivery, facts)

    def watch(self, delivery: Delivery, facts: Facts) -> None:
        """Nothing to do but to let the dynos loop and the health gate go on."""

    def give_up(self, delivery: Delivery, facts: Facts) -> None:
        """The release never answered: its dynos end, the old ones have kept the traffic all along."""
        assert delivery.release is not None
        rollout = queries.rollout_of(delivery)
        failure = facts.failure or delivery.release.reason or self._misfit(delivery) or "it was replaced before it answered"
        if rollout is not None and rollout.state == "candidate":
            dynos.give_up(rollout=rollout, failure=failure)
        releases.conclude(release=delivery.release, status="failed", reason=failure)
        lines = [
            f"-----> Failed: v{delivery.release.version} never took traffic",
            *(f" !     {line}" for line in failure.splitlines()),
            f" !     {self._keeps(delivery)}",
        ]
        lines += [] if "hint: " in failure else [f" !     hint: greenroom logs -a {delivery.app.name}"]
        self.once(delivery, "failed", "\n".join(lines))
        log(
            app=delivery.app,
            home=self.home,
            process="api",
            text=f"Release v{delivery.release.version} failed: {failure}",
            source="app",
        )
        self.end(delivery, "failed", failure.splitlines()[0])

    def _misfit(self, delivery: Delivery) -> str:
        """Why old code that answers is not let back: empty unless its tables have changed under it."""
        state = migration_queries.known_state(delivery.release) if delivery.release else None
        if state is None or not state.lacking or state.pending:
            return ""
        since = f"; applied since: {rules.named(state.missing)}" if state.missing else ""
        hint = f"migrate back first, or go live with failing pages: greenroom rollback --force -a {delivery.app.name}"
        return f"its code needs what the database does not have any more: {rules.named(state.lacking)}{since}\nhint: {hint}"

    def rehearse(self, delivery: Delivery, facts: Facts) -> None:
        """Its dynos start; meanwhile what is pending is tried on a copy of the data, and it takes the traffic when that is known."""
        holding.rehearse(delivery=delivery, home=self.home)

    def hold(self, delivery: Delivery, facts: Facts) -> None:
        """The new code does not answer while its migrations are pending: what ran keeps running, a human migrates, then it goes on."""
        rollout, release = queries.rollout_of(delivery), delivery.release
        assert rollout is not None
        assert release is not None
        state = migration_queries.of_release(release)
        lacking = ", ".join(state.lacking[:5]) if state else ""
        needs = f"its code needs what the database does not have yet: {lacking}" if lacking else ""
        failure = facts.failure or rollout.failure or needs or facts.unfit
        if facts.promoted and not failure:
            failure = "its migrations have not been run here"
        if rollout.state == "candidate":
            dynos.hold(rollout=rollout, failure=failure)
        pending = list(state.pending) if state else []
        command = migration_rules.migrate_command(state.framework if state else "")
        lines = rules.held_lines(
            delivery.app.name, release.version, failure, pending, self._keeps(delivery), command, promoted=facts.promoted
        )
        holding.rehearse(delivery=delivery, home=self.home)
        self.once(delivery, "foreseen", "\n".join(holding.foreseen(delivery)))
        self.once(delivery, "held", "\n".join(lines))
        text = f"Release v{release.version} held for its migrations: {failure}"
        log(app=delivery.app, home=self.home, process="api", text=text, source="app")
        self.end(delivery, "held", f"{failure}; pending: {', '.join(pending)}")

    def break_off(self, delivery: Delivery, trouble: str) -> None:
        """The platform itself fails again and again: the delivery ends, and says that the code is not to blame."""
        rollout = queries.rollout_of(delivery)
        if rollout is not None and rollout.state == "candidate":
            dynos.give_up(rollout=rollout, failure="the platform failed")
        if delivery.release is not None:
            releases.conclude(release=delivery.release, status="failed", reason=f"the platform failed: {trouble}")
        lines = [
            "-----> Failed: Greenroom itself could not go on; the commit is not to blame",
            f" !     {trouble.splitlines()[0][:300]}",
            f" !     {self._keeps(delivery)}",
            " !     hint: greenroom doctor; then push a new commit (git commit --allow-empty)",
        ]
        self.once(delivery, "broken-off", "\n".join(lines))
        self.end(delivery, "failed", f"the platform failed: {trouble.splitlines()[0][:300]}")

    def switch(self, delivery: Delivery, facts: Facts) -> None:
        """The candidate answers: the route leads to it, then it is the live one and the old dynos are ended."""
        rollout = queries.rollout_of(delivery)
        assert rollout is not None
        assert delivery.release is not None
        goal = target(router_queries.facts(delivery.app, rollout))
        router.switch_to(app=delivery.app, release=delivery.release, target=goal, home=self.home)
        dynos.make_live(rollout=rollout)
        releases.conclude(release=delivery.release, status="succeeded")
        if delivery.release.kind == "rollback":
            reason = f"{delivery.release.description} by {_who(delivery)}; resume with: greenroom deploy:resume -a {delivery.app.name}"
            actions.apps.change_settings(
                actor=actions.account_actor(delivery), app=delivery.app, deploy_paused=reason[:300], deploy_paused_until=None
            )
        url = f"http://{apps.hostnames(delivery.app)[0]}:{self.installation['http_port']}/"
        lines = f"       Released v{delivery.release.version}\n       {url} deployed to Greenroom"
        self.once(delivery, "released", lines)

    def finish(self, delivery: Delivery, facts: Facts) -> None:
        """Live, and the radar has answered: say what is pending, and end."""
        assert delivery.release is not None
        state = migration_queries.of_release(delivery.release)
        if state is not None:
            status, detail = state.status, state.detail
            if status == "unknown":
                status, detail = "error", "the probe has not answered yet"
            command = migration_rules.migrate_command(state.framework)
            lines = rules.pending_lines(delivery.app.name, state.pending, state.missing, status, detail, command)
            lines += rules.astray_lines(migration_rules.clashing(state.conflicts), state.unmade)
            holding.rehearse(delivery=delivery, home=self.home)
            self.once(delivery, "foreseen", "\n".join(holding.foreseen(delivery)))
            if lines:
                self.once(delivery, "migrations", "\n".join(lines))
        self.end(delivery, "live", "")


def _who(delivery: Delivery) -> str:
    return delivery.account.email if delivery.account else "greenroom"
