"""Executes the steps of a delivery, one repeatable call per step. The rules decide which step is next."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.db import transaction

from greenroom.app_migrations import actions as migrations
from greenroom.app_migrations import queries as migration_queries
from greenroom.app_migrations import rules as migration_rules
from greenroom.basics import disk
from greenroom.builds import actions as builds
from greenroom.builds import steps as build_steps
from greenroom.deliveries import actions, queries, rules
from greenroom.deliveries.actions import held
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import schema_refusals
from greenroom.deliveries.rules import Facts, Step
from greenroom.deliveries.steps import gate
from greenroom.deliveries.steps.outcomes import Outcomes, who_of
from greenroom.dynos import actions as dynos
from greenroom.releases import actions as releases
from greenroom.releases.rules import describe_deploy
from greenroom.slugs.actions import SlugDamagedError, intact

logger = logging.getLogger(__name__)


class Steps(Outcomes):
    """The intermediate steps, and the dispatch table."""

    def take(self, step: Step, delivery: Delivery, facts: Facts) -> None:
        """Execute one step."""
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
            Step.SETTLE: self.settle,
            Step.POSTDEPLOY: self.postdeploy,
            Step.FINISH: self.finish,
        }
        if step in table:
            table[step](delivery, facts)

    def supersede(self, delivery: Delivery, facts: Facts) -> None:
        reason = "replaced by a newer release" if delivery.release else "replaced by a newer push"
        if delivery.release is not None:
            releases.conclude(release=delivery.release, status="expired", reason=reason)
        self.once(delivery, "superseded", f"-----> Superseded: {reason}")
        if delivery.build is not None:
            gate.cancel(delivery, self.engine, "superseded by a newer push")
        self.end(delivery, "superseded", reason)

    def build(self, delivery: Delivery, facts: Facts) -> None:
        """Start or continue the build, with the source scan in parallel."""
        if delivery.build is None and (full := disk.lacking(self.home)):
            return self.once(delivery, "disk_full", f"-----> Waiting for free disk space. {full}.")
        if delivery.build is None:
            row = builds.start(app=delivery.app, commit=delivery.sha, account=delivery.account)
            actions.advance(delivery=delivery, state="building", home=self.home, build=row)
            self.log(delivery, f"Build started by user {who_of(delivery)}")
        assert delivery.build is not None
        config = actions.config_of(delivery.app, self.home)
        build_steps.advance(
            build=delivery.build, engine=self.engine, home=self.home, say=self.say(delivery), config=config
        )
        if delivery.build.status == "succeeded":
            self.log(delivery, "Build succeeded")
            self.once(delivery, "refused-in-build", schema_refusals.of_build(delivery, self.home))
        gate.advance(delivery, self.engine, self.home, self.say(delivery))

    def build_failed(self, delivery: Delivery, facts: Facts) -> None:
        build = delivery.build
        assert build is not None
        lines = [f" !     {line}" for line in build.failure_message.splitlines()]
        lines += [f" !     hint: {build.failure_hint}"] if build.failure_hint else []
        lines += [" !", f" !     Build failed. {self._keeps(delivery)}", self._retry(delivery)]
        self.once(delivery, "refused-in-build", schema_refusals.of_build(delivery, self.home))
        self.once(delivery, "build-failed", "\n".join(lines))
        reason = (build.failure_message.splitlines() or [build.failure_reason])[0]
        self.log(delivery, f"Build failed: {reason}")
        gate.cancel(delivery, self.engine, "the build failed")
        self.end(
            delivery,
            "failed",
            f"build failed: {reason}",
        )

    def check(self, delivery: Delivery, facts: Facts) -> None:
        if delivery.state != "checking":
            actions.advance(delivery=delivery, state="checking", home=self.home)
        gate.advance(delivery, self.engine, self.home, self.say(delivery))

    @transaction.atomic
    def withhold(self, delivery: Delivery, facts: Facts) -> None:
        """Withhold the commit: the gate is not green, or automatic deployment is paused. Does nothing if that has
        changed since ``facts`` were read.

        A re-run or an override that reopened the delivery may be newer than the stored verdict, and one may arrive
        between two reads.
        """
        assert delivery.build is not None
        assert delivery.build.slug is not None
        if gate.colour_now(delivery, delivery.build.slug) != facts.verdict or (
            facts.verdict == "green" and not queries.paused(delivery.app_id)
        ):
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
        self.log(delivery, f"Deploy {delivery.sha[:8]} withheld: {'; '.join(reason.rstrip('.') for reason in reasons)}")
        self.end(delivery, "refused", "; ".join(reason.rstrip(".") for reason in reasons))

    def release(self, delivery: Delivery, facts: Facts) -> None:
        """Create the release of a green push, with the current config vars.

        Judges the commit again, since a report may be newer than the stored verdict; the transaction blocks further
        reports. Also checks again for a rollback, a promotion or a pause after ``facts`` were read, which this release
        would undo.
        """
        assert delivery.build is not None
        assert delivery.build.slug is not None
        with transaction.atomic():
            if gate.colour_now(delivery, delivery.build.slug) != "green" or _is_late(delivery):
                return
            actions.fill_config(
                actor=actions.account_actor(delivery), app=delivery.app, slug=delivery.build.slug, home=self.home
            )
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
        self.log(delivery, f"Deploy {delivery.sha[:8]} by user {who_of(delivery)}")
        self.log(delivery, f"Release v{row.version} created by user {who_of(delivery)}")

    def command(self, delivery: Delivery, facts: Facts) -> None:
        """Run the release command before any dyno of the release starts. If it fails, the running release stays."""
        command = queries.command_of(delivery, "release")
        assert command is not None
        assert delivery.release is not None
        if delivery.state == rules.WAITING:  # a newer config change no longer replaces it
            actions.advance(delivery=delivery, state="releasing", home=self.home)
        self.commands.advance(delivery, command, self.say(delivery))

    def postdeploy(self, delivery: Delivery, facts: Facts) -> None:
        """Run the postdeploy script after the app's first release is live. A failure is reported; the release stays."""
        command = queries.command_of(delivery, "postdeploy")
        assert command is not None
        end = self.commands.advance(delivery, command, self.say(delivery))
        if end is not None and end.kind != "ok":
            self.say(delivery)(f" !     {end.message} The release stays live.\n !     hint: {end.hint}")

    def roll_out(self, delivery: Delivery, facts: Facts) -> None:
        """Request the release's dynos and the check of its migrations, in parallel."""
        assert delivery.release is not None
        slug = delivery.release.slug
        if slug is not None and not intact(slug, self.home):
            releases.conclude(release=delivery.release, status="failed", reason=str(SlugDamagedError(slug)))
            return
        self.once(delivery, "launch", "-----> Launching...")
        self.once(delivery, "schema", schema_refusals.notes(delivery))
        held.give_way(delivery=delivery, home=self.home)
        rollout = dynos.want(app=delivery.app, release=delivery.release)
        migrations.watch(release=delivery.release)
        if delivery.state != "rolling_out":
            actions.advance(delivery=delivery, state="rolling_out", home=self.home)
        if rollout.state == "retired":
            self.give_up(delivery, facts)

    def watch(self, delivery: Delivery, facts: Facts) -> None:
        """Do nothing: the dynos loop and the health gate continue."""

    def rehearse(self, delivery: Delivery, facts: Facts) -> None:
        """Request a rehearsal of the pending migrations while the dynos start. The release gets the traffic when its
        result is known.
        """
        held.rehearse(delivery=delivery, home=self.home)

    def finish(self, delivery: Delivery, facts: Facts) -> None:
        """End a live delivery after the radar has answered, and print the pending migrations."""
        assert delivery.release is not None
        state = migration_queries.of_release(delivery.release)
        if state is not None:
            status, detail = state.status, state.detail
            if status == "unknown":
                status, detail = "error", "the probe has not answered yet"
            command = migration_rules.migrate_command(state.framework)
            lines = rules.pending_lines(delivery.app.name, state.pending, state.missing, status, detail, command)
            lines += rules.astray_lines(migration_rules.clashing(state.conflicts), state.unmade)
            if delivery.kind == "push":
                lines += self._settings_lines(delivery, state.about, state.detail)
            held.rehearse(delivery=delivery, home=self.home)
            self.once(delivery, "foreseen", "\n".join(held.foreseen(delivery)))
            if lines:
                self.once(delivery, "migrations", "\n".join(lines))
        elif delivery.kind == "push":
            self.once(delivery, "settings", "\n".join(self._settings_lines(delivery, {}, "")))
        self.end(delivery, "live", "")

    def _settings_lines(self, delivery: Delivery, about: dict[str, Any], detail: str) -> list[str]:
        slug = delivery.release.slug if delivery.release else None
        return rules.settings_lines(about, detail, has_web=slug is None or "web" in slug.process_types)


def _is_late(delivery: Delivery) -> bool:
    """Whether a pause or another release has been recorded since the decision to release this push. Call it with the
    app's row locked.
    """
    others = Delivery.objects.filter(app_id=delivery.app_id, finished_at=None).exclude(pk=delivery.pk)
    return queries.paused(delivery.app_id) or others.exclude(release=None).exists()
