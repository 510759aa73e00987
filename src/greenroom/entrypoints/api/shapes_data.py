"""Serializes add-ons, attachments, backups and schedules for Heroku's platform and data APIs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from greenroom.addons.models import Addon, Attachment, Restore, Schedule, Snapshot
from greenroom.addons.queries import service_of
from greenroom.addons.rules.services import Service
from greenroom.basics.clock import heroku_time

SINCE = "2026-01-01T00:00:00Z"
"""Creation time of objects that every installation has."""

FREE = {"cents": 0, "unit": "month", "contract": False, "metered": False}
WORDS = {"wanted": "pending", "loaded": "copy filled", "verified": "copy verified", "saved": "current data saved"}


def snapshot_facts(row: Snapshot) -> dict[str, Any]:
    """The fields of a snapshot of any kind of add-on."""
    return {
        "id": str(row.id),
        "name": row.name,
        "kind": row.kind,
        "state": row.state,
        "reason": row.reason or None,
        "by": row.by,
        "size_bytes": row.size,
        "seconds": row.seconds,
        "failure": row.failure or None,
        "created_at": heroku_time(row.created_at),
        "finished_at": heroku_time(row.finished_at),
    }


def restore_facts(row: Restore) -> dict[str, Any]:
    """The fields of a restore of any kind of add-on. saved: the snapshot that has the replaced data."""
    return {
        "id": str(row.id),
        "name": row.name,
        "state": row.state,
        "snapshot": row.snapshot.name if row.snapshot else None,
        "saved": row.saved.name if row.saved else None,
        "by": row.by,
        "failure": row.failure or None,
        "created_at": heroku_time(row.created_at),
        "finished_at": heroku_time(row.finished_at),
    }


def service(own: Service) -> dict[str, Any]:
    """An add-on service."""
    return {
        "id": own.id,
        "name": own.name,
        "human_name": own.human_name,
        "state": "ga",
        "cli_plugin_name": None,
        "supports_multiple_installations": True,
        "supports_sharing": own.shared,
        "created_at": SINCE,
        "updated_at": SINCE,
    }


def plan(own: Service, name: str) -> dict[str, Any]:
    """The representation of the plan ``service:plan``; all plans are free."""
    found = next((one for one in own.plans if f"{own.name}:{one.name}" == name), own.plans[0])
    return {
        "id": found.id,
        "name": name,
        "human_name": found.human_name,
        "description": found.description,
        "price": FREE,
        "default": found == own.plans[0],
        "state": "ga",
        "installable_inside_private_network": True,
        "installable_outside_private_network": True,
        "space_default": False,
        "visible": True,
        "addon_service": {"id": own.id, "name": own.name},
    }


def addon(row: Addon) -> dict[str, Any]:
    """An add-on, expanded."""
    service = service_of(row)
    own = (item.name for item in row.attachments.all() if item.app_id == row.app_id)
    names = [key for name in own for key in service.keys(name)]
    owner = {"id": str(row.app_id), "name": row.app.name}
    return {
        "id": str(row.id),
        "name": row.name,
        "state": row.state,
        "plan": plan(service, row.plan),
        "config_vars": sorted(names),
        "addon_service": {"id": service.id, "name": service.name, "human_name": service.human_name},
        "app": owner,
        "provider_id": str(row.id),
        "provision_message": "",
        "web_url": None,
        "actions": [],
        "billed_price": FREE,
        "billing_entity": {**owner, "type": "app"},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def attachment(row: Attachment) -> dict[str, Any]:
    """An attachment with its add-on."""
    own, service = row.addon, service_of(row.addon)
    return {
        "id": str(row.id),
        "name": row.name,
        "namespace": None,
        "config_vars": service.keys(row.name),
        "web_url": None,
        "log_input_url": None,
        "addon": {
            "id": str(own.id),
            "name": own.name,
            "app": {"id": str(own.app_id), "name": own.app.name},
            "plan": plan(service, own.plan),
            "state": own.state,
        },
        "addon_service": {"id": service.id, "name": service.name},
        "app": {"id": str(row.app_id), "name": row.app.name},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def stamp(moment: datetime | None) -> str | None:
    """A time in the data API's format: ``2026-11-23 18:55:49 +0000``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S +0000") if moment else None


def place_of(addon: Addon) -> str:
    """Heroku's name of a database: the name of its first attachment."""
    first = min((row for row in addon.attachments.all()), key=lambda row: row.created_at, default=None)
    return first.name if first else addon.name


def backup(row: Snapshot) -> dict[str, Any]:
    """A snapshot as a transfer from the database to a file. A restore refers to it by ``to_url``."""
    moment = stamp(row.finished_at)
    lines = [(stamp(row.created_at), f"{row.kind.replace('_', ' ')} snapshot requested by {row.by}")]
    if row.finished_at:
        lines.append((moment, row.failure or f"done in {row.seconds:.1f} s, sha256 {row.sha256}"))
    return {
        **_transfer(row, lines),
        "from_type": "pg_dump",
        "from_name": place_of(row.addon),
        "from_url": None,
        "to_type": "gof3r",
        "to_name": "BACKUP",
        "to_url": f"greenroom:snapshot/{row.id}",
        "source_bytes": row.database_size,
        "processed_bytes": row.size,
        "started_at": None if row.state == "wanted" else stamp(row.created_at),
        "finished_at": moment,
        "succeeded": row.state == "succeeded",
    }


def restore(row: Restore) -> dict[str, Any]:
    """A restore as a transfer from a file to the database."""
    lines = [
        (stamp(step.at), step.detail or WORDS.get(step.state, step.state))
        for step in sorted(row.steps.all(), key=lambda step: step.pk)
    ]
    size = row.snapshot.database_size if row.snapshot else 0
    return {
        **_transfer(row, lines),
        "from_type": "gof3r" if row.snapshot else "empty",
        "from_name": row.snapshot.name if row.snapshot else "nothing",
        "from_url": None,
        "to_type": "pg_restore",
        "to_name": place_of(row.addon),
        "to_url": None,
        "source_bytes": size,
        "processed_bytes": size if row.state == "done" else 0,
        "started_at": None if row.state == "wanted" else stamp(row.created_at),
        "finished_at": stamp(row.finished_at),
        "succeeded": row.state == "done",
    }


def _transfer(row: Snapshot | Restore, lines: list[tuple[str | None, str]]) -> dict[str, Any]:
    return {
        "uuid": str(row.id),
        "num": row.number,
        "options": {},
        "warnings": 0,
        "schedule": None,
        "canceled_at": None,
        "logs": [{"created_at": at, "message": text} for at, text in lines],
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
    }


def schedule(row: Schedule) -> dict[str, Any]:
    """A daily backup."""
    return {
        "uuid": str(row.id),
        "name": row.name,
        "hour": row.hour,
        "timezone": row.timezone,
        "days": [],
        "retain_weeks": 0,
        "retain_months": 0,
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
        "deleted_at": None,
    }
