"""The control plane as an ordinary user: it has the permissions of the control group, and nothing more."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.engine.machine import IS_ROOT, PYTHON, SOURCE, Machine
from tests.engine.test_life import SERVER

CONTROL = 4242
SCRIPT = """
import os, socket, sys, time
sys.path.insert(0, {source!r})
from greenroom.basics import logfile, unixsock
from greenroom.engine.contract import DynoSpec, Mount
from greenroom.engine.local.client import LocalEngine
home = {home!r}
engine = LocalEngine(home)
logfile.append(home + '/logs/alice', [(1.0, 'app', 'api', 'Created the app')])
spec = dict(owner='alice', uid=7, log='logs/alice')
def until(dyno_id, true):
    while not true(state := engine.describe(dyno_id)): time.sleep(0.01)
    return state
build = engine.start(DynoSpec(id='b', kind='build', process='build.1',
    command=('/bin/sh', '-c', 'mkdir /out/slug; echo 1 > /out/slug/f'),
    mounts=(Mount(target='/out', source='scratch:out', mode='rw'),), output=True, **spec))
assert until('b', lambda s: s.phase == 'exited').exit_code == 0, engine.describe('b')
open(home + '/run/dynos/b/output').close()
os.rename(home + '/run/scratch/b/out', home + '/envs/built')
web = engine.start(DynoSpec(id='w', kind='web', process='web.1', command=({python!r}, '-c', {server!r}), port=5000,
    socket='run/sockets/w.sock', mounts=(Mount(target='/app', source='env:built', mode='overlay'),), **spec))
until('w', lambda s: s.listening)
with unixsock.connect(home + '/run/sockets/w.sock') as sock:
    sock.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')
    while sock.recv(1000): pass
run = engine.start(DynoSpec(id='r', kind='run', process='run.1', command=('/bin/cat',), attach=True, **spec))
until('r', lambda s: os.path.exists(home + '/run/dynos/r/attach.sock'))
with unixsock.connect(home + '/run/dynos/r/attach.sock') as sock:
    sock.sendall(b'hello'); sock.shutdown(socket.SHUT_WR); assert sock.recv(100) == b'hello'
logfile.append(home + '/logs/alice', [(1.0, 'heroku', 'router', 'at=info')])
for name in 'bwr': engine.forget(name)
assert engine.list() == []
print(*[line.process for line in logfile.read_last(home + '/logs/alice', 100)[0]])
"""


@pytest.fixture
def controlled() -> Iterator[Machine]:
    """A machine whose control plane has its own uid and group and owns the home."""
    if not IS_ROOT:
        pytest.skip("needs root")
    it = Machine("root", group=CONTROL)
    for name in ("", "slugs", "logs", "envs", "cache"):
        os.chown(os.path.join(it.home, name), CONTROL, CONTROL)
    os.chmod(os.path.join(it.home, "logs"), 0o750)
    yield it
    it.close()


def _as(uid: int, home: str) -> subprocess.CompletedProcess[str]:
    script = SCRIPT.format(source=str(SOURCE), home=home, python=PYTHON, server=SERVER)
    argv = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", PYTHON, "-B", "-c", script]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_the_control_plane_runs_apps_reads_their_results_and_shares_their_logs(controlled: Machine) -> None:
    done = _as(CONTROL, controlled.home)
    assert done.returncode == 0, done.stderr
    assert {"api", "build.1", "web.1", "run.1", "router"} == set(done.stdout.split())


def test_another_user_cannot(controlled: Machine) -> None:
    done = _as(CONTROL + 1, controlled.home)
    assert "PermissionError" in done.stderr


def test_a_home_that_the_apps_uids_cannot_reach_is_reported(controlled: Machine) -> None:
    assert controlled.engine.about()["problems"] == [] or "closed" in str(controlled.engine.about()["problems"])
    os.chmod(controlled.home, 0o700)
    problems = controlled.engine.about()["problems"]
    os.chmod(controlled.home, 0o755)
    assert any(controlled.home in problem for problem in problems)
