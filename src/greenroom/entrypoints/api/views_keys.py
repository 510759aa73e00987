"""The API of SSH keys, which are only stored and shown: git uses HTTPS here, and each response to a new key reports
so.
"""

from __future__ import annotations

from typing import Any

from greenroom.accounts.actions import ssh_keys
from greenroom.accounts.models import Account, SSHKey
from greenroom.basics.clock import heroku_time
from greenroom.entrypoints.api.listing import Listing, each
from greenroom.entrypoints.api.routing import Call, Reply, route

NO_SSH = "Greenroom stores SSH keys, but git over SSH is not supported: use HTTPS with your API token."


def _own(call: Call) -> Account:
    return Account.objects.get(pk=call.actor.account)


def _shape(row: SSHKey) -> dict[str, Any]:
    """A key. ``email`` is Heroku's old name of its comment."""
    at = heroku_time(row.created_at)
    return {
        "id": str(row.id),
        "public_key": row.public_key,
        "fingerprint": row.fingerprint,
        "comment": row.comment,
        "email": row.comment,
        "created_at": at,
        "updated_at": at,
    }


@route("GET", "/account/keys", "account:read", returns="[key]")
def list_keys(call: Call) -> Listing:
    """List the caller's keys, oldest first."""
    return Listing(_own(call).ssh_keys.all(), each(_shape))


@route("POST", "/account/keys", "account:write", takes="key.create", returns="201 key")
def add_key(call: Call) -> Reply:
    """Add a key: {public_key}."""
    row = ssh_keys.add(actor=call.actor, account=_own(call), text=call.text("public_key", required=True))
    return Reply(_shape(row), 201, {"X-Heroku-Warning": NO_SSH})


@route("GET", "/account/keys/{id}", "account:read", returns="key")
def get_key(call: Call) -> dict[str, Any]:
    """Get one key, by id or fingerprint."""
    return _shape(ssh_keys.find(_own(call), call.params["id"]))


@route("DELETE", "/account/keys/{id}", "account:write", returns="key")
def remove_key(call: Call) -> dict[str, Any]:
    """Remove a key."""
    return _shape(ssh_keys.remove(actor=call.actor, account=_own(call), key=call.params["id"]))
