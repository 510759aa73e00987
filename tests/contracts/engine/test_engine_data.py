"""The contract of every engine's data: files and trees, output, attached clients, endpoints, capacity, certainty."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
import time
from pathlib import Path

import pytest

from greenroom.basics import logfile, unixsock
from greenroom.engine import artefacts, names
from greenroom.engine.contract import PLATFORM, Forward, Limits, Mount, Usage
from greenroom.engine.errors import EngineError, NotWaitingError
from tests.contracts.engine.conftest import (
    CAT,
    ISOLATION,
    LEFT,
    LIMITS,
    OUT,
    PROCESSES,
    SAYS,
    SLEEP,
    Rig,
)
from tests.engine.machine import PYTHON, until_nobody

# -- files -------------------------------------------------------------------------------------------------------------


def test_a_file_that_a_dyno_left_is_read_whole_and_only_if_it_is_a_plain_one(rig: Rig) -> None:
    state = rig.until_exited(rig.start(*LEFT, mounts=(OUT,)).id)
    assert state.exit_code == 0, state
    read = rig.engine.result
    assert read(state.id, "out/result.json") == b"{}\n"
    assert read(state.id, "out/deep/file") == b"below\n"
    for name in ("out/none", "out/link", "out/linked/file", "out/pipe", "out/deep", "out/../out/big", "other/x"):
        assert read(state.id, name) is None, name
    rig.engine.forget(state.id)
    assert read(state.id, "out/result.json") is None


def test_a_file_above_the_limit_is_not_read(rig: Rig) -> None:
    state = rig.until_exited(rig.start(*LEFT, mounts=(OUT,)).id)
    assert rig.engine.result(state.id, "out/big", limit=2000) == bytes(2000)
    assert rig.engine.result(state.id, "out/big", limit=1999) is None


def test_a_tree_that_a_dyno_left_may_be_moved_away(rig: Rig, tmp_path: Path) -> None:
    state = rig.until_exited(rig.start(*LEFT, mounts=(OUT,)).id)
    target = (rig.home if rig.home.is_dir() else tmp_path) / "slugs" / f"kept-{state.id}"
    target.parent.mkdir(exist_ok=True)
    with rig.engine.tree(state.id, "out") as folder:
        assert folder is not None
        if os.stat(folder).st_dev == os.stat(target.parent).st_dev:
            os.rename(folder, target)
            assert (target / "deep" / "file").read_text() == "below\n"
            assert (target / "link").is_symlink()


def test_there_is_no_tree_of_what_is_unknown(rig: Rig) -> None:
    state = rig.until_exited(rig.start("/bin/true").id)
    for dyno_id, name in ((state.id, "out"), ("never-was", "out")):
        with rig.engine.tree(dyno_id, name) as folder:
            assert folder is None


def test_what_a_dyno_reads_and_writes_are_its_mounts(rig: Rig) -> None:
    rig.needs(PROCESSES)
    name, slug = rig.made(names.slug("1" * 64), file="of the slug\n")
    read = (Mount(target="/app", source=name, mode="overlay"),)
    text = rig.printed("/bin/sh", "-c", "cat /app/file; echo more > /app/other && cat /app/other", mounts=read)
    assert text == "of the slug\nmore\n"
    assert os.listdir(slug) == ["file"], "what is written to an overlay vanishes"
    assert rig.printed("/bin/sh", "-c", "cat file", mounts=(Mount(target="/app", source=name),)) == "of the slug\n"
    with pytest.raises(EngineError, match="does not exist"):
        rig.start("/bin/true", mounts=(Mount(target="/app", source=names.slug("0" * 64)),))


KINDS = (names.environment("4f-tests"), names.source("a" * 40), names.python("cpython-3.12.8-linux-x86_64-gnu"))
TOOLS = (names.tool("runner-0a1b"), names.tool("uv-0.9.1", "uv"), names.scanner("bandit"))


@pytest.mark.parametrize("name", [*KINDS, *TOOLS])
def test_each_kind_of_artefact_is_mounted_by_its_name(rig: Rig, name: str) -> None:
    rig.needs(PROCESSES)
    whole = name.startswith("source:") or name.endswith("/uv")
    rig.made(name, **({"": "its content\n"} if whole else {"file": "its content\n"}))
    target = "/greenroom/it" if whole else "/greenroom/it/file"
    assert rig.printed("/bin/cat", target, mounts=(Mount(target="/greenroom/it", source=name),)) == "its content\n"


def test_caches_and_volumes_are_their_owners_and_the_next_dyno_finds_what_the_last_one_left(rig: Rig) -> None:
    rig.needs(PROCESSES)
    caches = {names.cache("alice", "build"): "alice", names.cache(PLATFORM, "wheels"): PLATFORM}
    for source, owner in {**caches, names.volume("alice", "media"): "alice"}.items():
        mounts = (Mount(target="/greenroom/cache", source=source, mode="rw"),)
        script = ("/bin/sh", "-c", "cat /greenroom/cache/x; echo kept > /greenroom/cache/x")
        assert rig.printed(*script, owner=owner, mounts=mounts).splitlines()[-1:] != ["kept"]
        assert rig.printed(*script, owner=owner, mounts=mounts) == "kept\n"
        with pytest.raises(EngineError, match="another owner"):
            rig.start("/bin/true", owner="bob", mounts=mounts)


def test_a_volume_is_there_from_its_first_use_and_a_view_of_it_changes_nothing(rig: Rig) -> None:
    rig.needs(PROCESSES)
    source = names.volume("erin", "media")
    read = (Mount(target="/files", source=source),)
    write = (Mount(target="/files", source=source, mode="rw"),)
    view = (Mount(target="/files", mode="overlay", lower=(source,)),)
    values = {"owner": "erin", "uid": 11}
    assert rig.printed("/bin/ls", "/files", mounts=read, **values) == ""
    assert rig.printed("/bin/sh", "-c", "echo kept > /files/x", mounts=write, **values) == ""
    changes = ("/bin/sh", "-c", "echo changed > /files/x; echo new > /files/y; cat /files/x /files/y")
    assert rig.printed(*changes, mounts=view, **values) == "changed\nnew\n"
    assert rig.printed("/bin/sh", "-c", "cat /files/*", mounts=read, **values) == "kept\n"


def test_a_volume_is_measured_and_nothing_else_is(rig: Rig) -> None:
    source = names.volume("erin", "measured")
    assert rig.engine.usage(source) == Usage()
    for name in (names.cache("erin", "build"), "volume:erin", "volumes/erin/media", names.slug("4" * 64)):
        with pytest.raises(EngineError):
            rig.engine.usage(name)
    rig.needs(PROCESSES)
    mounts = (Mount(target="/files", source=source, mode="rw"),)
    fill = "mkdir -p /files/a/b; head -c 100000 /dev/zero > /files/a/b/x; ln -s /usr /files/a/link"
    rig.printed("/bin/sh", "-c", fill, owner="erin", uid=11, mounts=mounts)
    found = rig.engine.usage(source)
    assert 100_000 <= found.bytes < 200_000, "a link is not followed"
    assert found.complete
    assert found.files > 0


@pytest.mark.parametrize(
    "name",
    [
        "slugs/a",
        "etc",
        "slug:a",
        "slug:../../keys",
        "env:a/b",
        "env:..",
        "source:x",
        "image:x",
        "cache:alice",
        "scratch:",
    ],
)
def test_what_is_no_name_of_an_artefact_is_refused_with_a_sentence(rig: Rig, name: str) -> None:
    for mount in (Mount(target="/x", source=name), Mount(target="/x", lower=(OUT.source, name), mode="overlay")):
        with pytest.raises(EngineError, match=r"is not the name of|is malformed") as caught:
            rig.start("/bin/true", mounts=(mount,))
        assert repr(name) in caught.value.message


@pytest.mark.parametrize("name", ["run/postgres/x", "/run/x", "service:", "service:../x", "tcp:db", "env:x"])
def test_what_is_no_name_of_a_service_is_refused_with_a_sentence(rig: Rig, name: str) -> None:
    with pytest.raises(EngineError, match=r"is not the name of|is malformed"):
        rig.start("/bin/true", forwards=(Forward(port=5432, service=name),))


@pytest.mark.parametrize("target", [("A.org", 1), ("10.0.0.1/8", 0), ("a.org", 65536), ("localhost", 1), ("", 0)])
def test_an_allowed_target_that_is_not_in_its_normal_form_is_refused(rig: Rig, target: tuple[str, int]) -> None:
    with pytest.raises(EngineError, match="is not a target in its normal form"):
        rig.start("/bin/true", allowed=(("example.org", 443), target))
    assert rig.until_exited(rig.start("/bin/true", allowed=(("example.org", 443),)).id).exit_code == 0


@pytest.mark.parametrize("dyno_id", ["", "../x", "A", "a/b", ".a", "a" * 81])
def test_a_malformed_id_is_refused_by_each_verb(rig: Rig, dyno_id: str) -> None:
    engine = rig.engine
    verbs = (
        lambda: engine.start(dataclasses.replace(rig.spec("/bin/true"), id=dyno_id)),
        lambda: engine.describe(dyno_id),
        lambda: engine.signal(dyno_id, "TERM"),
        lambda: engine.forget(dyno_id),
        lambda: engine.result(dyno_id, "out/x"),
        lambda: engine.tree(dyno_id, "out").__enter__(),
        lambda: engine.output(dyno_id, 0),
        lambda: engine.attach(dyno_id),
        lambda: engine.detach(dyno_id, complete=True),
        lambda: engine.endpoint(dyno_id),
    )
    for verb in verbs:
        with pytest.raises(EngineError, match="dyno id"):
            verb()


def test_writes_to_an_overlay_with_an_upper_folder_are_kept(rig: Rig) -> None:
    rig.needs(PROCESSES)
    name, _ = rig.made(names.slug("2" * 64), base="x")
    mounts = (Mount(target="/app", mode="overlay", lower=(name,), upper="scratch:added"),)
    state = rig.until_exited(rig.start("/bin/sh", "-c", "echo x > /app/new", mounts=mounts).id)
    assert (state.exit_code, rig.engine.result(state.id, "added/new")) == (0, b"x\n")


def test_a_discarded_artefact_is_gone_and_only_certain_ones_can_be(rig: Rig) -> None:
    refused = ("logs", "slugs/a", "slug:..", "env:../x", "run/x", "/etc", "source:" + "a" * 40, "cache:platform/wheels")
    for name in refused:
        with pytest.raises(EngineError):
            rig.engine.discard(name)
    rig.needs(PROCESSES)
    for name in (
        names.slug("3" * 64),
        names.environment("old"),
        names.cache("carol", "build"),
        names.volume("carol", "media"),
    ):
        _, path = rig.made(name, file="x")
        mounts = (Mount(target="/greenroom/it", source=name),)
        values = {"owner": "carol", "uid": 9}
        assert rig.printed("/bin/cat", "/greenroom/it/file", mounts=mounts, **values) == "x"
        rig.engine.discard(name)
        rig.engine.discard(name)
        assert not path.exists()
        if not name.startswith(("cache:", "volume:")):
            with pytest.raises(EngineError, match="does not exist"):
                rig.start("/bin/true", mounts=mounts, **values)


# -- output and environment --------------------------------------------------------------------------------------------


def test_output_is_read_from_any_place_and_says_whether_more_comes(rig: Rig) -> None:
    whole = b"one\nModuleNotFoundError: No module named 'shop'\n"
    state = rig.until_exited(rig.start(*SAYS, output=True).id)
    read = rig.engine.output
    assert (read(state.id, 0).data, read(state.id, 0).size, read(state.id, 0).more) == (whole, len(whole), False)
    assert read(state.id, 4, limit=6).data == whole[4:10]
    assert (read(state.id, 1000).data, read(state.id, 0, limit=0).size) == (b"", len(whole))
    asleep = rig.start(*SLEEP, output=True)
    assert read(asleep.id, 0).more
    rig.engine.forget(asleep.id)
    assert (read(asleep.id, 0).size, read(asleep.id, 0).more) == (0, False)
    assert not read("never-was", 0).more


def test_output_is_kept_only_if_the_spec_asks_for_it(rig: Rig) -> None:
    state = rig.until_exited(rig.start(*SAYS).id)
    assert (rig.engine.output(state.id, 0).data, rig.engine.output(state.id, 0).size) == (b"", 0)
    assert state.last_words


def test_a_dyno_sees_its_environment_and_nothing_of_the_hosts(rig: Rig) -> None:
    rig.needs(PROCESSES)
    lines = rig.printed("/usr/bin/env", env={"TOKEN": "a=b \N{SNOWMAN}", "PATH": "/usr/bin"}, egress=False).splitlines()
    assert "TOKEN=a=b \N{SNOWMAN}" in lines
    own = {"HOME", "LANG", "USER", "PWD"}
    assert not {line.partition("=")[0] for line in lines} - {"TOKEN", "PATH"} - own


def test_standard_input_is_the_specs(rig: Rig) -> None:
    rig.needs(PROCESSES)
    assert rig.printed("/bin/cat", stdin=b"a script\n") == "a script\n"


def test_lines_come_into_the_apps_log(rig: Rig) -> None:
    rig.needs(PROCESSES)
    state = rig.until_exited(rig.start(*SAYS, log="logs/alice", process="worker.7").id)
    assert state.exit_code == 1
    lines = [line.raw for line in logfile.read_last(str(rig.home / "logs" / "alice"), 100)[0]]
    assert any(line.endswith("app[worker.7]: one") for line in lines), lines


# -- attached clients --------------------------------------------------------------------------------------------------


def read_until(sock: socket.socket, text: bytes) -> bytes:
    seen = b""
    while not seen.endswith(text):
        data = sock.recv(65536)
        assert data, seen
        seen += data
    return seen


def test_an_attached_dyno_starts_with_its_client_and_speaks_with_it(rig: Rig) -> None:
    spec = rig.spec(*CAT, attach=True)
    assert rig.engine.start(spec).phase == "starting"
    found = rig.attach(spec.id)
    found.sock.sendall(b"hello\n")
    assert read_until(found.sock, b"hello\n") == b"hello\n"
    rig.until_running(spec.id)
    with pytest.raises(NotWaitingError):
        rig.engine.attach(spec.id)
    found.sock.shutdown(socket.SHUT_WR)
    assert found.sock.recv(10) == b""
    rig.engine.detach(spec.id, complete=True)
    found.sock.close()
    assert rig.until_exited(spec.id).exit_code == 0


def test_a_dyno_whose_client_leaves_is_hung_up_on(rig: Rig) -> None:
    spec = rig.spec(*CAT, attach=True)
    rig.engine.start(spec)
    found = rig.attach(spec.id)
    rig.until_running(spec.id)
    rig.engine.detach(spec.id, complete=False)
    found.sock.close()
    state = rig.until_exited(spec.id)
    assert (state.exit_code, state.reason) == (129, "signal")


def test_who_was_never_started_or_has_ended_takes_no_client(rig: Rig) -> None:
    ended = rig.until_exited(rig.start("/bin/true").id)
    for dyno_id in (ended.id, "never-was"):
        with pytest.raises(NotWaitingError):
            rig.engine.attach(dyno_id)
        rig.engine.detach(dyno_id, complete=True)


def test_nobody_comes_back_before_the_first_client(rig: Rig) -> None:
    spec = rig.spec(*CAT, attach=True)
    rig.engine.start(spec)
    with pytest.raises((EngineError, OSError)):
        rig.engine.attach(spec.id, seen=0)
    found = rig.attach(spec.id)
    found.sock.sendall(b"hello\n")
    assert read_until(found.sock, b"hello\n") == b"hello\n"
    rig.engine.detach(spec.id, complete=False)
    found.sock.close()
    rig.until_exited(spec.id)


def test_a_lost_client_comes_back_for_what_it_has_not_seen(rig: Rig) -> None:
    rig.needs(PROCESSES)
    spec = rig.spec(*CAT, attach=True)
    rig.engine.start(spec)
    first = rig.attach(spec.id)
    first.sock.sendall(b"one\ntwo\n")
    read_until(first.sock, b"one\ntwo\n")
    first.sock.close()
    again = rig.attach(spec.id, seen=4)
    assert again.received == 8
    assert read_until(again.sock, b"two\n") == b"two\n"
    again.sock.sendall(b"three\n")
    assert read_until(again.sock, b"three\n") == b"three\n"
    rig.engine.detach(spec.id, complete=False)
    again.sock.close()
    rig.until_exited(spec.id)


def test_a_terminal_has_the_size_that_was_asked_for(rig: Rig) -> None:
    rig.needs(PROCESSES)
    spec = rig.spec("/bin/stty", "size", attach=True, tty=True, rows=33, columns=111)
    rig.engine.start(spec)
    found = rig.attach(spec.id)
    assert read_until(found.sock, b"\r\n") == b"33 111\r\n"
    rig.engine.detach(spec.id, complete=True)
    found.sock.close()


# -- ways in and out ---------------------------------------------------------------------------------------------------

ANSWERS = (
    PYTHON,
    "-c",
    "import socket\ns = socket.create_server(('127.0.0.1', 5000))\nwhile True:\n c, _ = s.accept()\n"
    " c.sendall(b'hello ' + c.recv(100)); c.close()",
)


def test_the_endpoint_leads_to_the_port_while_the_dyno_listens(rig: Rig) -> None:
    rig.needs(PROCESSES)
    spec = rig.spec(*ANSWERS, kind="web", port=5000)
    spec = dataclasses.replace(spec, socket=rig.engine.endpoint(spec.id))
    path = rig.home / spec.socket
    assert path.name == spec.id
    rig.engine.start(spec)
    rig.until(spec.id, lambda state: state.listening)
    with unixsock.connect(path, timeout=10) as sock:
        sock.sendall(b"router")
        assert sock.recv(100) == b"hello router"
    rig.engine.signal(spec.id, "KILL")
    rig.until_exited(spec.id)
    assert not path.exists()


LONG_LIVED = {
    "websocket": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    "events": "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
}


@pytest.mark.parametrize("kind", [*LONG_LIVED, "request"])
def test_a_drain_waits_for_requests_and_for_no_long_lived_connection(rig: Rig, kind: str) -> None:
    rig.needs(PROCESSES)
    head = LONG_LIVED.get(kind, "HTTP/1.1 200 OK\r\n\r\n")
    answer = f"k = s.accept()[0]; k.sendall({head.encode()!r}); time.sleep(60)"
    serve = (PYTHON, "-c", f"import socket, time; s = socket.create_server(('127.0.0.1', 5000)); {answer}")
    spec = rig.spec(*serve, kind="web", port=5000, limits=Limits(grace=0.3, drain=1.0 if kind == "request" else 60.0))
    spec = dataclasses.replace(spec, socket=rig.engine.endpoint(spec.id))
    rig.engine.start(spec)
    rig.until(spec.id, lambda state: state.listening)
    with unixsock.connect(rig.home / spec.socket, timeout=10) as sock:
        assert sock.recv(500) == head.encode()
        before = time.monotonic()
        rig.engine.signal(spec.id, "DRAIN")
        assert rig.until_exited(spec.id).exit_code == 143
        assert kind != "request" or time.monotonic() - before >= 1.0


def test_an_endpoint_is_the_same_for_ever_and_never_absolute(rig: Rig) -> None:
    assert rig.engine.endpoint("web-1") == rig.engine.endpoint("web-1")
    assert not rig.engine.endpoint("web-1").startswith("/")
    assert Path(rig.engine.endpoint("web-1")).name == "web-1"


@pytest.mark.parametrize("service", [names.service("database"), names.service("parrots")])
def test_a_forward_leads_to_its_service(rig: Rig, service: str) -> None:
    rig.needs(PROCESSES)
    path = rig.home / artefacts.socket(service, 5432)
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = unixsock.bind(path, mode=0o777)
    rig.own(str(path.parent))

    def answer() -> None:
        client, _ = listener.accept()
        client.sendall(client.recv(100).upper())
        client.close()

    threading.Thread(target=answer, daemon=True).start()
    asks = "import socket; s = socket.create_connection(('127.0.0.1', 5432)); s.sendall(b'who'); print(s.recv(9))"
    forwards = (Forward(port=5432, service=service),)
    assert rig.printed(PYTHON, "-c", asks, forwards=forwards) == "b'WHO'\n"
    listener.close()
    path.unlink()


def test_a_service_is_reached_by_forwards_and_a_newer_dyno_takes_its_place(rig: Rig) -> None:
    rig.needs(PROCESSES)
    service = names.service("echo")
    asks = "import socket; s = socket.create_connection(('127.0.0.1', 5432)); s.sendall(b'who'); print(s.recv(19))"
    asking = {"forwards": (Forward(port=5432, service=service),), "owner": "bob", "uid": 8}
    older = rig.start(*ANSWERS, kind="service", port=5000, service=service)
    rig.until(older.id, lambda state: state.listening)
    assert rig.printed(PYTHON, "-c", asks, **asking) == "b'hello who'\n"
    with rig.engine.connect(service, timeout=10) as sock:
        sock.sendall(b"platform")
        assert sock.recv(100) == b"hello platform"
    newer = rig.start(*(word.replace("hello", "newer") for word in ANSWERS), kind="service", port=5000, service=service)
    rig.until(newer.id, lambda state: state.listening)
    rig.engine.signal(older.id, "KILL")
    rig.until_exited(older.id)
    assert rig.printed(PYTHON, "-c", asks, **asking) == "b'newer who'\n"
    rig.engine.forget(older.id)
    assert rig.printed(PYTHON, "-c", asks, **asking) == "b'newer who'\n"
    rig.engine.signal(newer.id, "KILL")
    rig.until_exited(newer.id)
    with pytest.raises(OSError, match=r"No such file|refused"):
        rig.engine.connect(service, timeout=10)


# -- deadlines, limits, certainty --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "values"),
    [
        ("timeout", {"limits": Limits(timeout=0.4, grace=0.3)}),
        ("silence", {"limits": Limits(silence=0.4, grace=0.3)}),
        ("boot", {"limits": Limits(boot=0.4, grace=0.3), "port": 5000, "kind": "web"}),
    ],
)
def test_a_deadline_ends_a_dyno_and_is_its_reason(rig: Rig, reason: str, values: dict[str, object]) -> None:
    rig.needs(PROCESSES)
    state = rig.until_exited(rig.start(*SLEEP, **values).id)
    assert (state.reason, state.exit_code) == (reason, 137)
    assert state.detail


def test_what_cannot_be_started_says_so(rig: Rig) -> None:
    rig.needs(PROCESSES)
    state = rig.until_exited(rig.start("/no/such/command").id)
    assert (state.exit_code, state.reason) == (127, "start")


def test_capacity_says_what_one_dyno_may_have(rig: Rig) -> None:
    found = rig.engine.capacity()
    assert found.cores >= 1
    assert found.of(16)["memory_mb"] == 16
    assert found.of(10**9)["memory_mb"] == (found.memory_mb or 10**9)


def test_a_dyno_that_nobody_watches_any_more_is_lost_and_nothing_of_it_runs(rig: Rig) -> None:
    word = f"31{os.getpid()}7"
    command = ("/bin/sleep", word) if PROCESSES in rig.offers else SLEEP
    state = rig.until_running(rig.start(*command, output=True).id)
    rig.lose(state)
    state = rig.until(state.id, lambda it: it.phase == "lost")
    assert (state.certain, state.ended, state.exit_code) == (True, True, None)
    until_nobody(word)
    rig.engine.forget(state.id)


def test_memory_is_limited_where_that_is_offered(rig: Rig) -> None:
    rig.needs(LIMITS)
    grows = "data = []\nwhile True: data.append(bytearray(1_000_000))"
    state = rig.until_exited(rig.start(PYTHON, "-c", grows, limits=Limits(memory_mb=64, grace=0.3)).id)
    assert state.reason == "oom"


def test_files_of_the_host_are_out_of_sight_where_that_is_offered(rig: Rig) -> None:
    rig.needs(ISOLATION)
    assert rig.printed("/bin/sh", "-c", f"ls {rig.home}/slugs 2>/dev/null || echo none") == "none\n"
