"""Links in responses use the host name by which the client reached the installation, and never a forged one."""

from __future__ import annotations

import pytest

from greenroom.accounts.models import Account
from tests.api.world import client_of

pytestmark = pytest.mark.django_db
NAME = "greenroom-localhost.example.com"


@pytest.fixture
def reached(settings):
    settings.INSTALLATION = {**settings.INSTALLATION, "host": NAME}


def links(client, host):
    app = client.get("/apps/shop", headers={"Host": host}).json()
    log = client.post("/apps/shop/log-sessions", {}, content_type="application/json", headers={"Host": host}).json()
    source = client.post("/sources", {}, content_type="application/json", headers={"Host": host}).json()["source_blob"]
    return [app["git_url"], app["git_http_url"], log["logplex_url"], source["put_url"]]


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1:5000", "LOCALHOST"])
def test_the_end_of_a_tunnel_is_localhost_whatever_the_installation_is_called(alice, shop, reached, host):
    for link in links(client_of(alice), host):
        assert link.partition("://")[2].startswith("localhost:")


def test_another_computer_gets_the_installations_name_with_tls(alice, shop, reached, settings):
    for link in links(client_of(alice), f"{NAME}:5001"):
        assert link.startswith(f"https://{NAME}:{settings.INSTALLATION['tls_port']}/")


@pytest.mark.parametrize(
    "host", ["evil.example.com", "kolkrabbi.heroku.com:5000", "localhost.evil.example", "x@localhost.evil"]
)
def test_a_name_that_is_not_the_installations_is_in_no_link(alice, shop, host):
    for link in links(client_of(alice), host):
        assert link.partition("://")[2].startswith("localhost:")


@pytest.mark.parametrize("host", ["staging.example.org", "localhost.staging.example.org"])
def test_a_client_of_the_base_domain_gets_links_to_the_router(alice, shop, settings, host):
    named = {"domain": "staging.example.org", "https_port": 443}
    settings.INSTALLATION = {**settings.INSTALLATION, **named}
    for link in links(client_of(alice), host):
        assert link.startswith(f"https://{host}/")
    assert client_of(alice).get("/apps/shop").json()["web_url"].startswith("http://shop.staging.example.org")


def test_a_domain_below_the_base_domain_belongs_to_the_installation(alice, shop, settings):
    settings.INSTALLATION = {**settings.INSTALLATION, "domain": "staging.example.org"}
    for hostname in ("staging.example.org", "www.staging.example.org"):
        answer = client_of(alice).post(
            "/apps/shop/domains", {"hostname": hostname, "sni_endpoint": None}, content_type="application/json"
        )
        assert answer.status_code == 422
        assert "belongs to this installation" in answer.json()["message"]


@pytest.mark.parametrize(("issuer", "warned"), [("own", True), ("acme", False)])
def test_only_certificates_of_the_own_ca_come_with_a_warning(alice, shop, settings, issuer, warned):
    settings.INSTALLATION = {**settings.INSTALLATION, "domain": "staging.example.org", "certificates": issuer}
    answer = client_of(alice).post("/apps/shop/acm", {}, content_type="application/json")
    assert ("X-Heroku-Warning" in answer) is warned


@pytest.mark.parametrize(
    ("named", "link"),
    [
        ({}, "http://localhost:"),
        ({"domain": "staging.example.org", "https_port": 443}, "https://staging.example.org/invitations/accept/"),
        ({"host": NAME}, f"https://{NAME}:"),
    ],
)
def test_the_link_of_an_invitation_has_the_installations_name_whatever_the_administrator_uses(
    alice, settings, named, link
):
    settings.INSTALLATION = {**settings.INSTALLATION, **named}
    Account.objects.filter(pk=alice.account_id).update(is_admin=True)
    made = client_of(alice).post("/invitations", {"email": "dora@example.com"}, "application/json")
    assert made.json()["url"].startswith(link)
