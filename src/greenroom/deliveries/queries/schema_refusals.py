"""Messages about schema changes for the pusher: processes that would change the schema, and statements that the
database refused. Read-only.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from greenroom.addons.rules import access, diagnosis
from greenroom.addons.rules.services import LOOKED_AT
from greenroom.buildpacks.rules.release_commands import ReleaseCommand, migrates, schema_notes
from greenroom.checks.builtin.results import tail
from greenroom.deliveries.models import Delivery
from greenroom.engine.contract import Engine
from greenroom.engine.queries import last_output
from greenroom.releases.models import Release
from greenroom.releases.rules import CommandEnd


def notes(delivery: Delivery) -> str:
    """Lines for the pusher about processes of the release that would change the schema; empty if there are none."""
    slug = delivery.release.slug if delivery.release else None
    if slug is None:
        return ""
    return "\n".join(schema_notes(delivery.app.name, slug.process_types, slug.settings.get("policy") or {}))


def freedom(release: Release, command: ReleaseCommand) -> list[str]:
    """A line for the pusher if the repository permits the release command to change the schema."""
    policy = (release.slug.settings.get("policy") or {}) if release.slug else {}
    if access.role_for("release", policy, migrates=migrates(command.text)) != access.OWNER:
        return []
    line = 'schema_changes = "any"' if policy.get("schema_changes") == access.ANY else "migrate_in_release = true"
    return [f"       [policy] {line}: it may change the schema of the database"]


def of_build(delivery: Delivery, home: Path) -> str:
    """Lines for the pusher if the database refused a statement of the build, whether or not the build failed; else
    empty.
    """
    found = diagnosis.refusal(tail(home / delivery.transcript, LOOKED_AT), delivery.app.name, build=True)
    return f" !     {found.message}\n !     hint: {found.hint}" if found else ""


def of_command(end: CommandEnd, engine: Engine, dyno: str, app: str) -> CommandEnd:
    """The end of a release command, with the statement that the database refused if it is the cause of the failure."""
    said = last_output(engine, dyno, LOOKED_AT)[0] if end.kind == "failed" else b""
    found = diagnosis.refusal(said.decode(errors="replace"), app)
    return replace(end, message=f"{end.message} {found.message}", hint=found.hint) if found else end
