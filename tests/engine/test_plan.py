"""Tests of specs that the supervisor refuses, and of the plan for those that it allows."""

from __future__ import annotations

import dataclasses
import marshal
import os
from pathlib import Path

import pytest

from greenroom.engine import artefacts
from greenroom.engine.contract import PLATFORM, DynoSpec, Forward, Limits, Mount
from greenroom.engine.errors import EngineError
from greenroom.engine.local import connections, plan, protocol
from greenroom.engine.local.loop import Loop
from greenroom.engine.local.plan import Place

A, IN, OUT = "a" * 64, "b" * 64, "c" * 64
"""A slug, a link to it, and a link out of the slugs."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    home = tmp_path / "home"
    for name in (
        f"slugs/{A}/app",
        f"slugs/{IN}",
        f"slugs/{OUT}",
        "envs/e",
        "sources",
        "cache/uv",
        "cache/python/cpython-3.12",
        "cache/tools/uv-1",
        "cache/scanners/bandit",
        "cache/apps",
        "keys",
        "run/postgres",
        "run/sockets",
        "run/scratch/x/out",
        "logs",
    ):
        (home / name).mkdir(parents=True)
    (home / "keys/master.key").write_text("secret")
    (home / f"slugs/{OUT}/app").symlink_to("../../keys")
    (home / f"slugs/{IN}/app").symlink_to(f"../{A}/app")
    (home / "cache/apps/alice").symlink_to("../../envs")
    (home / f"sources/{'a' * 40}.tar").touch()
    (home / "cache/tools/uv-1/uv").touch()
    allowed = tmp_path / "python"
    (allowed / "bin").mkdir(parents=True)
    (allowed / "etc").symlink_to("/etc")
    return Place(str(home), allow=[str(allowed)], root=True, first_uid=200_000, group=0, bwrap="/bin/true")


def _spec(**values: object) -> DynoSpec:
    given = {"id": "web.1", "kind": "web", "owner": "alice", "uid": 7, "process": "web.1", "command": ("x",)}
    return DynoSpec(**{**given, **values})  # type: ignore[arg-type]


def _mounting(source: str, mode: str = "ro", target: str = "/app", **values: object) -> DynoSpec:
    return _spec(mounts=(Mount(source=source, mode=mode, target=target, **values),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "source",
    [
        "keys",
        "keys/master.key",
        "slugs",
        f"slugs/{A}/app",
        "envs/e",
        "cache/uv",
        "",
        "slug:",
        "slug:../keys",
        "slug:a",
        f"slug:{A[1:]}",
        f"slug:{A}\n",
        f"slug:{A}/app",
        f"slug:{OUT}",
        f"slug:{'0' * 64}",
        "env:",
        "env:..",
        "env:e/bin",
        "env:/e",
        "env:none",
        "env:.new-e",
        "env:e\0b",
        "source:b",
        "source:../keys",
        f"source:{'b' * 40}",
        "python:..",
        "python:../python",
        "python:none",
        "tool:uv-1/../uv",
        "tool:uv-1/..",
        "tool:uv-1//uv",
        "tool:uv-1/a/b",
        "tool:../tools",
        "scanner:a.b",
        "cache:uv",
        "cache:platform/wheels",
        "cache:bob/build",
        "cache:alice/..",
        "cache:alice/other",
        "cache:../alice",
        "service:database",
        "image:x",
        "Slug:" + A,
        "/etc/passwd",
        "/root",
        "/",
        "host:",
        "host:/",
        "host:/etc/passwd",
        "host:/root",
        "host:etc",
        "scratch:",
        "scratch:../x",
        "scratch:a/b",
        "scratch:_work_a",
    ],
)
def test_a_source_outside_of_what_is_allowed_is_refused(place: Place, source: str) -> None:
    with pytest.raises(EngineError) as caught:
        plan.order(place, _mounting(source))
    assert len(caught.value.message) > 15


@pytest.mark.parametrize(
    ("source", "path"),
    [
        (f"slug:{A}", f"slugs/{A}/app"),
        (f"slug:{IN}", f"slugs/{A}/app"),
        ("env:e", "envs/e"),
        (f"source:{'a' * 40}", f"sources/{'a' * 40}.tar"),
        ("python:cpython-3.12", "cache/python/cpython-3.12"),
        ("tool:uv-1", "cache/tools/uv-1"),
        ("tool:uv-1/uv", "cache/tools/uv-1/uv"),
        ("scanner:bandit", "cache/scanners/bandit"),
        ("scratch:new", "run/scratch/web.1/new"),
    ],
)
def test_an_artefact_is_mounted_from_its_place_in_the_home(place: Place, source: str, path: str) -> None:
    assert place.path(path).encode() in plan.order(place, _mounting(source))["arguments"].split(b"\0")


@pytest.mark.parametrize(
    "source", [f"slug:{A}", "env:e", "tool:uv-1", "cache:platform/uv", "cache:bob/build", "cache:alice/build"]
)
def test_only_scratch_and_the_owners_cache_may_be_written_to(place: Place, source: str) -> None:
    with pytest.raises(EngineError):
        plan.order(place, _mounting(source, "rw"))


def test_scratch_and_the_owners_cache_may_be_written_to(place: Place) -> None:
    for source, owner in (("scratch:out", "alice"), ("cache:platform/uv", PLATFORM), ("cache:bob/build", "bob")):
        assert (
            b"--bind\0"
            in plan.order(place, _spec(owner=owner, mounts=(Mount(target="/app", source=source, mode="rw"),)))[
                "arguments"
            ]
        )


def test_an_allowed_prefix_is_readable_and_does_not_lead_elsewhere(place: Place) -> None:
    prefix = place.allow_as_given[0]
    assert plan.order(place, _mounting(f"host:{prefix}/bin", target=f"{prefix}/bin"))
    assert plan.order(place, _mounting(f"host:{prefix}", target=prefix))
    for source, mode in (
        (f"{prefix}/bin", "rw"),
        (f"{prefix}/etc", "ro"),
        (f"{prefix}/../x", "ro"),
        (f"{prefix}x", "ro"),
    ):
        with pytest.raises(EngineError):
            plan.order(place, _mounting(f"host:{source}", mode, target="/opt/x"))


@pytest.mark.parametrize("target", ["/", "app", "/app/../etc", "/etc", "/proc", "/usr", "/dev", "//x", "/app/", "/a\0"])
def test_nothing_can_be_mounted_over_the_system_or_beside_the_path(place: Place, target: str) -> None:
    with pytest.raises(EngineError):
        plan.order(place, _mounting(f"slug:{A}", target=target))


@pytest.mark.parametrize(
    "values",
    [
        {"id": "../x"},
        {"id": "A"},
        {"id": ""},
        {"id": "a" * 81},
        {"id": "_shims"},
        {"id": "web.1\n"},
        {"id": ".hidden"},
        {"uid": -1},
        {"uid": 100_000},
        {"owner": "a/b"},
        {"owner": ""},
        {"process": "web.1]: forged"},
        {"process": "a\nb"},
        {"command": ()},
        {"command": ("a\0b",)},
        {"cwd": "app"},
        {"cwd": "/app/.."},
        {"env": {"A=B": "x"}},
        {"env": {"A": "x\0y"}},
        {"env": {"": "x"}},
        {"log": "../logs"},
        {"log": "keys"},
        {"log": "/var/log"},
        {"port": 70_000},
        {"socket": "run/sockets/a.sock"},
        {"port": 80, "socket": "run/supervisor.sock"},
        {"port": 80, "socket": "run/dynos/web.2/web.sock"},
        {"port": 80, "socket": "run/dynos/web.1/state.json"},
        {"port": 80, "socket": "/tmp/x.sock"},
        {"forwards": (Forward(port=5432, service="run/supervisor.sock"),)},
        {"forwards": (Forward(port=5432, service="run/postgres/.s.PGSQL.5432"),)},
        {"forwards": (Forward(port=5432, service="service:../supervisor"),)},
        {"forwards": (Forward(port=5432, service="service:"),)},
        {"forwards": (Forward(port=5432, service="env:e"),)},
        {"forwards": (Forward(port=5432, service="tcp:10.0.0.9:5432"),)},
        {"forwards": (Forward(port=5432, service="tcp:10.0.0.9"),)},
        {"forwards": (Forward(port=0, service="service:database"),)},
        {"port": 5432, "forwards": (Forward(port=5432, service="service:database"),)},
        {"limits": Limits(memory_mb=0)},
        {"limits": Limits(pids=1)},
        {"tty": True, "rows": 0},
    ],
)
def test_a_spec_that_makes_no_sense_is_refused_with_a_sentence(place: Place, values: dict[str, object]) -> None:
    with pytest.raises(EngineError) as caught:
        plan.order(place, _spec(**values))
    assert len(caught.value.message) > 15


def test_a_forward_by_tcp_leads_only_where_the_supervisor_was_told(place: Place) -> None:
    place.tcp = frozenset(["db.example.com:6432"])
    spec = _spec(forwards=(Forward(port=5432, service="tcp:db.example.com:6432"),))
    assert plan.order(place, spec)["forwards"] == [(5432, "tcp:db.example.com:6432")]
    with pytest.raises(EngineError, match="not allowed"):
        plan.order(place, _spec(forwards=(Forward(port=5432, service="tcp:db.example.com:22"),)))


def test_a_forward_to_a_service_leads_to_its_socket(place: Place) -> None:
    ways = (Forward(port=5432, service="service:database"), Forward(port=7007, service="service:parrots"))
    assert plan.order(place, _spec(forwards=ways))["forwards"] == [
        (5432, place.path("run/postgres/.s.PGSQL.5432")),
        (7007, place.path("run/addons/parrots.sock")),
    ]
    Path(place.home, "run/addons").symlink_to("../keys")
    with pytest.raises(EngineError, match="outside of the allowed"):
        plan.order(place, _spec(forwards=ways))


def test_an_upper_layer_is_scratch(place: Place) -> None:
    with pytest.raises(EngineError):
        plan.order(place, _mounting(f"slug:{A}", "overlay", upper="cache:platform/uv"))
    words = plan.order(place, _mounting(f"slug:{A}", "overlay", upper="scratch:up"))["arguments"].split(b"\0")
    at = words.index(b"--overlay")
    assert [os.path.basename(word) for word in words[at + 1 : at + 4]] == [b"up", b"_work_up", b"app"]


def test_mounts_are_made_from_the_outside_in(place: Place) -> None:
    mounts = (Mount(target="/app/x/y", source="env:e"), Mount(target="/app", source=f"slug:{A}", mode="overlay"))
    words = plan.order(place, _spec(mounts=mounts))["arguments"].split(b"\0")
    assert words.index(b"/app") < words.index(b"/app/x/y")


def test_secrets_are_in_the_arguments_alone(place: Place) -> None:
    order = plan.order(place, _spec(env={"TOKEN": "hunter2"}))
    assert b"hunter2" in order.pop("arguments")
    assert "hunter2" not in repr(order)


def test_uids_follow_the_owner(place: Place) -> None:
    assert plan.order(place, _spec())["uid"] == 200_007
    assert plan.order(place, _spec(owner=PLATFORM, uid=0))["uid"] == 199_999
    place.root = False
    assert plan.order(place, _spec())["uid"] == -1


def test_a_shells_text_is_shown_as_the_command() -> None:
    assert plan.shown(("/bin/bash", "-c", "gunicorn x --bind :$PORT")) == "gunicorn x --bind :$PORT"
    assert plan.shown(("python", "manage.py", "migrate")) == "python manage.py migrate"


def test_a_spec_survives_the_wire(place: Place) -> None:
    spec = _spec(
        env={"A": "ü\n\udcff", "B": ""},
        mounts=(
            Mount(target="/app", lower=(f"slug:{A}", "env:e"), mode="overlay", upper="scratch:x"),
            Mount(target="/x", source="y"),
        ),
        forwards=(Forward(port=1, service="s"),),
        limits=Limits(timeout=1.5, cpu=0.25),
        stdin=bytes(range(256)),
        tty=True,
        egress=False,
        allowed=(("*.example.org", 443), ("10.2.0.0/16", 0)),
    )
    assert protocol.spec_from_wire(protocol.decode(protocol.encode(protocol.spec_to_wire(spec)))) == spec


OLD = {
    f"slugs/{A}/app": f"slug:{A}",
    "envs/4f-11-22": "env:4f-11-22",
    f"sources/{'a' * 40}.tar": f"source:{'a' * 40}",
    "/root/.pyenv/versions/3.12.1": "host:/root/.pyenv/versions/3.12.1",
    "cache/python/cpython-3.12.8-linux": "python:cpython-3.12.8-linux",
    "cache/tools/runner-0a1b": "tool:runner-0a1b",
    "cache/tools/uv-0.9.1/uv": "tool:uv-0.9.1/uv",
    "cache/scanners/bandit": "scanner:bandit",
    "cache/wheels": "cache:platform/wheels",
    "cache/uv": "cache:platform/uv",
    "cache/apps/0a1b": "cache:0a1b/build",
    "scratch:out": "scratch:out",
    "keys": "keys",
    f"slugs/{A}/../../keys/app": f"slugs/{A}/../../keys/app",
}
"""Sources of clients before 0.1.0, and their names."""


@pytest.mark.parametrize("old", OLD)
def test_the_path_of_an_older_client_is_understood_as_a_name(old: str) -> None:
    wire = protocol.spec_to_wire(_spec()) | {
        "mounts": [{"target": "/x", "source": old}, {"target": "/y", "lower": [old]}]
    }
    one, two = protocol.spec_from_wire(wire).mounts
    assert (one.source, two.lower) == (OLD[old], (OLD[old],))
    if OLD[old] not in (old, "keys") and not old.startswith("/"):
        assert artefacts.path(OLD[old]) == old


def test_a_forward_and_a_discard_of_an_older_client_are_understood() -> None:
    for socket, service in (
        ("run/postgres/.s.PGSQL.5432", "service:database"),
        ("run/addons/parrots.sock", "service:parrots"),
        ("tcp:db.example.com:5432", "tcp:db.example.com:5432"),
    ):
        wire = protocol.spec_to_wire(_spec()) | {"forwards": [{"port": 5432, "socket": socket}]}
        assert protocol.spec_from_wire(wire).forwards == (Forward(port=5432, service=service),)
    for folder in ("slugs/a1", "envs/.new-x", "cache/apps/0a1b"):
        assert artefacts.discarded(protocol.artefact_of({"folder": folder})) == folder
    with pytest.raises(EngineError):
        artefacts.discarded(protocol.artefact_of({"folder": "cache/uv"}))
    with pytest.raises(ValueError):
        protocol.artefact_of({})


def test_a_client_without_egress_rules_leaves_the_way_open_and_no_rule_is_not_every_rule(place: Place) -> None:
    wire = protocol.spec_to_wire(_spec())
    del wire["allowed"]
    assert plan.order(place, protocol.spec_from_wire(wire))["allowed"] is None
    assert plan.order(place, protocol.spec_from_wire(wire | {"allowed": []}))["allowed"] == ()
    order = plan.order(place, protocol.spec_from_wire(wire | {"allowed": [["a.org", 1]]}))
    assert order["allowed"] == (("a.org", 1),)
    assert marshal.dumps(order)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 5),
        ("kind", "root"),
        ("uid", "7"),
        ("uid", True),
        ("tty", 1),
        ("command", "ls"),
        ("command", [1]),
        ("env", []),
        ("env", {"A": 5}),
        ("env", {"A": "not base64!"}),
        ("mounts", [{"target": "/x", "mode": "super"}]),
        ("mounts", [{"source": "/x"}]),
        ("mounts", ["/x"]),
        ("mounts", [{"target": "/x", "extra": 1}]),
        ("limits", {"memory_mb": "5"}),
        ("limits", {"grace": -1}),
        ("limits", {"grace": float("nan")}),
        ("limits", {"speed": 1}),
        ("allowed", "example.org"),
        ("allowed", ["example.org"]),
        ("allowed", [["example.org", "443"]]),
        ("allowed", [["example.org", True]]),
        ("allowed", [["example.org", 443, 1]]),
        ("unknown", 1),
    ],
)
def test_a_wrong_type_on_the_wire_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError):
        protocol.spec_from_wire(protocol.spec_to_wire(_spec()) | {field: value})


def test_a_request_that_is_too_long_is_refused_by_the_client() -> None:
    with pytest.raises(EngineError, match="at most"):
        protocol.encode(protocol.spec_to_wire(dataclasses.replace(_spec(), stdin=b"x" * 8_000_000)))


def test_a_shim_accepts_the_order_of_a_supervisor_that_runs_the_code_before_an_upgrade(monkeypatch):
    monkeypatch.setattr(connections.netns, "enter_network", lambda: None)
    made = connections.Connections(Loop(), {"forwards": [], "egress": 0, "opened": []})
    assert (made.outside, made.certificate, made.gateway) == (None, None, None)
