"""Runs what a release asks to be run once: its release command before the roll-out, the postdeploy script after the
first switch.

The delivery's row says how each ended; until then the engine is asked about a dyno whose id follows from the release.
Never waits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from django.db import transaction

from greenroom.basics.errors import GreenroomError
from greenroom.buildpacks.rules.release_commands import ReleaseCommand
from greenroom.builds.drivers import dyno_output
from greenroom.deliveries import actions
from greenroom.deliveries.drivers import transcript
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import schema_refusals
from greenroom.engine.contract import DynoState, Engine
from greenroom.releases import actions as releases
from greenroom.releases.models import Release
from greenroom.releases.queries import release_commands
from greenroom.releases.rules import CommandEnd, command_end
from greenroom.slugs.actions import SlugDamagedError, intact

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 3
"""How often a command whose dyno died with its machine is started."""
TITLES = {"release": "release command", "postdeploy": "postdeploy script"}


class Commands:
    """Carries commands on by one step per call. Where their output has been copied to is kept in memory: a crash
    repeats lines.
    """

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        self.copied: dict[str, int] = {}

    def advance(self, delivery: Delivery, command: ReleaseCommand, say: Callable[[str], None]) -> CommandEnd | None:
        """Start the command, look at it, or record how it ended; None while it runs."""
        assert delivery.release is not None
        if command.skipped:
            say(f"-----> Skipped the {TITLES[command.kind]}\n !     {command.skipped}\n !     hint: {command.hint}")
            return self._record(delivery, command, CommandEnd("ok"))
        attempt = int(delivery.commands.get("attempt", 0))
        dyno = release_commands.dyno_id(delivery.release, command, attempt)
        seen = self.engine.describe(dyno)
        if seen is None:
            return self._start(delivery, command, attempt, say)
        self._copy(dyno, say, whole=seen.ended, kept=delivery.release.output if command.kind == "release" else "")
        end = self._end(delivery.release, command, seen) if seen.ended else None
        if end is None:
            return None
        if end.kind == "lost" and attempt + 1 < MAX_ATTEMPTS:
            actions.note_command(delivery=delivery, kind="attempt", outcome=attempt + 1)
            return None
        self.copied.pop(dyno, None)
        end = schema_refusals.of_command(end, self.engine, dyno, delivery.app.name)
        self._record(delivery, command, end)
        self.engine.forget(dyno)  # after the row: a dyno that nobody knows is started
        return end

    def _start(
        self, delivery: Delivery, command: ReleaseCommand, attempt: int, say: Callable[[str], None]
    ) -> CommandEnd | None:
        """Start the command's dyno. Returns its end if the slug's files are damaged, None otherwise."""
        release = delivery.release
        assert release is not None
        if release.slug is not None and not intact(release.slug, self.home):
            error = SlugDamagedError(release.slug)
            return self._record(delivery, command, CommandEnd("failed", error.message, error.hint))
        lines = [f"-----> Running {TITLES[command.kind]}: {command.text}", *schema_refusals.freedom(release, command)]
        say("\n".join(lines))
        spec = release_commands.spec(
            release=release, command=command, home=self.home, capacity=self.engine.capacity(), attempt=attempt
        )
        self.engine.start(spec)
        return None

    def _end(self, release: Release, command: ReleaseCommand, seen: DynoState) -> CommandEnd | None:
        return command_end(
            phase=seen.phase,
            exit_code=seen.exit_code,
            reason=seen.reason,
            memory_mb=release_commands.MEMORY_MB,
            kind=command.kind,
        )

    def forget(self, delivery: Delivery) -> None:
        """Let the engine forget the dynos of a delivery that ends: one may be left by a worker that was killed right
        after ``_record``. Repeatable.
        """
        if delivery.release is None:
            return
        for command in release_commands.of_release(delivery.release):
            for attempt in range(int(delivery.commands.get("attempt", 0)) + 1):
                try:
                    self.engine.forget(release_commands.dyno_id(delivery.release, command, attempt))
                except GreenroomError as error:  # the delivery ends all the same
                    logger.warning("the %s of %s is not cleaned up: %s", TITLES[command.kind], delivery.app.name, error)
                    return

    def _record(self, delivery: Delivery, command: ReleaseCommand, end: CommandEnd) -> CommandEnd:
        """Its outcome and, of a failed release command, the end of the release, by one transaction."""
        with transaction.atomic():
            actions.note_command(delivery=delivery, kind=command.kind, outcome="ok" if end.kind == "ok" else "failed")
            if end.kind != "ok" and command.kind == "release" and delivery.release is not None:
                releases.conclude(release=delivery.release, status="failed", reason=f"{end.message}\nhint: {end.hint}")
        if delivery.release is not None and command.kind == "release":
            transcript.close(self.home / delivery.release.output)
        return end

    def _copy(self, dyno: str, say: Callable[[str], None], *, whole: bool, kept: str = "") -> None:
        """What the command has printed since the last look, in whole lines, also into the file ``kept``; all that is
        left when it has ended.
        """
        while True:
            before = self.copied.get(dyno, 0)
            text, place = dyno_output.new_lines(self.engine, dyno, before, whole)
            if place == before:
                return
            self.copied[dyno] = place
            if text:
                say("\n".join(f"       {line}".rstrip() for line in text.splitlines()))
            if text and kept:
                transcript.append(self.home / kept, text)
            if not whole:
                return
