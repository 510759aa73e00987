"""A wildcard or a name in another owner's domain needs a proof of ownership or an administrator."""

from __future__ import annotations

import socket
import struct
import threading

import pytest

from greenroom.accounts.rules import Actor
from greenroom.apps import actions, queries, rules
from greenroom.basics import dns
from greenroom.basics.errors import ForbiddenError, UserError
from greenroom.entrypoints.api import views_domains
from tests.api.world import client_of


@pytest.mark.django_db
@pytest.mark.parametrize(
    "hostname", ["example.com", "www.pay.example.com", "a.b.pay.example.com", "*.example.com", "*.pay.example.com"]
)
def test_a_name_in_or_above_another_owners_domain_needs_a_proof(alice, charlie, shop, cafe, hostname):
    actions.add_domain(actor=alice, app=shop, hostname="pay.example.com")
    with pytest.raises(ForbiddenError, match=r"with a TXT record") as caught:
        actions.add_domain(actor=charlie, app=cafe, hostname=hostname)
    name, text = queries.proof_of(cafe, hostname)
    assert f'{name} TXT "{text}"' in caught.value.hint
    assert f'greenroom domains:add "{hostname}" -a cafe' in caught.value.hint
    assert actions.add_domain(actor=charlie, app=cafe, hostname=hostname, proven=True).hostname == hostname


@pytest.mark.django_db
@pytest.mark.parametrize(
    "hostname",
    ["shop.example.com", "www.other.example.com", "notpay.example.com", "pay.example.org", "xpay.example.com"],
)
def test_a_neighbour_needs_none(alice, charlie, shop, cafe, hostname):
    actions.add_domain(actor=alice, app=shop, hostname="pay.example.com")
    assert actions.add_domain(actor=charlie, app=cafe, hostname=hostname).hostname == hostname


@pytest.mark.django_db
def test_a_name_below_another_owners_wildcard_needs_a_proof(alice, charlie, shop, cafe):
    actions.add_domain(actor=alice, app=shop, hostname="*.example.com", proven=True)
    with pytest.raises(ForbiddenError, match="a parent domain of another owner"):
        actions.add_domain(actor=charlie, app=cafe, hostname="www.example.com")


@pytest.mark.django_db
def test_the_same_owner_and_administrators_need_none(alice, charlie, shop, cafe):
    actions.add_domain(actor=alice, app=shop, hostname="pay.example.com")
    actions.add_domain(actor=alice, app=shop, hostname="www.pay.example.com")
    admin = Actor(account_id=charlie.account_id, email=charlie.email, is_admin=True)
    assert actions.add_domain(actor=admin, app=cafe, hostname="*.example.com")


@pytest.mark.django_db
def test_every_wildcard_needs_a_proof(alice, shop):
    with pytest.raises(ForbiddenError, match="matches all subdomains of example"):
        actions.add_domain(actor=alice, app=shop, hostname="*.example.com")


@pytest.mark.django_db
def test_the_proof_is_the_owners_and_the_zones_and_not_anybodys(shop, cafe):
    assert queries.proof_of(shop, "*.example.com") == queries.proof_of(shop, "example.com")
    assert queries.proof_of(shop, "example.com")[1] != queries.proof_of(cafe, "example.com")[1]
    assert queries.proof_of(shop, "example.com")[1] != queries.proof_of(shop, "example.org")[1]


@pytest.mark.django_db
def test_the_api_reads_the_proof_from_the_dns(alice, shop, monkeypatch):
    records = {}
    monkeypatch.setattr(views_domains.dns, "txt", lambda name: records.get(name, []))
    client = client_of(alice)

    def add():
        return client.post("/apps/shop/domains", {"hostname": "*.Example.com"}, content_type="application/json")

    refused = add()
    assert refused.status_code == 403
    assert "with a TXT record" in refused.json()["message"]
    name, text = queries.proof_of(shop, "*.example.com")
    records[name] = ["v=spf1 -all", text]
    assert add().json()["hostname"] == "*.example.com"


@pytest.mark.django_db
def test_a_dns_that_nobody_answers_for_is_not_a_record_that_is_missing(alice, shop, monkeypatch):
    monkeypatch.setattr(views_domains.dns, "txt", lambda name: None)
    answer = client_of(alice).post("/apps/shop/domains", {"hostname": "*.example.com"}, content_type="application/json")
    assert answer.status_code == 503
    assert "could not be verified with the TXT record" in answer.json()["message"]
    assert "try again in a minute" in answer.json()["message"]
    assert "with a TXT record" not in answer.json()["message"]
    assert (
        client_of(alice)
        .post("/apps/shop/domains", {"hostname": "www.example.com"}, content_type="application/json")
        .status_code
        == 201
    )


