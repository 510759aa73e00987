"""The verbs of an app's source: the repository elsewhere that it follows. Secrets are read from files and printed once,
never taken as words.
"""

from __future__ import annotations

from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError

PATIENCE = 120.0
"""Seconds that a command waits for the worker's look."""


@command(
    "source:set",
    example=(
        "greenroom source:set https://github.com/ach/payslip.git --branch master --token-file token.txt -a"
        " ach-payslip-staging\ngreenroom source:set git@git.example.org:ach/payslip.git --deploy-key -a"
        " ach-payslip-staging"
    ),
)
@click.argument("url")
@click.option("--branch", metavar="NAME", help="The branch to follow (default: the app's protected branch).")
@click.option(
    "--deploy-key", is_flag=True, help="Make a key for ssh; its public half is printed, to be added at the forge."
)
@click.option(
    "--deploy-key-file",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="A private key for ssh, in OpenSSH's form, without a passphrase.",
)
@click.option(
    "--known-hosts",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="The host's public keys, as ssh-keyscan prints them.",
)
@click.option(
    "--token-file",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="A token, to fetch by https and to report to the forge; - for stdin.",
)
@click.option(
    "--username", metavar="NAME", help="The user name that goes with the token, where the forge asks for one."
)
@click.option(
    "--kind", metavar="KIND", help="Which forge it is, such as gitlab (default: by the host's name, else git)."
)
@click.option("--api", metavar="URL", help="The root of the forge's API, where it cannot be guessed.")
@click.option(
    "--interval",
    type=click.IntRange(0, 86_400),
    metavar="SECONDS",
    help="How often to look by itself; 0: never (default: 300).",
)
@click.option("--no-wait", is_flag=True, help="Return at once; it is fetched meanwhile.")
def set_source(cx: Context, url: str, no_wait: bool, **given: Any) -> int | None:
    """Let an app follow a branch of a repository elsewhere: at GitHub, GitLab, Gitea, or any other with git.

    What is on that branch is fetched, checked and deployed as a push is; pushes to Greenroom's own branch are then
    refused. A webhook makes it
    immediate; without one the branch is looked at from time to time. With a token, statuses and deployments are
    reported back.
    """
    body = {"url": url, **_request_body(given)}
    with output.progress(f"Setting the source of {output.app_mark(cx.app)}"):
        row = cx.api.send("PUT", cx.path("source"), body).data
    key = row["credentials"]["deploy_key"]
    if key and (given["deploy_key"] or given["deploy_key_file"]):
        output.note("Add this deploy key at the forge, for reading:")
        output.say(key)
    if row.get("secret"):
        output.note(f"\nAdd a webhook at the forge ({output.clean(row['webhook']['how'])}):")
        output.say(f"url     {_webhook_url(cx, row)}\nsecret  {row['secret']}")
        output.warn("The secret is not shown again.")
    output.hint(f"undo with: greenroom source:unset{cx.flags()}")
    if given["deploy_key"] or no_wait:
        output.hint(f"when that is done: greenroom source:sync{cx.flags()}")
        return None
    return _wait(cx)


def _request_body(given: dict[str, Any]) -> dict[str, Any]:
    """The options as the API takes them; files are read."""
    if given["deploy_key"] and given["deploy_key_file"]:
        raise CliError("--deploy-key makes a key and --deploy-key-file brings one; give one of them.", code=2)
    body = {name: given[name] for name in ("branch", "username", "kind", "api", "interval") if given[name] is not None}
    for name, option in (("token", "token_file"), ("known_hosts", "known_hosts"), ("deploy_key", "deploy_key_file")):
        if given[option] is not None:
            body[name] = _read(given[option])
    return body | ({"deploy_key": "new"} if given["deploy_key"] else {})


def _read(path: str) -> str:
    """The text of a file, or of stdin for ``-``. CliError (code 2) when it cannot be read."""
    try:
        with click.open_file(path, encoding="utf-8") as stream:
            return stream.read(100_000)
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}.", code=2
        ) from error


def _webhook_url(cx: Context, row: dict[str, Any]) -> str:
    return f"{cx.target.url.rstrip('/')}{row['webhook']['path']}"


