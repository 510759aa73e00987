"""Creates, renames and destroys apps, and changes their collaborators, domains and settings."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Max

from greenroom.accounts.actions import access, audit
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
"""Tombstones of a former name only have numbers from here on. The numbers of apps, which give system uids, are lower.
"""


@transaction.atomic
def create(*, actor: Actor, name: str | None = None, bare: bool = False) -> App:
    """Create an app owned by the actor. UserError for an invalid name, ConflictError for a taken name or when the
    account has reached its app limit.
    """
    name = name or f"{secrets.choice(WORDS)}-{secrets.choice(WORDS)}-{secrets.randbelow(90000) + 10000}"
    _lock_names()
    _check_name(actor, name)
    owner = room_for_another(Account.objects.get(pk=actor.account))
    number = 1 + max(
        App.objects.aggregate(top=Max("number"))["top"] or 0,
        AppTombstone.objects.filter(number__lt=NAMES_ALONE).aggregate(top=Max("number"))["top"] or 0,
    )
    app = App.objects.create(number=number, name=name, owner=owner, bare=bare, required_checks=["tests", "scan"])
    audit(actor=actor, action="app.create", app=app)
    return app


def _lock_names() -> None:
    """Serialize the allocation of app names and numbers until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [NAMES_LOCK])


def lock_app(pk: UUID) -> App:
    """Lock one app until the transaction ends; its row as it is behind the lock. NotFoundError when it is gone."""
    row = (
        App.objects.select_for_update(no_key=True).filter(pk=pk).first()
    )  # no join: it would read rows before the lock
    if row is None:
        raise queries.gone()
    return row


def lock_apps(ids: Iterable[UUID]) -> list[App]:
    """Lock several apps until the transaction ends; returns the existing ones.

    A transaction that changes more than one app must call this first, before it locks the audit log or any other row:
    the fixed lock order prevents deadlocks.
    """
    return list(App.objects.select_for_update(no_key=True).filter(pk__in=set(ids)).order_by("pk"))


def lock_found(find: Callable[[], Iterable[UUID]], then: Callable[[], object] = lambda: None) -> list[App]:
    """Lock the apps that ``find`` returns. Calls ``find`` again after locking, and repeats if apps were added.

    then: takes the lock that adding an app also takes. Call this in a transaction, before anything else.
    """
    while True:
        ids = set(find())
        with transaction.atomic():
            rows = lock_apps(ids)
            then()
            if ids >= set(find()):
                return rows
            transaction.set_rollback(True)  # release the locks: the next round takes all of them in order


def room_for_another(owner: Account) -> Account:
    """Lock the account and return it. ConflictError when it is disabled or has reached its app limit (administrators
    have none).
    """
    owner = Account.objects.select_for_update(no_key=True).get(pk=owner.pk)
    if not owner.is_active:
        raise ConflictError(f"{owner.email} is disabled.", hint=f"greenroom accounts:enable {owner.email}")
    most = settings.ACCOUNT_APPS
    if most and not owner.is_admin and App.objects.filter(owner=owner).count() >= most:
        raise ConflictError(
            f"App limit of {owner.email} reached ({most}).",
            hint="remove an app: heroku apps:destroy -a APP; or ask the operator to raise GREENROOM_ACCOUNT_APPS",
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
            f"Name {name} was freed less than {FREED_NAME_DAYS} days ago and is reserved for its previous owner.",
            id="invalid_params",
        )


@transaction.atomic
def rename(*, actor: Actor, app: App, name: str) -> App:
    """Rename the app. Its id and folders stay. UserError for an invalid name, ConflictError for a taken name."""
    if name == app.name:
        return app
    _lock_names()
    app.name = lock_app(app.pk).name  # another request may have renamed it
    _check_name(actor, name)
    before = app.name
    AppTombstone.objects.create(name=before, number=_next_tombstone_number(), owner=app.owner, at=clock.now())
    app.name = name
    app.save(update_fields=["name", "updated_at"])
    audit(actor=actor, action="app.rename", app=app, detail={"before": before})
    return app


def _next_tombstone_number() -> int:
    """The number of a tombstone for a former name only: above all numbers of apps."""
    top = AppTombstone.objects.filter(number__gte=NAMES_ALONE).aggregate(top=Max("number"))["top"]
    return (top or NAMES_ALONE) + 1


def destroy(*, actor: Actor, app: App) -> None:
    """Delete the app's row and all dependent rows. The caller removes files and dynos.

    Locks the app's row first, so that concurrent changes of the app wait and then fail. NotFoundError when the app has
    already been destroyed.
    """
    for attempt in range(1, DESTROY_ATTEMPTS + 1):
        try:
            return _destroy(actor, app)
        except (IntegrityError, OperationalError):  # PostgreSQL has detected a deadlock
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
    access.changed()


