"""The API rows of the fake Greenroom; tests override single fields."""

from __future__ import annotations

from typing import Any

APP = "ach-payslip-staging"
SHA = "1f3a9c2b" + "0" * 32
OLD_SHA = "aa11bb22" + "0" * 32
T0, T1 = "2026-11-23T09:11:00Z", "2026-11-23T09:11:42Z"
BUILD = "0b111d00-0000-4000-8000-000000000001"
DELIVERY = "de11e700-0000-4000-8000-000000000001"


def app(name: str = APP, owner: str = "alice@example.com") -> dict[str, Any]:
    return {
        "id": f"id-of-{name}",
        "name": name,
        "owner": {"email": owner},
        "maintenance": False,
        "stack": {"name": "greenroom-1"},
        "web_url": f"http://{name}.localhost:8080/",
        "created_at": T0,
        "released_at": T1,
        "required_checks": ["lint"],
        "deploy_paused": None,
        "deploy_paused_until": None,
        "protected_branch": "master",
    }


def egress(**changes: Any) -> dict[str, Any]:
    return {
        "app": {"id": f"id-of-{APP}", "name": APP},
        "policy": "closed",
        "rules": [{"target": "api.example.org:443", "host": "api.example.org", "port": 443}],
        "limit": 100,
        "former_dynos": 0,
        "changed_at": T0,
        **changes,
    }


def source(**changes: Any) -> dict[str, Any]:
    row = {
        "url": "https://github.com/ach/payslip.git",
        "branch": "master",
        "kind": "github",
        "protected_branch": "master",
        "state": "synced",
        "waiting": False,
        "problem": None,
        "hint": None,
        "seen": SHA,
        "taken": SHA,
        "interval": 300,
        "api": "https://api.github.com",
        "known_hosts": [],
        "credentials": {"deploy_key": None, "fingerprint": None, "token": True, "username": None},
        "looked_at": T1,
        "webhook": {
            "path": "/hooks/abc",
            "url": "http://x/hooks/abc",
            "how": "push events",
            "previous_secret_until": None,
        },
        "calls": [{"delivery": "d1", "event": "push", "said": "master will be fetched", "at": T0}],
        "reports": [
            {
                "kind": "status",
                "context": f"greenroom/{APP}",
                "state": "success",
                "description": "v12 is live",
                "sha": SHA,
                "status": "sent",
                "error": None,
            }
        ],
    }
    return {**row, **changes}


def release(version: int, **changes: Any) -> dict[str, Any]:
    row = {
        "id": f"r{version}",
        "version": version,
        "description": f"Deploy {SHA[:8]}",
        "status": "succeeded",
        "refused": False,
        "reason": None,
        "current": False,
        "user": {"email": "alice@example.com"},
        "created_at": T0,
        "slug": {"id": "s1", "commit": SHA},
    }
    return {**row, **changes}


def dyno(name: str, **changes: Any) -> dict[str, Any]:
    row = {
        "id": f"id-{name}",
        "name": name,
        "type": name.partition(".")[0],
        "state": "up",
        "size": "standard-1x",
        "command": "gunicorn payslip.wsgi",
        "release": {"version": 12},
        "exit_code": None,
        "exit_reason": None,
        "detail": None,
        "attach_url": None,
        "created_at": T0,
        "updated_at": T0,
    }
    return {**row, **changes}


def check(name: str, conclusion: str | None = "success", **changes: Any) -> dict[str, Any]:
    row = {
        "id": f"c-{name}",
        "name": name,
        "sha": SHA,
        "attempt": 1,
        "status": "completed" if conclusion else "in_progress",
        "conclusion": conclusion,
        "required": True,
        "title": f"{name} says {conclusion}",
        "summary": "",
        "url": None,
        "annotations_count": 0,
        "started_at": T0,
        "finished_at": T1,
    }
    return {**row, **changes}


