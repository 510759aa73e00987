"""The API of ``pg:copy``: copies one database into another through a snapshot."""

from __future__ import annotations

from urllib.parse import urlsplit

from greenroom.addons.models import Addon
from greenroom.apps.queries import authorise
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.deliveries.actions import addon_data
from greenroom.entrypoints.api import shapes_data
from greenroom.entrypoints.api.drivers import engine
from greenroom.entrypoints.api.routing import Call, Reply, route
from greenroom.entrypoints.api.views_pg import database_of

HINT = "heroku pg:push URL DATABASE_URL -a APP loads a database from elsewhere, heroku pg:pull takes one there"


@route(
    "POST",
    "/client/v11/databases/{database}/transfers",
    "account:write",
    also="data:write data:read data:snapshot",
    takes="transfer.copy",
    returns="201 transfer",
)
def copy(call: Call) -> Reply:
    """Copy {from_url} to {to_url}, two databases of this installation.

    The worker dumps the source, then replaces the target. The target's data is saved first, as by every restore.
    The caller needs data:read of the source's app.
    """
    target = database_of(call, "data:write")
    source = _behind(call, call.text("from_url", required=True))
    if _behind(call, call.text("to_url", required=True)) != target:
        raise UserError(
            f"to_url is not that of {target.name}: the target must be a database of this installation.", hint=HINT
        )
    authorise(call.actor, source.app.name, "data:snapshot")  # as for its backup
    made = addon_data.copy(actor=call.actor, source=source, target=target, engine=engine())
    return Reply(shapes_data.restore(made), 201)


def _behind(call: Call, url: str) -> Addon:
    """The database of a URL, if the caller may read its data. Permissions decide; the password in the URL is ignored.

    External, missing and inaccessible databases get the same error.
    """
    try:
        place = urlsplit(url)
        name = place.path.lstrip("/") if place.scheme in ("postgres", "postgresql") else ""
        row = Addon.objects.select_related("app").get(kind="postgres", state="provisioned", data__database=name)
        authorise(call.actor, row.app.name, "data:read")
    except (ValueError, Addon.DoesNotExist, NotFoundError):
        raise NotFoundError(
            "Only databases of this installation can be copied.", hint=HINT, resource="add_on"
        ) from None
    return row
