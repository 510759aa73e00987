"""The API of jobs and of their runs."""

from __future__ import annotations

from typing import Any

from greenroom.basics.clock import heroku_time
from greenroom.basics.schedules import words
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.listing import NAMED, USUAL, Listing, each
from greenroom.entrypoints.api.routing import Call, Reply, route
from greenroom.jobs import actions, queries
from greenroom.jobs.actions import runs
from greenroom.jobs.models import Job, JobRun
from greenroom.jobs.queries import Obstacle

OPTIONAL = ("time_zone", "overlap", "catch_up", "minutes", "size")


def run_shape(row: JobRun, *, whole: bool = False) -> dict[str, Any]:
    """A run; ``whole``: with the end of its output."""
    found = {
        "id": str(row.pk),
        "app": {"id": str(row.app_id), "name": row.app.name},
        "job": {"id": str(row.job_id), "name": row.job.name},
        "number": row.number,
        "trigger": row.trigger,
        "state": row.state,
        "reason": row.reason,
        "detail": row.detail,
        "planned_at": heroku_time(row.planned_at),
        "until": heroku_time(row.until),
        "count": row.count,
        "command": row.command,
        "release": {"version": row.release.version} if row.release else None,
        "dyno": row.dyno_name or None,
        "exit_code": row.exit_code,
        "user": shapes.user(row.account),
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
        "started_at": heroku_time(row.started_at),
        "finished_at": heroku_time(row.finished_at),
    }
    return {**found, "last_lines": row.last_lines} if whole else found


def shape(row: Job, last: JobRun | None, obstacle: Obstacle) -> dict[str, Any]:
    """A job. last: its newest run; obstacle: of its app."""
    state, note, hint = _standing(row, obstacle)
    return {
        "id": str(row.pk),
        "app": {"id": str(row.app_id), "name": row.app.name},
        "name": row.name,
        "origin": row.origin,
        "schedule": row.schedule,
        "description": words(row.schedule),
        "time_zone": row.time_zone,
        "command": row.command,
        "size": row.size,
        "overlap": row.overlap,
        "catch_up": row.catch_up,
        "minutes": row.minutes,
        "state": state,
        "note": note,
        "hint": hint,
        "next_at": heroku_time(row.next_at),
        "last_run": run_shape(last) if last else None,
        "user": shapes.user(row.account),
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def _standing(row: Job, obstacle: Obstacle) -> tuple[str, str, str]:
    """(state, note, hint)."""
    if row.paused_at is not None:
        return "paused", f"paused by {row.paused_by}", f"greenroom jobs:resume {row.name} -a {row.app.name}"
    if obstacle.reason:
        return "blocked", f"no job is started: {obstacle.text}", obstacle.hint
    return "scheduled", "", ""


def _one(row: Job) -> dict[str, Any]:
    return shape(row, queries.newest_runs([row]).get(row.pk), queries.obstacle(row.app))


@route("GET", "/apps/{app}/jobs", "view", returns="[job]")
def list_jobs(call: Call) -> Listing:
    """List the app's jobs by name, each with its newest run."""
    obstacle = queries.obstacle(call.app)

    def show(rows: list[Job]) -> list[dict[str, Any]]:
        last = queries.newest_runs(rows)
        return [shape(row, last.get(row.pk), obstacle) for row in rows]

    return Listing(queries.of_app(call.app), show, "name", NAMED)


@route("POST", "/apps/{app}/jobs", "run", takes="job.create", returns="201 job")
def add(call: Call) -> Reply:
    """Add a job: {name, schedule, command, time_zone, overlap, catch_up, minutes, size}."""
    given = {key: call.text(key, required=True) for key in ("schedule", "command")}
    given |= {key: call.body[key] for key in OPTIONAL if call.body.get(key) is not None}
    row = actions.add(actor=call.actor, app=call.app, name=call.text("name", required=True), given=given)
    return Reply(_one(row), 201)


@route("GET", "/apps/{app}/jobs/{job}", "view", returns="job")
def get_job(call: Call) -> dict[str, Any]:
    """Get one job by its name."""
    return _one(queries.job(call.app, call.params["job"]))


@route("DELETE", "/apps/{app}/jobs/{job}", "run", returns="job")
def remove(call: Call) -> dict[str, Any]:
    """Remove a job that a user added. Its runs are kept for 30 days; a running one continues."""
    return _one(actions.remove(actor=call.actor, app=call.app, name=call.params["job"]))


@route("POST", "/apps/{app}/jobs/{job}/actions/run", "run", returns="202 job-run")
def run_now(call: Call) -> Reply:
    """Run a job as soon as possible, also while it is paused."""
    row = runs.ask(actor=call.actor, app=call.app, name=call.params["job"])
    return Reply(run_shape(row), 202)


@route("POST", "/apps/{app}/jobs/{job}/actions/pause", "scale", returns="job")
def pause(call: Call) -> dict[str, Any]:
    """Start no runs of the job until it is resumed."""
    return _one(actions.pause(actor=call.actor, app=call.app, name=call.params["job"]))


@route("POST", "/apps/{app}/jobs/{job}/actions/resume", "scale", returns="job")
def resume(call: Call) -> dict[str, Any]:
    """End the pause of a job. Moments in the pause are not caught up."""
    return _one(actions.resume(actor=call.actor, app=call.app, name=call.params["job"]))


@route("GET", "/apps/{app}/job-runs", "view", paged="created_at", returns="[job-run]", query=("job",))
def list_runs(call: Call) -> Listing:
    """List the runs of the app's jobs, newest first; ``?job=NAME`` for one job."""
    rows = queries.runs(call.app, call.query("job"))
    return Listing(rows, each(run_shape), "-created_at", {"number": "number", **USUAL})


@route("GET", "/apps/{app}/job-runs/{run}", "logs", returns="job-run")
def get_run(call: Call) -> dict[str, Any]:
    """Get one run by its number, with the end of its output."""
    return run_shape(queries.run(call.app, call.params["run"]), whole=True)