def delivery(state: str, **changes: Any) -> dict[str, Any]:
    row = {
        "id": DELIVERY,
        "sha": SHA,
        "seq": 3,
        "kind": "push",
        "state": state,
        "reason": "",
        "checks": [check("tests")],
        "verdict": {"colour": "green", "reasons": []},
        "build": {"id": BUILD, "status": "succeeded"},
        "release": {"version": 12},
        "migrations": {"pending": [], "held": state == "held"},
        "user": {"email": "alice@example.com"},
        "created_at": T0,
        "finished_at": T1,
    }
    return {**row, **changes}


def slug() -> dict:
    packages = {
        "django": {"version": "5.2", "size": 8_000_000, "record": "", "hashes": []},
        "six": {"version": "1.16.0", "size": 11_000},
    }
    manifest = {
        "python_version": "3.12.4",
        "package_manager": "uv",
        "packages": packages,
        "files": {"manage.py": ["f", "", 1]},
    }
    return {"id": BUILD, "commit": SHA, "checksum": "SHA256:" + "0" * 64, "size": 1000, "manifest": manifest}


def build(**changes: Any) -> dict[str, Any]:
    row = {
        "id": BUILD,
        "status": "succeeded",
        "source_blob": {"version": SHA},
        "slug": {"id": "s1"},
        "failure": None,
        "output_stream_url": "/streams/output/b1",
        "user": {"email": "alice@example.com"},
        "created_at": T0,
        "finished_at": T1,
    }
    return {**row, **changes}


REHEARSAL = {
    "number": 1,
    "state": "done",
    "step": "",
    "colour": "amber",
    "pending": ["payslip.0002_bonus"],
    "failure": "",
    "finished_at": T1,
    "summary": "1 pending migration, 1.0 s; blocks writes on payslip 1.0 s (0002).",
    "text": "amber  1.00 s  payslip.0002_bonus",
    "app": {"name": APP},
    "report": {
        "bytes": 9_000_000,
        "seconds": {"dump": 0.1, "load": 0.3, "whole": 6.5},
        "limits": ["there was no traffic"],
    },
}


def migrations(**changes: Any) -> dict[str, Any]:
    row = {
        "release": {"version": 12},
        "status": "ok",
        "pending": ["payslip.0002_bonus"],
        "missing": [],
        "detail": "",
        "probed_at": T0,
        "runs": [
            {
                "id": "m1",
                "actor": "alice@example.com",
                "command": "python manage.py migrate",
                "exit_code": 0,
                "before": ["payslip.0001_initial", "payslip.0002_bonus"],
                "after": ["payslip.0002_bonus"],
                "started_at": T0,
                "finished_at": T1,
            }
        ],
    }
    return {**row, **changes}


def snapshot(name: str = "b001", **changes: Any) -> dict[str, Any]:
    row = {
        "id": f"s-{name}",
        "name": name,
        "kind": "manual",
        "state": "succeeded",
        "reason": "before the demo",
        "pinned": False,
        "by": "alice@example.com",
        "release": {"version": 12},
        "addon": "postgresql-1",
        "tables": 12,
        "migrations": ["payslip.0001_initial"],
        "size_bytes": 82_000,
        "database_bytes": 8_200_000,
        "seconds": 0.4,
        "sha256": "ab" * 32,
        "failure": None,
        "created_at": T0,
        "finished_at": T1,
        "loss": {"seconds": 7300, "writes": 42, "migrations": ["payslip.0002_bonus"], "tables": 13},
    }
    return {**row, **changes}


def restore(state: str = "done", **changes: Any) -> dict[str, Any]:
    row = {
        "id": "r-1",
        "name": "r002",
        "state": state,
        "snapshot": "b001",
        "saved": "b003",
        "kept_database": "d1_old_1",
        "failure": None,
        "swap_seconds": 0.24,
        "steps": [],
        "created_at": T0,
        "finished_at": T1,
    }
    return {**row, **changes}


def volume(**changes: Any) -> dict[str, Any]:
    facts = {"id": "v-1", "name": "media", "addon": "volume-payslip-1", "state": "provisioned", "path": "/app/media"}
    use = {"size_bytes": 5 * 10**9, "used_bytes": 1_500_000_000, "files": 12, "level": None, "quota": "measured"}
    names = {"config_vars": ["VOLUME_MEDIA_PATH"], "measured_at": T1, "created_at": T0, "updated_at": T1}
    return {**facts, **use, **names, **changes}


