"""Commands for the egress of an app. A change that dynos notice creates a release, and the command waits for it."""

from __future__ import annotations

from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, waits

POLICIES = {"open": "dynos reach all targets", "closed": "dynos reach only the allowed targets"}
TARGETS = click.argument("targets", nargs=-1, required=True, metavar="HOST[:PORT]...")


@command("egress", example="greenroom egress -a ach-payslip-staging", json=True)
def egress(cx: Context) -> int | None:
    """Show the egress policy and the allowed targets."""
    row = cx.api.get(cx.path("egress"))
    if cx.as_json:
        output.print_json(row)
        return None
    output.heading(f"{cx.app} Egress")
    output.fields([("Policy", f"{row['policy']}: {POLICIES[row['policy']]}")])
    if row["rules"]:
        output.table([[one["host"], str(one["port"] or "all")] for one in row["rules"]], header=("Allowed", "Port"))
    elif row["policy"] == "closed":
        output.note("No target is allowed.")
    if row["policy"] == "open":
        output.hint(f"allow targets, then: greenroom egress:close{cx.flags()}")
    else:
        output.hint(f"greenroom egress:allow api.example.org:443{cx.flags()}")
    _tell_former(cx, row)
    return None


def _tell_former(cx: Context, row: dict[str, Any]) -> None:
    count = row["former_dynos"]
    if count:
        output.warn(
            f"{count} running dyno{'' if count == 1 else 's'} started before the last change and still"
            f" follow{'s' if count == 1 else ''} the former rules."
        )
        output.hint(f"greenroom ps:restart{cx.flags()}   (one-off dynos keep them until they end)")


@command("egress:close", example="greenroom egress:close -a ach-payslip-staging", json=True)
@waits
def close(cx: Context, **wait: Any) -> int | None:
    """Let dynos reach only the allowed targets, and restart the app.

    Applies to dynos of all types, to the tests of the gate and to the hooks and scripts of builds. Add-ons need no
    rule. Python packages are installed as before. Allow what the app needs first: it has to start.
    """
    return _change(cx, "Closing egress", {"policy": "closed"}, **wait)


@command("egress:open", example="greenroom egress:open -a ach-payslip-staging", json=True)
@waits
def open_all(cx: Context, **wait: Any) -> int | None:
    """Let dynos reach all targets, and restart the app. The rules are kept."""
    return _change(cx, "Opening egress", {"policy": "open"}, **wait)


@command(
    "egress:allow",
    example=(
        "greenroom egress:allow api.example.org:443 -a ach-payslip-staging\n"
        'greenroom egress:allow "*.example.org" 10.2.0.0/16:5432 "[2001:db8::1]:443"'
    ),
    json=True,
)
@TARGETS
@waits
def allow(cx: Context, targets: tuple[str, ...], **wait: Any) -> int | None:
    """Allow targets: names (*.NAME for all below it), addresses or networks, with :PORT or for all ports. Restarts the
    app if the policy is closed.
    """
    return _change(cx, f"Allowing {', '.join(targets)}", {"allow": list(targets)}, **wait)


@command("egress:remove", example="greenroom egress:remove api.example.org:443 -a ach-payslip-staging", json=True)
@TARGETS
@waits
def remove(cx: Context, targets: tuple[str, ...], **wait: Any) -> int | None:
    """Remove allowed targets. Restarts the app if the policy is closed."""
    return _change(cx, f"Removing {', '.join(targets)}", {"remove": list(targets)}, **wait)


def _change(cx: Context, word: str, body: dict[str, Any], *, no_wait: bool, timeout: float | None) -> int | None:
    from greenroom_cli.releases import finish

    with output.progress(f"{word} for {output.app_mark(cx.app)}") as step:
        answer = cx.api.patch(cx.path("egress"), body)
        version = answer.headers.get("x-greenroom-release", "").lstrip("v")
        failed = None
        if not version:
            step.end = "done, nothing changed" if answer.data["policy"] == "closed" else "done"
        elif no_wait:
            step.end = f"done, v{version}"
        else:
            failed = finish(cx, int(version), step, timeout)
    row = cx.api.get(cx.path("egress")) if version and not no_wait else answer.data
    if cx.as_json:
        output.print_json(row)
    elif not version and row["policy"] == "open":
        output.note("The policy is open: dynos reach all targets, and the rules have no effect yet.")
        output.hint(f"greenroom egress:close{cx.flags()}")
    elif row["policy"] == "closed" and not row["rules"]:
        output.note("No target is allowed.")
        output.hint(f"greenroom egress:allow api.example.org:443{cx.flags()}")
    if failed:
        _tell_former(cx, row)
        raise failed
    if not cx.as_json and version:
        output.hint(f"undo with: greenroom {_undo(body)}{cx.flags()}")
    return None


def _undo(body: dict[str, Any]) -> str:
    import shlex

    if "policy" in body:
        return "egress:open" if body["policy"] == "closed" else "egress:close"
    verb = "egress:remove" if "allow" in body else "egress:allow"
    return f"{verb} {shlex.join(body.get('allow') or body['remove'])}"
