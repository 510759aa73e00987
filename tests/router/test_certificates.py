"""Certificates of custom domains: refusals and their messages, the certificate of each domain, and no keys in clear
text.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from greenroom.apps import actions as apps
from greenroom.basics import clock
from greenroom.basics.errors import GreenroomError
from greenroom.router import queries
from greenroom.router.actions import sni_endpoints
from greenroom.router.drivers import caddy, certificates
from greenroom.router.models import SniEndpoint
from greenroom_cli.host import keys
from tests.router.certificates import Authority, certificate, new_key, pem

NOW = clock.now()
CA = Authority()


def refusal(chain, key, now=NOW):
    with pytest.raises(GreenroomError) as caught:
        certificates.judge(chain=chain, key=key, now=now)
    assert caught.value.hint
    return caught.value.message


def test_a_chain_with_its_key_is_taken_with_its_names():
    chain, key = CA.leaf("www.example.com", "*.Example.com")
    found = certificates.judge(chain=chain, key=key, now=NOW)
    assert found.names == ("www.example.com", "*.example.com")
    assert found.chain.count("BEGIN CERTIFICATE") == 2
    assert found.expires_at > NOW


def test_an_old_certificate_without_alternative_names_is_for_its_common_name():
    key = new_key(2048)
    found = certificates.judge(chain=pem(certificate(key=key, common="old.example.com")), key=pem(key), now=NOW)
    assert found.names == ("old.example.com",)


def test_what_is_wrong_is_said_precisely():
    chain, key = CA.leaf("www.example.com")
    other = CA.leaf("www.example.com")[1]
    leaf, intermediate = [
        part + "-----END CERTIFICATE-----\n" for part in chain.split("-----END CERTIFICATE-----\n")[:2]
    ]
    assert "does not belong to the certificate of CN=test" in refusal(chain, other)
    assert "belongs to certificate 2 of the chain" in refusal(intermediate + leaf, key)
    assert "Certificate 2 of the chain, CN=Test Root, has not issued certificate 1" in refusal(leaf + pem(CA.root), key)
    assert "The certificate file is not PEM" in refusal("hello", key)
    assert "contains a private key" in refusal(key, chain)
    assert "The key file is not a PEM private key" in refusal(chain, chain)
    assert "Encrypted private keys are not supported." in refusal(chain, pem(new_key(), b"secret"))
    assert "expired on 20" in refusal(chain, key, NOW + timedelta(days=91))
    assert "is not valid before 20" in refusal(chain, key, NOW - timedelta(days=2))
    small = new_key(1024)
    assert "1024 bits" in refusal(pem(certificate(["a.example.com"], key=small)), pem(small))
    assert "longer than" in refusal("x" * 100_001, key)


def test_a_star_stands_for_one_label():
    assert certificates.covers(["*.example.com"], "www.example.com")
    assert not certificates.covers(["*.example.com"], "a.www.example.com")
    assert not certificates.covers(["*.example.com"], "example.com")
    assert certificates.covers(["*.example.com"], "*.example.com")


@pytest.fixture
def site(shop, alice):
    return apps.add_domain(actor=alice, app=shop, hostname="www.example.com")


def add(app, actor, home, *names):
    chain, key = CA.leaf(*names)
    return sni_endpoints.add(actor=actor, app=app, home=home, chain=chain, key=key)


@pytest.mark.django_db
def test_a_certificate_serves_the_domains_that_it_covers(shop, alice, home, site):
    first = add(shop, alice, home, "www.example.com")
    assert queries.served() == [(first, ("www.example.com",))]
    second = add(shop, alice, home, "*.example.com")
    assert queries.served() == [(first, ("www.example.com",))], "a domain keeps what it has"
    sni_endpoints.choose(actor=alice, app=shop, domain=site, name=second.name)
    assert queries.served() == [(second, ("www.example.com",))]
    sni_endpoints.remove(actor=alice, app=shop, name=second.name)
    assert queries.served() == [(first, ("www.example.com",))]


@pytest.mark.django_db
def test_a_certificate_for_other_names_serves_no_domain(shop, alice, home, site):
    row = add(shop, alice, home, "other.example.com")
    assert queries.served() == []
    with pytest.raises(GreenroomError, match=r"covers other.example.com, not www.example.com"):
        sni_endpoints.choose(actor=alice, app=shop, domain=site, name=row.name)
    with pytest.raises(GreenroomError, match="has no certificate nosuch"):
        sni_endpoints.choose(actor=alice, app=shop, domain=site, name="nosuch")


@pytest.mark.django_db
def test_a_certificate_is_replaced_but_never_by_one_that_leaves_a_domain_bare(shop, alice, home, site):
    row = add(shop, alice, home, "www.example.com")
    before = queries.tag(row)
    chain, key = CA.leaf("else.example.com")
    with pytest.raises(GreenroomError, match=r"does not cover www.example.com"):
        sni_endpoints.replace(actor=alice, app=shop, home=home, name=row.name, chain=chain, key=key)
    chain, key = CA.leaf("www.example.com", "else.example.com")
    sni_endpoints.replace(actor=alice, app=shop, home=home, name=row.name, chain=chain, key=key)
    ((now, _),) = queries.served()
    assert now.name == row.name
    assert queries.tag(now) != before
    assert sni_endpoints.opened(now, home) == key


@pytest.mark.django_db
def test_a_private_key_stands_neither_in_rows_nor_in_the_file_that_caddy_starts_from(shop, alice, home, site):
    row = add(shop, alice, home, "www.example.com")
    secret = sni_endpoints.opened(row, home)
    assert b"PRIVATE KEY" not in bytes(SniEndpoint.objects.get().sealed)
    install = {"bind": "127.0.0.1", "http_port": 1, "https_port": 2}
    kept = caddy.render(install, [caddy.Served(queries.tag(row), ("www.example.com",))])
    assert "PRIVATE KEY" not in str(kept)
    given = caddy.with_keys(kept, [(queries.tag(row), row.chain, secret)])
    assert given["apps"]["tls"]["certificates"]["load_pem"][0]["key"] == secret
    assert "load_pem" not in kept["apps"]["tls"]["certificates"]


@pytest.mark.django_db
def test_the_installations_own_ca_makes_and_renews_certificates(shop, alice, home, site, monkeypatch):
    keys.make_all(home, None)
    sni_endpoints.switch_acm(actor=alice, app=shop, home=home, on=True)
    ((row, hosts),) = queries.served()
    assert (row.issued, hosts) == (True, ("www.example.com",))
    assert sni_endpoints.renew(app=SniEndpoint.objects.get().app, home=home) is None, "nothing to do"
    apps.add_domain(actor=alice, app=shop, hostname="api.example.com")
    sni_endpoints.renew_all(home=home)
    assert queries.served()[0][1] == ("api.example.com", "www.example.com")
    later = NOW + timedelta(days=70)
    monkeypatch.setattr(clock, "now", lambda: later)
    before = SniEndpoint.objects.get().expires_at
    sni_endpoints.renew_all(home=home)
    assert SniEndpoint.objects.get().expires_at > before
    sni_endpoints.switch_acm(actor=alice, app=shop, home=home, on=False)
    assert queries.served() == []


@pytest.mark.django_db
def test_a_certificate_of_ones_own_goes_before_one_of_the_installations_ca(shop, alice, home, site):
    own = add(shop, alice, home, "www.example.com")
    keys.make_all(home, None)
    sni_endpoints.switch_acm(actor=alice, app=shop, home=home, on=True)
    assert queries.served() == [(own, ("www.example.com",))]
    with pytest.raises(GreenroomError, match="is an automatic certificate and cannot be removed"):
        sni_endpoints.remove(actor=alice, app=shop, name="greenroom-ca-shop")


@pytest.mark.django_db
def test_an_app_with_the_old_name_of_another_one_gets_a_certificate_too(shop, alice, home, site):
    keys.make_all(home, None)
    sni_endpoints.switch_acm(actor=alice, app=shop, home=home, on=True)
    apps.rename(actor=alice, app=shop, name="shop-old")
    new = apps.create(actor=alice, name="shop")
    apps.add_domain(actor=alice, app=new, hostname="www.example.org")
    sni_endpoints.switch_acm(actor=alice, app=new, home=home, on=True)
    assert {row.app.name: row.name for row in SniEndpoint.objects.all()} == {
        "shop-old": "greenroom-ca-shop",
        "shop": f"greenroom-ca-shop-{new.pk.hex[:8]}",
    }
