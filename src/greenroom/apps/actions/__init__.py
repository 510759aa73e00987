"""Creates, renames and destroys apps; their collaborators, domains and settings."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Max

from greenroom.accounts.actions import audit
from greenroom.accounts.models import Account
from greenroom.accounts.queries import by_email
from greenroom.accounts.rules import Actor
from greenroom.apps import queries, rules
from greenroom.apps.models import App, AppTombstone, Collaborator, Domain
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, ForbiddenError, NotFoundError, PlatformError, UserError

FREED_NAME_DAYS = 90
WORDS = (
    "amber",
    "brisk",
    "calm",
    "dawn",
    "ember",
    "fern",
    "glade",
    "hazel",
    "iris",
    "jade",
    "lunar",
    "maple",
    "north",
    "opal",
)


DESTROY_ATTEMPTS = 5
NAMES_LOCK = 7_404
NAMES_ALONE = 1_000_000
"""From here on are the numbers of tombstones that stand for a name alone; those of apps give system uids and stay far
below.
"""


@transaction.atomic
def create(*, actor: Actor, name: str | None = None) -> App:
    """A new app owned by the actor. UserError for a bad name, ConflictError for a taken one."""
    name = name or f"{secrets.choice(WORDS)}-{secrets.choice(WORDS)}-{secrets.randbelow(90000) + 10000}"
    _lock_names()
    _check_name(actor, name)
    owner = room_for_another(Account.objects.get(pk=actor.account))
    number = 1 + max(
        App.objects.aggregate(top=Max("number"))["top"] or 0,
        AppTombstone.objects.filter(number__lt=NAMES_ALONE).aggregate(top=Max("number"))["top"] or 0,
    )
    app = App.objects.create(number=number, name=name, owner=owner, required_checks=["tests", "scan"])
    audit(actor=actor, action="app.create", app=app)
    return app


def _lock_names() -> None:
    """Names and numbers of apps are given one after the other, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [NAMES_LOCK])


def lock_app(pk: UUID) -> App:
    """Lock one app until the transaction ends; its row as it is behind the lock. NotFoundError when it is gone."""
    row = (
        App.objects.select_for_update(no_key=True).filter(pk=pk).first()
    )  # no join: its rows may be older than the lock
    if row is None:
        raise queries.gone()
    return row


def lock_apps(ids: Iterable[UUID]) -> list[App]:
    """Lock several apps until the transaction ends, in the order in which everybody does; those that are there.

    It is the first thing that a transaction does which changes more than one app: the audit log's lock and all other
    rows come after.
    """
    return list(App.objects.select_for_update(no_key=True).filter(pk__in=set(ids)).order_by("pk"))


def lock_found(find: Callable[[], Iterable[UUID]], then: Callable[[], object] = lambda: None) -> list[App]:
    """Lock the apps that ``find`` names. It is asked again behind the locks, for as long as apps were added meanwhile.

    then: locks what whoever adds an app locks as well. Call it inside of a transaction, before anything else.
    """
    while True:
        ids = set(find())
        with transaction.atomic():
            rows = lock_apps(ids)
            then()
            if ids >= set(find()):
                return rows
            transaction.set_rollback(True)  # lets the locks go: the next round takes all of them in order


def room_for_another(owner: Account) -> Account:
    """The account, locked; ConflictError when it owns as many apps as one account may. Administrators may own any
    number.
    """
    owner = Account.objects.select_for_update(no_key=True).get(pk=owner.pk)
    most = settings.ACCOUNT_APPS
    if most and not owner.is_admin and App.objects.filter(owner=owner).count() >= most:
        raise ConflictError(
            f"{owner.email} owns {most} apps, as many as one account may.",
            hint=(
                "heroku apps:destroy -a APP removes one that nobody needs; the operator can raise"
                " GREENROOM_ACCOUNT_APPS"
            ),
        )
    return owner


def _check_name(actor: Actor, name: str) -> None:
    problem = rules.name_problem(name)
    if problem:
        raise UserError(problem)
    if App.objects.filter(name=name).exists():
        raise ConflictError(
            f"Name {name} is already taken.", hint="choose another name, or `greenroom apps`", id="invalid_params"
        )
    since = clock.now() - timedelta(days=FREED_NAME_DAYS)
    freed = AppTombstone.objects.filter(name=name, at__gt=since).exclude(owner_id=actor.account_id).exists()
    if freed:
        raise ConflictError(
            f"Name {name} was freed less than {FREED_NAME_DAYS} days ago and is held for its owner.",
            id="invalid_params",
        )


@transaction.atomic
def rename(*, actor: Actor, app: App, name: str) -> App:
    """Give the app another name; its id, and with it all its folders, stay."""
    if name == app.name:
        return app
    _lock_names()
    app.name = lock_app(app.pk).name  # somebody else may have renamed it meanwhile
    _check_name(actor, name)
    before = app.name
    AppTombstone.objects.create(name=before, number=_next_tombstone_number(), owner=app.owner, at=clock.now())
    app.name = name
    app.save(update_fields=["name", "updated_at"])
    audit(actor=actor, action="app.rename", app=app, detail={"before": before})
    return app


def _next_tombstone_number() -> int:
    """A number for a tombstone that stands for a name alone: above any that an app can get."""
    top = AppTombstone.objects.filter(number__gte=NAMES_ALONE).aggregate(top=Max("number"))["top"]
    return (top or NAMES_ALONE) + 1


