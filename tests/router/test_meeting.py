"""Concurrent changes of an app's certificates: each reads the current state after it has the app's lock."""

from __future__ import annotations

import pytest
from django.db import transaction

from greenroom.accounts.models import Account
from greenroom.apps import actions as apps
from greenroom.apps.models import App
from greenroom.basics.errors import NotFoundError
from greenroom.router import queries
from greenroom.router.actions import sni_endpoints
from greenroom.router.drivers import certificate_authority, certificates
from greenroom.router.models import SniEndpoint
from greenroom_cli.host import keys
from tests.meeting import Aside
from tests.router.certificates import Authority

pytestmark = pytest.mark.django_db(transaction=True)
CA = Authority()


@pytest.fixture
def site(shop, alice, home):
    keys.make_all(home, None)
    return apps.add_domain(actor=alice, app=shop, hostname="www.example.com")


def meanwhile(monkeypatch, place, name, step):
    """Start ``step`` when ``name`` is called; it has ended, or waits, before ``name`` continues."""
    real, others = getattr(place, name), []

    def call(**given):
        if not others:
            others.append(Aside(step))
            others[0].waits()
        return real(**given)

    monkeypatch.setattr(place, name, call)
    return others


def test_the_worker_and_a_person_make_one_certificate_of_the_installations_ca(shop, home, site, monkeypatch):
    App.objects.update(acm=True)
    others = meanwhile(
        monkeypatch, certificate_authority, "issue", lambda: sni_endpoints.renew(app=App.objects.get(), home=home)
    )
    sni_endpoints.renew(app=App.objects.get(), home=home)
    others[0].end()
    assert queries.served() == [(SniEndpoint.objects.get(), ("www.example.com",))]


def test_a_certificate_that_is_removed_while_it_is_replaced_does_not_come_back(alice, shop, home, site, monkeypatch):
    row = sni_endpoints.add(
        actor=alice, app=shop, home=home, **dict(zip(("chain", "key"), CA.leaf("www.example.com"), strict=True))
    )
    chain, key = CA.leaf("www.example.com")
    others = meanwhile(
        monkeypatch, certificates, "judge", lambda: sni_endpoints.remove(actor=alice, app=shop, name=row.name)
    )
    sni_endpoints.replace(actor=alice, app=shop, home=home, name=row.name, chain=chain, key=key)
    others[0].end()
    assert not SniEndpoint.objects.exists()
    with pytest.raises(NotFoundError):
        sni_endpoints.replace(actor=alice, app=shop, home=home, name=row.name, chain=chain, key=key)


def test_what_was_switched_off_since_the_worker_looked_is_not_made(alice, shop, home, site):
    sni_endpoints.switch_acm(actor=alice, app=shop, home=home, on=True)
    stale = App.objects.get()
    sni_endpoints.switch_acm(actor=alice, app=shop, home=home, on=False)
    assert sni_endpoints.renew(app=stale, home=home) is None
    assert not SniEndpoint.objects.exists()


def test_a_domain_and_an_app_that_are_gone_get_no_certificate(alice, shop, home, site):
    apps.remove_domain(actor=alice, app=shop, hostname=site.hostname)
    with pytest.raises(NotFoundError, match="that domain name"):
        sni_endpoints.choose(actor=alice, app=shop, domain=site, name=None)
    stale = App.objects.get()
    apps.destroy(actor=alice, app=shop)
    with pytest.raises(NotFoundError, match="that app"):
        sni_endpoints.renew(app=stale, home=home)


def test_two_that_give_a_domain_its_certificate_do_so_one_after_the_other(alice, shop, home, site, monkeypatch):
    sni_endpoints.add(
        actor=alice, app=shop, home=home, **dict(zip(("chain", "key"), CA.leaf("www.example.com"), strict=True))
    )
    sni_endpoints.choose(actor=alice, app=shop, domain=site, name=None)
    real, others = sni_endpoints.covers, []

    def covers(*given):
        if not others:
            others.append(Aside(lambda: sni_endpoints.settle(app=shop)))
            others[0].waits()
        return real(*given)

    monkeypatch.setattr(sni_endpoints, "covers", covers)
    sni_endpoints.settle(app=shop)
    others[0].end()
    assert queries.served() == [(SniEndpoint.objects.get(), ("www.example.com",))]


def test_a_change_of_certificates_waits_for_no_change_of_the_owner(alice, shop, home, site):
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=shop.owner_id)
        other = Aside(lambda: sni_endpoints.switch_acm(actor=alice, app=shop, home=home, on=True))
        assert not other.waits()
    other.end()
