"""Commands for the mail trap of an app: its messages, the allow list and the relay."""

from __future__ import annotations

from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, confirm
from greenroom_cli.errors import CliError

PAUSE = 1.0
"""Seconds between two looks of --follow."""


@command("mail", example="greenroom mail -a ach-payslip-staging --to example.com", json=True)
@click.option("--to", default="", metavar="TEXT", help="Only mail to an address that contains TEXT.")
@click.option("--from", "sender", default="", metavar="TEXT", help="Only mail from an address that contains TEXT.")
@click.option("--subject", default="", metavar="TEXT", help="Only mail whose subject contains TEXT.")
@click.option("-n", "--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="Number of mails.")
@click.option("--before", type=click.IntRange(1), metavar="ID", help="Only mail older than this one.")
@click.option("-f", "--follow", is_flag=True, help="Wait for new mail until Ctrl-C.")
def mail(cx: Context, to: str, sender: str, subject: str, limit: int, before: int | None, follow: bool) -> int | None:
    """List the mail that the app has sent, newest first. The mail trap keeps it."""
    wanted = {"to": to, "from": sender, "subject": subject, "limit": limit, "before": before}
    if follow:
        return _follow(cx, wanted)
    rows = cx.api.get(cx.path("mail"), **wanted)
    if cx.as_json:
        output.print_json(rows)
    elif rows:
        header = ("ID", "Received", "From", "To", "Subject", "Size", "Relayed")
        output.table([_line(row) for row in rows], header=header, flexible=4)
        output.hint(f"greenroom mail:show {rows[0]['number']}{cx.flags()}")
        if len(rows) == limit:
            output.hint(f"older mail: greenroom mail --before {rows[-1]['number']}{cx.flags()}")
    else:
        output.note(f"{cx.app} has no such mail." if to or sender or subject else f"{cx.app} has sent no mail.")
        output.hint(f"greenroom mail:info{cx.flags()}")
    return None


def _line(row: dict[str, Any]) -> list[str]:
    to = output.clean(", ".join(row["to"][:1])) + (
        f" and {row['recipients'] - 1} more" if row["recipients"] > 1 else ""
    )
    relayed = f"{row['relayed']} of {row['recipients']}" if row["relayed"] else "-"
    return [
        str(row["number"]),
        output.when(row["created_at"]),
        _word(row["header_from"] or row["from"]),
        to,
        _word(row["subject"]),
        output.size_text(row["size"]),
        relayed,
    ]


def _word(text: str) -> str:
    """Text of a mail on one line."""
    return " ".join(output.clean(text).split())


def _follow(cx: Context, wanted: dict[str, Any]) -> int | None:
    """Print mail as it arrives, oldest first. --json: one object a line."""
    import json
    import time

    path = cx.path("mail")
    newest = cx.api.get(path, limit=1)
    seen = newest[0]["number"] if newest else 0
    output.note(f"Waiting for mail of {cx.app}. Stop with Ctrl-C.")
    while True:
        rows = [row for row in cx.api.get(path, **{**wanted, "before": None}) if row["number"] > seen]
        for row in reversed(rows):
            output.say(json.dumps(row, ensure_ascii=False) if cx.as_json else "  ".join(_line(row)))
        seen = max([seen, *(row["number"] for row in rows)])
        time.sleep(PAUSE)


@command("mail:show", example="greenroom mail:show 12 -a ach-payslip-staging", json=True)
@click.argument("mail", default="latest", metavar="[ID]")
@click.option("--html", is_flag=True, help="Print the HTML.")
@click.option("--raw", is_flag=True, help="Print the message as the trap received it.")
@click.option("--attachment", type=click.IntRange(1), metavar="N", help="Print an attachment.")
@click.option("-o", "--output", "file", type=click.Path(dir_okay=False), help="Write to a file instead of stdout.")
def show(cx: Context, mail: str, html: bool, raw: bool, attachment: int | None, file: str | None) -> int | None:
    """Show a mail, by default the newest: recipients, headers, text and attachments."""
    if sum((html, raw, attachment is not None, cx.as_json)) > 1:
        raise CliError("Use only one of --html, --raw, --attachment and --json.", code=2)
    if raw or attachment is not None:
        parts = ("raw",) if raw else ("attachments", str(attachment))
        return _write(_decoded(cx.api.get(cx.path("mail", mail, *parts))), file)
    row = cx.api.get(cx.path("mail", mail))
    if cx.as_json:
        output.print_json(row)
    elif html:
        if row["html"] is None:
            raise CliError(
                f"Mail {row['number']} has no HTML.", hint=f"greenroom mail:show {row['number']}{cx.flags()}"
            )
        return _write(row["html"].encode(), file)
    elif file:
        raise CliError("-o needs --html, --raw or --attachment N.", code=2)
    else:
        _print(cx, row)
    return None


def _decoded(row: dict[str, Any]) -> bytes:
    import base64

    return base64.b64decode(row["content"])


def _write(data: bytes, file: str | None) -> int | None:
    """Write to the file; else to stdout, but not control characters to a terminal."""
    import sys

    if file:
        try:
            with open(file, "wb") as out:
                out.write(data)
        except OSError as error:
            raise CliError(f"Cannot write {file}: {error.strerror}.") from error
        output.note(f"Wrote {file}, {output.size_text(len(data))}.")
    elif sys.stdout.isatty():
        try:
            output.say(output.clean(data.decode()))
        except UnicodeDecodeError:
            raise CliError("This is no text.", hint="write it to a file: add -o FILE") from None
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    return None


SHOWN = 20
"""Number of recipients that mail:show prints; --json has all."""


def _print(cx: Context, row: dict[str, Any]) -> None:
    named = {one["name"].lower(): one["value"] for one in reversed(row["headers"])}
    output.heading(f"Mail {row['number']} of {cx.app}")
    to = [_state(one) for one in row["to"][:SHOWN]]
    if len(row["to"]) > SHOWN:
        to.append(f"and {len(row['to']) - SHOWN} more (--json lists all)")
    pairs = [("Received", output.when(row["created_at"])), ("Sender", row["from"] or "<>")]
    pairs += [("Recipient", one) for one in to]
    pairs += [
        (name, _word(named.get(name.lower(), ""))) for name in ("From", "To", "Cc", "Reply-To", "Subject", "Date")
    ]
    output.fields([*pairs, ("Size", output.size_text(row["size"]))])
    output.say()
    if row["text"] is not None:
        output.say(output.clean(row["text"].rstrip("\n")))
    flags = cx.flags()
    if row["html"] is not None:
        output.hint(f"its HTML: greenroom mail:show {row['number']} --html{flags}")
    for one in row["attachments"]:
        name = f"{_word(one['name']) or 'without a name'} ({_word(one['type'])}, {output.size_text(one['size'])})"
        output.note(f"Attachment {one['number']}: {name}")
        output.hint(f"greenroom mail:show {row['number']} --attachment {one['number']} -o FILE{flags}")
    if row["truncated"]:
        output.hint(f"a part is too large to be shown; all of it: greenroom mail:show {row['number']} --raw{flags}")


def _state(one: dict[str, Any]) -> str:
    words = {
        "trapped": "kept in the trap",
        "waiting": "waits for the relay",
        "sent": "sent by the relay",
        "failed": "not sent",
    }
    error = f": {_word(one['error'])}" if one["error"] else ""
    return f"{_word(one['address'])} ({words[one['state']]}{error})"


@command("mail:clear", example="greenroom mail:clear -a ach-payslip-staging --confirm ach-payslip-staging", json=True)
@click.option(
    "-c", "--confirm", "given", default="", metavar="NAME", help="The app's name, to confirm without a prompt."
)
def clear(cx: Context, given: str) -> int | None:
    """Delete all mail in the trap. The command asks for the app's name to confirm."""
    confirm(cx, given, name=cx.app, what=f"WARNING: This permanently deletes all mail in the trap of {cx.app}.")
    row = cx.api.delete(cx.path("mail"))
    if cx.as_json:
        output.print_json(row)
    else:
        output.note(f"Deleted {row['cleared']} mail{'' if row['cleared'] == 1 else 's'}.")
    return None


@command("mail:info", example="greenroom mail:info -a ach-payslip-staging", json=True)
def info(cx: Context) -> int | None:
    """Show the size, the limits, the allow list and the relay of the mail trap."""
    row = cx.api.get(cx.path("mail-trap"))
    if cx.as_json:
        output.print_json(row)
        return None
    output.heading(f"{cx.app} Mail Trap")
    count = f"{row['count']} of {row['limit_count']}" if row["answers"] else f"at most {row['limit_count']}"
    used = f"{output.size_text(row['bytes'])} of " if row["answers"] else "at most "
    relay = output.clean(row["relay"] or "none: all mail stays in the trap")
    output.fields(
        [
            ("Name", row["name"]),
            ("Plan", row["plan"]),
            ("Status", "Available" if row["answers"] else "Does not answer"),
            ("Mails", f"{count}, {used}{output.size_text(row['limit_bytes'])}"),
            ("Deleted after", f"{row['limit_days']} days, or earlier: the oldest first"),
            ("Largest mail", output.size_text(row["message_bytes"])),
            ("Refused", f"{row['refused']} too large since its start" if row["refused"] else ""),
            ("Relay", relay),
            ("Allowed", output.clean(", ".join(row["allowed"])) or "nobody"),
            ("Waiting", f"{row['waiting']} for the relay" if row["waiting"] else ""),
        ]
    )
    return None


@command("mail:allow", example="greenroom mail:allow qa@example.com @example.org -a ach-payslip-staging", json=True)
@click.argument("entries", nargs=-1, required=True, metavar="ADDRESS|@DOMAIN...")
def allow(cx: Context, entries: tuple[str, ...]) -> int | None:
    """Allow the relay to send to an address or to all addresses of a domain. All other mail stays in the trap."""
    row: dict[str, Any] = {}
    for entry in entries:
        row = cx.api.post(cx.path("mail-trap", "allowed"), {"entry": entry})
    if cx.as_json:
        output.print_json(row)
        return None
    output.note(f"Allowed: {output.clean(', '.join(row['allowed']))}")
    if not row["relay"]:
        output.hint(
            f"no relay is set, so all mail still stays in the trap: greenroom mail:relay smtp://USER@HOST{cx.flags()}"
        )
    output.hint(f"undo with: greenroom mail:deny {output.clean(' '.join(entries))}{cx.flags()}")
    return None


@command("mail:deny", example="greenroom mail:deny qa@example.com -a ach-payslip-staging", json=True)
@click.argument("entries", nargs=-1, required=True, metavar="ADDRESS|@DOMAIN...")
def deny(cx: Context, entries: tuple[str, ...]) -> int | None:
    """Remove an address or a domain from the allow list."""
    row: dict[str, Any] = {}
    for entry in entries:
        row = cx.api.delete(cx.path("mail-trap", "allowed", entry))
    if cx.as_json:
        output.print_json(row)
        return None
    output.note(f"Allowed: {output.clean(', '.join(row['allowed'])) or 'nobody'}")
    output.hint(f"undo with: greenroom mail:allow {output.clean(' '.join(entries))}{cx.flags()}")
    return None


@command(
    "mail:relay", example="greenroom mail:relay smtp://staging@smtp.example.com:587 -a ach-payslip-staging", json=True
)
@click.argument("url", default="", metavar="[URL]")
@click.option("--off", is_flag=True, help="Remove the relay: all mail stays in the trap.")
def relay(cx: Context, url: str, off: bool) -> int | None:
    """Set the SMTP server that sends mail to allowed recipients, or show it.

    smtp:// uses STARTTLS, smtps:// TLS. The password is read from the terminal, or from the first line of stdin.
    """
    if off and url:
        raise CliError("Use either a URL or --off.", code=2)
    path = cx.path("mail-trap", "relay")
    if off:
        row = cx.api.delete(path)
    elif url:
        row = cx.api.send("PUT", path, {"url": url, "password": _password(url)}).data
    else:
        row = cx.api.get(cx.path("mail-trap"))
    if cx.as_json:
        output.print_json(row)
        return None
    output.say(output.clean(row["relay"] or "none"))
    if row["relay"] and not row["allowed"]:
        output.hint(f"nobody is allowed yet: greenroom mail:allow you@example.com{cx.flags()}")
    elif row["relay"] and url:
        output.hint(f"undo with: greenroom mail:relay --off{cx.flags()}")
    return None


def _password(url: str) -> str:
    """The password for a URL with a user, from the terminal or stdin."""
    import sys

    from greenroom_cli.stdin import stdin_lines

    if "@" not in url:
        return ""
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"Password for {output.clean(url)}: ")
    lines = stdin_lines()
    return lines[0][1] if lines else ""
