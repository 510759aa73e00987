"""Reads routes, and the certificates for Caddy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from django.conf import settings

from greenroom.apps.models import App, Domain
from greenroom.dynos.models import Dyno, Formation, Rollout
from greenroom.dynos.queries import process_types, serving_rollouts, wanted
from greenroom.dynos.rules import quantities
from greenroom.router.drivers import certificates, router_certificates
from greenroom.router.models import DomainCertificate, Route, SniEndpoint
from greenroom.router.rules import FIRST_STATES, Facts, Target, Web, target


def sites() -> dict[str, str]:
    """Host name -> the app's folder below ``run/router``, for all host names of all apps."""
    domain = settings.INSTALLATION["domain"]
    own = {f"{name}.{domain}": app_id.hex for app_id, name in App.objects.values_list("id", "name")}
    return {hostname: app_id.hex for app_id, hostname in Domain.objects.values_list("app_id", "hostname")} | own


def certified() -> dict[str, str]:
    """Host name -> the app's folder, for the names for which the router may get certificates from an ACME CA: the
    default domains of all apps, and the domains, without wildcards, of apps with automatic certificates.

    Names that have an uploaded certificate are not among them.
    """
    installation = settings.INSTALLATION
    if installation["certificates"] != "acme":
        return {}
    custom = Domain.objects.filter(app__acm=True, certificate__isnull=True).exclude(hostname__startswith="*")
    own = {f"{name}.{installation['domain']}": pk.hex for pk, name in App.objects.values_list("id", "name")}
    return {hostname: pk.hex for pk, hostname in custom.values_list("app_id", "hostname")} | own


def served() -> list[tuple[SniEndpoint, tuple[str, ...]]]:
    """Each certificate in use with its domains, in a fixed order."""
    uses = DomainCertificate.objects.select_related("endpoint__app", "domain").order_by(
        "endpoint__name", "domain__hostname"
    )
    found: dict[str, tuple[SniEndpoint, list[str]]] = {}
    for use in uses:
        found.setdefault(use.endpoint.name, (use.endpoint, []))[1].append(use.domain.hostname)
    return [(row, tuple(hosts)) for row, hosts in found.values()]


def acm_status(domain: Domain, home: Path) -> tuple[str | None, str | None]:
    """Heroku's words for the automatic certificate of a domain, and why it is missing. (None, None) for an app without
    automatic certificates.
    """
    if not domain.app.acm:
        return None, None
    if settings.INSTALLATION["certificates"] != "acme":
        return "cert issued", None
    if domain.hostname.startswith("*"):
        return "failed", "An ACME CA needs a DNS record for a wildcard. Upload a certificate: heroku certs:add CRT KEY"
    if router_certificates.newest(home, domain.hostname):
        return "cert issued", None
    return "pending", "It is issued at the first HTTPS request. The DNS of the domain must point to this server."


def described(row: SniEndpoint) -> dict[str, object]:
    """Issuer, subject and dates of the certificate, and whether it is self-signed."""
    return certificates.described(row.chain)


def tag(row: SniEndpoint) -> str:
    """A tag that changes whenever the certificate does."""
    return f"{row.name}/{row.updated_at.timestamp():.6f}"


def facts(app: App, live: Rollout | None) -> Facts:
    """The facts for the app's route."""
    route = Route.objects.filter(app=app).first()
    dynos = list(Dyno.objects.filter(release_id=live.release_id, **SERVING)) if live else []
    first = route.page.partition("-")[2] if route else ""
    return _facts(
        app, live, dynos, route.sockets if route else [], wanted(app, live.release).get("web", 0) if live else 0, first
    )


SERVING: dict[str, Any] = {"kind": "web", "state__in": ("wanted", "starting", "up")}


def _facts(app: App, live: Rollout | None, dynos: Sequence[Dyno], now: Sequence[str], count: int, first: str) -> Facts:
    return Facts(
        has_release=live is not None,
        maintenance=app.maintenance,
        wanted=count,
        webs=[Web(dyno.endpoint, dyno.healthy and dyno.state == "up", dyno.restarts) for dyno in dynos],
        now=now,
        first=first,
    )


def goals(
    states: Mapping[object, str] = MappingProxyType({}),
) -> list[tuple[App, Rollout | None, Route | None, Target]]:
    """Each app with the roll-out that gets its traffic, its route and the target of the route: five queries for any
    number of apps.

    states: app id -> state of the newest delivery, for apps without a live release.
    """
    lives = serving_rollouts()
    routes = {route.app_id: route for route in Route.objects.all()}
    webs: dict[object, list[Dyno]] = defaultdict(list)
    for dyno in Dyno.objects.filter(release_id__in=[rollout.release_id for rollout in lives.values()], **SERVING):
        webs[dyno.app_id].append(dyno)
    formations: dict[object, dict[str, int]] = defaultdict(dict)
    for app_id, kind, quantity in Formation.objects.values_list("app_id", "type", "quantity"):
        formations[app_id][kind] = quantity
    found = []
    for app in App.objects.all():
        live, route = lives.get(app.id), routes.get(app.id)
        count = quantities(formations[app.id], process_types(live.release)).get("web", 0) if live else 0
        first = FIRST_STATES.get(states.get(app.id, ""), "")
        found.append(
            (app, live, route, target(_facts(app, live, webs[app.id], route.sockets if route else [], count, first)))
        )
    return found
