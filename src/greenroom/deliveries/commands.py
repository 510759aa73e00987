"""Runs what a release asks to be run once: its release command before the roll-out, the postdeploy script after the first switch.

The delivery's row says how each ended; until then the engine is asked about a dyno whose id follows from the release. Never waits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from greenroom.buildpacks.commands import ReleaseCommand
from greenroom.deliveries import actions
from greenroom.deliveries.models import Delivery
from greenroom.engine.contract import DynoState, Engine
from greenroom.releases import commands
from greenroom.releases.models import Release
from greenroom.releases.rules import CommandEnd, command_end
from greenroom.slugs.actions import SlugDamagedError, intact

MAX_ATTEMPTS = 3
"""How often a command whose dyno died with its machine is started."""
PIECE = 200_000
TITLES = {"release": "release command", "postdeploy": "postdeploy script"}


class Commands:
    """Carries commands on by one step per call. Where their output has been copied to is kept in memory: a crash repeats lines."""

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
        dyno = commands.dyno_id(delivery.release, command, attempt)
        seen = self.engine.describe(dyno)
        if seen is None:
            slug = delivery.release.slug
            if slug is not None and not intact(slug, self.home):
                error = SlugDamagedError(slug)
                return self._record(delivery, command, CommandEnd("failed", error.message, error.hint))
            say(f"-----> Running {TITLES[command.kind]}: {command.text}")
            self.engine.start(commands.spec(release=delivery.release, command=command, home=self.home, attempt=attempt))
            return None
        self._copy(dyno, say, whole=seen.ended)
        end = self._end(delivery.release, command, seen)
        if end is None:
            return None
        if end.kind == "lost" and attempt + 1 < MAX_ATTEMPTS:
            actions.note_command(delivery=delivery, kind="attempt", outcome=attempt + 1)
            return None
        self.copied.pop(dyno, None)
        self.engine.forget(dyno)
        return self._record(delivery, command, end)

    def _end(self, release: Release, command: ReleaseCommand, seen: DynoState) -> CommandEnd | None:
        return command_end(
            phase=seen.phase, exit_code=seen.exit_code, reason=seen.reason, memory_mb=commands.MEMORY_MB, kind=command.kind
        )

    def _record(self, delivery: Delivery, command: ReleaseCommand, end: CommandEnd) -> CommandEnd:
        actions.note_command(delivery=delivery, kind=command.kind, outcome="ok" if end.kind == "ok" else "failed")
        return end

    def _copy(self, dyno: str, say: Callable[[str], None], *, whole: bool) -> None:
        """What the command has printed since the last look, in whole lines."""
        try:
            handle = os.open(self.home / "run" / "dynos" / dyno / "output", os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return
        with os.fdopen(handle, "rb") as file:
            file.seek(self.copied.get(dyno, 0))
            data = file.read(PIECE)
        if not whole or len(data) == PIECE:
            data = data[: data.rfind(b"\n") + 1] or (data if len(data) == PIECE else b"")
        if data:
            self.copied[dyno] = self.copied.get(dyno, 0) + len(data)
            say("\n".join(f"       {line}" for line in data.decode("utf-8", "replace").splitlines()))
