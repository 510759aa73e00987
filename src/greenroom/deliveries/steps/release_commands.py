"""Runs the one-time commands of a release: its release command before the roll-out, the postdeploy script after the
first switch.

The delivery's row records their outcomes. Until then, queries the engine for a dyno whose id derives from the release.
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
from greenroom.engine.contract import VASTLY, DynoState, Engine
from greenroom.releases import actions as releases
from greenroom.releases.models import Release
from greenroom.releases.queries import release_commands
from greenroom.releases.rules import CommandEnd, command_end
from greenroom.slugs.actions import SlugDamagedError, intact

logger = logging.getLogger(__name__)
MAX_ATTEMPTS = 3
"""Maximum starts of a command whose dyno was lost with its machine."""
TITLES = {"release": "release command", "postdeploy": "postdeploy script"}


class Commands:
    """Advances commands by one step per call. Output offsets are in memory only: a crash repeats lines."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        self.copied: dict[str, int] = {}

    def advance(self, delivery: Delivery, command: ReleaseCommand, say: Callable[[str], None]) -> CommandEnd | None:
        """Start the command, poll it, or record its outcome; None while it runs."""
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
        self.engine.forget(dyno)  # after the row: an unknown dyno would be started again
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
            memory_mb=VASTLY * release_commands.MEMORY_MB,
            kind=command.kind,
        )

    def forget(self, delivery: Delivery) -> None:
        """Forget the engine's dynos of an ended delivery: a worker killed right after ``_record`` may have left one.
        Repeatable.
        """
        if delivery.release is None:
            return
        for command in release_commands.of_release(delivery.release):
            for attempt in range(int(delivery.commands.get("attempt", 0)) + 1):
                try:
                    self.engine.forget(release_commands.dyno_id(delivery.release, command, attempt))
                except GreenroomError as error:  # the delivery ends anyway
                    logger.warning("the %s of %s is not cleaned up: %s", TITLES[command.kind], delivery.app.name, error)
                    return

    def _record(self, delivery: Delivery, command: ReleaseCommand, end: CommandEnd) -> CommandEnd:
        """Record the outcome of the command and, if a release command failed, the end of the release, in one
        transaction.
        """
        with transaction.atomic():
            actions.note_command(delivery=delivery, kind=command.kind, outcome="ok" if end.kind == "ok" else "failed")
            if end.kind != "ok" and command.kind == "release" and delivery.release is not None:
                releases.conclude(release=delivery.release, status="failed", reason=f"{end.message}\nhint: {end.hint}")
        if delivery.release is not None and command.kind == "release":
            transcript.close(self.home / delivery.release.output)
        return end

    def _copy(self, dyno: str, say: Callable[[str], None], *, whole: bool, kept: str = "") -> None:
        """Copy the new output of the command in whole lines to ``say`` and to the file ``kept``; the rest, too, if it
        has ended.
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
