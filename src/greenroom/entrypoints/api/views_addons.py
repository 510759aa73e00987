"""The API of add-ons and attachments, compatible with Heroku's."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from greenroom.addons import actions, queries, rules
from greenroom.addons.models import Addon, Attachment
from greenroom.addons.rules import services
from greenroom.addons.rules.services import Service
from greenroom.apps.models import App
from greenroom.apps.queries import authorise, visible
from greenroom.basics.errors import ForbiddenError, NotFoundError, UserError
from greenroom.deliveries.actions import addon_lifecycle as resources
from greenroom.entrypoints.api import shapes, shapes_data
from greenroom.entrypoints.api.listing import NAMED, Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route


def addon_of(call: Call, text: str, permission: str, app: App | None = None) -> Addon:
    """The add-on of that name or id (or, with an app, attachment).

    Requires ``permission`` for the app that owns it.
    """
    found = [row for row in queries.find_addons(text, app) if _may_see(call, row.app)]
    if len(found) > 1:
        names = ", ".join(row.name for row in found)
        raise UserError(
            f"Ambiguous identifier; multiple matching add-ons found: {names}.",
            hint="specify one of them",
            id="multiple_matches",
        )
    if found:
        authorise(call.actor, found[0].app.name, permission)
        return found[0]
    where = f"list the app's add-ons with: heroku addons -a {app.name}" if app else "list them with: heroku addons"
    raise NotFoundError("Couldn't find that add-on.", hint=where, resource="add_on")


def app_named(call: Call, name: Any, permission: str) -> App:
    """The app that a body names, as a string or as an object with {name} or {id}."""
    if isinstance(name, dict):
        name = name.get("name") or name.get("id")
    if not isinstance(name, str) or not name:
        raise UserError("app must be an app's name.")
    return authorise(call.actor, name, permission)


def _seen(call: Call) -> QuerySet[Any]:
    return visible(call.actor).values("id")


def _addons() -> QuerySet[Addon]:
    return queries.addons().prefetch_related("attachments")


@route("GET", "/addons", "account:read", paged="name", returns="[addon]")
def all_addons(call: Call) -> Listing:
    """List the add-ons of all apps visible to the caller."""
    return Listing(_addons().filter(app__in=_seen(call)), each(shapes_data.addon), "name", NAMED)


@route("GET", "/apps/{app}/addons", "view", returns="[addon]")
def list_addons(call: Call) -> Listing:
    """List the add-ons that the app owns."""
    return Listing(_addons().filter(app=call.app), each(shapes_data.addon), columns=NAMED)


@route("GET", "/addons/{addon}", "account:read", also="view", returns="addon")
def get_addon(call: Call) -> dict[str, Any]:
    """Get one add-on."""
    return shapes_data.addon(addon_of(call, call.params["addon"], "view"))


@route("GET", "/apps/{app}/addons/{addon}", "view", returns="addon")
def get_addon_of_app(call: Call) -> dict[str, Any]:
    """Get one add-on, by its name or the app's attachment name."""
    return shapes_data.addon(addon_of(call, call.params["addon"], "view", call.app))


@route("POST", "/apps/{app}/addons", "data:write", takes="addon.create", returns="201 addon")
def create_addon(call: Call) -> Reply:
    """Create an add-on: {plan: heroku-postgresql[:plan], attachment: {name}, name, confirm}.

    Unknown plans are refused. config: options, for a service that has them.
    """
    wanted = call.body.get("plan")
    name = wanted.get("name") if isinstance(wanted, dict) else wanted
    name = name if isinstance(name, str) else ""
    service = _service_of(name)
    config = call.body.get("config")
    if config and not isinstance(config, dict):
        raise UserError("config must be an object of options.")
    attachment = call.body.get("attachment")
    label = attachment.get("name") if isinstance(attachment, dict) else None
    row = resources.create(
        actor=call.actor,
        app=call.app,
        home=HOME,
        kind=service.kind,
        plan=services.plan_of(service, name),
        name=call.text("name"),
        wanted=_text(label) or service.dialect_of(name),
        confirmed=_confirmed(call, call.app),
        options=config or {},
    )
    return Reply(shapes_data.addon(queries.addons().get(pk=row.pk)), 201, shapes.news_of(call.app))


