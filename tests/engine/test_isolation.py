"""A dyno cannot see, reach, signal or impersonate anything outside of it."""

from __future__ import annotations

import http.server
import os
import socket
import stat
import threading
import uuid
from pathlib import Path

import pytest

from greenroom.engine.contract import Mount
from tests.engine.machine import ALICE, BOB, IS_ROOT, Machine, as_uid

LISTEN = """
import socket, time
a = socket.create_server(('127.0.0.1', 5000))
b = socket.socket(socket.AF_UNIX); b.bind('\\0victim'); b.listen()
print('ready', flush=True)
time.sleep(60)
"""
KNOCK = """
import socket
for family, address in ((socket.AF_INET, ('127.0.0.1', {port})), (socket.AF_UNIX, '\\0{name}')):
    try:  # noqa: SIM105 (contextlib is heavy)
        socket.socket(family).connect(address); print('reached', address)
    except OSError as error:
        print(type(error).__name__)
"""


@pytest.fixture
def host_service():
    """A service of the host on loopback, and on an abstract socket."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    name = f"host-{uuid.uuid4().hex}"
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0" + name)
    abstract.listen()
    yield server.server_port, name
    server.shutdown()
    server.server_close()
    abstract.close()


def test_another_app_cannot_reach_this_apps_port_or_abstract_socket(machine: Machine) -> None:
    victim = machine.start(python=LISTEN, kind="web", port=5000)
    assert machine.until_listening(victim.id).listening
    text = machine.printed(python=KNOCK.format(port=5000, name="victim"), owner="bob", uid=BOB, log="logs/bob")
    assert text.split() == ["ConnectionRefusedError"] * 2
    machine.engine.forget(victim.id)


def test_two_dynos_of_one_app_have_a_port_5000_each(machine: Machine) -> None:
    dynos = [machine.start(python=LISTEN, kind="web", port=5000) for _ in range(2)]
    assert all(machine.until_listening(dyno.id).listening for dyno in dynos)
    for dyno in dynos:
        machine.engine.forget(dyno.id)


def test_services_of_the_host_cannot_be_reached(machine: Machine, host_service: tuple[int, str]) -> None:
    port, name = host_service
    assert machine.printed(python=KNOCK.format(port=port, name=name)).split() == ["ConnectionRefusedError"] * 2


def test_a_dyno_has_loopback_its_gateway_and_nothing_else(machine: Machine) -> None:
    devices = "import socket; print([name for _, name in socket.if_nameindex()])"
    assert machine.printed(python=devices).strip() == ("['lo', 'out']" if machine.has_gateway else "['lo']")
    assert machine.printed(python=devices, egress=False).strip() == "['lo']"


def test_only_the_apps_own_files_and_the_systems_programs_are_there(machine: Machine) -> None:
    machine.slug("bobs", owner=BOB, secret__py="BOB'S")
    text = machine.printed(
        "/bin/sh", "-c", "ls -A / /app /home /root /srv /work /sys 2>&1; ls /run /var", mounts=machine.slug_mount()
    )
    assert "No such file" in text
    for word in ("home:", "srv:", "sys:", "BOB"):
        assert f"/{word}" not in text
    found = machine.printed(
        "/bin/sh",
        "-c",
        f"find / -xdev -name secret.py 2>/dev/null; ls {machine.home} 2>&1; exit 0",
        mounts=machine.slug_mount(),
    )
    assert "secret.py" not in found
    assert "No such file" in found


def test_the_folders_above_an_absolute_mount_show_nothing_else(machine: Machine) -> None:
    inside = "/root/.pyenv/versions/3.11/lib"
    text = machine.printed(
        "/bin/sh",
        "-c",
        "find /root | sort; exit 0",
        mounts=(Mount(target=inside, source=machine.slug("interpreter", x="x")),),
    )
    parts = inside.split("/")
    above = ["/".join(parts[:end]) for end in range(2, len(parts) + 1)]
    assert text.split() == [*above, f"{inside}/x"]


def test_no_process_of_the_host_is_visible(machine: Machine) -> None:
    text = machine.printed("/bin/sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '; echo; ls -d /proc/[0-9]*")
    assert machine.home not in text
    assert "pytest" not in text
    assert len(text.splitlines()[1:]) <= 5


def test_the_sandboxs_own_command_line_tells_no_path_of_the_host(machine: Machine) -> None:
    assert machine.home not in machine.printed("/bin/cat", "/proc/1/cmdline", "/proc/1/environ")


def test_a_dyno_is_an_ordinary_user_inside_without_any_rights(machine: Machine) -> None:
    assert machine.printed("/usr/bin/id").strip().startswith("uid=1000(dyno) gid=1000(dyno)")
    text = machine.printed("/bin/grep", "-E", "Cap(Eff|Prm|Bnd|Amb)|NoNewPrivs|Seccomp:", "/proc/self/status")
    values = dict(line.split(":\t") for line in text.splitlines())
    assert {values[name] for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (values["NoNewPrivs"], values["Seccomp"]) == ("1", "2")


def test_namespaces_cannot_be_made(machine: Machine) -> None:
    script = (
        "unshare -U true; unshare -r true; unshare -n true; mount -t tmpfs x /tmp; /usr/sbin/chroot /usr /bin/true;"
        " echo end"
    )
    text = machine.printed("/bin/sh", "-c", f"({script}) 2>&1")
    assert text.lower().count("not permitted") + text.lower().count("superuser") + text.count("denied") == 5


def test_each_app_has_a_uid_of_its_own_on_the_host(root_machine: Machine) -> None:
    uids = {}
    for owner, number in (("alice", ALICE), ("bob", BOB), ("platform", 0)):
        state = root_machine.start("/bin/sleep", "30", owner=owner, uid=number, log=f"logs/{owner}")
        state = root_machine.until_running(state.id)
        for pid in (state.pid, state.host_pid):
            status = Path(f"/proc/{pid}/status").read_text()
            uids[owner] = {int(word) for word in status.partition("Uid:")[2].splitlines()[0].split()}
            assert status.partition("Groups:")[2].splitlines()[0].split() == []
            assert "CapEff:\t0000000000000000" in status
            assert "NoNewPrivs:\t1" in status
        root_machine.engine.forget(state.id)
    assert uids == {"alice": {200_007}, "bob": {200_008}, "platform": {199_999}}


def test_another_apps_uid_reads_neither_the_log_nor_the_run_folder(root_machine: Machine) -> None:
    state = root_machine.run("/bin/echo", "secret", output=True)
    places = [f"{root_machine.home}/logs/alice", f"{root_machine.home}/run/dynos/{state.id}"]
    files = ["00000001.log", "lock", "state.json", "output"]
    script = f"""
