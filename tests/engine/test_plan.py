"""What the supervisor refuses, and the order that comes of what it allows."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from greenroom.engine.contract import PLATFORM, DynoSpec, Forward, Limits, Mount
from greenroom.engine.errors import EngineError
from greenroom.engine.local import plan, protocol
from greenroom.engine.local.plan import Place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    home = tmp_path / "home"
    for name in (
        "slugs/a/app",
        "slugs/b",
        "envs/e",
        "cache/uv",
        "keys",
        "run/postgres",
        "run/sockets",
        "run/scratch/x/out",
        "logs",
    ):
        (home / name).mkdir(parents=True)
    (home / "keys/master.key").write_text("secret")
    (home / "slugs/b/out").symlink_to("../../keys")
    (home / "slugs/b/in").symlink_to("../a/app")
    (home / "cache/out").symlink_to("../slugs/a")
    (home / "run/postgres/s").touch()
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
        "slugs/../keys",
        "slugs/./a",
        "slugs/b/out",
        "slugs/b/out/master.key",
        "slugs/none",
        "slugs//a",
        "run/dynos/web.2",
        "run",
        "",
        "/etc/passwd",
        "/root",
        "/",
        "scratch:",
        "scratch:../x",
        "scratch:a/b",
        "scratch:_work_a",
        "slugs/a\0b",
    ],
)
def test_a_source_outside_of_what_is_allowed_is_refused(place: Place, source: str) -> None:
    with pytest.raises(EngineError):
        plan.order(place, _mounting(source))


@pytest.mark.parametrize(
    "source", ["slugs/a", "slugs/a/app", "slugs/b/in", "envs/e", "cache/uv", "run/scratch/x/out", "scratch:new"]
)
def test_a_source_below_the_given_folders_is_allowed(place: Place, source: str) -> None:
    assert plan.order(place, _mounting(source))["arguments"]


@pytest.mark.parametrize("source", ["slugs/a", "envs/e", "run/scratch/x/out", "cache/out", "cache"])
def test_only_scratch_and_cache_may_be_written_to(place: Place, source: str) -> None:
    with pytest.raises(EngineError):
        plan.order(place, _mounting(source, "rw"))


def test_scratch_and_cache_may_be_written_to(place: Place) -> None:
    for source in ("scratch:out", "cache/uv", "cache/new"):
        assert b"--bind\0" in plan.order(place, _mounting(source, "rw"))["arguments"]


def test_an_allowed_prefix_is_readable_and_does_not_lead_elsewhere(place: Place) -> None:
    prefix = place.allow_as_given[0]
    assert plan.order(place, _mounting(f"{prefix}/bin", target=f"{prefix}/bin"))
    assert plan.order(place, _mounting(prefix, target=prefix))
    for source, mode in (
        (f"{prefix}/bin", "rw"),
        (f"{prefix}/etc", "ro"),
        (f"{prefix}/../x", "ro"),
        (f"{prefix}x", "ro"),
    ):
        with pytest.raises(EngineError):
            plan.order(place, _mounting(source, mode, target="/opt/x"))


@pytest.mark.parametrize("target", ["/", "app", "/app/../etc", "/etc", "/proc", "/usr", "/dev", "//x", "/app/", "/a\0"])
def test_nothing_can_be_mounted_over_the_system_or_beside_the_path(place: Place, target: str) -> None:
    with pytest.raises(EngineError):
        plan.order(place, _mounting("slugs/a", target=target))


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
        {"forwards": (Forward(port=5432, socket="run/supervisor.sock"),)},
        {"forwards": (Forward(port=5432, socket="run/postgres/../supervisor.sock"),)},
        {"forwards": (Forward(port=5432, socket="tcp:10.0.0.9:5432"),)},
        {"forwards": (Forward(port=0, socket="run/postgres/s"),)},
        {"port": 5432, "forwards": (Forward(port=5432, socket="run/postgres/s"),)},
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
    spec = _spec(forwards=(Forward(port=5432, socket="tcp:db.example.com:6432"),))
    assert plan.order(place, spec)["forwards"] == [(5432, "tcp:db.example.com:6432")]
    with pytest.raises(EngineError, match="not allowed"):
        plan.order(place, _spec(forwards=(Forward(port=5432, socket="tcp:db.example.com:22"),)))


def test_an_upper_layer_is_scratch(place: Place) -> None:
    with pytest.raises(EngineError):
        plan.order(place, _mounting("slugs/a", "overlay", upper="cache/uv"))
    words = plan.order(place, _mounting("slugs/a", "overlay", upper="scratch:up"))["arguments"].split(b"\0")
    at = words.index(b"--overlay")
    assert [os.path.basename(word) for word in words[at + 1 : at + 4]] == [b"up", b"_work_up", b"app"]


def test_mounts_are_made_from_the_outside_in(place: Place) -> None:
    mounts = (Mount(target="/app/x/y", source="envs/e"), Mount(target="/app", source="slugs/a", mode="overlay"))
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
            Mount(target="/app", lower=("slugs/a", "envs/e"), mode="overlay", upper="scratch:x"),
            Mount(target="/x", source="y"),
        ),
        forwards=(Forward(port=1, socket="s"),),
        limits=Limits(timeout=1.5, cpu=0.25),
        stdin=bytes(range(256)),
        tty=True,
        egress=False,
    )
    assert protocol.spec_from_wire(protocol.decode(protocol.encode(protocol.spec_to_wire(spec)))) == spec


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
        ("unknown", 1),
    ],
)
def test_a_wrong_type_on_the_wire_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError):
        protocol.spec_from_wire(protocol.spec_to_wire(_spec()) | {field: value})


def test_a_request_that_is_too_long_is_refused_by_the_client() -> None:
    with pytest.raises(EngineError, match="at most"):
        protocol.encode(protocol.spec_to_wire(dataclasses.replace(_spec(), stdin=b"x" * 8_000_000)))
