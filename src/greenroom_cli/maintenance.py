"""Commands for maintenance mode."""

from __future__ import annotations

from greenroom_cli import output
from greenroom_cli.context import Context, command


@command("maintenance", example="greenroom maintenance -a ach-payslip-staging", json=True)
def maintenance(cx: Context) -> int | None:
    """Show whether maintenance mode is on."""
    row = cx.api.get(cx.path())
    if cx.as_json:
        output.print_json({"maintenance": row["maintenance"]})
    else:
        output.say("on" if row["maintenance"] else "off")
    return None


@command("maintenance:on", example="greenroom maintenance:on -a ach-payslip-staging")
def on(cx: Context) -> int | None:
    """Turn maintenance mode on: visitors see a maintenance page. Dynos keep running."""
    with output.progress(f"Enabling maintenance mode for {output.app_mark(cx.app)}"):
        cx.api.patch(cx.path(), {"maintenance": True})
    output.hint(f"undo with: greenroom maintenance:off{cx.flags()}")
    return None


@command("maintenance:off", example="greenroom maintenance:off -a ach-payslip-staging")
def off(cx: Context) -> int | None:
    """Turn maintenance mode off."""
    with output.progress(f"Disabling maintenance mode for {output.app_mark(cx.app)}"):
        cx.api.patch(cx.path(), {"maintenance": False})
    output.hint(f"undo with: greenroom maintenance:on{cx.flags()}")
    return None
