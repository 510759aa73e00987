"""Writes the certificates of custom domains (Heroku's SNI endpoints) and assigns domains to them."""

from __future__ import annotations

import secrets
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import PLATFORM, Actor
from greenroom.apps.actions import WORDS, lock_app, switch_certificates
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App, Domain
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.config_vars.actions import data_key
from greenroom.config_vars.drivers.encryption import seal, unseal
from greenroom.router.drivers import certificate_authority, certificates
from greenroom.router.drivers.certificates import covers
from greenroom.router.models import DomainCertificate, SniEndpoint

MOST = 50


@transaction.atomic
def add(*, actor: Actor, app: App, home: Path, chain: str, key: str) -> SniEndpoint:
    """Add a certificate and assign it to the domains that it covers and that have none. UserError."""
    app = lock_app(app.pk)
    if app.sni_endpoints.count() >= MOST:
        raise UserError(
            f"Certificate limit of {app.name} reached ({MOST}).",
            hint=f"heroku certs:remove --name NAME -a {app.name}",
        )
    row = SniEndpoint(
        app=app, name=f"{secrets.choice(WORDS)}-{secrets.choice(WORDS)}-{secrets.randbelow(90000) + 10000}"
    )
    _fill(row, home, chain, key)
    audit(actor=actor, action="certificate.add", app=app, detail=_detail(row))
    settle(app=app)
    wake()
    return row


@transaction.atomic
def replace(*, actor: Actor, app: App, home: Path, name: str, chain: str, key: str) -> SniEndpoint:
    """Replace chain and key of a certificate. UserError if it would no longer cover one of its domains."""
    app = lock_app(app.pk)
    row = find(app, name)
    if row.issued:
        raise UserError(
            f"{row.name} is issued and renewed automatically by Greenroom.",
            hint=f"add your own certificate: heroku certs:add CRT KEY -a {app.name}",
        )
    judged = certificates.judge(chain=chain, key=key, now=clock.now())
    lost = [
        use.domain.hostname
        for use in row.uses.select_related("domain")
        if not covers(judged.names, use.domain.hostname)
    ]
    if lost:
        raise UserError(
            f"The new certificate does not cover {', '.join(lost)}, which {row.name} serves.",
            hint=f"it is for {', '.join(judged.names)}",
        )
    _fill(row, home, chain, key)
    audit(actor=actor, action="certificate.change", app=app, detail=_detail(row))
    settle(app=app)
    wake()
    return row


@transaction.atomic
def remove(*, actor: Actor, app: App, name: str) -> SniEndpoint:
    """Remove a certificate and its key. Its domains are assigned to another certificate that covers them, if any."""
    app = lock_app(app.pk)
    row = find(app, name)
    if row.issued and app.acm:
        raise UserError(
            f"{row.name} is an automatic certificate and cannot be removed.",
            hint=f"heroku certs:auto:disable -a {app.name}",
        )
    audit(actor=actor, action="certificate.remove", app=app, detail=_detail(row))
    SniEndpoint.objects.filter(pk=row.pk).delete()
    settle(app=app)
    wake()
    return row


@transaction.atomic
def choose(*, actor: Actor, app: App, domain: Domain, name: str | None) -> None:
    """Assign a certificate to the domain, or none. UserError if it does not cover the domain, NotFoundError if the
    domain no longer exists.
    """
    app = lock_app(app.pk)
    if not app.domains.filter(pk=domain.pk).exists():
        raise NotFoundError("Couldn't find that domain name.", hint=f"heroku domains -a {app.name}", resource="domain")
    DomainCertificate.objects.filter(domain=domain).delete()
    if name is not None:
        row = find(app, name)
        if not covers(row.names, domain.hostname):
            raise UserError(
                f"The certificate {row.name} covers {', '.join(row.names)}, not {domain.hostname}.",
                hint=f"heroku certs -a {app.name}",
            )
        DomainCertificate.objects.create(domain=domain, endpoint=row)
    audit(actor=actor, action="domain.certificate", app=app, detail={"hostname": domain.hostname, "certificate": name})
    wake()