def _service_of(name: str) -> Service:
    """The service of ``service`` or ``service:plan``. NotFoundError for an unknown service or plan."""
    named = name.partition(":")[0]
    service = services.named(named)
    if service is None:
        hint = rules.instead(named, services.services())
        raise NotFoundError(f"Couldn't find the add-on service {named[:60]!r}.", hint=hint, resource="addon_service")
    problem = services.plan_problem(service, name)
    if problem:
        raise NotFoundError(
            problem,
            hint=f"create one with: heroku addons:create {named}; its size limit is in `{service.size_command}`",
            resource="plan",
        )
    return service


def _text(value: Any) -> str:
    if value is not None and not isinstance(value, str):
        raise UserError("A name must be a string.")
    return value or ""


def _confirmed(call: Call, app: App) -> bool:
    given = call.text("confirm")
    if given and given not in (app.name, str(app.id)):
        raise UserError(f"confirm is {given[:60]!r}, but must be {app.name}.")
    return bool(given)


@route("PATCH", "/apps/{app}/addons/{addon}", "data:write", takes="addon.update", returns="addon")
def rename_addon(call: Call) -> dict[str, Any]:
    """Rename an add-on: {name}."""
    row = addon_of(call, call.params["addon"], "data:write", call.app)
    wanted = call.body.get("plan")
    plan = (wanted.get("name") if isinstance(wanted, dict) else wanted) or ""
    if plan and plan != row.plan:
        service = queries.service_of(row)
        if len(service.plans) == 1:
            text, hint = f"{row.name} already has the only plan, {row.plan}.", "see its size limit with:"
            raise UserError(text, hint=f"{hint} {service.size_command}")
        raise UserError(
            f"{row.name} keeps its plan, {row.plan}.",
            hint=f"heroku addons:create {service.name}:PLAN -a {row.app.name}, then {service.promote}",
        )
    if plan and not call.text("name"):
        return shapes_data.addon(row)
    return shapes_data.addon(actions.rename(actor=call.actor, addon=row, name=call.text("name", required=True)))


@route("DELETE", "/apps/{app}/addons/{addon}", "data:write", takes="addon.delete", returns="addon")
def destroy_addon(call: Call) -> dict[str, Any]:
    """Destroy the add-on with its data and snapshots; {force} if other apps see it."""
    row = addon_of(call, call.params["addon"], "data:write", call.app)
    shape = shapes_data.addon(row)
    resources.destroy(actor=call.actor, addon=row, home=HOME, force=call.body.get("force") is True)
    return {**shape, "state": "deprovisioned"}


@route("GET", "/addon-attachments", "account:read", returns="[addon-attachment]")
def all_attachments(call: Call) -> Listing:
    """List the attachments of all apps visible to the caller."""
    return Listing(queries.attachments().filter(app__in=_seen(call)), each(shapes_data.attachment), columns=NAMED)


@route("GET", "/apps/{app}/addon-attachments", "view", returns="[addon-attachment]")
def attachments_of_app(call: Call) -> Listing:
    """List the app's attachments."""
    return Listing(queries.attachments().filter(app=call.app), each(shapes_data.attachment), columns=NAMED)


@route("GET", "/apps/{app}/addon-attachments/{name}", "view", returns="addon-attachment")
def attachment_of_app(call: Call) -> dict[str, Any]:
    """Get one attachment by name."""
    return shapes_data.attachment(_first(queries.find_attachments(call.params["name"], call.app)))


def _first(rows: list[Attachment]) -> Attachment:
    if not rows:
        raise NotFoundError("Couldn't find that add-on attachment.", resource="add_on attachment")
    return rows[0]


@route("GET", "/addons/{addon}/addon-attachments", "account:read", also="view", returns="[addon-attachment]")
def attachments_of_addon(call: Call) -> Listing:
    """List the add-on's attachments to apps visible to the caller."""
    row = addon_of(call, call.params["addon"], "view")
    found = queries.attachments().filter(addon=row, app__in=_seen(call))
    return Listing(found, each(shapes_data.attachment), columns=NAMED)


