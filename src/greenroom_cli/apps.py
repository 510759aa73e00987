"""Commands for apps: create, list, show, rename, destroy, open."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import click

from greenroom_cli import git, output
from greenroom_cli.context import Context, command, confirm
from greenroom_cli.errors import CliError


@command("create", example="greenroom create ach-payslip-staging\ngit push greenroom HEAD:master", app=False, json=True)
@click.argument("name", required=False, default="")
@click.option(
    "-r", "--remote", default=git.REMOTE, metavar="REMOTE", help="The name of the git remote (default: greenroom)."
)
@click.option("--no-remote", is_flag=True, help="Do not add a git remote.")
@click.option(
    "--no-database", is_flag=True, help="Create no database; heroku addons:create heroku-postgresql adds one."
)
def create(cx: Context, name: str, no_remote: bool, no_database: bool, remote: str = git.REMOTE) -> int | None:
    """Create an app and add its git remote.

    The app gets a git repository and a database. Without NAME a random name is chosen. Inside a git repository the
    remote `greenroom` is added, with this command as its credential helper: no token is written to .git/config. Config
    vars for which app.json of the repository asks for a random secret (`"generator": "secret"`) are set.
    """
    body = {**({"name": name} if name else {}), **({"database": False} if no_database else {})}
    with output.progress(f"Creating {output.app_mark(name) if name else 'app'}") as step:
        row = cx.api.post("/apps", body)
        step.end = "done" if name else f"done, {row['name']}"
    app = row["name"]
    if cx.as_json:
        output.print_json(row)
    else:
        output.say(f"{row['web_url']} | {git.url_of(app, cx.target)}")
    if not no_remote and git.in_checkout():
        from greenroom_cli.git_commands import announce_remote

        announce_remote(app, cx, remote)
        done = _set_secrets(cx, app)
    else:
        done = []
    first = "git push greenroom HEAD:master" if done else f"greenroom config:set SECRET_KEY=... -a {app}"
    output.hint(f"{first}   (undo: greenroom destroy -a {app})")
    return None


def _set_secrets(cx: Context, app: str) -> list[str]:
    """Set the config vars for which app.json of the repository asks for a random secret, as Heroku does for an app that
    is made from a repository. Returns their names.
    """
    import secrets

    names = _asked_secrets()
    if not names:
        return []
    try:
        cx.api.patch(f"/apps/{quote(app, safe='')}/config-vars", {name: secrets.token_hex(32) for name in names})
    except CliError as error:
        output.warn(f"{', '.join(names)} could not be set: {error}")
        return []
    output.note(f"Set {', '.join(names)} to a random secret, as app.json asks.")
    return names


def _asked_secrets() -> list[str]:
    import json
    from pathlib import Path

    top = git.git("rev-parse", "--show-toplevel")[1].strip()
    try:
        with (Path(top) / "app.json").open("rb") as file:
            env = json.loads(file.read(1_000_000))["env"]
        asked = [name for name, entry in env.items() if isinstance(entry, dict) and entry.get("generator") == "secret"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError):
        return []  # the push names what is wrong with the file
    return [name for name in asked if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,127}", name)]


@command("apps", example="greenroom apps", app=False, json=True)
def apps(cx: Context) -> int | None:
    """List your apps and the apps you collaborate on."""
    rows = cx.api.everything("/apps")
    if cx.as_json:
        output.print_json(rows)
        return None
    email = cx.api.get("/account")["email"]
    own = [row for row in rows if row["owner"]["email"] == email]
    others = [row for row in rows if row["owner"]["email"] != email]
    if not rows:
        output.note("You have no apps.")
        output.hint("greenroom create NAME")
    if own:
        output.heading(f"{email} Apps")
        output.table([[_marked(row)] for row in own])
    if others:
        if own:
            output.say()
        output.heading("Collaborated Apps")
        output.table([[_marked(row), row["owner"]["email"]] for row in others])
    return None


def _problem(row: dict[str, Any]) -> str:
    """A problem of the app in a few words; '' for an app that serves, or that has no deploy yet."""
    state, version = row.get("state"), row.get("live_version")
    serving = f", v{version} serves" if version else ""
    return {"held": f"held for migrations{serving}", "crashed": f"crashed: v{version}"}.get(str(state), "")


def _marked(row: dict[str, Any]) -> str:
    notes = [note for note in (_problem(row), "maintenance" if row.get("maintenance") else "", _paused(row)) if note]
    return row["name"] + (output.style(f" ({', '.join(notes)})", "yellow") if notes else "")


def _paused(row: dict[str, Any]) -> str:
    return "deploys paused" if row.get("deploy_paused") else ""


def _pause(row: dict[str, Any]) -> str:
    end = row.get("deploy_paused_until")
    return (
        f"paused{f' until {output.when(end)}' if end else ''}: {row['deploy_paused']}"
        if row.get("deploy_paused")
        else ""
    )


@command("apps:info", example="greenroom apps:info -a ach-payslip-staging", json=True)
def info(cx: Context) -> int | None:
    """Show details of an app: URLs, owner, dynos, add-ons and required checks."""
    row = cx.api.get(cx.path())
    if cx.as_json:
        output.print_json(row)
        return None
    formation = cx.api.get(cx.path("formation"))
    addons = cx.api.get(cx.path("addons"))
    output.heading(row["name"])
    output.fields(
        [
            ("Web URL", row["web_url"]),
            ("Git URL", git.url_of(row["name"], cx.target)),
            ("Owner", row["owner"]["email"]),
            ("Dynos", ", ".join(f"{kind['type']}: {kind['quantity']}" for kind in formation if kind["quantity"])),
            ("Addons", ", ".join(addon["plan"]["name"] for addon in addons)),
            ("Maintenance", "on" if row.get("maintenance") else ""),
            ("Deploys", _pause(row)),
            ("Protected branch", row.get("protected_branch")),
            ("Required checks", ", ".join(row.get("required_checks") or ())),
            ("Stack", (row.get("stack") or {}).get("name")),
            ("Created", output.when(row.get("created_at"))),
            ("Released", output.when(row.get("released_at"))),
        ]
    )
    return None


@command("rename", example="greenroom rename payslips-staging -a ach-payslip-staging")
@click.argument("newname")
def rename(cx: Context, newname: str) -> int | None:
    """Rename an app.

    Its URLs change. The git remotes of this repository are updated.
    """
    old = cx.app
    with output.progress(f"Renaming {output.app_mark(old)} to {newname}"):
        row = cx.api.patch(cx.path(), {"name": newname}).data
    output.say(f"{row['web_url']} | {git.url_of(row['name'], cx.target)}")
    for name in git.move_remotes(cx.target, old, row["name"]):
        output.note(f"Git remote {name} updated")
    output.hint(f"undo with: greenroom rename {old} -a {row['name']}")
    return None


@command("destroy", example="greenroom destroy -a ach-payslip-staging --confirm ach-payslip-staging")
@click.argument("name", required=False, default="")
@click.option(
    "-c", "--confirm", "given", default="", metavar="NAME", help="The app's name, to confirm without a prompt."
)
def destroy(cx: Context, name: str, given: str) -> int | None:
    """Permanently destroy an app with its dynos, database, git repository and log.

    This cannot be undone. The command asks for the app's name to confirm.
    """
    if name:
        cx = Context(home=cx.home, app=name)
    app = cx.api.get(cx.path())["name"]
    confirm(cx, given, name=app, what=f"WARNING: This will delete {app} with its database and its repository.")
    with output.progress(f"Destroying {output.app_mark(app)} (including all add-ons)"):
        cx.api.send("DELETE", f"/apps/{quote(app, safe='')}")
    for remote in git.drop_remotes(cx.target, app):
        output.note(f"Git remote {remote} removed")
    return None


@command("open", example="greenroom open -a ach-payslip-staging /payslips/")
@click.argument("path", required=False, default="")
def open_app(cx: Context, path: str) -> int | None:
    """Open the app in a web browser.

    The URL is also printed. PATH is appended to it.
    """
    from urllib.parse import urljoin

    address = urljoin(cx.api.get(cx.path())["web_url"], path)
    if not address.startswith(("http://", "https://")):
        raise CliError(f"{address!r} is not an http or https URL.", code=2)
    output.say(address)
    import webbrowser

    if not webbrowser.open(address):
        output.note("No web browser found on this machine.")
    return None