@transaction.atomic
def settle(*, app: App) -> None:
    """Assign certificates to domains without one: uploaded certificates before automatic ones, the newest first."""
    app = lock_app(app.pk)
    rows = list(app.sni_endpoints.order_by("issued", "-created_at"))
    for domain in app.domains.filter(certificate__isnull=True):
        found = next((row for row in rows if covers(row.names, domain.hostname)), None)
        if found is not None:
            DomainCertificate.objects.create(domain=domain, endpoint=found)


@transaction.atomic
def switch_acm(*, actor: Actor, app: App, home: Path, on: bool, again: bool = False) -> App:
    """Turn automatic certificates of the app on or off. ``again``: issue a new one although the present one is
    valid.
    """
    app = lock_app(app.pk)
    if app.acm != on:
        switch_certificates(app=app, on=on)
        audit(actor=actor, action="certificate.auto", app=app, detail={"enabled": on})
    if not on or again:
        app.sni_endpoints.filter(issued=True).delete()
    renew(app=app, home=home)
    wake()
    return app


@transaction.atomic
def renew(*, app: App, home: Path) -> SniEndpoint | None:
    """Issue the app's automatic certificate if its domains have changed or it expires soon; None if it is up to
    date, or if the router gets certificates from an ACME CA.
    """
    app = lock_app(app.pk)
    if not app.acm:
        return None
    if settings.INSTALLATION["certificates"] == "acme":  # the router gets and renews them
        app.sni_endpoints.filter(issued=True).delete()
        return None
    names = sorted(app.domains.values_list("hostname", flat=True))
    row = app.sni_endpoints.filter(issued=True).first()
    if row and row.names == names and row.expires_at - clock.now() > certificate_authority.RENEW:
        return None
    if not names:
        app.sni_endpoints.filter(issued=True).delete()
        return None
    row = row or SniEndpoint(app=app, issued=True, name=_own_name(app))
    chain, key = certificate_authority.issue(home=home, names=names, now=clock.now())
    _fill(row, home, chain, key)
    audit(actor=PLATFORM, action="certificate.issue", app=app, detail=_detail(row))
    settle(app=app)
    return row


def _own_name(app: App) -> str:
    """The name of a new certificate of our own. The certificate of another app, which had this app's name before a
    rename, may already use the obvious name.
    """
    name = f"greenroom-ca-{app.name}"
    return f"{name}-{app.pk.hex[:8]}" if SniEndpoint.objects.filter(name=name).exists() else name


def renewable() -> QuerySet[App]:
    """Apps with automatic certificates."""
    return App.objects.filter(acm=True).select_related("owner")


def renew_all(*, home: Path) -> None:
    """Renew the automatic certificates of all apps."""
    for app in renewable():
        renew(app=app, home=home)


def find(app: App, name: str) -> SniEndpoint:
    """The app's certificate with that name or id. NotFoundError if there is none."""
    row = next((row for row in app.sni_endpoints.all() if name in (row.name, str(row.id))), None)
    if row is None:
        raise NotFoundError(
            f"{app.name} has no certificate {name[:80]}.", hint=f"heroku certs -a {app.name}", resource="sni_endpoint"
        )
    return row


def opened(row: SniEndpoint, home: Path) -> str:
    """The private key as PEM."""
    return unseal(data_key(app=row.app, home=home), bytes(row.sealed), f"certificate/{row.id}").decode()


def _fill(row: SniEndpoint, home: Path, chain: str, key: str) -> None:
    judged = certificates.judge(chain=chain, key=key, now=clock.now())
    same = SniEndpoint.objects.filter(app=row.app, chain=judged.chain).exclude(pk=row.pk).first()
    if same is not None:
        raise ConflictError(
            f"{row.app.name} already has this certificate: {same.name}.",
            hint=f"heroku certs:info --name {same.name}",
            id="invalid_params",
        )
    row.chain, row.names, row.expires_at = judged.chain, list(judged.names), judged.expires_at
    row.sealed = seal(data_key(app=row.app, home=home), judged.key, f"certificate/{row.id}")
    row.save()


def _detail(row: SniEndpoint) -> dict[str, object]:
    return {"certificate": row.name, "names": list(row.names), "expires_at": clock.heroku_time(row.expires_at)}
