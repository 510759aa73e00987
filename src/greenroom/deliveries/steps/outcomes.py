"""The outcomes of a delivery: the release is refused, fails, is held, is aborted or gets the traffic; with the output
for the pusher.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import transaction

from greenroom.app_migrations import queries as migration_queries
from greenroom.app_migrations import rules as migration_rules
from greenroom.apps import queries as apps
from greenroom.basics.errors import GreenroomError
from greenroom.deliveries import actions, queries, rules
from greenroom.deliveries.actions import held
from greenroom.deliveries.drivers import transcript
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import boot_failure
from greenroom.deliveries.queries.time_limits import watch_seconds
from greenroom.deliveries.rules import Facts
from greenroom.deliveries.steps.release_commands import Commands
from greenroom.dynos import actions as dynos
from greenroom.dynos import queries as dyno_queries
from greenroom.dynos.models import Rollout
from greenroom.engine.contract import Engine
from greenroom.jobs import actions as jobs
from greenroom.logs.actions import say
from greenroom.releases import actions as releases
from greenroom.releases.models import Release
from greenroom.router import actions as router
from greenroom.router import queries as router_queries
from greenroom.router.rules import target

logger = logging.getLogger(__name__)


class Outcomes:
    """Helpers for all steps, and the steps that end a delivery or give a release the traffic."""

    def __init__(self, engine: Engine, home: Path, installation: dict[str, Any]) -> None:
        self.engine = engine
        self.home = home
        self.installation = installation
        self.commands = Commands(engine, home)

    def say(self, delivery: Delivery) -> Callable[[str], None]:
        """Return a function that appends lines to the delivery's transcript."""
        path = self.home / delivery.transcript
        return lambda text: transcript.append(path, text)

    def once(self, delivery: Delivery, key: str, text: str) -> None:
        """Append lines once per key; do nothing for an empty text."""
        if not text:
            return
        actions.say_once(delivery=delivery, key=key, text=text, home=self.home)

    def end(self, delivery: Delivery, state: str, reason: str, **columns: object) -> None:
        """Record the end of the delivery. Its release command gives no more output."""
        self._close_output(delivery)
        self._write_end(delivery, state, reason, **columns)

    def _close_output(self, delivery: Delivery) -> None:
        if delivery.release is not None and delivery.release.slug and "release" in delivery.release.slug.process_types:
            transcript.close(self.home / delivery.release.output)

    def _write_end(self, delivery: Delivery, state: str, reason: str, **columns: object) -> None:
        self.commands.forget(delivery)
        actions.advance(delivery=delivery, state=state, reason=reason, home=self.home, **columns)
        logger.info("%s %s %s: %s", delivery.app.name, delivery.sha[:8], state, reason)

    def _retry(self, delivery: Delivery) -> str:
        return f" !     To retry the same commit: {rules.retry_command(delivery.app.name, delivery.sha)}"

    def log(self, delivery: Delivery, text: str) -> None:
        """Write a line ``app[api]: TEXT`` to the app's log."""
        say(app=delivery.app, home=self.home, process="api", text=text, source="app")

    def _keeps(self, delivery: Delivery) -> str:
        live = dyno_queries.live(delivery.app)
        return f"v{live.release.version} keeps running." if live else "Nothing was running and nothing was started."

    def refuse(self, delivery: Delivery, facts: Facts) -> None:
        """Refuse the release, since a required config var is missing. Nothing starts; the running release stays."""
        assert delivery.release is not None
        text, hint = actions.refusal_text(delivery)
        lines = [
            f"-----> Refused: v{delivery.release.version} does not start",
            *(f" !     {line}" for line in text.splitlines()),
        ]
        lines += [
            f" !     hint: {hint}",
            f" !     This command creates a release of this commit. {self._keeps(delivery)}",
        ]
        self.once(delivery, "refused", "\n".join(lines))
        self.log(
            delivery, f"Release v{delivery.release.version} refused: {text.splitlines()[0].rstrip('.')}; then: {hint}"
        )
        with transaction.atomic():  # else a refused release with an open delivery would be given up as failed
            releases.conclude(release=delivery.release, status="refused", reason=f"{text}\nhint: {hint}")
            self.end(delivery, "refused", text.splitlines()[0])

    def give_up(self, delivery: Delivery, facts: Facts) -> None:
        """Fail a release that never answered or stopped answering. Its dynos stop; the old ones have the traffic."""
        assert delivery.release is not None
        rollout = queries.rollout_of(delivery)
        tried = rollout is not None and rollout.switched_at is not None
        failure = facts.failure or delivery.release.reason or self._misfit(delivery) or "replaced before it answered"
        failure, seen = self._explained(delivery.release, failure) if facts.failure else (failure, ())
        if rollout is not None and rollout.state in ("candidate", "watched"):
            dynos.give_up(rollout=rollout, failure=failure)
        live = dyno_queries.live(delivery.app)
        if tried and live is not None:
            self._lead(delivery, live)
        releases.conclude(release=delivery.release, status="failed", reason=failure)
        title = (
            f"v{delivery.release.version} did not stay up, v{live.release.version} has the traffic again"
            if tried and live
            else ""
        )
        lines = [
            f"-----> Failed: {title or f'v{delivery.release.version} never took traffic'}",
            *(f" !     {line}" for line in failure.partition("\nhint: ")[0].splitlines()),
            *rules.output_lines(seen),
            f" !     {self._keeps(delivery)}",
        ]
        lines += [f" !     hint: {hint}"] if (hint := failure.partition("\nhint: ")[2]) else []
        state = migration_queries.known_state(delivery.release)
        lines += [
            *self._also_pending(delivery.release, facts),
            *(rules.settings_lines(state.about, state.detail, served=False) if state else []),
        ]
        lines += [] if "hint: " in failure else [f" !     hint: greenroom logs -a {delivery.app.name}"]
        self.once(delivery, "failed", "\n".join([*lines, self._retry(delivery)]))
        again = rules.retry_command(delivery.app.name, delivery.sha)
        self.log(delivery, f"Release v{delivery.release.version} failed: {failure.splitlines()[0]}; to retry: {again}")
        self.end(delivery, "failed", failure.splitlines()[0])

    def _explained(self, release: Release, failure: str) -> tuple[str, tuple[str, ...]]:
        """Return the failure with the most relevant line and the likely remedy (``FAILURE: ERROR``, ``hint: ...``), and
        the end of the dyno's output.
        """
        sentence, _, own = failure.partition("\nhint: ")
        found = boot_failure.hidden(boot_failure.of(release, sentence), release, self.home)
        text, hint = (f"{sentence}: {found.error}" if found.error else sentence), found.hint or own
        return (f"{text}\nhint: {hint}" if hint else text), found.lines

    def _also_pending(self, release: Release, facts: Facts) -> list[str]:
        """Lines about pending migrations that are not the cause."""
        state = migration_queries.known_state(release)
        if state is None or not state.pending or facts.cause != "code":
            return []
        return [
            f" !     {rules.plural(len(state.pending), 'migration')} pending as well, but not the cause of the failure."
        ]

    def _misfit(self, delivery: Delivery) -> str:
        """Why a rollback that answers is refused: its tables have changed. Empty if they have not."""
        state = migration_queries.known_state(delivery.release) if delivery.release else None
        if state is None or not state.lacking or state.pending:
            return ""
        since = f"; applied since: {rules.named(state.missing)}" if state.missing else ""
        hint = f"migrate back first, or go live with failing pages: greenroom rollback --force -a {delivery.app.name}"
        return (
            f"its code needs columns that the database no longer has: {rules.named(state.lacking)}{since}\nhint: {hint}"
        )

    def hold(self, delivery: Delivery, facts: Facts) -> None:
        """Hold the release: the new code does not answer while its migrations are pending. The running release stays
        until a user migrates; then the delivery continues.
        """
        rollout, release = queries.rollout_of(delivery), delivery.release
        assert rollout is not None
        assert release is not None
        state = migration_queries.of_release(release)
        lacking = ", ".join(state.lacking[:5]) if state else ""
        needs = f"its code needs columns that the database does not have yet: {lacking}" if lacking else ""
        failure = facts.failure or rollout.failure or needs or facts.unfit
        seen: tuple[str, ...] = ()
        doubt = bool(facts.failure) and facts.cause == "unknown"
        if facts.failure:
            failure, seen = self._explained(release, failure)
            failure = failure.partition("\nhint: ")[0]
        if facts.promoted and not failure:
            failure = "its migrations have not been run"
        if rollout.state == "candidate":
            dynos.hold(rollout=rollout, failure=failure)
        pending = list(state.pending) if state else []
        command = migration_rules.migrate_command(state.framework if state else "")
        lines = rules.held_lines(
            delivery.app.name,
            release.version,
            failure,
            pending,
            self._keeps(delivery),
            command,
            promoted=facts.promoted,
            seen=seen,
            doubt=doubt,
        )
        held.rehearse(delivery=delivery, home=self.home)
        self.once(delivery, "foreseen", "\n".join(held.foreseen(delivery)))
        self.once(delivery, "held", "\n".join(lines))
        text = f"Release v{release.version} held for its migrations: {failure}"
        self.log(delivery, text)
        self.end(delivery, "held", f"{failure}; pending: {', '.join(pending)}")

    def break_off(self, delivery: Delivery, trouble: str) -> None:
        """End the delivery after repeated platform errors, with a message that the code is not the cause."""
        lines = [
            "-----> Failed: an error of Greenroom, not of this commit",
            f" !     {trouble.splitlines()[0][:300]}",
            f" !     {self._keeps(delivery)}",
            " !     hint: greenroom doctor",
        ]
        self._stop(delivery, lines, "platform error", trouble)

    def turn_down(self, delivery: Delivery, error: GreenroomError) -> None:
        """End the delivery with the text of a refusal that is due to the commit or the app's settings, since a retry
        cannot succeed.
        """
        lines = ["-----> Failed: this commit or the app's settings require something that is not supported"]
        lines += [f" !     {line}" for line in error.message.splitlines()]
        lines += [f" !     {self._keeps(delivery)}", *([f" !     hint: {error.hint}"] if error.hint else [])]
        self._stop(delivery, lines, "refused", error.message)

    def _stop(self, delivery: Delivery, lines: list[str], what: str, trouble: str) -> None:
        """End the delivery in the middle of a step, with all its processes. A full disk does not keep it open."""
        rollout = queries.rollout_of(delivery)
        if rollout is not None and rollout.state in ("candidate", "watched"):
            dynos.give_up(rollout=rollout, failure=what)
        if delivery.release is not None:
            releases.conclude(release=delivery.release, status="failed", reason=f"{what}: {trouble}")
        try:
            self.once(delivery, "broken-off", "\n".join([*lines, self._retry(delivery)]))
            self._close_output(delivery)
        except OSError as error:  # e.g. a full disk, perhaps the cause of the abort: the row is decisive
            logger.warning("the transcript of %s %s is incomplete: %s", delivery.app.name, delivery.sha[:8], error)
        self._write_end(delivery, "failed", f"{what}: {trouble.splitlines()[0][:300].rstrip('.')}")

    def switch(self, delivery: Delivery, facts: Facts) -> None:
        """Give the traffic to a healthy candidate: on trial while the previous release can take it back, else
        permanently.
        """
        rollout, release = queries.rollout_of(delivery), delivery.release
        assert rollout is not None
        assert release is not None
        before = queries.to_go_back_to(rollout)
        seconds = watch_seconds(release.slug.settings if release.slug else {})
        if before is None or not seconds:
            self._lead(delivery, rollout)
            self.settle(delivery, facts)
            return
        dynos.watch(rollout=rollout)
        self._lead(delivery, rollout)
        self.once(
            delivery,
            "watched",
            f"       Released v{release.version}; watching it for {seconds:g} s before v{before.release.version} is"
            " ended",
        )

    def _lead(self, delivery: Delivery, rollout: Rollout) -> None:
        """Point the app's route to the dynos of this roll-out."""
        router.switch_to(
            app=delivery.app,
            release=rollout.release,
            target=target(router_queries.facts(delivery.app, rollout)),
            home=self.home,
        )

    def settle(self, delivery: Delivery, facts: Facts) -> None:
        """Make the release live after its trial, and stop the dynos of the previous one.

        One transaction, since a live roll-out is not settled again.
        """
        rollout = queries.rollout_of(delivery)
        assert rollout is not None
        assert delivery.release is not None
        with transaction.atomic():
            dynos.make_live(rollout=rollout)
            changes = jobs.take_in(app=delivery.app, release=delivery.release)
            releases.conclude(release=delivery.release, status="succeeded")
            if delivery.release.kind == "rollback":
                reason = (
                    f"{delivery.release.description} by {who_of(delivery)}; resume with: greenroom deploy:resume -a"
                    f" {delivery.app.name}"
                )
                actions.apps.change_settings(
                    actor=actions.account_actor(delivery),
                    app=delivery.app,
                    deploy_paused=reason[:300],
                    deploy_paused_until=None,
                )
        url = apps.web_url(delivery.app, self.installation, https=dyno_queries.sends_to_https(rollout))
        lines = [] if "watched" in delivery.said else [f"       Released v{delivery.release.version}"]
        lines += [f"       {change[0].upper()}{change[1:]}" for change in changes]
        self.once(delivery, "released", "\n".join([*lines, f"       {url} deployed to Greenroom"]))


def who_of(delivery: Delivery) -> str:
    return delivery.account.email if delivery.account else "greenroom"
