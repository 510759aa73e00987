"""The verbs of app transfers: an owner offers an app, the recipient accepts it."""

from __future__ import annotations

from urllib.parse import quote

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command


@command("transfers", example="greenroom transfers", app=False, json=True)
def transfers(cx: Context) -> int | None:
    """List the apps that you offered or were offered."""
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
    """Offer the app to somebody, who then owns it; you stay an operator of it."""
    with output.progress(f"Offering {output.app_mark(cx.app)} to {output.style(email, 'cyan')}"):
        cx.api.post("/account/app-transfers", {"app": cx.app, "recipient": email})
    output.hint(f"undo with: greenroom transfers:withdraw {cx.app}")
    return None


def _answer(cx: Context, app: str, state: str) -> None:
    cx.api.patch(f"/account/app-transfers/{quote(app, safe='')}", {"state": state})


@command("transfers:accept", example="greenroom transfers:accept ach-payslip-staging", app=False)
@click.argument("name")
def accept(cx: Context, name: str) -> int | None:
    """Take an app that was offered to you."""
    with output.progress(f"Accepting {output.app_mark(name)}"):
        _answer(cx, name, "accepted")
    output.hint(f"who owned it is an operator now; greenroom access -a {name}")
    return None


@command("transfers:decline", example="greenroom transfers:decline ach-payslip-staging", app=False)
@click.argument("name")
def decline(cx: Context, name: str) -> int | None:
    """Leave an offered app to its owner."""
    with output.progress(f"Declining {output.app_mark(name)}"):
        _answer(cx, name, "declined")
    return None


@command("transfers:withdraw", example="greenroom transfers:withdraw ach-payslip-staging", app=False)
@click.argument("name")
def withdraw(cx: Context, name: str) -> int | None:
    """Take an offer of yours back."""
    with output.progress(f"Withdrawing the offer of {output.app_mark(name)}"):
        cx.api.delete(f"/account/app-transfers/{quote(name, safe='')}")
    return None
