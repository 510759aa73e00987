"""Tests of egress rules without a dyno: which addresses a rule holds for, and what look-ups a refusal costs."""

from __future__ import annotations

import socket

import pytest

from greenroom.engine.local import addresses, egress, reach
from greenroom.engine.local.reach import Reach, RefusedError, Rules


def _packed(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


class Resolver:
    """Answers look-ups of the host; remembers them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **names: str) -> None:
        self.names, self.asked, self.now = {name.replace("_", "."): text for name, text in names.items()}, [], 1000.0
        monkeypatch.setattr(reach, "getaddrinfo", self._answer)
        monkeypatch.setattr(reach, "monotonic", lambda: self.now)

    def _answer(self, name: bytes, *_: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        self.asked.append(name.decode())
        if name.decode() not in self.names:
            raise socket.gaierror
        return [(socket.AF_INET, 1, 6, "", (self.names[name.decode()], 0))]


@pytest.mark.parametrize(
    ("rule", "target", "port", "expected"),
    [
        (("203.0.113.9", 443), "203.0.113.9", 443, True),
        (("203.0.113.9", 443), "203.0.113.9", 80, False),
        (("203.0.113.9", 443), "203.0.113.8", 443, False),
        (("203.0.113.9", 0), "203.0.113.9", 1, True),
        (("203.0.113.9", 443), "::ffff:203.0.113.9", 443, True),
        (("203.0.112.0/23", 0), "203.0.113.255", 9, True),
        (("203.0.112.0/23", 0), "203.0.114.0", 9, False),
        (("0.0.0.0/0", 443), "8.8.8.8", 443, True),
        (("0.0.0.0/0", 443), "2001:db8::1", 443, False),
        (("::/0", 0), "8.8.8.8", 443, False),
        (("2001:db8::/32", 443), "2001:db8:ffff::1", 443, True),
        (("2001:db8::/32", 443), "2001:db9::1", 443, False),
        (("2001:db8::1", 0), "2001:db8::1", 5, True),
    ],
)
def test_a_rule_with_an_address_or_a_network(rule: tuple[str, int], target: str, port: int, expected: bool) -> None:
    assert Rules([rule]).allow(_packed(target), port) is expected


def test_names_with_the_same_address_do_not_take_it_from_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch)
    rules, shared = Rules([("api.example.org", 443), ("*.zone.org", 25)]), _packed("203.0.113.9")
    rules.learn("other.example.org", [shared])
    assert not rules.allow(shared, 443)
    rules.learn("API.example.org.", [shared])
    rules.learn("a.b.zone.org", [shared])
    rules.learn("other.example.org", [shared])
    assert rules.allow(shared, 443)
    assert rules.allow(shared, 25)
    assert not rules.allow(shared, 80)


def test_a_wildcard_does_not_mean_the_name_itself_nor_one_that_ends_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch)
    rules = Rules([("*.zone.org", 0)])
    rules.learn("zone.org", [_packed("203.0.113.1")])
    rules.learn("badzone.org", [_packed("203.0.113.2")])
    assert not rules.allow(_packed("203.0.113.1"), 443)
    assert not rules.allow(_packed("203.0.113.2"), 443)


def test_a_refused_target_costs_a_look_up_of_each_name_in_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch, a_org="203.0.113.1")
    rules = Rules([("a.org", 443), ("b.org", 0), ("c.org", 25), ("*.d.org", 443)])
    for last in range(2, 52):
        assert not rules.allow(_packed(f"203.0.113.{last}"), 443)
    assert resolver.asked == ["a.org", "b.org"], "only the names that have a rule for the port"
    assert rules.allow(_packed("203.0.113.1"), 443)
    resolver.now += 11
    resolver.names["b.org"] = "203.0.113.7"
    assert rules.allow(_packed("203.0.113.7"), 22)
    assert resolver.asked == ["a.org", "b.org", "b.org"]


def test_slow_look_ups_end_after_some_seconds_and_go_on_at_the_next_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch)
    answer = resolver._answer

    def slow(name: bytes, *rest: int) -> object:
        resolver.now += 3
        return answer(name, *rest)

    monkeypatch.setattr(reach, "getaddrinfo", slow)
    rules = Rules([(f"n{number}.org", 443) for number in range(6)])
    assert not rules.allow(_packed("203.0.113.1"), 443)
    assert resolver.asked == ["n0.org", "n1.org"]
    assert not rules.allow(_packed("203.0.113.1"), 443)
    assert resolver.asked == ["n0.org", "n1.org", "n2.org", "n3.org"]


def test_an_address_is_forgotten_an_hour_after_its_last_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    resolver = Resolver(monkeypatch)
    rules, target = Rules([("*.zone.org", 443)]), _packed("203.0.113.9")
    rules.learn("www.zone.org", [target])
    resolver.now += reach.KEPT_SECONDS - 1
    assert rules.allow(target, 443)
    resolver.now += 2
    assert not rules.allow(target, 443)


def test_a_dyno_that_looks_up_many_names_does_not_grow_its_shim(monkeypatch: pytest.MonkeyPatch) -> None:
    Resolver(monkeypatch)
    rules = Rules([("*.zone.org", 443)])
    for number in range(2 * reach.NAMES):
        rules.learn(f"n{number}.zone.org", [b"\x08" + number.to_bytes(3, "big")])
    assert len(rules._known) == len(rules._last) == reach.NAMES
    assert rules.allow(b"\x08" + (2 * reach.NAMES - 1).to_bytes(3, "big"), 443)


@pytest.mark.parametrize("name", ["evil.net\0.zone.org", "a\\.zone.org", "evil.net .zone.org", "evil.net/.zone.org"])
def test_a_name_that_a_resolver_reads_otherwise_opens_nothing(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    Resolver(monkeypatch)
    rules = Rules([("*.zone.org", 0)])
    rules.learn(name, [_packed("203.0.113.9")])
    assert not rules.allow(_packed("203.0.113.9"), 443)


@pytest.mark.parametrize("name", ["a\nheroku[web.1]: b", "x" * 300, "a\x1b[31mb", "ü.org"])
def test_a_name_of_the_program_that_is_no_host_name_is_not_repeated_in_the_log(name: str) -> None:
    rules, target = Rules([]), _packed("203.0.113.9")
    rules.learn(name, [target])
    assert rules.advice(target, 443).endswith("greenroom egress:allow 203.0.113.9:443)")


def test_a_rule_does_not_open_what_the_installation_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "route_refusal", lambda _: "")
    rules = [("10.0.0.0/8", 0), ("0.0.0.0/0", 0)]
    with pytest.raises(RefusedError, match="private network"):
        Reach((), rules).check(_packed("10.2.0.1"), 5432)
    with pytest.raises(RefusedError, match="metadata"):
        Reach((), rules).check(_packed("169.254.169.254"), 80)
    Reach([("10.2.0.0", 16)], rules).check(_packed("10.2.0.1"), 5432)


def test_the_routes_of_the_host_are_asked_even_if_a_rule_allows_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addresses, "route_refusal", lambda _: "an address of this host")
    with pytest.raises(RefusedError, match="an address of this host"):
        Reach((), [("203.0.113.9", 443)]).check(_packed("203.0.113.9"), 443)


def test_the_proxy_learns_the_name_that_it_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.9", 443))]
    monkeypatch.setattr(egress, "getaddrinfo", lambda *_: found)
    monkeypatch.setattr(egress, "_connected", lambda *_: "connected")
    monkeypatch.setattr(addresses, "route_refusal", lambda _: "")
    Resolver(monkeypatch)
    closed = Reach((), [("*.example.org", 443)])
    with pytest.raises(egress.AnswerError, match=r"egress:allow api\.example\.net:443"):
        egress.connect(b"api.example.net", 443, closed)
    assert egress.connect(b"API.example.org", 443, closed) == "connected"
