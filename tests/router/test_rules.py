"""Tests of routing, from facts alone, and of the configuration files."""

from __future__ import annotations

import os
import re

import pytest

from greenroom.router.drivers import switch
from greenroom.router.rules import PAGES, SLOTS, Facts, Target, Web, slots, target


def facts(**more):
    return Facts(**{"has_release": True, "maintenance": False, "wanted": 1, "webs": [], "now": [], **more})


def test_healthy_dynos_get_the_traffic():
    webs = [Web("b", True), Web("a", True), Web("c", False)]
    assert target(facts(wanted=3, webs=webs)) == Target(sockets=("a", "b"))


def test_an_app_without_code_says_so():
    assert target(facts(has_release=False)) == Target(page="H81")


@pytest.mark.parametrize("state", ["starting", "held", "refused", "failed"])
def test_a_first_release_that_is_not_live_has_a_page_of_its_state(tmp_path, state):
    goal = target(facts(has_release=False, first=state))
    switch.apply(tmp_path, "app", goal, "shop")
    text = (tmp_path / "run/router/app/H81.html").read_text()
    assert PAGES["H81"][state].text in text
    assert ("http-equiv" in text) == (state in ("starting", "held")), "it asks again while that helps"


def test_no_page_shows_a_command_or_a_script_to_a_visitor(tmp_path):
    for code, variants in PAGES.items():
        for variant in variants:
            switch.apply(tmp_path, "app", Target(page=f"{code}-{variant}".rstrip("-")), "shop")
            text = (tmp_path / f"run/router/app/{code}.html").read_text()
            assert not re.search(r"<code|<script|greenroom |git ", text)


def test_a_host_name_leads_to_its_app_and_no_other_one_does(tmp_path):
    assert switch.lead_hosts(tmp_path, {"shop.localhost": "a" * 32, "*.example.com": "b" * 32})
    assert not switch.lead_hosts(tmp_path, {"shop.localhost": "a" * 32, "*.example.com": "b" * 32})
    assert switch.folder_of(tmp_path, "SHOP.localhost.") == "a" * 32
    assert switch.folder_of(tmp_path, "any.example.com") == "b" * 32
    for host in (
        "example.com",
        "a.b.example.com",
        "..",
        "../hosts/shop.localhost",
        "*.example.com",
        "_.example.com",
        "",
    ):
        assert switch.folder_of(tmp_path, host) is None
    assert switch.lead_hosts(tmp_path, {"shop.localhost": "b" * 32})
    assert os.listdir(tmp_path / switch.HOSTS) == ["shop.localhost"]
    assert switch.folder_of(tmp_path, "shop.localhost") == "b" * 32


def test_an_app_scaled_to_zero_says_so():
    assert target(facts(wanted=0)) == Target(page="H14")


def test_maintenance_wins_over_everything():
    assert target(facts(maintenance=True, webs=[Web("a", True)])) == Target(page="H80")


def test_a_first_crash_keeps_the_route_so_that_requests_wait_for_the_restart():
    assert target(facts(webs=[Web("b", False, 1)], now=["a"])) == Target(sockets=("a",))


def test_a_crash_loop_shows_its_page():
    assert target(facts(webs=[Web("b", False, 2)], now=["a"])) == Target(page="H10")


def test_slots_are_shared_evenly():
    for count in (1, 2, 3, 4, 6, 12):
        names = [str(n) for n in range(count)]
        assert {slots(names).count(name) for name in names} == {SLOTS // count}


def test_a_switch_is_visible_at_once_and_repeatable(tmp_path):
    folder = tmp_path / "run" / "router" / "app"
    switch.apply(tmp_path, "app", Target(sockets=("run/sockets/old",)), "shop")
    switch.apply(tmp_path, "app", Target(sockets=("run/sockets/new",)), "shop")
    switch.apply(tmp_path, "app", Target(sockets=("run/sockets/new",)), "shop")
    assert {os.readlink(folder / str(n)) for n in range(SLOTS)} == {"../../sockets/new"}


def test_exactly_one_page_is_shown_and_none_when_dynos_serve(tmp_path):
    folder = tmp_path / "run" / "router" / "app"
    for code in PAGES:
        switch.apply(tmp_path, "app", Target(page=code), "shop")
        assert [path.name for path in folder.glob("*.html")] == [f"{code}.html"]
    switch.apply(tmp_path, "app", Target(sockets=("run/sockets/a",)), "shop")
    assert not list(folder.glob("*.html"))


def test_the_name_of_an_app_cannot_become_markup(tmp_path):
    switch.apply(tmp_path, "app", Target(page="H14"), "<script>alert(1)</script>")
    assert "<script>" not in (tmp_path / "run/router/app/H14.html").read_text()
