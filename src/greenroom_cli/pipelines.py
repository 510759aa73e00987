"""Commands for pipelines: the stages of a product's apps, and promotion of a slug to the next stage."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, confirm
from greenroom_cli.errors import CliError

STAGES = ("development", "staging", "production")
STAGE = click.option("-s", "--stage", type=click.Choice(("review", *STAGES)), required=True, help="The app's stage.")
SECONDS = 600.0


def pipeline_path(name: str, *parts: str) -> str:
    """``/pipelines/NAME/part``, each part quoted."""
    return "/".join(["/pipelines", *(quote(part, safe="") for part in (name, *parts))])


def coupling(cx: Context) -> dict[str, Any]:
    """The pipeline coupling of the app."""
    return cx.api.get(cx.path("pipeline-couplings"))


def pipeline_of(cx: Context, name: str) -> str:
    """The given pipeline, or the id of the app's pipeline."""
    return name or str(coupling(cx)["pipeline"]["id"])


@command("pipelines", example="greenroom pipelines", app=False, json=True)
def pipelines(cx: Context) -> int | None:
    """List pipelines."""
    rows = cx.api.everything("/pipelines")
    if cx.as_json:
        output.print_json(rows)
    elif rows:
        output.table([[row["name"], row.get("owner_email", "")] for row in rows])
    else:
        output.note("There are no pipelines.")
        output.hint("greenroom pipelines:create NAME -a APP --stage staging")
    return None


@command("pipelines:info", example="greenroom pipelines:info payslip", app=False, json=True)
@click.argument("pipeline")
def info(cx: Context, pipeline: str) -> int | None:
    """Show the apps and stages of a pipeline."""
    row = cx.api.get(pipeline_path(pipeline))
    rows = cx.api.everything(pipeline_path(row["id"], "pipeline-couplings"))
    if cx.as_json:
        output.print_json({"pipeline": row, "couplings": rows})
        return None
    output.heading(f"{row['name']} ({row.get('owner_email', '')})")
    output.table([[entry["app"]["name"], entry["stage"]] for entry in rows], header=("app", "stage"))
    return None


@command("pipelines:create", example="greenroom pipelines:create payslip -a ach-payslip-staging --stage staging")
@click.argument("name")
@STAGE
def create(cx: Context, name: str, stage: str) -> int | None:
    """Create a pipeline with its first app."""
    with output.progress(f"Creating {name} pipeline"):
        row = cx.api.post("/pipelines", {"name": name})
    _couple(cx, row["id"], name, stage)
    return None


@command("pipelines:add", example="greenroom pipelines:add payslip -a ach-payslip --stage production")
@click.argument("pipeline")
@STAGE
def add(cx: Context, pipeline: str, stage: str) -> int | None:
    """Add an app to a pipeline."""
    _couple(cx, pipeline, pipeline, stage)
    return None


def _couple(cx: Context, identity: str, name: str, stage: str) -> None:
    with output.progress(f"Adding {output.app_mark(cx.app)} to {name} pipeline as {stage}"):
        cx.api.post("/pipeline-couplings", {"pipeline": identity, "app": cx.app, "stage": stage})
    output.hint(f"undo with: greenroom pipelines:remove{cx.flags()}")


@command("pipelines:update", example="greenroom pipelines:update -a ach-payslip --stage staging")
@STAGE
def update(cx: Context, stage: str) -> int | None:
    """Change the stage of an app."""
    row = coupling(cx)
    with output.progress(f"Changing {output.app_mark(cx.app)} to {stage}"):
        cx.api.patch(f"/pipeline-couplings/{row['id']}", {"stage": stage})
    output.hint(f"undo with: greenroom pipelines:update --stage {row['stage']}{cx.flags()}")
    return None


@command("pipelines:remove", example="greenroom pipelines:remove -a ach-payslip")
def remove(cx: Context) -> int | None:
    """Remove an app from its pipeline. The app stays."""
    row = coupling(cx)
    with output.progress(f"Removing {output.app_mark(cx.app)}"):
        cx.api.delete(f"/pipeline-couplings/{row['id']}")
    output.hint(f"undo with: greenroom pipelines:add {row['pipeline']['name']} --stage {row['stage']}{cx.flags()}")
    return None


