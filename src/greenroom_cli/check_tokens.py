"""Commands for tokens that can only report checks of one app. A new token is printed on stdout once."""

from __future__ import annotations

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command


@command("checks:token", example="greenroom checks:token --context ci/build --pin -a ach-payslip-staging")
@click.option(
    "--context",
    "names",
    multiple=True,
    required=True,
    metavar="NAME",
    help="A check that the token can report; can be repeated.",
)
@click.option("--pin", is_flag=True, help="Accept reports of these checks from this token only.")
@click.option("-d", "--description", default="", metavar="TEXT", help="A description of its purpose.")
@click.option("--days", type=click.IntRange(1, 10_000), help="Days until the token expires (default: never).")
def token(cx: Context, names: tuple[str, ...], pin: bool, description: str, days: int | None) -> int | None:
    """Create a token that can only report checks of one app. It is printed only once.

    Use it with the GitHub-compatible API for commit statuses and check runs at /api/v3/repos/ANY/APP.
    """
    seconds = days * 86400 if days else None
    body = {"checks": list(names), "pin": pin, "description": description, "expires_in": seconds}
    with output.progress(f"Creating a token for {', '.join(names)} on {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("check-tokens"), body)
    output.say(row["token"])
    output.warn("This token is not shown again.")
    output.hint(f"undo with: greenroom tokens:revoke {row['id'][:8]}")
    return None


@command("checks:tokens", example="greenroom checks:tokens -a ach-payslip-staging", json=True)
def tokens(cx: Context) -> int | None:
    """List the tokens that can report checks of an app, without their values."""
    rows = cx.api.get(cx.path("check-tokens"))
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"{cx.app} has no check tokens.")
        output.hint(f"greenroom checks:token --context ci/build{cx.flags()}")
        return None
    output.heading(f"{cx.app} Check tokens")
    lines = [
        [
            row["id"][:8],
            row["token"],
            output.clean(", ".join(f"{name} (pinned)" if name in row["pinned"] else name for name in row["checks"])),
            output.clean(row["user"]["email"]),
            output.when(row["used_at"]) if row.get("used_at") else "never used",
        ]
        for row in rows
    ]
    output.table(lines, header=("ID", "Token", "Checks", "Account", "Used"), flexible=2)
    return None


@command("checks:unpin", example="greenroom checks:unpin ci/build -a ach-payslip-staging")
@click.argument("name")
def unpin(cx: Context, name: str) -> int | None:
    """Accept reports of a check from any token again."""
    with output.progress(f"Unpinning {name} of {output.app_mark(cx.app)}"):
        cx.api.delete(cx.path("pins", name))
    output.hint(f"pin it again with: greenroom checks:token --context {name} --pin{cx.flags()}")
    return None
