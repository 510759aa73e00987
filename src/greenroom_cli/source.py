"""Commands for the source repository of an app. Secrets are read from files and printed once, never passed as
arguments.
"""

from __future__ import annotations

from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError

PATIENCE = 120.0
"""Seconds to wait for the worker's fetch."""


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
    "--deploy-key", is_flag=True, help="Create an SSH deploy key; prints the public key, to be added at the forge."
)
@click.option(
    "--deploy-key-file",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="A private SSH key in OpenSSH format, without a passphrase.",
)
@click.option(
    "--known-hosts",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="The host keys of the server, as ssh-keyscan prints them.",
)
@click.option(
    "--token-file",
    type=click.Path(allow_dash=True),
    metavar="FILE",
    help="A file with an access token, for HTTPS fetches and status reports; - for stdin.",
)
@click.option("--username", metavar="NAME", help="The user name for the token, if the forge requires one.")
@click.option(
    "--kind", metavar="KIND", help="The kind of forge, such as gitlab (default: from the host name, else git)."
)
@click.option("--api", metavar="URL", help="The base URL of the forge's API (default: derived from URL).")
@click.option(
    "--interval",
    type=click.IntRange(0, 86_400),
    metavar="SECONDS",
    help="The polling interval; 0: no polling (default: 300).",
)
@click.option("--no-wait", is_flag=True, help="Do not wait for the fetch.")
def set_source(cx: Context, url: str, no_wait: bool, **given: Any) -> int | None:
    """Deploy an app from a branch on GitHub, GitLab, Gitea or another git server.

    New commits on that branch are fetched, checked and deployed like a push. Pushes to the app's own branch are then
    refused. With a webhook the fetch is immediate; otherwise the branch is polled. With a token, Greenroom reports
    commit statuses and deployments to the forge.
    """
    body = {"url": url, **_request_body(given)}
    with output.progress(f"Setting the source of {output.app_mark(cx.app)}"):
        row = cx.api.send("PUT", cx.path("source"), body).data
    key = row["credentials"]["deploy_key"]
    if key and (given["deploy_key"] or given["deploy_key_file"]):
        output.note("Add this deploy key at the forge, with read access:")
        output.say(key)
    if row.get("secret"):
        output.note(f"\nAdd a webhook at the forge ({output.clean(row['webhook']['how'])}):")
        output.say(f"url     {_webhook_url(cx, row)}\nsecret  {row['secret']}")
        output.warn("The secret is not shown again.")
    output.hint(f"undo with: greenroom source:unset{cx.flags()}")
    if given["deploy_key"] or no_wait:
        output.hint(f"then run: greenroom source:sync{cx.flags()}")
        return None
    return _wait(cx)


def _request_body(given: dict[str, Any]) -> dict[str, Any]:
    """The body of the API request from the options. CliError for unreadable files and conflicting options."""
    if given["deploy_key"] and given["deploy_key_file"]:
        raise CliError("--deploy-key and --deploy-key-file cannot be used together.", code=2)
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
            f"Cannot read {path}: {getattr(error, 'strerror', None) or 'not a text file'}.", code=2
        ) from error


def _webhook_url(cx: Context, row: dict[str, Any]) -> str:
    return f"{cx.target.url.rstrip('/')}{row['webhook']['path']}"


@command("source:info", example="greenroom source:info -a ach-payslip-staging", json=True)
def info(cx: Context) -> int | None:
    """Show the source of an app: repository, webhook calls, and reports to the forge. Secrets are not shown."""
    row = cx.api.get(cx.path("source"))
    if cx.as_json:
        output.print_json(row)
        return None
    output.heading(f"{cx.app} Source")
    credentials = row["credentials"]
    output.fields(
        [
            ("URL", row["url"]),
            ("Branch", f"{row['branch']} (deployed as {row['protected_branch']})"),
            ("Kind", row["kind"]),
            ("State", row["state"]),
            ("Remote commit", (row["seen"] or "")[:8]),
            ("Fetched commit", (row["taken"] or "")[:8]),
            ("Last checked", output.when(row["looked_at"])),
            ("Polling", f"every {row['interval']} s" if row["interval"] else "off (webhook or source:sync only)"),
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
        output.table(lines, header=("Time", "Event", "Response"), flexible=2)
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
        output.table(lines, header=("Commit", "Context", "State", "Request", "Text"), flexible=4)


def _print_problem(row: dict[str, Any]) -> None:
    if row["problem"]:
        output.complain(row["problem"])
        if row["hint"]:
            output.hint(output.clean(row["hint"]))


@command("source:sync", example="greenroom source:sync -a ach-payslip-staging")
@click.option("--no-wait", is_flag=True, help="Do not wait for the fetch.")
def sync(cx: Context, no_wait: bool) -> int | None:
    """Fetch the source of an app now and show the result."""
    cx.api.post(cx.path("source", "actions", "sync"))
    return None if no_wait else _wait(cx)


def _wait(cx: Context) -> int:
    """Wait for the requested fetch; 0 when the app is in sync with the source, else 1."""
    with output.progress(f"Fetching the source of {output.app_mark(cx.app)}") as step:
        row = cx.api.poll(cx.path("source"), done=lambda row: not row["waiting"], seconds=PATIENCE)
        step.end = "still waiting" if row["waiting"] else "done" if row["state"] == "synced" else row["state"]
    if row["waiting"]:
        output.hint(f"greenroom source:info{cx.flags()}")
        return 1
    if row["state"] != "synced":
        _print_problem(row)
        return 1
    output.note(f"{cx.app} is at {row['seen'][:8]} of {row['branch']}.")
    output.hint(f"greenroom deliveries:wait {row['seen'][:8]}{cx.flags()}")
    return 0


@command("source:accept", example="greenroom source:accept 1f3a9c2b -a ach-payslip-staging")
@click.argument("commit")
@click.option("--no-wait", is_flag=True, help="Do not wait for the fetch.")
def accept(cx: Context, commit: str, no_wait: bool) -> int | None:
    """Accept a rewritten (force-pushed) source branch. The app's branch loses commits that are no longer on it."""
    with output.progress(f"Accepting {commit[:8]} for {output.app_mark(cx.app)}"):
        cx.api.post(cx.path("source", "actions", "accept"), {"commit": commit})
    return None if no_wait else _wait(cx)


@command("source:rotate-secret", example="greenroom source:rotate-secret -a ach-payslip-staging")
@click.option(
    "--overlap",
    type=click.IntRange(0, 720),
    default=24,
    metavar="HOURS",
    help="How long the old secret stays valid (default: 24).",
)
def rotate_secret(cx: Context, overlap: int) -> int | None:
    """Create a new webhook secret. It is printed only once."""
    with output.progress(f"Rotating the secret of {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("source", "actions", "rotate-secret"), {"overlap_hours": overlap})
    output.say(row["secret"])
    output.warn("This secret is not shown again.")
    output.hint(
        f"the old secret stays valid for {overlap} h; set the new one at the forge"
        if overlap
        else "the old secret is no longer valid; set the new one at the forge"
    )
    return None


@command("source:unset", example="greenroom source:unset -a ach-payslip-staging")
def unset(cx: Context) -> int | None:
    """Disconnect an app from its source. It is deployed by git push again."""
    with output.progress(f"Unsetting the source of {output.app_mark(cx.app)}"):
        row = cx.api.delete(cx.path("source"))
    output.hint(f"undo with: greenroom source:set {output.clean(row['url'])} --branch {row['branch']}{cx.flags()}")
    return None
