"""Tests of a dyno from start to end: its environment, its records, and stopping it."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest

from greenroom.engine.contract import Mount
from greenroom.engine.errors import EngineError
from greenroom.engine.local import egress, folders
from tests.engine.machine import Machine, everybody, until_nobody

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf'); time.sleep(60)"
POLITE = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); print('up'); time.sleep(60)"
SERVER = """
import http.server, os
class It(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header('Content-Length', '2'); self.end_headers(); self.wfile.write(b'ok')
    def log_message(self, *_): pass
http.server.HTTPServer(('127.0.0.1', 5000), It).serve_forever()
"""


def test_the_exit_code_and_the_output_are_kept(machine: Machine) -> None:
    state = machine.run(
        python="import sys; print('to stdout'); sys.stderr.write('to stderr\\n'); sys.exit(3)", output=True
    )
    assert (state.phase, state.exit_code, state.reason) == ("exited", 3, "exit")
    assert machine.output(state.id) == "to stdout\nto stderr\n"
    assert state.exited_at >= state.started_at > 0


def test_the_log_tells_the_dynos_life_in_herokus_words(machine: Machine) -> None:
    state = machine.run("/bin/sh", "-c", "echo hello; exit 7")
    assert machine.log(process=state.process) == [
        f"heroku[{state.process}]: Starting process with command `echo hello; exit 7`",
        f"heroku[{state.process}]: State changed from starting to up",
        f"app[{state.process}]: hello",
        f"heroku[{state.process}]: Process exited with status 7",
        f"heroku[{state.process}]: State changed from up to crashed",
    ]


def test_a_dyno_killed_by_a_signal_of_its_own_exits_with_128_and_the_number(machine: Machine) -> None:
    assert machine.run("/bin/sh", "-c", "kill -SEGV $$").exit_code == 139


def test_a_command_that_does_not_exist_is_a_failed_start(machine: Machine) -> None:
    state = machine.run("no-such-program")
    assert (state.exit_code, state.reason) == (127, "start")
    assert "no-such-program" in state.detail


def test_no_variable_of_the_host_reaches_the_dyno(machine: Machine) -> None:
    env = json.loads(
        machine.printed(python="import json, os; print(json.dumps(dict(os.environ)))", env={"MINE": "ü=\n"})
    )
    assert env.pop("MINE") == "ü=\n"
    proxied = [] if machine.has_gateway else egress.variables(egress.PORT)
    assert set(env) - {"PWD", "LC_CTYPE"} == {"HOME", "PATH", "LANG", "USER", *proxied}


def test_secrets_stand_in_no_processes_command_line_and_in_no_file(machine: Machine) -> None:
    canary = uuid.uuid4().hex
    state = machine.start(python="import time; time.sleep(30)", env={"SECRET": canary}, stdin=canary.encode())
    machine.until_running(state.id)
    assert not [pid for pid, line in everybody().items() if canary.encode() in line]
    for folder, _, names in os.walk(machine.home):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    assert canary.encode() not in file.read(), path
    machine.engine.forget(state.id)


def test_standard_input_is_handed_over(machine: Machine) -> None:
    assert machine.printed("/usr/bin/wc", "-c", stdin=b"\0" * 300_000).strip() == "300000"


def test_without_input_standard_input_is_empty(machine: Machine) -> None:
    assert machine.printed("/usr/bin/wc", "-c").strip() == "0"


def test_signals_have_their_defaults_inside(machine: Machine) -> None:
    text = machine.printed(
        python="import signal as s; print([s.getsignal(n) for n in (s.SIGINT, s.SIGQUIT, s.SIGTERM, s.SIGHUP)])"
    )
    assert "default_int_handler" in text
    assert text.count("SIG_DFL") == 3
    masks = machine.printed("/bin/grep", "-E", "SigIgn|SigBlk", "/proc/self/status").split()[1::2]
    assert [int(mask, 16) & 0x7FFFFFFF for mask in masks] == [0, 0]  # 32 and 33 are reserved for the C library


def test_an_overlay_lets_the_dyno_change_its_app_and_keeps_the_slug_as_it_is(machine: Machine) -> None:
    mounts = machine.slug_mount("overlaid", manage__py="old")
    text = machine.printed(
        "/bin/sh", "-c", "echo new > manage.py; mkdir media; echo x > media/y; cat manage.py media/y", mounts=mounts
    )
    assert text == "new\nx\n"
    assert machine.printed("/bin/cat", "/app/manage.py", mounts=mounts) == "old"


def test_an_upper_layer_in_scratch_keeps_the_changes_for_the_platform(machine: Machine) -> None:
    slug = machine.slug("kept", a__txt="a")
    mounts = (Mount(target="/app", lower=(slug,), mode="overlay", upper="scratch:changes"),)
    state = machine.run("/bin/sh", "-c", "echo b > b.txt; echo c > a.txt", mounts=mounts)
    changes = os.path.join(machine.home, "run/scratch", state.id, "changes")
    assert sorted(os.listdir(changes)) == ["a.txt", "b.txt"]


def test_folders_below_an_upper_layer_can_be_added_to_whoever_owns_them(machine: Machine) -> None:
    low, high = machine.slug("strangers", owner=77), machine.slug("strangers-too", owner=77)
    for folder, name in ((low, "lib/deep/old.py"), (low, "gone/x"), (high, "lib/more/y")):
        path = machine.at(folder) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for path in (low, high):
        for place, _, names in os.walk(machine.at(path)):
            for inner in (place, *(os.path.join(place, name) for name in names)):
                if machine.is_root:
                    os.chown(inner, 200_077, 200_077)
                os.chmod(inner, 0o755)
    mounts = (Mount(target="/app", lower=(low, high), mode="overlay", upper="scratch:changes"),)
    text = machine.printed(
        "/bin/sh",
        "-c",
        "cd lib && echo new > deep/new.py && rm deep/old.py && rm -r ../gone && ls . deep",
        mounts=mounts,
    )
    assert text.split() == [".:", "deep", "more", "deep:", "new.py"]
    assert (machine.at(low) / "lib/deep/old.py").read_text() == "lib/deep/old.py"
    assert not (machine.at(low) / "lib/deep/new.py").exists()


def test_the_last_layer_of_an_overlay_wins(machine: Machine) -> None:
    low, high = machine.slug("low", x__txt="low", y__txt="y"), machine.slug("high", x__txt="high")
    mounts = (Mount(target="/app", lower=(low, high), mode="overlay"),)
    assert machine.printed("/bin/cat", "x.txt", "y.txt", mounts=mounts) == "highy"


def test_a_result_in_scratch_outlives_the_dyno_until_it_is_forgotten(machine: Machine) -> None:
    state = machine.run(
        "/bin/sh", "-c", "echo 5 > /out/result", mounts=(Mount(target="/out", source="scratch:out", mode="rw"),)
    )
    folder = os.path.join(machine.home, "run/scratch", state.id)
    assert Path(folder, "out", "result").read_text() == "5\n"
    machine.engine.forget(state.id)
    assert not os.path.exists(folder)
    assert machine.engine.describe(state.id) is None


def test_a_read_only_mount_is_read_only(machine: Machine) -> None:
    mounts = (Mount(target="/app", source=machine.slug("fixed", x="1")),)
    assert machine.run("/bin/sh", "-c", "echo 2 > /app/x", mounts=mounts).exit_code == 2
    assert machine.run("/bin/sh", "-c", "echo 2 > /usr/x", mounts=mounts).exit_code == 2


def test_term_reaches_the_main_process(machine: Machine) -> None:
    state = machine.start(python=POLITE)
    machine.until(state.id, lambda _: any("up" in line for line in machine.log(process=state.process)[2:]))
    machine.engine.signal(state.id, "TERM")
    state = machine.until_exited(state.id)
    assert (state.exit_code, state.reason) == (0, "signal")


def test_a_signal_that_comes_before_the_process_is_not_lost(machine: Machine) -> None:
    state = machine.start("/bin/sleep", "60")
    machine.engine.signal(state.id, "TERM")
    assert machine.until_exited(state.id).exit_code == 143


def test_stop_gives_the_grace_and_then_kills(machine: Machine) -> None:
    state = machine.start(python=STUBBORN, limits={"grace": 0.5})
    machine.until(state.id, lambda _: any("deaf" in line for line in machine.log(process=state.process)[2:]))
    before = time.monotonic()
    machine.engine.signal(state.id, "STOP")
    machine.engine.signal(state.id, "STOP")
    state = machine.until_exited(state.id)
    assert 0.4 < time.monotonic() - before < 2
    assert (state.exit_code, state.reason) == (137, "signal")
    assert machine.log(process=state.process)[3:] == [
        f"heroku[{state.process}]: Stopping all processes with SIGTERM",
        (
            f"heroku[{state.process}]: Error R12 (Exit timeout) -> "
            "At least one process failed to exit within 0.5 seconds of SIGTERM"
        ),
        f"heroku[{state.process}]: Stopping remaining processes with SIGKILL",
        f"heroku[{state.process}]: Process exited with status 137",
        f"heroku[{state.process}]: State changed from up to complete",
    ]


def test_kill_ends_the_whole_tree(machine: Machine) -> None:
    word = f"9{uuid.uuid4().int % 10**8}"
    tree = f"(trap '' TERM HUP; sleep {word} & setsid sleep {word} & wait) & sleep {word}"
    state = machine.start("/bin/sh", "-c", tree)
    machine.until_running(state.id)
    time.sleep(0.1)
    machine.engine.signal(state.id, "KILL")
    assert machine.until_exited(state.id).exit_code == 137
    until_nobody(word)


def test_what_a_dyno_leaves_in_the_background_ends_with_it(machine: Machine) -> None:
    word = f"8{uuid.uuid4().int % 10**8}"
    assert machine.run("/bin/sh", "-c", f"setsid sleep {word} & exit 0").exit_code == 0
    until_nobody(word)


def test_a_web_dyno_that_does_not_bind_its_port_is_killed_with_r10(machine: Machine) -> None:
    state = machine.run("/bin/sleep", "60", kind="web", port=5000, limits={"boot": 0.3})
    assert (state.exit_code, state.reason) == (137, "boot")
    assert any("Error R10 (Boot timeout)" in line for line in machine.log(process=state.process))


def test_a_web_dyno_listens_once_its_port_is_bound(machine: Machine) -> None:
    state = machine.start(python=SERVER, kind="web", port=5000, socket="run/sockets/life.sock", process="web.1")
    assert not state.listening
    assert machine.until_listening(state.id).listening
    assert os.path.exists(os.path.join(machine.home, "run/sockets/life.sock"))
    machine.engine.signal(state.id, "KILL")
    state = machine.until_exited(state.id)
    assert not state.listening
    assert not os.path.exists(os.path.join(machine.home, "run/sockets/life.sock"))
    assert machine.log(process="web.1")[-1] == "heroku[web.1]: State changed from up to complete"


def test_a_web_dyno_that_ends_by_itself_has_crashed(machine: Machine) -> None:
    state = machine.run("/bin/true", kind="web", port=5000, process="web.7")
    assert state.exit_code == 0
    assert machine.log(process="web.7")[-1] == "heroku[web.7]: State changed from starting to crashed"


def test_a_dyno_that_runs_too_long_is_killed(machine: Machine) -> None:
    state = machine.run("/bin/sleep", "60", limits={"timeout": 0.3})
    assert (state.exit_code, state.reason) == (137, "timeout")


def test_a_dyno_that_is_silent_too_long_is_killed_and_a_talking_one_is_not(machine: Machine) -> None:
    assert machine.run("/bin/sleep", "60", limits={"silence": 0.4}).reason == "silence"
    talk = "import time\nfor _ in range(8): print('.'); time.sleep(.1)"
    assert machine.run(python=talk, limits={"silence": 0.4}).reason == "exit"


def test_starting_twice_starts_once(machine: Machine) -> None:
    spec = machine.spec("/bin/sleep", "60")
    first, second = machine.engine.start(spec), machine.engine.start(spec)
    assert first.pid == second.pid
    machine.engine.forget(spec.id)


def test_an_ended_dyno_is_described_not_started_again(machine: Machine) -> None:
    spec = machine.spec("/bin/false")
    machine.until_exited(machine.engine.start(spec).id)
    assert machine.engine.start(spec).exit_code == 1


def test_forgetting_kills_what_lives_and_may_be_repeated(machine: Machine) -> None:
    word = f"7{uuid.uuid4().int % 10**8}"
    state = machine.start("/bin/sleep", word)
    machine.until_running(state.id)
    machine.engine.forget(state.id)
    machine.engine.forget(state.id)
    until_nobody(word)
    assert not machine.folder(state.id).exists()
    assert state.id not in [it.id for it in machine.engine.list()]


def test_an_unknown_id_is_none_and_signalling_it_does_nothing(machine: Machine) -> None:
    assert machine.engine.describe("never-was") is None
    machine.engine.signal("never-was", "KILL")
    machine.engine.forget("never-was")


@pytest.mark.parametrize(
    "name",
    [
        "env",
        "env:",
        "env:..",
        "env:../logs",
        "env:.",
        "env:.hidden",
        "envs/a",
        "logs/x",
        "/etc",
        "host:/etc",
        "slug:a/b",
        "source:" + "a" * 40,
        "python:cpython-3.12.8",
        "scratch:x",
        "cache:platform/wheels",
        "cache:alice/other",
        "cache:alice",
        "",
        None,
    ],
)
def test_only_what_builds_made_can_be_thrown_away(machine: Machine, name: object) -> None:
    with pytest.raises(EngineError, match=r"can be discarded|there is no cache|str is expected"):
        machine.engine.discard(name)  # type: ignore[arg-type]


def test_what_is_thrown_away_is_gone_at_once_and_may_be_thrown_away_again(machine: Machine) -> None:
    home = Path(machine.home)
    made = home / "envs" / "4f2a-11"
    (made / "lib" / "deep").mkdir(parents=True)
    (made / "lib" / "deep" / "file").write_text("x")
    for path in (home / "envs", made, made / "lib", made / "lib" / "deep"):
        os.chown(path, home.stat().st_uid, home.stat().st_gid)
    (made / "lib").chmod(0o500)
    made.chmod(0o500)
    machine.engine.discard("env:4f2a-11")
    assert not made.exists()
    machine.engine.discard("env:4f2a-11")
    deadline = time.monotonic() + 20
    while (left := list((home / "run" / "trash").iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not left


def test_the_folder_of_an_apps_volumes_goes_with_its_last_one(machine: Machine) -> None:
    parent = Path(machine.home) / "volumes" / "alice"
    for key in ("media", "other"):
        (parent / key).mkdir(parents=True)
        (parent / key / "file").write_text("x")
    for path in (parent.parent, parent, parent / "media", parent / "other"):
        os.chown(path, Path(machine.home).stat().st_uid, Path(machine.home).stat().st_gid)
    machine.engine.discard("volume:alice/media")
    assert [path.name for path in parent.iterdir()] == ["other"]
    for _ in range(2):
        machine.engine.discard("volume:alice/other")
        assert not parent.exists()
        assert parent.parent.is_dir()


def test_a_folder_is_made_although_its_empty_parent_was_removed_in_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, enter, removed = SimpleNamespace(home=str(tmp_path), root=False), folders._enter, []

    def remove_once(parent: int, name: str, mode: int) -> tuple[int, bool]:
        if name == "media" and not removed:
            removed.append(os.rmdir(tmp_path / "volumes" / "alice"))
        return enter(parent, name, mode)

    monkeypatch.setattr(folders, "_enter", remove_once)
    folders._folder(place, "volumes/alice/media", owner=0, mode=0o700)  # type: ignore[arg-type]
    assert removed
    assert (tmp_path / "volumes" / "alice" / "media").is_dir()


def test_a_very_deep_folder_left_in_scratch_is_removed(machine: Machine) -> None:
    dig = (
        "import os\nos.chdir('/out')\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')\nopen('f',"
        " 'w')\nos.chmod('.', 0)"
    )
    state = machine.run(python=dig, mounts=(Mount(target="/out", source="scratch:out", mode="rw"),))
    assert state.exit_code == 0
    machine.engine.forget(state.id)
    deadline = time.monotonic() + 20
    while os.listdir(os.path.join(machine.home, "run/trash")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_state_file_is_no_place_for_secrets_and_describing_is_cheap(machine: Machine) -> None:
    state = machine.start("/bin/sleep", "60", env={"TOKEN": "hunter2"})
    machine.until_running(state.id)
    assert "hunter2" not in (machine.folder(state.id) / "state.json").read_text()
    before = time.perf_counter()
    for _ in range(200):
        machine.engine.describe(state.id)
    assert (time.perf_counter() - before) / 200 < 0.002
    machine.engine.forget(state.id)


def test_a_refused_spec_leaves_nothing_behind(machine: Machine) -> None:
    with pytest.raises(EngineError, match="does not exist"):
        machine.start("/bin/true", id="refused", mounts=(Mount(target="/app", source="env:none"),))
    assert not machine.folder("refused").exists()
    assert machine.engine.describe("refused") is None


def test_a_home_whose_paths_are_too_long_for_sockets_works(request: pytest.FixtureRequest, machine: Machine) -> None:
    deep = Machine(machine.mode, deep="/".join(["a-rather-long-name-of-a-folder"] * 5))
    request.addfinalizer(deep.close)
    state = deep.start(python=SERVER, kind="web", port=5000, socket="run/sockets/web.sock")
    assert deep.until_listening(state.id).listening