import os
for place in {places!r}:
    for path in [place] + [place + '/' + name for name in {files!r}]:
        try: os.open(path, os.O_RDONLY); print('opened', path)
        except PermissionError: print('refused')
"""
    assert as_uid(200_008, script).split() == ["refused"] * 10


@pytest.mark.skipif(not IS_ROOT, reason="needs root")
def test_a_stranger_may_not_speak_to_the_supervisor(machine: Machine) -> None:
    path = f"{machine.home}/run/supervisor.sock"
    assert stat.S_IMODE(os.stat(path).st_mode) == (0o660 if machine.is_root else 0o600)
    script = f"import socket; socket.socket(socket.AF_UNIX).connect({path!r})"
    assert "PermissionError" in as_uid(65534, script)


def test_the_supervisor_asks_who_is_speaking_even_if_the_socket_lets_them_in(root_machine: Machine) -> None:
    path = f"{root_machine.home}/run/supervisor.sock"
    os.chmod(path, 0o666)
    script = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({path!r}); print(s.recv(4096))"
    assert '"forbidden"' in as_uid(200_008, script)
    assert '"forbidden"' in as_uid(65534, script)
    os.chmod(path, 0o660)


def test_a_dyno_may_not_fill_the_root_folder(machine: Machine) -> None:
    assert "Read-only" in machine.printed("/bin/sh", "-c", "(echo x > /x) 2>&1; exit 0")


def test_private_temporary_folders_are_writable(machine: Machine) -> None:
    assert (
        machine.printed("/bin/sh", "-c", "for d in /tmp /var/tmp /dev/shm /app; do echo x > $d/x && cat $d/x; done")
        == "x\n" * 4
    )
    assert machine.printed(python="import multiprocessing as m; m.Lock(); print('locks')").strip() == "locks"
