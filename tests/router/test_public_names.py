"""The router's names: certificates only for known names, the API at the base domain, and headers of trusted proxies."""

from __future__ import annotations

import json

import pytest

from greenroom.apps.queries import default_domain, hostnames, web_url
from greenroom.router import queries
from greenroom.router.actions import domains, sni_endpoints
from greenroom.router.drivers import caddy
from greenroom.router.rules import caddy_routes, public_names

NAMED = {
    "bind": "0.0.0.0",
    "http_port": 80,
    "https_port": 443,
    "domain": "staging.example.org",
    "certificates": "acme",
    "email": "ops@example.org",
    "trusted_proxies": [],
}


@pytest.fixture
def named(settings):
    settings.INSTALLATION = {**settings.INSTALLATION, **NAMED}
    return settings.INSTALLATION


def test_without_a_domain_no_certificate_is_asked_for_and_no_name_is_the_apis():
    text = json.dumps(caddy.render({"bind": "127.0.0.1", "http_port": 8080, "https_port": 8443}))
    assert "automation" not in text
    assert public_names.ASK not in text
    assert public_names.SOCKET not in text


def test_certificates_are_asked_for_on_demand_from_the_given_ca():
    found = caddy.render({**NAMED, "acme_ca": "https://ca.example.org/directory", "acme_root": True})
    automation = found["apps"]["tls"]["automation"]
    (issuer,) = automation["policies"][0]["issuers"]
    assert automation["policies"][0]["on_demand"] is True
    assert issuer["ca"] == "https://ca.example.org/directory"
    assert issuer["trusted_roots_pem_files"] == [public_names.ROOT]
    assert automation["on_demand"]["permission"]["endpoint"] == f"http://127.0.0.1:80{public_names.ASK}"


def test_keys_that_are_sent_to_caddy_do_not_remove_the_automation():
    config = caddy.render(NAMED)
    with_keys = caddy.with_keys(config, [("tag", "chain", "key")])
    assert with_keys["apps"]["tls"]["automation"] == config["apps"]["tls"]["automation"]
    assert with_keys["apps"]["tls"]["certificates"]["load_pem"]


def test_the_api_is_not_served_over_plain_http():
    plain = json.dumps(public_names.api(NAMED, secure=False))
    assert public_names.SOCKET not in plain
    assert "308" in plain
    assert public_names.SOCKET in json.dumps(public_names.api(NAMED, secure=True))


def test_an_untrusted_client_keeps_no_header_of_a_proxy():
    (removal,) = public_names.described(NAMED, caddy_routes.SPOOFED)
    assert "X-Forwarded-*" in removal["handle"][0]["request"]["delete"]


@pytest.mark.django_db
def test_all_names_of_an_app_follow_the_domain(shop, named):
    assert default_domain(shop) == "shop.staging.example.org" == hostnames(shop)[0]
    assert queries.sites() == {"shop.staging.example.org": shop.id.hex}
    assert web_url(shop, named) == "https://shop.staging.example.org/"
    assert web_url(shop, {**named, "certificates": "own", "http_port": 8080}) == "http://shop.staging.example.org:8080/"


@pytest.mark.django_db
def test_only_known_names_without_a_wildcard_may_get_a_certificate(alice, shop, named, tmp_path):
    words = {"actor": alice, "app": shop, "home": tmp_path, "reserved": (), "proven": True}
    for hostname in ("www.shop.example", "*.shop.example"):
        domains.add(hostname=hostname, **words)
    assert set(queries.certified()) == {"shop.staging.example.org"}
    sni_endpoints.switch_acm(actor=alice, app=shop, home=tmp_path, on=True)
    assert set(queries.certified()) == {"shop.staging.example.org", "www.shop.example"}
    assert not shop.sni_endpoints.exists()


@pytest.mark.django_db
def test_the_status_of_an_automatic_certificate_is_that_of_the_routers_storage(alice, shop, named, tmp_path):
    words = {"actor": alice, "app": shop, "home": tmp_path, "reserved": (), "proven": True}
    row = domains.add(hostname="www.shop.example", **words)
    wildcard = domains.add(hostname="*.shop.example", **words)
    assert queries.acm_status(row, tmp_path) == (None, None)
    row.app.acm = wildcard.app.acm = True
    assert queries.acm_status(row, tmp_path)[0] == "pending"
    stored = tmp_path / "caddy/caddy/certificates/ca/www.shop.example/www.shop.example.crt"
    stored.parent.mkdir(parents=True)
    stored.touch()
    assert queries.acm_status(row, tmp_path) == ("cert issued", None)
    assert queries.acm_status(wildcard, tmp_path)[0] == "failed"
