"""Commands for review apps: a temporary app for a branch."""

from __future__ import annotations

import click

from greenroom_cli import output
from greenroom_cli.ci import PIPELINE
from greenroom_cli.context import Context, command
from greenroom_cli.errors import ApiError, CliError
from greenroom_cli.pipelines import pipeline_of, pipeline_path

SECONDS = 900.0
BRANCH = click.argument("branch")


@command("reviewapps", example="greenroom reviewapps -p payslip", json=True)
@PIPELINE
def reviewapps(cx: Context, pipeline: str) -> int | None:
    """List the review apps of a pipeline."""
    rows = cx.api.everything(pipeline_path(pipeline_of(cx, pipeline), "review-apps"))
    if cx.as_json:
        output.print_json(rows)
    elif rows:
        output.table(
            [
                [row["app_name"] or "-", output.clean(row["branch"]), row["status"], output.clean(row["message"] or "")]
                for row in rows
            ],
            flexible=3,
        )
    else:
        output.note("There are no review apps.")
        output.hint("greenroom reviewapps:create BRANCH -p PIPELINE")
    return None


@command("reviewapps:create", example="greenroom reviewapps:create feature/bonus -p payslip")
@BRANCH
@PIPELINE
@click.option("--no-wait", is_flag=True, help="Do not wait until the app is live.")
@click.option("--timeout", default=SECONDS, show_default=True, metavar="SECONDS", help="How long to wait.")
def create(cx: Context, branch: str, pipeline: str, no_wait: bool, timeout: float) -> int | None:
    """Create a review app for a branch, with its own database and config vars. It passes the gate like any push."""
    row = cx.api.post(
        "/review-apps", {"pipeline": pipeline_of(cx, pipeline), "branch": branch, "source_blob": {"url": "resolve"}}
    )
    name = row["app_name"]
    with output.progress(f"Creating {output.app_mark(name)} from {branch}") as step:
        if not no_wait:
            row = cx.api.poll(
                f"/review-apps/{row['id']}",
                done=lambda one: one["status"] not in ("pending", "creating"),
                seconds=timeout,
            )
        step.end = {"created": "done", "errored": "failed"}.get(row["status"], "in progress")
    if row["status"] == "errored":
        raise CliError(row["message"] or "The review app could not be created.", hint=f"greenroom deliveries -a {name}")
    output.say(name)
    output.hint(f"greenroom open -a {name}; undo with: greenroom reviewapps:destroy {branch} -p PIPELINE")
    return None


@command("reviewapps:destroy", example="greenroom reviewapps:destroy feature/bonus -p payslip")
@BRANCH
@PIPELINE
def destroy(cx: Context, branch: str, pipeline: str) -> int | None:
    """Permanently destroy the review app of a branch. The branch stays."""
    rows = cx.api.everything(pipeline_path(pipeline_of(cx, pipeline), "review-apps"))
    found = next((row for row in rows if branch in (row["branch"], row["app_name"])), None)
    if found is None:
        raise CliError(f"{branch} has no review app.", hint="greenroom reviewapps -p PIPELINE")
    with output.progress(f"Destroying {output.app_mark(found['app_name'] or branch)}"):
        cx.api.delete(f"/review-apps/{found['id']}")
    return None


@command(
    "reviewapps:enable", example="greenroom reviewapps:enable -p payslip --autodeploy --autodestroy --stale-days 5"
)
@PIPELINE
@click.option("--autodeploy", is_flag=True, help="Create a review app for each branch that is pushed from now on.")
@click.option("--autodestroy", is_flag=True, help="Destroy review apps after some days without changes.")
@click.option("--stale-days", type=click.IntRange(1, 365), help="Days without changes for --autodestroy.")
def enable(cx: Context, pipeline: str, autodeploy: bool, autodestroy: bool, stale_days: int | None) -> int | None:
    """Enable automatic review apps for a pipeline, or change their settings."""
    path = pipeline_path(pipeline_of(cx, pipeline), "review-app-config")
    wanted = {
        "automatic_review_apps": autodeploy or None,
        "destroy_stale_apps": autodestroy or None,
        "stale_days": stale_days,
    }
    body: dict[str, object] = {key: value for key, value in wanted.items() if value is not None}
    with output.progress("Configuring pipeline"):
        _post_or_patch(cx, path, body)
    return None


def _post_or_patch(cx: Context, path: str, body: dict[str, object]) -> None:
    try:
        cx.api.post(path, body)
    except ApiError as error:
        if error.status != 409:
            raise
        cx.api.patch(path, body)


@command("reviewapps:disable", example="greenroom reviewapps:disable -p payslip")
@PIPELINE
def disable(cx: Context, pipeline: str) -> int | None:
    """Disable automatic review apps for a pipeline. Existing review apps stay."""
    with output.progress("Configuring pipeline"):
        cx.api.delete(pipeline_path(pipeline_of(cx, pipeline), "review-app-config"))
    return None
