"""Commands for app transfers: the owner offers an app to a user, who accepts or declines it."""

from __future__ import annotations

from urllib.parse import quote

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command


@command("transfers", example="greenroom transfers", app=False, json=True)
def transfers(cx: Context) -> int | None:
    """List your pending app transfers, sent and received."""
    rows = cx.api.everything("/account/app-transfers")
    if cx.as_json:
        output.print_json(rows)
        return None
    output.heading("Transfers")
    output.table(
        [
            [
                row["app"]["name"],
                output.clean(row["owner"]["email"]),
                output.clean(row["recipient"]["email"]),
                row["state"],
            ]
            for row in rows
        ]
    )
    return None


@command("transfers:offer", example="greenroom transfers:offer bob@example.com -a ach-payslip-staging")
@click.argument("email")
def offer(cx: Context, email: str) -> int | None:
    """Offer an app to another user. After acceptance that user is the owner, and you are an operator."""
    with output.progress(f"Offering {output.app_mark(cx.app)} to {output.style(email, 'cyan')}"):
        cx.api.post("/account/app-transfers", {"app": cx.app, "recipient": email})
    output.hint(f"undo with: greenroom transfers:withdraw {cx.app}")
    return None


def _answer(cx: Context, app: str, state: str) -> None:
    cx.api.patch(f"/account/app-transfers/{quote(app, safe='')}", {"state": state})


@command("transfers:accept", example="greenroom transfers:accept ach-payslip-staging", app=False)
@click.argument("name")
def accept(cx: Context, name: str) -> int | None:
    """Accept an app transfer."""
    with output.progress(f"Accepting {output.app_mark(name)}"):
        _answer(cx, name, "accepted")
    output.hint(f"the previous owner is now an operator: greenroom access -a {name}")
    return None


@command("transfers:decline", example="greenroom transfers:decline ach-payslip-staging", app=False)
@click.argument("name")
def decline(cx: Context, name: str) -> int | None:
    """Decline an app transfer."""
    with output.progress(f"Declining {output.app_mark(name)}"):
        _answer(cx, name, "declined")
    return None


@command("transfers:withdraw", example="greenroom transfers:withdraw ach-payslip-staging", app=False)
@click.argument("name")
def withdraw(cx: Context, name: str) -> int | None:
    """Withdraw an app transfer."""
    with output.progress(f"Withdrawing the transfer of {output.app_mark(name)}"):
        cx.api.delete(f"/account/app-transfers/{quote(name, safe='')}")
    return None
