"""The API of app transfers: the owner offers an app, the recipient accepts or declines."""

from __future__ import annotations

from typing import Any

from greenroom.apps.actions import transfers
from greenroom.apps.models import AppTransfer
from greenroom.apps.queries import authorise
from greenroom.basics.clock import heroku_time
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import Call, Reply, route


def _shape(row: AppTransfer) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "app": {"id": str(row.app_id), "name": row.app.name},
        "owner": shapes.user(row.owner),
        "recipient": shapes.user(row.recipient),
        "state": row.state,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


@route("GET", "/account/app-transfers", "account:read", returns="[app-transfer]")
def list_transfers(call: Call) -> Listing:
    """List the transfers that the caller sent or received, newest first."""
    return Listing(transfers.concerning(call.actor), each(_shape), "-created_at")


@route(
    "POST",
    "/account/app-transfers",
    "account:write",
    also="destroy",
    takes="app-transfer.create",
    returns="201 app-transfer",
)
def offer(call: Call) -> Reply:
    """Offer an app: {app, recipient: e-mail}. Requires the permission to destroy it."""
    app = authorise(call.actor, call.text("app", required=True), "destroy")
    row = transfers.offer(actor=call.actor, app=app, recipient=call.text("recipient", required=True))
    hint = f"{row.recipient.email} accepts with: greenroom transfers:accept {app.name}. No mail is sent."
    return Reply(_shape(row), 201, {"X-Heroku-Warning": hint})


@route("GET", "/account/app-transfers/{id}", "account:read", returns="app-transfer")
def get_transfer(call: Call) -> dict[str, Any]:
    """Get one transfer, by id or the app's name."""
    return _shape(transfers.find(call.actor, call.params["id"]))


@route("PATCH", "/account/app-transfers/{id}", "account:write", takes="app-transfer.update", returns="app-transfer")
def answer(call: Call) -> dict[str, Any]:
    """Accept or decline a transfer, as its recipient: {state: accepted or declined}."""
    row = transfers.find(call.actor, call.params["id"])
    return _shape(transfers.answer(actor=call.actor, transfer=row, state=call.text("state", required=True)))


@route("DELETE", "/account/app-transfers/{id}", "account:write", returns="app-transfer")
def withdraw(call: Call) -> dict[str, Any]:
    """Withdraw an open transfer."""
    return _shape(transfers.withdraw(actor=call.actor, transfer=transfers.find(call.actor, call.params["id"])))
