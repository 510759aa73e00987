"""The API of domains, certificates (SNI endpoints) and certificates issued by Greenroom (ACM)."""

from __future__ import annotations

import ssl
import uuid
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from django.conf import settings

from greenroom.apps import queries
from greenroom.apps.models import App, Domain
from greenroom.apps.rules import normal_hostname
from greenroom.basics import clock, dns
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.entrypoints.api import shapes
from greenroom.entrypoints.api.listing import USUAL, Listing, each
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.router import queries as router
from greenroom.router.actions import domains, sni_endpoints
from greenroom.router.models import SniEndpoint

OWN_CA = (
    "It is signed by this installation's own CA, and trusted by clients with its ca.pem. For the public, add one of a"
    " public CA: heroku certs:add CRT KEY"
)


def _domain(row: Domain) -> dict[str, Any]:
    use = getattr(row, "certificate", None)
    endpoint = {"id": str(use.endpoint_id), "name": use.endpoint.name} if use else None
    status, reason = router.acm_status(row, HOME)
    return {
        "id": str(row.id),
        "hostname": row.hostname,
        "kind": row.kind,
        "cname": queries.default_domain(row.app),
        "status": "none",
        "acm_status": status,
        "acm_status_reason": reason,
        "sni_endpoint": endpoint,
        "app": {"id": str(row.app_id), "name": row.app.name},
        "created_at": clock.heroku_time(row.created_at),
        "updated_at": clock.heroku_time(row.updated_at),
    }


def _find(call: Call) -> Domain:
    """The domain of the path, by host name or id."""
    wanted = call.params["hostname"].lower()
    rows = Domain.objects.select_related("app", "certificate__endpoint").filter(app=call.app)
    try:
        row = rows.filter(pk=uuid.UUID(wanted)).first()
    except ValueError:
        row = rows.filter(hostname=wanted).first()
    if row is None:
        raise NotFoundError(
            "Couldn't find that domain name.", hint=f"heroku domains -a {call.app.name}", resource="domain"
        )
    return row


@route("GET", "/apps/{app}/domains", "view", returns="[domain]")
def list_domains(call: Call) -> Listing:
    """List the app's domains: its default domain first, then custom domains."""
    app = call.app
    own = {
        "id": str(app.id),
        "hostname": queries.default_domain(app),
        "kind": "heroku",
        "cname": None,
        "status": "none",
        "acm_status": None,
        "acm_status_reason": None,
        "sni_endpoint": None,
        "app": {"id": str(app.id), "name": app.name},
        "created_at": clock.heroku_time(app.created_at),
        "updated_at": clock.heroku_time(app.updated_at),
    }
    rows = app.domains.select_related("app", "certificate__endpoint")
    return Listing(rows, each(_domain), "hostname", {"hostname": "hostname", **USUAL}, first=(own,))


@route("POST", "/apps/{app}/domains", "domains", takes="domain.create", returns="201 domain")
def add_domain(call: Call) -> Reply:
    """Add a domain to the app: {hostname, sni_endpoint: name or null}.

    A certificate that covers it is assigned automatically.
    """
    app = call.app
    hostname = call.text("hostname", required=True)
    own = [settings.INSTALLATION.get("host", ""), settings.INSTALLATION["domain"]]
    reserved = ("localhost", "greenroom.internal", *filter(None, own))
    proven = not call.actor.is_admin and _is_proven(app, hostname)
    row = domains.add(
        actor=call.actor,
        app=app,
        home=HOME,
        hostname=hostname,
        reserved=reserved,
        proven=proven,
        certificate=call.text("sni_endpoint"),
    )
    return Reply(_domain(_fresh(row)), 201)


def _is_proven(app: App, hostname: str) -> bool | None:
    """Whether a DNS record proves the ownership of the domain; False if no proof is needed.

    None if the DNS query failed.
    """
    try:
        normal = normal_hostname(hostname)
    except ValueError:
        return False
    if not queries.needs_proof(app, normal):
        return False
    name, text = queries.proof_of(app, normal)
    found = dns.txt(name)
    return None if found is None else text in found


def _fresh(row: Domain) -> Domain:
    return Domain.objects.select_related("app", "certificate__endpoint").get(pk=row.pk)


@route("GET", "/apps/{app}/domains/{hostname}", "view", returns="domain")
def get_domain(call: Call) -> dict[str, Any]:
    """Get one custom domain, by host name or id."""
    return _domain(_find(call))


@route("PATCH", "/apps/{app}/domains/{hostname}", "domains", takes="domain.update", returns="domain")
def change_domain(call: Call) -> dict[str, Any]:
    """Assign another certificate: {sni_endpoint: name, id or null}."""
    if "sni_endpoint" not in call.body:
        raise UserError(
            "sni_endpoint is missing: the name of a certificate, or null.", hint=f"heroku certs -a {call.app.name}"
        )
    row = _find(call)
    sni_endpoints.choose(actor=call.actor, app=call.app, domain=row, name=call.text("sni_endpoint") or None)
    return _domain(_fresh(row))


@route("DELETE", "/apps/{app}/domains/{hostname}", "domains", returns="domain")
def remove_domain(call: Call) -> dict[str, Any]:
    """Remove a domain."""
    body = _domain(_find(call))
    domains.remove(actor=call.actor, app=call.app, home=HOME, hostname=body["hostname"])
    return body


