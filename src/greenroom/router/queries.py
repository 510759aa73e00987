"""Reads routes and the list of sites that Caddy has to know."""

from __future__ import annotations

from collections import defaultdict

from greenroom.apps.models import App, Domain
from greenroom.dynos.models import Dyno, Rollout
from greenroom.dynos.queries import wanted
from greenroom.dynos.specs import socket_of
from greenroom.router.caddy import Site
from greenroom.router.models import DomainCertificate, Route, SniEndpoint
from greenroom.router.rules import Facts, Web


def sites() -> list[Site]:
    """Every app with all its host names, in a fixed order."""
    domains: dict[object, list[str]] = defaultdict(list)
    for app_id, hostname in Domain.objects.order_by("hostname").values_list("app_id", "hostname"):
        domains[app_id].append(hostname)
    apps = App.objects.order_by("number").values_list("id", "name")
    return [Site(folder=app_id.hex, hosts=(f"{name}.localhost", *domains[app_id])) for app_id, name in apps]


def served() -> list[tuple[SniEndpoint, tuple[str, ...]]]:
    """Each certificate that some domain is served with, and those domains, in a fixed order."""
    uses = DomainCertificate.objects.select_related("endpoint__app", "domain").order_by("endpoint__name", "domain__hostname")
    found: dict[str, tuple[SniEndpoint, list[str]]] = {}
    for use in uses:
        found.setdefault(use.endpoint.name, (use.endpoint, []))[1].append(use.domain.hostname)
    return [(row, tuple(hosts)) for row, hosts in found.values()]


def tag(row: SniEndpoint) -> str:
    """Changes whenever the certificate does."""
    return f"{row.name}/{row.updated_at.timestamp():.6f}"


def facts(app: App, live: Rollout | None) -> Facts:
    """What decides the app's route now."""
    route = Route.objects.filter(app=app).first()
    rows = (
        Dyno.objects.filter(release_id=live.release_id, kind="web", state__in=("wanted", "starting", "up"))
        if live
        else []
    )
    return Facts(
        has_release=live is not None,
        maintenance=app.maintenance,
        wanted=wanted(app, live.release).get("web", 0) if live else 0,
        webs=[Web(socket_of(dyno), dyno.healthy and dyno.state == "up", dyno.restarts) for dyno in rows],
        now=route.sockets if route else [],
    )
