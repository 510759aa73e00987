"""Key-value stores on a real server in a dyno: what the app may do, restarts, settings, passwords, doubles, removal."""

from __future__ import annotations

import os
import socket
import time
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import valkey

from greenroom.addons import actions, queries, registry
from greenroom.addons.actions import servers as addon_servers
from greenroom.addons.models import Addon
from greenroom.addons.queries import server_key
from greenroom.addons.redis import actions as stores
from greenroom.addons.redis import queries as facts
from greenroom.addons.redis import rules
from greenroom.addons.redis.actions import doubles
from greenroom.addons.redis.drivers import servers
from greenroom.addons.redis.loop import Loop
from greenroom.basics import clock
from greenroom.basics.errors import PlatformError
from tests.addons.machines import machine, place  # noqa: F401 -- fixtures
from tests.engine.machine import PYTHON

pytestmark = [pytest.mark.django_db, pytest.mark.neighbours]


@pytest.fixture(autouse=True)
def ports(monkeypatch) -> None:
    """Each process of the suite has ports of its own."""
    first = 16_400 + 200 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    monkeypatch.setattr(rules, "PORTS", range(first, first + 200))


@pytest.fixture
def store(alice, shop, place) -> Addon:
    """A store of the smallest plan for Alice's app."""
    return made(alice, shop, place)


def made(alice, shop, place, plan="mini", attachment="") -> Addon:
    row = actions.record(
        actor=alice,
        app=shop,
        home=place,
        kind="redis",
        attachment=attachment or "REDIS",
        plan=f"heroku-redis:{plan}",
    )
    assert actions.finish(addon=row, home=place)
    return row


def as_app(addon: Addon, place: Path, **values: object) -> valkey.Valkey:
    """A client with the app's URL, on this machine."""
    return valkey.from_url(registry.kind("redis").values(addon, place)["_URL"], decode_responses=True, **values)


