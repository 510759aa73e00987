"""What a delivery says about the schema: which processes would change it, and what the database refused. Reads rows and
output, writes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from greenroom.addons.postgres import rules
from greenroom.buildpacks.rules.release_commands import ReleaseCommand, migrates, schema_notes
from greenroom.checks.builtin.results import tail
from greenroom.deliveries.models import Delivery
from greenroom.engine.contract import Engine
from greenroom.engine.queries import last_output
from greenroom.releases.models import Release
from greenroom.releases.rules import CommandEnd


def notes(delivery: Delivery) -> str:
    """Lines for the push about processes of the release that would change the schema; empty when there are none."""
    slug = delivery.release.slug if delivery.release else None
    if slug is None:
        return ""
    return "\n".join(schema_notes(delivery.app.name, slug.process_types, slug.settings.get("policy") or {}))


def freedom(release: Release, command: ReleaseCommand) -> list[str]:
    """A line for the push when the release command may change the schema, since the repository asks for it."""
    policy = (release.slug.settings.get("policy") or {}) if release.slug else {}
    if rules.role_for("release", policy, migrates=migrates(command.text)) != rules.OWNER:
        return []
    line = 'schema_changes = "any"' if policy.get("schema_changes") == rules.ANY else "migrate_in_release = true"
    return [f"       [policy] {line}: it may change the schema of the database"]


def of_build(delivery: Delivery, home: Path) -> str:
    """Lines for the push when the database refused something to the build, whether the build failed of it or not; else
    empty.
    """
    words = rules.refused(tail(home / delivery.transcript, rules.LOOKED_AT), build=True)
    if not words:
        return ""
    message, hint = rules.refusal(words, delivery.app.name, build=True)
    return f" !     {message}\n !     hint: {hint}"


def of_command(end: CommandEnd, engine: Engine, dyno: str, app: str) -> CommandEnd:
    """The end of a release command with what the database refused to it, where that is why it failed."""
    said = last_output(engine, dyno, rules.LOOKED_AT)[0] if end.kind == "failed" else b""
    words = rules.refused(said.decode(errors="replace"))
    if not words:
        return end
    message, hint = rules.refusal(words, app)
    return replace(end, message=f"{end.message} {message}", hint=hint)
