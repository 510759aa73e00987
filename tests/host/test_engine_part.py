"""``up``, ``down``, ``status`` and ``doctor`` ask the engine for its processes; they depend on no specific engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.engine.contract import DynoSpec
from greenroom.engine.memory import MemoryEngine
from greenroom.project import drivers
from greenroom_cli.host import components, doctor, down, engine_processes, processes, status, unlisted_processes
from greenroom_cli.host import home as homes
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation

TOY = "tests.engine.toy.engine"
BARE = "tests.host.engine_without_processes"
"""A module that defines only ``make_engine``."""
OTHERS = ["caddy", "web", "worker"]


@pytest.fixture
def names(place, monkeypatch):
    """The components that ``up`` would start with the engine of that name, and those that ``status`` shows."""
    monkeypatch.setenv("DATABASE_URL", "postgres://greenroom:x@127.0.0.1:5432/greenroom")
    monkeypatch.setenv("SECRET_KEY", "x" * 50)
    monkeypatch.setattr(components, "caddy_binary", lambda: Path("/usr/bin/caddy"))

    def started(engine: str) -> tuple[list[str], list[str]]:
        monkeypatch.setenv(drivers.SETTING, engine)
        install = homes.settle(place, None, None, None)
        homes.write(place, install)
        rows = components.table(place, install)
        assert {row.env["GREENROOM_ENGINE"] for row in rows if row.name in ("web", "worker")} == {engine or "local"}
        shown = [row["name"] for row in status.gather(place, install)["components"]]
        return [row.name for row in rows], shown

    return started


def test_the_local_engine_has_a_supervisor(names):
    assert names("") == (["supervisor", *OTHERS], ["host", "supervisor", *OTHERS])


@pytest.mark.parametrize("engine", [TOY, BARE])
def test_another_engine_starts_no_supervisor(names, place, engine):
    assert names(engine) == (OTHERS, ["host", *OTHERS])
    finding = doctor._running(place, homes.read(place))
    assert (finding.level, finding.text) == ("warn", "Greenroom is down")


def test_the_local_engine_takes_its_lock_itself_and_nobody_else_does(names, place):
    names("")
    rows = components.table(place, homes.read(place))
    assert [row.name for row in rows if row.locks_itself] == ["supervisor"]


@pytest.mark.neighbours
def test_a_supervisor_is_a_stray_of_the_local_engine_alone(names, place, tmp_path):
    names("")
    folder = tmp_path / "greenroom" / "engine" / "local"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent, folder.parent.parent):
        (package / "__init__.py").touch()
    (folder / "supervisor.py").write_text("import time; print('on', flush=True); time.sleep(600)")
    argv = [sys.executable, "-m", "greenroom.engine.local.supervisor", "--home", str(place)]
    stray = subprocess.Popen(argv, env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path, stdout=subprocess.PIPE)
    try:
        assert stray.stdout
        assert stray.stdout.readline() == b"on\n"
        assert {who.pid for who in unlisted_processes.components(place)["supervisor"]} == {stray.pid}
        names(TOY)
        assert unlisted_processes.components(place) == {}
    finally:
        stray.kill()
        stray.wait()


def test_the_folders_of_the_engine_are_created(place, monkeypatch):
    for engine, mine in (("local", ["run/dynos", "run/scratch"]), (TOY, ["toy"]), (BARE, [])):
        home = place.with_name(f"home-of-{engine}")
        homes.make_folders(home, Installation(engine=engine))
        assert [name for name in ("run/dynos", "run/scratch", "toy") if (home / name).is_dir()] == mine


def test_down_stops_the_dynos_of_an_engine_without_a_program_by_its_verbs(names, place, monkeypatch):
    names(BARE)
    engine = MemoryEngine()
    engine.start(DynoSpec(id="web-1", kind="web", owner="shop", uid=7, process="web.1", command=("true",)))
    monkeypatch.setattr(drivers, "make_engine", lambda home, name: engine)
    said: list[str] = []
    assert down.take_down(place, said.append)
    assert said == ["stopping 1 dyno"]
    assert engine.list() == []
    assert not down.take_down(place, said.append), "nothing of it is left"


def test_down_without_a_supervisor_ends_the_dynos_of_the_local_engine(names, place, monkeypatch):
    names("")
    asked = []
    monkeypatch.setattr(
        "greenroom.engine.local.host_part.LocalHostPart.end_dynos", lambda self, home, say: asked.append(home) or True
    )
    assert processes.known(place, "supervisor") is None
    assert down.take_down(place, print)
    assert asked == [place]


def test_an_engine_that_is_not_there_is_refused(names):
    with pytest.raises(HostError, match=r"There is no engine 'nowhere\.engine'") as caught:
        engine_processes.part("nowhere.engine")
    assert "GREENROOM_ENGINE" in caught.value.hint


def test_down_waits_for_dynos_of_which_it_is_not_certain_that_they_ended(names, place, monkeypatch):
    names(BARE)
    engine = MemoryEngine()
    engine.start(DynoSpec(id="web-1", kind="web", owner="shop", uid=7, process="web.1", command=("true",)))
    engine.lose("web-1", certain=False)
    looks = []
    monkeypatch.setattr(drivers, "make_engine", lambda home, name: engine)
    monkeypatch.setattr(engine, "describe", lambda dyno: looks.append(dyno) or engine._states[dyno])
    monkeypatch.setattr(engine_processes, "GRACE", 0.3)
    said: list[str] = []
    assert down.take_down(place, said.append)
    assert (said, len(looks) > 2, engine.list()) == (["stopping 1 dyno"], True, [])