def until(true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_an_app_reaches_its_store_from_its_dynos_and_another_app_does_not(machine, store, shop, place):
    url = registry.kind("redis").values(store, place)["_URL"]
    says = (
        f"import socket; s = socket.create_connection(('127.0.0.1', {urlsplit(url).port})); import time;"
        f" s.sendall(b'AUTH {urlsplit(url).password}\\r\\nPING\\r\\n'); time.sleep(0.3); print(s.recv(99))"
    )
    spec = machine.spec(PYTHON, "-c", says, forwards=queries.forwards(shop)[-1:], output=True)
    assert b"+OK" in ended(machine, spec), "through the forward"
    stranger = machine.spec(PYTHON, "-c", says, output=True)
    assert b"ConnectionRefusedError" in ended(machine, stranger)


def ended(machine, spec) -> bytes:
    machine.engine.start(spec)
    until(lambda: machine.engine.describe(spec.id).phase == "exited")
    return machine.engine.output(spec.id, 0).data


def test_the_app_uses_its_data_and_may_not_change_the_server(store, place):
    with as_app(store, place) as client:
        client.set("greeting", "hello")
        assert client.get("greeting") == "hello"
        assert client.eval("return redis.call('GET', KEYS[1])", 1, "greeting") == "hello"
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert "used_memory" in client.info()
        for words in (
            ("CONFIG", "SET", "dir", "/"),
            ("SHUTDOWN",),
            ("DEBUG", "SLEEP", "0"),
            ("MODULE", "LIST"),
            ("REPLICAOF", "127.0.0.1", "1"),
            ("ACL", "LIST"),
            ("SAVE",),
        ):
            with pytest.raises(valkey.exceptions.ResponseError, match=r"no permissions|not allowed"):
                client.execute_command(*words)
        assert client.ping()


def test_without_the_password_nothing_is_answered(store, place):
    port = store.data["port"]
    with pytest.raises(valkey.exceptions.AuthenticationError):
        valkey.Valkey(port=port, password="wrong").ping()
    with pytest.raises(valkey.exceptions.AuthenticationError):
        valkey.Valkey(port=port).ping()


def test_no_password_stands_in_a_command_line_or_in_a_file_of_the_home(machine, store, place):
    secrets = [word.encode() for word in queries.secret_of(store, place).values()]
    state = machine.engine.describe(servers.dyno_id(server_key(store), 1))
    for pid in (state.pid, state.host_pid):
        line = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert not [word for word in secrets if word in line]
    for path in place.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert not [word for word in secrets if word in path.read_bytes()], path


def test_data_beyond_the_plan_is_refused_or_evicted_as_the_policy_says(alice, store, place):
    big = "x" * 1_000_000
    with as_app(store, place) as client:
        with pytest.raises(valkey.exceptions.OutOfMemoryError):
            for number in range(60):
                client.set(f"k{number}", big)
        stores.change(actor=alice, addon=store, changes={"maxmemory_policy": "allkeys-lru"}, home=place)
        for number in range(60):
            client.set(f"k{number}", big)
        assert client.get("k59") == big
    store.refresh_from_db()
    found = facts.info(store, place)
    assert found["answers"]
    assert found["evicted_keys"] > 0
    assert found["used_bytes"] < found["limit_bytes"] * 1.2
    assert found["maxmemory_policy"] == "allkeys-lru"


def test_a_server_that_was_killed_is_started_again_with_its_settings_and_persistent_data(machine, alice, shop, place):
    kept = made(alice, shop, place, plan="premium-0")
    stores.change(actor=alice, addon=kept, changes={"maxmemory_policy": "volatile-ttl", "timeout": 60}, home=place)
    loose = made(alice, shop, place, attachment="CACHE")
    for store in (kept, loose):
        with as_app(store, place) as client:
            client.set("greeting", "hello")
    time.sleep(1.1)  # appendfsync everysec
    for store in (kept, loose):
        machine.engine.signal(servers.dyno_id(server_key(store), 1), "KILL")
    for store in (kept, loose):
        until(lambda store=store: machine.engine.describe(servers.dyno_id(server_key(store), 1)).ended)
    loop = Loop(place)
    loop.turn()
    for store, wanted in ((kept, "hello"), (loose, None)):
        store.refresh_from_db()
        assert store.data["starts"] == 2
        assert stores.is_ready(addon=store, home=place)
        with as_app(store, place) as client:
            assert client.get("greeting") == wanted
    with as_app(kept, place) as client:
        assert client.config_get("timeout") == {"timeout": "60"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "volatile-ttl"}
    loop.turn()
    kept.refresh_from_db()
    assert kept.data["starts"] == 2, "a server that runs is left alone"


def test_a_server_that_keeps_ending_is_started_less_and_less_often(machine, store, place, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    loop, starts = Loop(place), []
    for _ in range(40):
        store.refresh_from_db()
        dyno = servers.dyno_id(server_key(store), store.data["starts"])
        machine.engine.signal(dyno, "KILL")
        until(lambda dyno=dyno: (state := machine.engine.describe(dyno)) is None or state.ended)
        loop.turn()
        store.refresh_from_db()
        starts.append(store.data["starts"])
        now[0] += 1.0
    assert starts[0] == 2, "at once the first time"
    assert starts[-1] <= 7, "then after 2, 4, 8, 16, 32 seconds"


def test_a_new_password_works_at_once_and_the_former_one_for_a_while(alice, store, place, monkeypatch):
    former = registry.kind("redis").values(store, place)["_URL"]
    row = stores.new_password(actor=alice, addon=store, home=place)
    assert registry.kind("redis").values(row, place)["_URL"] != former
    with as_app(row, place) as client:
        assert client.ping()
    assert valkey.from_url(former).ping(), "dynos of the release before still have it"
    loop = Loop(place)
    loop.turn()
    assert valkey.from_url(former).ping()
    monkeypatch.setattr(addon_servers, "FORMER", timedelta(0))
    later = clock.now() + timedelta(minutes=11)
    monkeypatch.setattr(clock, "now", lambda: later)
    loop.turn()
    with pytest.raises(valkey.exceptions.AuthenticationError):
        valkey.from_url(former).ping()
    with as_app(row, place) as client:
        assert client.ping()
    row.refresh_from_db()
    assert "former" not in queries.secret_of(row, place)


def test_a_removed_store_leaves_no_process_and_no_file(machine, alice, shop, place):
    store = made(alice, shop, place, plan="premium-0")
    with as_app(store, place) as client:
        client.set("greeting", "hello")
    volume = place / "volumes" / shop.id.hex / server_key(store)
    assert volume.is_dir()
    actions.deprovision(addon=store, home=place)
    assert machine.engine.list() == []
    assert not volume.exists()
    assert not list((place / "run" / "addons").iterdir())
    with pytest.raises(valkey.exceptions.ConnectionError):
        as_app(store, place).ping()


def test_the_store_of_a_test_run_is_empty_its_own_and_ends_with_it(machine, shop, place):
    made = doubles.make(label="test-1", app=shop)
    again = doubles.make(label="test-1", app=shop)
    assert again == made
    assert doubles.present() == {made.name}
    spec = machine.spec("/bin/true", forwards=made.forwards)
    assert spec.forwards[0].port == urlsplit(made.values["_URL"]).port
    doubles.drop(label="test-1")
    assert machine.engine.list() == []


def test_ports_are_free_ones_and_their_end_is_said(alice, shop, place, monkeypatch):
    first = rules.PORTS.start
    monkeypatch.setattr(rules, "PORTS", range(first, first + 2))
    ports = [made(alice, shop, place, attachment=name).data["port"] for name in ("A", "B")]
    assert sorted(ports) == [first, first + 1]
    with pytest.raises(Exception, match="ports for key-value stores are in use"):
        made(alice, shop, place, attachment="C")


def test_a_port_that_another_program_uses_is_passed_over(alice, shop, place):
    with socket.create_server(("127.0.0.1", rules.PORTS.start)):
        assert made(alice, shop, place).data["port"] == rules.PORTS.start + 1


def test_a_server_that_cannot_start_says_why(machine, alice, shop, place, monkeypatch):
    monkeypatch.setattr(rules, "configuration", lambda **_: b"maxmemory-policy nonsense\n")
    row = actions.record(actor=alice, app=shop, home=place, kind="redis", attachment="REDIS")
    with pytest.raises(PlatformError, match="The server did not start"):
        actions.finish(addon=row, home=place)
