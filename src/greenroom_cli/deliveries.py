"""Commands for deliveries: list, show, drop, retry, and wait until a commit is live."""

from __future__ import annotations

import time
from typing import Any

import click

from greenroom_cli import git, output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError

COLOURS = {"live": "green", "held": "yellow", "refused": "red", "failed": "red", "superseded": "dim"}
ENDED = frozenset(COLOURS)
EXIT_CODES = {"live": 0, "held": 3}
STEPS = {
    "received": "Received",
    "building": "Building",
    "checking": "Checking",
    "releasing": "Releasing",
    "rolling_out": "Rolling out",
}
APPEAR_SECONDS = 30.0
"""Seconds until a delivery must appear: the push may still be running."""


@command(
    "deliveries",
    example="greenroom deliveries -a ach-payslip-staging\ngreenroom deliveries --sha 1f3a9c2 --json",
    json=True,
)
@click.option("--sha", default="", metavar="SHA", help="Deliveries of this commit only.")
@click.option("-n", "--num", default=15, show_default=True, type=click.IntRange(1, 500), help="Number of deliveries.")
def deliveries(cx: Context, sha: str, num: int) -> int | None:
    """List deliveries (pushes, config changes and rollbacks), newest first."""
    rows = cx.api.get(cx.path("deliveries"), sha=git.commit(sha) if sha else "", limit=num)
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"{cx.app} has no deliveries" + (f" of {sha}." if sha else "."))
        output.hint("git push greenroom HEAD:master")
        return None
    output.heading(f"{cx.app} Deliveries")
    output.table(
        [_line(row) for row in rows],
        header=("ID", "Commit", "State", "Release", "Checks", "Reason", "When"),
        flexible=5,
    )
    return None


def _line(row: dict[str, Any]) -> list[str]:
    return [
        row["id"][:8],
        row["sha"][:8] or row.get("kind", ""),
        _state(row),
        _version(row),
        _colour(row),
        _reason(row).partition("\n")[0],
        output.when(row["created_at"]),
    ]


def _state(row: dict[str, Any]) -> str:
    return output.style(row["state"], COLOURS.get(row["state"], "cyan"))


def _version(row: dict[str, Any]) -> str:
    return f"v{row['release']['version']}" if row.get("release") else ""


def _colour(row: dict[str, Any]) -> str:
    return row["verdict"]["colour"] if row.get("verdict") else ""


def _reason(row: dict[str, Any]) -> str:
    return output.clean(row.get("reason") or "")


@command("deliveries:info", example="greenroom deliveries:info 1f3a9c2 -a ach-payslip-staging", json=True)
@click.argument("delivery", required=False, default="")
def info(cx: Context, delivery: str) -> int | None:
    """Show details of a delivery and its checks. DELIVERY is an id or a commit (default: the newest)."""
    if delivery:
        row = cx.api.get(cx.path("deliveries", _resolve(cx, delivery)))
    else:
        row = _newest(cx)
    if cx.as_json:
        output.print_json(row)
        return None
    output.heading(f"Delivery {row['id']}")
    output.fields(
        [
            ("Commit", row["sha"]),
            ("Kind", row.get("kind")),
            ("State", _state(row)),
            ("Reason", _reason(row)),
            ("Verdict", _colour(row)),
            ("Build", f"{row['build']['id']} ({row['build']['status']})" if row.get("build") else ""),
            ("Release", _version(row)),
            ("Pending migrations", ", ".join((row.get("migrations") or {}).get("pending") or ())),
            ("By", (row.get("user") or {}).get("email")),
            ("Started", output.when(row["created_at"])),
            ("Took", output.lasted(row["created_at"], row.get("finished_at"))),
        ]
    )
    for hint in (row.get("remedy"), row.get("hint")):
        if hint and row["state"] in ENDED:
            output.hint(output.clean(hint))
    if row.get("checks"):
        from greenroom_cli.checks import check_line

        output.say()
        output.table([check_line(check) for check in row["checks"]], flexible=3)
    return None