@pytest.mark.django_db
def test_names_of_the_installation_itself_are_nobodys(alice, shop, settings, monkeypatch):
    monkeypatch.setitem(settings.INSTALLATION, "host", "staging.example.org")
    client = client_of(alice)
    for hostname in (
        "staging.example.org",
        "pay.staging.example.org",
        "*.staging.example.org",
        "cafe.localhost",
        "x.greenroom.internal",
    ):
        answer = client.post("/apps/shop/domains", {"hostname": hostname}, content_type="application/json")
        assert answer.status_code == 422, answer.content
        assert "belongs to this installation" in answer.json()["message"]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["xn--pypal-4ve", "ab--shop"])
def test_a_name_that_browsers_show_as_another_is_no_apps(alice, name):
    with pytest.raises(UserError, match="reserved for internationalized"):
        actions.create(actor=alice, name=name)
    assert not rules.name_problem("a-b-c")
    assert not rules.name_problem("shop--two")


class NameServer:
    """Answers TXT queries. ``answer`` makes the datagram from the query."""

    def __init__(self, answer):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def place(self):
        return self.sock.getsockname()

    def _serve(self):
        try:
            while True:
                data, peer = self.sock.recvfrom(2000)
                for part in self.answer(data):
                    self.sock.sendto(part, peer)
        except OSError:
            return


def reply(question, *texts, number=None, kind=16):
    head = (number if number is not None else struct.unpack("!H", question[:2])[0], 0x8180, 1, len(texts), 0, 0)
    records = b"".join(
        struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(text) + 1) + bytes([len(text)]) + text for text in texts
    )
    return struct.pack("!HHHHHH", *head) + question[12:] + records


def asked(answer, seconds=5.0):
    server = NameServer(answer)
    try:
        return dns.txt("_greenroom.example.com", servers=[server.place], seconds=seconds)
    finally:
        server.sock.close()


def test_txt_records_are_read():
    assert asked(lambda data: [reply(data, b"v=spf1", b"greenroom-verify=1")]) == ["v=spf1", "greenroom-verify=1"]
    assert asked(lambda data: [reply(data)]) == []
    assert asked(lambda data: [reply(data, b"x", kind=5)]) == []


def test_answers_to_other_questions_are_not_taken():
    def answer(data):
        wrong = (struct.unpack("!H", data[:2])[0] + 1) % 65536
        return [
            reply(data, b"forged", number=wrong),
            reply(data[:12] + data[12:].replace(b"example", b"exbmple"), b"forged"),
            b"",
            reply(data, b"true"),
        ]

    assert asked(answer) == ["true"]


@pytest.mark.parametrize(
    "tail", [b"", b"\xff" * 20, b"\xc0", b"\0" * 9, bytes([0xC0, 12]) + struct.pack("!HHIH", 16, 1, 60, 500) + b"\xffx"]
)
def test_nonsense_is_no_record_and_no_crash(tail):
    found = asked(
        lambda data: [struct.pack("!HHHHHH", struct.unpack("!H", data[:2])[0], 0x8180, 1, 9, 0, 0) + data[12:] + tail]
    )
    assert all(isinstance(text, str) for text in found or [])


@pytest.mark.parametrize(("code", "found"), [(0, []), (3, []), (1, None), (2, None), (5, None)])
def test_a_server_that_could_not_find_out_has_not_said_that_there_is_no_record(code, found):
    assert asked(lambda data: [data[:2] + struct.pack("!H", 0x8180 | code) + reply(data)[4:]]) == found


def test_a_server_that_says_nothing_costs_a_moment(tmp_path):
    assert asked(lambda data: [], seconds=0.2) is None
    assert dns.txt("_greenroom.example.com", servers=[]) is None
    assert dns.txt("_greenroom..com", servers=[]) == []
    conf = tmp_path / "resolv.conf"
    conf.write_text("# x\nnameserver 192.0.2.1\nnameserver bogus\nsearch example.com\nnameserver fe80::1%eth0\n")
    assert dns.name_servers(conf) == [("192.0.2.1", 53), ("fe80::1", 53)]
    assert dns.name_servers(tmp_path / "nosuch") == []