def destroy(*, actor: Actor, app: App) -> None:
    """Remove the app's row and all that hangs on it; what is on disk and in engines is ended by the caller.

    Its row is locked first: whoever is about to commit something of the app waits, and then finds that there is none.
    NotFoundError when
    somebody else has destroyed it meanwhile.
    """
    for attempt in range(1, DESTROY_ATTEMPTS + 1):
        try:
            return _destroy(actor, app)
        except (IntegrityError, OperationalError):  # two that wait for each other: PostgreSQL ends one
            if attempt == DESTROY_ATTEMPTS:
                raise


@transaction.atomic
def _destroy(actor: Actor, app: App) -> None:
    row = App.objects.select_for_update(of=("self",)).select_related("owner").filter(pk=app.pk).first()
    if row is None:
        raise queries.unknown(app.name)
    AppTombstone.objects.create(name=row.name, number=row.number, owner=row.owner, at=clock.now())
    audit(actor=actor, action="app.destroy", app=row)
    row.delete()


@transaction.atomic
def change_settings(*, actor: Actor, app: App, **changes: Any) -> App:
    """Set columns of the app: maintenance, required_checks, deploy_paused, deploy_paused_until, settings, buildpack."""
    allowed = {"maintenance", "required_checks", "deploy_paused", "deploy_paused_until", "settings", "buildpack"}
    unknown = set(changes) - allowed
    if unknown:
        raise UserError(
            f"Unknown setting: {', '.join(sorted(unknown))}.", hint=f"settings are {', '.join(sorted(allowed))}"
        )
    for key, value in changes.items():
        setattr(app, key, value)
    app.save(update_fields=[*changes, "updated_at"])
    audit(actor=actor, action="app.settings", app=app, detail={"changed": sorted(changes)})
    return app


def switch_certificates(*, app: App, on: bool) -> None:
    """Set whether Greenroom makes certificates for the app's domains. The caller writes the audit log."""
    app.acm = on
    app.save(update_fields=["acm", "updated_at"])


def note_released(*, pk: UUID, https: bool) -> None:
    """Set the time of the app's newest release that went live, and whether that sends visitors to HTTPS."""
    App.objects.filter(pk=pk).update(released_at=clock.now(), https=https)


@transaction.atomic
def add_collaborator(*, actor: Actor, app: App, email: str, role: str = "developer") -> Collaborator:
    """Let an account into the app, or change its role. NotFoundError if there is no such account."""
    if role not in rules.ROLES:
        raise UserError(f"Role {role!r} does not exist.", hint=f"roles are {', '.join(rules.ROLES)}")
    account = by_email(email)
    if account is None:
        raise NotFoundError(
            f"There is no account for {email}.", hint=f"greenroom accounts:create {email}", resource="account"
        )
    row, _ = Collaborator.objects.update_or_create(app=app, account=account, defaults={"role": role})
    audit(actor=actor, action="access.add", app=app, detail={"email": account.email, "role": role})
    return row


@transaction.atomic
def remove_collaborator(*, actor: Actor, app: App, email: str) -> Collaborator:
    """Take an account's role in the app away."""
    row = queries.collaborator(app, email)
    audit(actor=actor, action="access.remove", app=app, detail={"email": row.account.email})
    row.delete()
    return row


@transaction.atomic
def add_domain(
    *, actor: Actor, app: App, hostname: str, reserved: tuple[str, ...] = (), proven: bool | None = False
) -> Domain:
    """A host name for the app. ``reserved``: names and zones that belong to the installation itself.

    A wildcard, and a name in or above a domain of another owner's app, needs a proof (``proven``) or an administrator.
    ForbiddenError without;
    PlatformError when that is not known (None).
    """
    try:
        normal = rules.normal_hostname(hostname)
    except ValueError as error:
        raise UserError(str(error), hint="use the form www.example.com") from error
    if any(normal == name or normal.endswith(f".{name}") for name in reserved):
        raise UserError(f"{normal} belongs to this installation.", hint="use a domain of your own")
    taken = Domain.objects.filter(hostname=normal).first()
    if taken is not None:
        whose = f"a domain of {app.name} already" if taken.app_id == app.pk else "currently in use by another app"
        raise ConflictError(f"{normal} is {whose}.", id="invalid_params")
    why = "" if proven or actor.is_admin else queries.needs_proof(app, normal)
    name, text = queries.proof_of(app, normal)
    if why and proven is None:
        raise PlatformError(
            f"{why} Whether the TXT record {name} shows that {rules.zone_of(normal)} is yours is not known: no name"
            " server of this machine answered.",
            hint=f'try again in a minute, or ask an administrator for: greenroom domains:add "{normal}" -a {app.name}',
        )
    if why:
        raise ForbiddenError(
            f"{why} A TXT record must show that {rules.zone_of(normal)} is yours, or an administrator adds the domain.",
            hint=(
                f'add to the DNS: {name} TXT "{text}" and try again, or ask an administrator for: greenroom domains:add'
                f' "{normal}" -a {app.name}'
            ),
        )
    row = Domain.objects.create(app=app, hostname=normal)
    audit(actor=actor, action="domain.add", app=app, detail={"hostname": normal})
    return row


@transaction.atomic
def remove_domain(*, actor: Actor, app: App, hostname: str) -> Domain:
    """Take a host name away from the app."""
    row = Domain.objects.filter(app=app, hostname=hostname.strip().lower().rstrip(".")).first()
    if row is None:
        raise NotFoundError(
            f"{hostname[:80]} is not a domain of {app.name}.",
            hint=f"greenroom domains -a {app.name}",
            resource="domain",
        )
    audit(actor=actor, action="domain.remove", app=app, detail={"hostname": row.hostname})
    Domain.objects.filter(pk=row.pk).delete()  # the row keeps its id for the answer
    return row