@command("source:info", example="greenroom source:info -a ach-payslip-staging", json=True)
def info(cx: Context) -> int | None:
    """Show the source of an app: where it is, its webhook's calls, and what the forge was told. Secrets are not
    shown.
    """
    row = cx.api.get(cx.path("source"))
    if cx.as_json:
        output.print_json(row)
        return None
    output.heading(f"{cx.app} Source")
    credentials = row["credentials"]
    output.fields(
        [
            ("URL", row["url"]),
            ("Branch", f"{row['branch']} (here: {row['protected_branch']})"),
            ("Kind", row["kind"]),
            ("State", row["state"]),
            ("There", (row["seen"] or "")[:8]),
            ("Taken", (row["taken"] or "")[:8]),
            ("Looked at", output.when(row["looked_at"])),
            ("Looks", f"every {row['interval']} s" if row["interval"] else "when the webhook calls, or by source:sync"),
            ("Deploy key", credentials["fingerprint"]),
            ("Token", "set" if credentials["token"] else ""),
            ("API", row["api"]),
            ("Host keys", ", ".join(key["fingerprint"] for key in row["known_hosts"])),
            ("Webhook", _webhook_url(cx, row) if row.get("webhook") else ""),
        ]
    )
    _print_tables(row)
    _print_problem(row)
    return None


def _print_tables(row: dict[str, Any]) -> None:
    if row.get("calls"):
        output.say()
        lines = [
            [output.when(call["at"]), output.clean(call["event"]), output.clean(call["said"])] for call in row["calls"]
        ]
        output.table(lines, header=("Called", "Event", "Answer"), flexible=2)
    if row.get("reports"):
        output.say()
        lines = [
            [
                report["sha"][:8],
                output.clean(report["context"]),
                report["state"],
                report["status"],
                output.clean(report["error"] or report["description"]),
            ]
            for report in row["reports"]
        ]
        output.table(lines, header=("Commit", "Told", "State", "Request", "Text"), flexible=4)


def _print_problem(row: dict[str, Any]) -> None:
    if row["problem"]:
        output.complain(row["problem"])
        if row["hint"]:
            output.hint(output.clean(row["hint"]))


@command("source:sync", example="greenroom source:sync -a ach-payslip-staging")
@click.option("--no-wait", is_flag=True, help="Return at once; it is fetched meanwhile.")
def sync(cx: Context, no_wait: bool) -> int | None:
    """Fetch the source of an app now, and say what came of it."""
    cx.api.post(cx.path("source", "actions", "sync"))
    return None if no_wait else _wait(cx)


def _wait(cx: Context) -> int:
    """Wait for the look that was asked for; 0 when the app has what the source has."""
    with output.progress(f"Fetching the source of {output.app_mark(cx.app)}") as step:
        row = cx.api.poll(cx.path("source"), done=lambda row: not row["waiting"], seconds=PATIENCE)
        step.end = "still waiting" if row["waiting"] else "done" if row["state"] == "synced" else row["state"]
    if row["waiting"]:
        output.hint(f"greenroom source:info{cx.flags()}")
        return 1
    if row["state"] != "synced":
        _print_problem(row)
        return 1
    output.note(f"{cx.app} has {row['seen'][:8]} of {row['branch']}.")
    output.hint(f"greenroom deliveries:wait {row['seen'][:8]}{cx.flags()}")
    return 0


@command("source:accept", example="greenroom source:accept 1f3a9c2b -a ach-payslip-staging")
@click.argument("commit")
@click.option("--no-wait", is_flag=True, help="Return at once; it is taken meanwhile.")
def accept(cx: Context, commit: str, no_wait: bool) -> int | None:
    """Follow a source whose branch was rewritten, although the app's branch loses commits by it."""
    with output.progress(f"Accepting {commit[:8]} for {output.app_mark(cx.app)}"):
        cx.api.post(cx.path("source", "actions", "accept"), {"commit": commit})
    return None if no_wait else _wait(cx)


@command("source:rotate-secret", example="greenroom source:rotate-secret -a ach-payslip-staging")
@click.option(
    "--overlap",
    type=click.IntRange(0, 720),
    default=24,
    metavar="HOURS",
    help="How long the secret before holds too (default: 24).",
)
def rotate_secret(cx: Context, overlap: int) -> int | None:
    """Make a new secret for the webhook of a source; it is printed this once."""
    with output.progress(f"Rotating the secret of {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("source", "actions", "rotate-secret"), {"overlap_hours": overlap})
    output.say(row["secret"])
    output.warn("This secret is not shown again.")
    output.hint(
        f"the one before holds for {overlap} h more; put the new one in at the forge"
        if overlap
        else "the one before holds no more"
    )
    return None


@command("source:unset", example="greenroom source:unset -a ach-payslip-staging")
def unset(cx: Context) -> int | None:
    """Stop following the source of an app; it is deployed by git push again."""
    with output.progress(f"Unsetting the source of {output.app_mark(cx.app)}"):
        row = cx.api.delete(cx.path("source"))
    output.hint(f"undo with: greenroom source:set {output.clean(row['url'])} --branch {row['branch']}{cx.flags()}")
    return None