def _resolve(cx: Context, text: str) -> str:
    """The complete id for the eight digits that lists show; else the commit, or the text unchanged."""
    if len(text) == 8:
        for row in cx.api.get(cx.path("deliveries"), limit=100):
            if row["id"].startswith(text):
                return row["id"]
    return text if "-" in text else git.commit(text)


@command("deliveries:drop", example="greenroom deliveries:drop -a ach-payslip-staging", json=True)
def drop(cx: Context) -> int | None:
    """Drop the held release. It does not go live, and the current release keeps running."""
    rows = [row for row in cx.api.get(cx.path("deliveries"), limit=100) if row["state"] == "held"]
    if not rows:
        raise CliError(f"No release of {cx.app} is held.", hint=f"greenroom deliveries{cx.flags()}")
    with output.progress(f"Dropping {_version(rows[0])} of {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("deliveries", rows[0]["id"], "actions", "drop"), {})
    if cx.as_json:
        output.print_json(row)
    return None


@command("deliveries:retry", example="greenroom deliveries:retry 1f3a9c2 -a ach-payslip-staging", json=True)
@click.argument("delivery", required=False, default="", metavar="[SHA]")
@click.option("--no-wait", is_flag=True, help="Do not wait until the delivery has ended.")
@click.option("--timeout", default=600.0, show_default=True, metavar="SECONDS", help="How long to wait.")
def retry(cx: Context, delivery: str, no_wait: bool, timeout: float) -> int | None:
    """Retry a failed delivery from its first failed step: the build, the checks that are not green, or the release.

    SHA is a commit or a delivery id (default: the newest delivery). The current config vars are used. The exit codes
    are those of deliveries:wait.
    """
    name = _resolve(cx, delivery) if delivery else _newest(cx)["id"]
    row = cx.api.post(cx.path("deliveries", name, "actions", "retry"), {})
    output.note(f"Retrying {row['sha'][:8]}" + (f" as {_version(row)}" if _version(row) else ""))
    if not no_wait:
        watch = Watch(cx, row["sha"], timeout, one=row["id"])
        row = watch.until_ended()
        _print_end(cx, row)
    if cx.as_json:
        output.print_json(row)
    return None if no_wait else EXIT_CODES.get(row["state"], 1)


def _newest(cx: Context) -> dict[str, Any]:
    rows = cx.api.get(cx.path("deliveries"), limit=1)
    if not rows:
        raise CliError(f"{cx.app} has no deliveries.", hint="git push greenroom HEAD:master")
    return rows[0]


@command(
    "deliveries:wait",
    example="greenroom deliveries:wait $(git rev-parse HEAD) -a ach-payslip-staging --timeout 300",
    json=True,
)
@click.argument("sha", required=False, default="")
@click.option("--timeout", default=600.0, show_default=True, metavar="SECONDS", help="How long to wait.")
def wait(cx: Context, sha: str, timeout: float) -> int | None:
    """Wait until a commit is live, held or refused, and show each step.

    SHA is a commit, complete or at least 7 digits (default: HEAD). Exit code 0: live, 3: held for its migrations,
    1: refused, failed, superseded, or timed out.
    """
    commit = git.commit(sha)
    row = Watch(cx, commit, timeout).until_ended()
    if cx.as_json:
        output.print_json(row)
    _print_end(cx, row)
    return EXIT_CODES.get(row["state"], 1)


def _print_end(cx: Context, row: dict[str, Any]) -> None:
    state = row["state"]
    if state == "live":
        app = cx.api.get(cx.path())
        output.note(f"{output.style('Live', 'green')} as {_version(row)} at {app['web_url']}")
        _print_pending(cx, row)
    elif state == "held":
        output.warn(f"Held: {_reason(row) or 'its migrations have not been run'}")
        output.hint(f"greenroom migrations:run{cx.flags()}   (or drop it: greenroom deliveries:drop{cx.flags()})")
    else:
        output.complain(f"{state.capitalize()}: {_reason(row) or _verdict_reasons(row) or 'no reason was given'}")
        output.hint(output.clean(row.get("remedy") or "") or _next_step(cx, row))
        if row.get("hint") and "deliveries:retry" in row["hint"]:
            output.hint(f"to retry the same commit: {row['hint']}")


def _print_pending(cx: Context, row: dict[str, Any]) -> None:
    pending = (row.get("migrations") or {}).get("pending") or []
    if pending:
        output.warn(f"Pending migrations: {', '.join(pending)}")
        output.hint(f"greenroom migrations:run{cx.flags()}")


def _verdict_reasons(row: dict[str, Any]) -> str:
    return "; ".join((row.get("verdict") or {}).get("reasons") or ())


def _next_step(cx: Context, row: dict[str, Any]) -> str:
    words = cx.flags()
    if row["state"] == "superseded":
        return f"greenroom deliveries{words}"
    if (row.get("build") or {}).get("status") in ("failed", "errored"):
        return f"greenroom builds:output {row['sha'][:8]}{words}"
    red = next(
        (check["name"] for check in row.get("checks") or () if check["conclusion"] not in (None, "success", "neutral")),
        "",
    )
    if red:
        return f"greenroom checks:info {red} {row['sha'][:8]}{words}"
    return (
        f"greenroom checks {row['sha'][:8]}{words}"
        if row["state"] == "refused" and not row.get("release")
        else f"greenroom logs{words}"
    )


class Watch:
    """Follows the newest delivery of a commit and prints its progress on stderr."""

    def __init__(self, cx: Context, sha: str, seconds: float, *, one: str = "") -> None:
        self.cx, self.sha, self.seconds, self.one = cx, sha, max(0.0, seconds), one
        self.began = time.monotonic()
        self.state = ""
        self.seen: dict[str, tuple[str, str | None]] = {}

    def until_ended(self) -> dict[str, Any]:
        """The delivery when it has ended. CliError when it never appears, or on timeout."""
        if self.one:
            path = self.cx.path("deliveries", self.one)
            rows = [self.cx.api.poll(path, done=lambda row: self._observe([row]), seconds=self.seconds)]
        else:
            rows = self.cx.api.poll(
                self.cx.path("deliveries"), done=self._observe, seconds=self.seconds, sha=self.sha, limit=1
            )
        if not rows:
            raise CliError(
                f"{self.cx.app} has no delivery of {self.sha[:12]}.",
                hint=f"git push greenroom {self.sha[:12]}:master   (list: greenroom deliveries{self.cx.flags()})",
            )
        if rows[0]["state"] not in ENDED:
            raise CliError(
                f"{self.sha[:12]} is still {rows[0]['state'].replace('_', ' ')} after {self.seconds:g} s.",
                hint=f"greenroom deliveries:wait {self.sha[:12]}{self.cx.flags()}",
            )
        return rows[0]

    def _observe(self, rows: list[dict[str, Any]]) -> bool:
        if not rows:
            return time.monotonic() - self.began > APPEAR_SECONDS
        row = rows[0]
        if row["state"] != self.state:
            self.state = row["state"]
            if self.state in STEPS:
                output.note(f"-----> {STEPS[self.state]} {row['sha'][:8]}")
        for check in row.get("checks") or ():
            self._print_check(check)
        return row["state"] in ENDED

    def _print_check(self, check: dict[str, Any]) -> None:
        now = (check["status"], check.get("conclusion"))
        if self.seen.get(check["name"]) == now:
            return
        self.seen[check["name"]] = now
        text = (check.get("conclusion") or check["status"]).replace("_", " ")
        title = f": {output.clean(check['title'])}" if check.get("title") and check.get("conclusion") else ""
        output.note(f"       {output.clean(check['name'])}: {text}{title}")