@command("pipelines:rename", example="greenroom pipelines:rename payslip pay", app=False)
@click.argument("pipeline")
@click.argument("name")
def rename(cx: Context, pipeline: str, name: str) -> int | None:
    """Rename a pipeline."""
    with output.progress(f"Renaming {pipeline} pipeline to {name}"):
        cx.api.patch(pipeline_path(pipeline), {"name": name})
    output.hint(f"undo with: greenroom pipelines:rename {name} {pipeline}")
    return None


@command("pipelines:destroy", example="greenroom pipelines:destroy payslip --confirm payslip", app=False)
@click.argument("pipeline")
@click.option(
    "--confirm", "given", metavar="NAME", default="", help="The pipeline's name, to confirm without a prompt."
)
def destroy(cx: Context, pipeline: str, given: str) -> int | None:
    """Destroy a pipeline. Its apps stay."""
    name = cx.api.get(pipeline_path(pipeline))["name"]
    confirm(cx, given, name=name, what=f"WARNING: This destroys the pipeline {name}. Its apps stay.")
    with output.progress(f"Destroying {name} pipeline"):
        cx.api.delete(pipeline_path(pipeline))
    return None


@command(
    "pipelines:promote",
    example=(
        "greenroom pipelines:promote -a ach-payslip-staging\ngreenroom pipelines:promote --to ach-payslip --force -a"
        " ach-payslip-staging"
    ),
)
@click.option(
    "-t", "--to", default="", metavar="APP,APP", help="The apps to promote to (default: the apps of the next stage)."
)
@click.option("--force", is_flag=True, help="Promote although migrations are pending on a target's database.")
@click.option("--no-wait", is_flag=True, help="Do not wait until the new release is live.")
@click.option("--timeout", default=SECONDS, show_default=True, metavar="SECONDS", help="How long to wait.")
def promote(cx: Context, to: str, force: bool, no_wait: bool, timeout: float) -> int | None:
    """Promote the slug of an app to other apps of its pipeline.

    The same slug is released there with the target's own config vars, without a new build. Pending migrations are
    shown, and the release is held there until a user has run them.
    """
    row = coupling(cx)
    targets = _targets(cx, row, to)
    body = {"pipeline": {"id": row["pipeline"]["id"]}, "source": {"app": {"id": row["app"]["id"]}}, "force": force}
    body["targets"] = [{"app": {"id": target["app"]["id"]}} for target in targets]
    names = ", ".join(target["app"]["name"] for target in targets)
    with output.progress(f"Promoting {output.app_mark(cx.app)} to {names}") as step:
        made = cx.api.post("/pipeline-promotions", body)
        path = f"/pipeline-promotions/{made['id']}/promotion-targets"
        rows = cx.api.get(path)
        if not no_wait:
            rows = cx.api.poll(
                path, done=lambda found: all(one["status"] != "pending" for one in found), seconds=timeout
            )
        failed = [one for one in rows if one["status"] == "failed"]
        step.end = (
            "failed" if failed else "done" if not any(one["status"] == "pending" for one in rows) else "in progress"
        )
    output.table([[one["app"]["name"], f"v{(one['release'] or {}).get('version', '')}", one["status"]] for one in rows])
    for one in failed:
        output.complain(f"{one['app']['name']}: {one['error_message']}")
    return 1 if failed else None


def _targets(cx: Context, row: dict[str, Any], to: str) -> list[dict[str, Any]]:
    rows = cx.api.everything(pipeline_path(row["pipeline"]["id"], "pipeline-couplings"))
    look = f"greenroom pipelines:info {row['pipeline']['name']}"
    if to:
        wanted = [name.strip() for name in to.split(",") if name.strip()]
        found = {entry["app"]["name"]: entry for entry in rows}
        missing = [name for name in wanted if name not in found]
        if missing:
            raise CliError(f"{', '.join(missing)}: not in the pipeline {row['pipeline']['name']}.", hint=look)
        return [found[name] for name in wanted]
    if row["stage"] not in STAGES[:-1]:
        raise CliError(
            f"{cx.app} is in the stage {row['stage']}, which has no next stage.", hint="specify a target with --to APP"
        )
    following = STAGES[STAGES.index(row["stage"]) + 1]
    chosen = [entry for entry in rows if entry["stage"] == following]
    if not chosen:
        raise CliError(f"The pipeline {row['pipeline']['name']} has no app in the stage {following}.", hint=look)
    return chosen