@transaction.atomic
def change_settings(*, actor: Actor, app: App, **changes: Any) -> App:
    """Set columns of the app: maintenance, required_checks, deploy_paused, deploy_paused_until, settings, buildpacks.
    UserError for any other.
    """
    allowed = {"maintenance", "required_checks", "deploy_paused", "deploy_paused_until", "settings", "buildpacks"}
    unknown = set(changes) - allowed
    if unknown:
        raise UserError(
            f"Unknown setting: {', '.join(sorted(unknown))}.", hint=f"valid settings: {', '.join(sorted(allowed))}"
        )
    for key, value in changes.items():
        setattr(app, key, value)
    app.save(update_fields=[*changes, "updated_at"])
    audit(actor=actor, action="app.settings", app=app, detail={"changed": sorted(changes)})
    return app


def switch_certificates(*, app: App, on: bool) -> None:
    """Turn automatic certificates of the app on or off. The caller writes the audit log."""
    app.acm = on
    app.save(update_fields=["acm", "updated_at"])


def note_released(*, pk: UUID, https: bool) -> None:
    """Record that a release went live now, and whether the app redirects visitors to HTTPS."""
    App.objects.filter(pk=pk).update(released_at=clock.now(), https=https)


@transaction.atomic
def add_collaborator(*, actor: Actor, app: App, email: str, role: str = "developer") -> Collaborator:
    """Add a collaborator, or change the role. UserError for an unknown role, NotFoundError for an unknown account."""
    if role not in rules.ROLES:
        raise UserError(f"Role {role!r} does not exist.", hint=f"valid roles: {', '.join(rules.ROLES)}")
    account = by_email(email)
    if account is None:
        raise NotFoundError(f"No account for {email}.", hint=f"greenroom accounts:create {email}", resource="account")
    row, _ = Collaborator.objects.update_or_create(app=app, account=account, defaults={"role": role})
    access.changed()
    audit(actor=actor, action="access.add", app=app, detail={"email": account.email, "role": role})
    return row


@transaction.atomic
def remove_collaborator(*, actor: Actor, app: App, email: str) -> Collaborator:
    """Remove a collaborator. NotFoundError when the account is not a collaborator."""
    row = queries.collaborator(app, email)
    audit(actor=actor, action="access.remove", app=app, detail={"email": row.account.email})
    row.delete()
    access.changed()
    return row


@transaction.atomic
def add_domain(
    *, actor: Actor, app: App, hostname: str, reserved: tuple[str, ...] = (), proven: bool | None = False
) -> Domain:
    """Add a domain to the app. ``reserved``: host names and zones of the installation itself.

    A wildcard, and a parent or subdomain of another owner's domain, requires a verified TXT record (``proven``) or an
    administrator: ForbiddenError without, PlatformError when the DNS lookup failed (``proven`` is None). UserError for
    an invalid or reserved name, ConflictError for a taken one.
    """
    try:
        normal = rules.normal_hostname(hostname)
    except ValueError as error:
        raise UserError(str(error), hint="use the form www.example.com") from error
    if any(normal == name or normal.endswith(f".{name}") for name in reserved):
        raise UserError(f"{normal} belongs to this installation.", hint="use a domain of your own")
    taken = Domain.objects.filter(hostname=normal).first()
    if taken is not None:
        whose = f"already a domain of {app.name}" if taken.app_id == app.pk else "currently in use by another app"
        raise ConflictError(f"{normal} is {whose}.", id="invalid_params")
    why = "" if proven or actor.is_admin else queries.needs_proof(app, normal)
    name, text = queries.proof_of(app, normal)
    if why and proven is None:
        raise PlatformError(
            f"{why} Ownership of {rules.zone_of(normal)} could not be verified with the TXT record {name}: no name"
            " server answered.",
            hint=f'try again in a minute, or ask an administrator for: greenroom domains:add "{normal}" -a {app.name}',
        )
    if why:
        raise ForbiddenError(
            f"{why} Verify that you own {rules.zone_of(normal)} with a TXT record, or ask an administrator to add the"
            " domain.",
            hint=(
                f'add the DNS record {name} TXT "{text}" and try again, or ask an administrator for: greenroom'
                f' domains:add "{normal}" -a {app.name}'
            ),
        )
    row = Domain.objects.create(app=app, hostname=normal)
    audit(actor=actor, action="domain.add", app=app, detail={"hostname": normal})
    return row


@transaction.atomic
def remove_domain(*, actor: Actor, app: App, hostname: str) -> Domain:
    """Remove a domain from the app. NotFoundError when it is not a domain of the app."""
    row = Domain.objects.filter(app=app, hostname=hostname.strip().lower().rstrip(".")).first()
    if row is None:
        raise NotFoundError(
            f"{hostname[:80]} is not a domain of {app.name}.",
            hint=f"greenroom domains -a {app.name}",
            resource="domain",
        )
    audit(actor=actor, action="domain.remove", app=app, detail={"hostname": row.hostname})
    Domain.objects.filter(pk=row.pk).delete()  # ``row`` keeps its id for the response
    return row