@route(
    "POST",
    "/addon-attachments",
    "account:write",
    also="data:write",
    takes="addon-attachment.create",
    returns="201 addon-attachment",
)
def create_attachment(call: Call) -> Reply:
    """Attach an add-on to an app: {addon, app, name, confirm}.

    A name in use moves to this add-on if confirm is the app's name (promotion).
    """
    app = app_named(call, call.body.get("app"), "data:write")
    addon = call.body.get("addon")
    text = (addon.get("name") or addon.get("id")) if isinstance(addon, dict) else addon
    row = addon_of(call, _text(text), "data:write")
    if call.body.get("namespace"):
        raise UserError("Separate credentials and connection pools are not supported.")
    made = resources.attach(
        actor=call.actor, addon=row, app=app, home=HOME, wanted=call.text("name"), confirmed=_confirmed(call, app)
    )
    return Reply(shapes_data.attachment(queries.attachments().get(pk=made.pk)), 201, shapes.news_of(made.app))


@route("DELETE", "/addon-attachments/{attachment}", "account:write", also="data:write", returns="addon-attachment")
def delete_attachment(call: Call) -> dict[str, Any]:
    """Detach the add-on from the app."""
    row = _first(
        [
            item
            for item in queries.find_attachments(call.params["attachment"], None)
            if visible(call.actor).filter(pk=item.app_id).exists()
        ]
    )
    authorise(call.actor, row.app.name, "data:write")
    shape = shapes_data.attachment(row)
    resources.detach(actor=call.actor, attachment=row, home=HOME)
    return shape


@route("POST", "/actions/addons/resolve", "account:read", also="view", takes="addon.resolve", returns="[addon]")
def resolve_addon(call: Call) -> list[dict[str, Any]]:
    """Resolve {addon}, limited to {app} if given, to a list of add-ons; 404 without a match."""
    app = app_named(call, call.body["app"], "view") if call.body.get("app") else None
    found = [row for row in queries.find_addons(call.text("addon", required=True), app) if _may_see(call, row.app)]
    if not found:
        raise NotFoundError("Couldn't find that add-on.", hint="list them with: heroku addons", resource="add_on")
    return [shapes_data.addon(row) for row in found]


@route(
    "POST",
    "/actions/addon-attachments/resolve",
    "account:read",
    also="view",
    takes="addon-attachment.resolve",
    returns="[addon-attachment]",
)
def resolve_attachment(call: Call) -> list[dict[str, Any]]:
    """Resolve {addon_attachment}, limited to {app} if given, to a list of attachments."""
    app = app_named(call, call.body["app"], "view") if call.body.get("app") else None
    found = queries.find_attachments(call.text("addon_attachment", required=True), app)
    found = [row for row in found if _may_see(call, row.app)]
    _first(found)
    return [shapes_data.attachment(row) for row in found]


def _may_see(call: Call, app: App) -> bool:
    try:
        authorise(call.actor, app.name, "view")
    except (NotFoundError, ForbiddenError):
        return False
    return True


@route("GET", "/addon-services", "identity", returns="[addon-service]")
def all_services(call: Call) -> list[dict[str, Any]]:
    """List the add-on services."""
    return [shapes_data.service(one) for one in services.services()]


@route("GET", "/addon-services/{service}", "identity", returns="addon-service")
def service(call: Call) -> dict[str, Any]:
    """Get one service."""
    return shapes_data.service(_service_in(call))


def _service_in(call: Call) -> Service:
    wanted = call.params["service"]
    found = next((one for one in services.services() if wanted in (*one.names, one.id)), None)
    if found is None:
        hint = rules.instead(wanted, services.services())
        raise NotFoundError("Couldn't find that add-on service.", hint=hint, resource="addon_service")
    return found


@route("GET", "/addon-services/{service}/plans", "identity", returns="[plan]")
def plans(call: Call) -> list[dict[str, Any]]:
    """List the plans of a service."""
    service = _service_in(call)
    return [shapes_data.plan(service, f"{service.name}:{one.name}") for one in service.plans]
