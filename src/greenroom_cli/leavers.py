"""Commands for administrators: disable, enable, delete, promote and demote accounts."""

from __future__ import annotations

from urllib.parse import quote

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, confirm


def _act(cx: Context, email: str, act: str, text: str) -> None:
    with output.progress(f"{text} {output.style(email, 'cyan')}"):
        cx.api.post(f"/accounts/{quote(email, safe='')}/actions/{act}")


@command("accounts:disable", example="greenroom accounts:disable bob@example.com", app=False)
@click.argument("email")
def disable(cx: Context, email: str) -> int | None:
    """Disable an account: revoke its tokens and end what it has open (administrators).

    Its log streams, attached one-off dynos, git operations and uploads end within seconds. Its apps, roles and jobs
    stay. The user cannot sign in until the account is enabled.
    """
    _act(cx, email, "disable", "Disabling account")
    output.hint(f"undo with: greenroom accounts:enable {email}   (tokens stay revoked)")
    output.hint("config vars and database passwords that the user knows stay valid: rotate them")
    return None


@command("accounts:enable", example="greenroom accounts:enable bob@example.com", app=False)
@click.argument("email")
def enable(cx: Context, email: str) -> int | None:
    """Enable a disabled account (administrators). Its password works again; its old tokens do not."""
    _act(cx, email, "enable", "Enabling account")
    output.hint(f"create a token for the user with: greenroom accounts:token {email}")
    return None


@command("accounts:promote", example="greenroom accounts:promote bob@example.com", app=False)
@click.argument("email")
def promote(cx: Context, email: str) -> int | None:
    """Make an account an administrator of the installation (administrators)."""
    _act(cx, email, "promote", "Promoting account")
    output.hint(f"undo with: greenroom accounts:demote {email}")
    return None


@command("accounts:demote", example="greenroom accounts:demote bob@example.com", app=False)
@click.argument("email")
def demote(cx: Context, email: str) -> int | None:
    """Make an administrator a user (administrators). The last active administrator cannot be demoted."""
    _act(cx, email, "demote", "Demoting account")
    output.hint(f"undo with: greenroom accounts:promote {email}")
    return None


@command("accounts:delete", example="greenroom accounts:delete bob@example.com --confirm bob@example.com", app=False)
@click.argument("email")
@click.option("--confirm", "given", default="", metavar="EMAIL", help="Skip the prompt.")
def delete(cx: Context, email: str, given: str) -> int | None:
    """Permanently delete an account: its password, tokens, keys and roles (administrators).

    It must not own an app or a pipeline. Releases, the audit log and the rest of the history keep its name.
    """
    confirm(cx, given, name=email, what=f"This permanently deletes the account {email}.")
    with output.progress(f"Deleting account {output.style(email, 'cyan')}"):
        cx.api.delete(f"/accounts/{quote(email, safe='')}")
    return None