@lru_cache(maxsize=1)
def _public_roots() -> Store | None:
    """The CAs that this machine trusts."""
    rows = ssl.create_default_context().get_ca_certs(binary_form=True)
    found = []
    for row in rows:
        try:
            found.append(x509.load_der_x509_certificate(row))
        except ValueError:
            continue
    return Store(found) if found else None


@lru_cache(maxsize=200)
def _publicly_signed(chain: str, name: str) -> bool:
    store = _public_roots()
    if store is None:
        return False
    leaf, *rest = x509.load_pem_x509_certificates(chain.encode())
    try:
        PolicyBuilder().store(store).build_server_verifier(x509.DNSName(name.replace("*", "any"))).verify(leaf, rest)
    except (VerificationError, ValueError):
        return False
    return True


def _endpoint(row: SniEndpoint) -> dict[str, Any]:
    facts = router.described(row)
    uses = list(row.uses.select_related("domain").order_by("domain__hostname"))
    return {
        "id": str(row.id),
        "name": row.name,
        "display_name": None,
        "certificate_chain": row.chain,
        "cname": None,
        "domains": [str(use.domain_id) for use in uses],
        "app": {"id": str(row.app_id), "name": row.app.name},
        "ssl_cert": {
            "acm": row.issued,
            "ca_signed?": _publicly_signed(row.chain, row.names[0]),
            "cert_domains": row.names,
            "expires_at": facts["expires_at"],
            "issuer": facts["issuer"],
            "self_signed?": facts["self_signed"],
            "starts_at": facts["starts_at"],
            "subject": facts["subject"],
            "id": str(row.id),
        },
        "created_at": clock.heroku_time(row.created_at),
        "updated_at": clock.heroku_time(row.updated_at),
    }


@route("GET", "/apps/{app}/sni-endpoints", "view", returns="[sni-endpoint]")
def list_endpoints(call: Call) -> list[dict[str, Any]]:
    """List the app's certificates, oldest first; without keys."""
    return [_endpoint(row) for row in call.app.sni_endpoints.select_related("app").order_by("created_at")]


@route("POST", "/apps/{app}/sni-endpoints", "domains", takes="sni-endpoint.create", returns="201 sni-endpoint")
def add_endpoint(call: Call) -> Reply:
    """Add a certificate: {certificate_chain, private_key}, both PEM.

    It is assigned to the domains that it covers and that have none.
    """
    chain, key = call.text("certificate_chain", required=True), call.text("private_key", required=True)
    row = sni_endpoints.add(actor=call.actor, app=call.app, home=HOME, chain=chain, key=key)
    hosts = [use.domain.hostname for use in row.uses.select_related("domain")]
    text = (
        f"Served for {', '.join(hosts)}."
        if hosts
        else f"No domain of {call.app.name} uses it yet: heroku domains:add {row.names[0]} -a {call.app.name}"
    )
    return Reply(_endpoint(row), 201, {"X-Heroku-Warning": text[:1000]})


@route("GET", "/apps/{app}/sni-endpoints/{name}", "view", returns="sni-endpoint")
def get_endpoint(call: Call) -> dict[str, Any]:
    """Get one certificate, by name or id."""
    return _endpoint(sni_endpoints.find(call.app, call.params["name"]))


@route("PATCH", "/apps/{app}/sni-endpoints/{name}", "domains", takes="sni-endpoint.create", returns="sni-endpoint")
def replace_endpoint(call: Call) -> dict[str, Any]:
    """Replace the chain and key of a certificate; its name stays."""
    chain, key = call.text("certificate_chain", required=True), call.text("private_key", required=True)
    row = sni_endpoints.replace(
        actor=call.actor, app=call.app, home=HOME, name=call.params["name"], chain=chain, key=key
    )
    return _endpoint(row)


@route("DELETE", "/apps/{app}/sni-endpoints/{name}", "domains", returns="sni-endpoint")
def remove_endpoint(call: Call) -> dict[str, Any]:
    """Delete a certificate and its key."""
    body = _endpoint(sni_endpoints.find(call.app, call.params["name"]))
    sni_endpoints.remove(actor=call.actor, app=call.app, name=call.params["name"])
    return body


def _acm(call: Call, *, on: bool, again: bool = False) -> Reply:
    app = sni_endpoints.switch_acm(actor=call.actor, app=call.app, home=HOME, on=on, again=again)
    own = settings.INSTALLATION["certificates"] == "own"
    return Reply(shapes.app(app), 200, {"X-Heroku-Warning": OWN_CA} if on and own else {})


@route("POST", "/apps/{app}/acm", "domains", returns="app")
def enable_acm(call: Call) -> Reply:
    """Issue certificates of the installation's CA (its own, or a public one) for all custom domains, and renew them."""
    return _acm(call, on=True)


@route("PATCH", "/apps/{app}/acm", "domains", returns="app")
def refresh_acm(call: Call) -> Reply:
    """Renew these certificates now."""
    if not call.app.acm:
        raise UserError(
            f"Automatic certificates are off for {call.app.name}.", hint=f"heroku certs:auto:enable -a {call.app.name}"
        )
    return _acm(call, on=True, again=True)


@route("DELETE", "/apps/{app}/acm", "domains", returns="app")
def disable_acm(call: Call) -> Reply:
    """Disable certificates issued by Greenroom."""
    return _acm(call, on=False)