def volume_snapshot(**changes: Any) -> dict[str, Any]:
    facts = {"id": "s-1", "name": "b001", "kind": "manual", "state": "succeeded", "reason": "x", "by": "a@example.com"}
    return {**facts, "size_bytes": 7, "seconds": 0.1, "failure": None, "created_at": T0, "finished_at": T1, **changes}


def volume_restore(state: str, **changes: Any) -> dict[str, Any]:
    facts = {"id": "r-2", "name": "r002", "state": state, "snapshot": "b001", "saved": "b003", "by": "a@example.com"}
    return {**facts, "failure": None, "created_at": T0, "finished_at": T1, **changes}


def annotation() -> dict[str, Any]:
    return {
        "path": "payslip/views.py",
        "start_line": 17,
        "start_column": 5,
        "rule": "S608",
        "tool": "ruff",
        "severity": 1,
        "new": True,
        "message": "SQL built from a string",
    }


IGNORED = {
    "fingerprint": "3fa9c01d" * 8,
    "tool": "ruff",
    "rule": "S608",
    "path": "payslip/views.py",
    "reason": "not reachable, TICKET-12",
    "actor": "alice@example.com",
    "until": "2026-12-31T18:00:00Z",
    "created_at": T0,
    "expired": False,
}


def mail(number: int = 12, **changes: Any) -> dict[str, Any]:
    row = {
        "number": number,
        "created_at": T1,
        "from": "shop@example.com",
        "header_from": "Shop <shop@example.com>",
        "to": ["qa@example.com"],
        "recipients": 2,
        "relayed": 1,
        "subject": "Your order",
        "type": "multipart/mixed",
        "size": 2048,
    }
    return {**row, **changes}


def job_run(number: int = 17, **changes: Any) -> dict[str, Any]:
    row = {
        "number": number,
        "app": {"name": APP},
        "job": {"name": "nightly"},
        "trigger": "schedule",
        "state": "failed",
        "reason": "exit",
        "detail": "exited with status 3",
        "planned_at": T0,
        "until": T0,
        "count": 1,
        "dyno": "scheduler.4821",
        "exit_code": 3,
        "started_at": T0,
        "finished_at": T1,
    }
    return {**row, **changes}


def mail_info(number: int = 12, **changes: Any) -> dict[str, Any]:
    to = [
        {"address": "qa@example.com", "state": "sent", "error": None},
        {"address": "customer@example.org", "state": "trapped", "error": None},
    ]
    part = {"number": 3, "name": "invoice.pdf", "type": "application/pdf", "size": 900, "id": "", "inline": False}
    headers = [{"name": "Subject", "value": "Your order"}, {"name": "To", "value": "QA <qa@example.com>"}]
    parts = {"to": to, "headers": headers, "text": "Thank you.\n", "html": "<p>Thank you.</p>", "attachments": [part]}
    return {**mail(number), **parts, "truncated": False, **changes}


def mail_trap(**changes: Any) -> dict[str, Any]:
    row = {
        "name": "mail-shop-1a2b3",
        "state": "provisioned",
        "plan": "mail:mini",
        "answers": True,
        "count": 12,
        "bytes": 34_000,
        "refused": 1,
        "limit_bytes": 50_000_000,
        "limit_count": 500,
        "limit_days": 7,
        "message_bytes": 10_000_000,
        "restarts": 0,
        "allowed": ["qa@example.com"],
        "relay": "smtp://me@smtp.example.com:587",
        "waiting": 0,
    }
    return {**row, **changes}


def job(**changes: Any) -> dict[str, Any]:
    row = {
        "name": "nightly",
        "app": {"name": APP},
        "origin": "user",
        "schedule": "0 3 * * *",
        "description": "At 03:00 every day",
        "time_zone": "Europe/Berlin",
        "command": "python manage.py clearsessions",
        "size": "standard-1x",
        "overlap": "skip",
        "catch_up": False,
        "minutes": None,
        "state": "scheduled",
        "note": "",
        "hint": "",
        "next_at": T1,
        "last_run": job_run(),
        "user": {"email": "alice@example.com"},
    }
    return {**row, **changes}
