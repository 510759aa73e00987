"""A real supervisor in a separate home, as root or as an ordinary user, and helpers for its dynos."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from greenroom.basics import logfile
from greenroom.engine import artefacts, names
from greenroom.engine.contract import DynoSpec, DynoState, Limits, Mount
from greenroom.engine.errors import EngineAwayError
from greenroom.engine.local import state_reader
from greenroom.engine.local.client import LocalEngine
from greenroom.engine.local.supervisor import find_bwrap

SOURCE = Path(__file__).resolve().parents[2] / "src"
PYTHON = "/usr/bin/python3"
"""The interpreter in dynos and of the ordinary user's supervisor: other users may have no access to sys.executable."""
ORDINARY = 64321
IS_ROOT = os.geteuid() == 0
MODES = ["root", "development"] if IS_ROOT else ["development"]
ALICE, BOB = 7, 8
"""The numbers of Alice's and Bob's apps."""


OPENED, OPENED_6 = "10.77.{}", "fd77:{}"
"""The private networks that the operator has opened to dynos; a neighbour of the tests is in them."""


_WITH_TUN = """
import contextlib, os, stat, subprocess, sys, tempfile
node = os.path.join(tempfile.mkdtemp(), 'tun')
with contextlib.suppress(OSError):
    os.mknod(node, stat.S_IFCHR | 0o666, os.makedev(10, 200))
    os.chmod(node, 0o666)
    subprocess.run(['mount', '--bind', node, '/dev/net/tun'], check=False)
os.execvp(sys.argv[1], sys.argv[1:])
"""
_WITH_HOSTS = "import os, subprocess, sys; subprocess.run(['mount', '--bind', sys.argv[1], '/etc/hosts'], check=True)"
WITH_HOSTS = ("unshare", "--mount", sys.executable, "-c", f"{_WITH_HOSTS}; os.execvp(sys.argv[2], sys.argv[2:])")
"""Starts a command that sees a file, its first argument, as /etc/hosts. As root only."""
WITH_TUN = ("unshare", "--mount", sys.executable, "-c", _WITH_TUN)
"""Starts a command that sees /dev/net/tun as open to all, as udev makes it; a container may have it for root alone."""


class Machine:
    """A home, its supervisor and its engine."""

    def __init__(
        self, mode: str, *, deep: str = "", group: int = 0, disk: str = "", proxy: bool = False, hosts: str = ""
    ) -> None:
        """``disk``: the size of a separate disk, in tmpfs syntax; root only. ``proxy``: dynos have no gateway.
        ``hosts``: lines of the host's /etc/hosts as the supervisor and its dynos see it; root only.
        """
        self.mode, self.group, self.disk, self.proxy = mode, group, disk, proxy
        self.tcp: tuple[str, ...] = ()
        self._top = tempfile.mkdtemp(prefix="gr-engine-", dir="/tmp")
        if disk:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={disk}", "small", self._top], check=True)
        os.chmod(self._top, 0o755)
        self.home = os.path.join(self._top, deep) if deep else self._top
        os.makedirs(self.home, exist_ok=True)
        for name in ("slugs", "logs", "envs", "cache", "run"):
            os.mkdir(os.path.join(self.home, name))
        Path(self._top, "hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
        self.hosts = bool(hosts)
        self.own(self._top)
        self.engine = LocalEngine(self.home)
        self._ids = itertools.count()
        self.supervisor: subprocess.Popen[bytes] | None = None
        self.begin()

    @property
    def is_root(self) -> bool:
        return self.mode == "root"

    def own(self, top: str) -> None:
        """Give these files to the ordinary user, if the supervisor runs as that user."""
        if IS_ROOT and not self.is_root:
            subprocess.run(["chown", "-R", f"{ORDINARY}:{ORDINARY}", top], check=True)

    def begin(self) -> None:
        argv = ["-m", "greenroom.engine.local.supervisor", "--home", self.home, "--bwrap", find_bwrap()]
        argv += [word for address in self.tcp for word in ("--tcp", address)]
        argv += [
            "--open",
            OPENED.format(0) + ".0/16",
            "--open",
            OPENED_6.format("") + ":/16",
            *(["--proxy"] if self.proxy else []),
        ]
        if self.is_root:
            argv = [sys.executable, *argv, "--group", str(self.group), "--first-uid", "200000"]
        elif IS_ROOT:
            drop = ["setpriv", "--reuid", str(ORDINARY), "--regid", str(ORDINARY), "--clear-groups"]
            argv = [*WITH_TUN, *drop, PYTHON, *argv]
        else:
            argv = [sys.executable, *argv]
        if self.hosts:
            argv = [*WITH_HOSTS, os.path.join(self._top, "hosts"), *argv]
        env = {"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin", "CANARY_OF_THE_HOST": "seen"}
        self.supervisor = subprocess.Popen(argv, env=env, stdout=subprocess.DEVNULL)
        assert self._about()["pid"] == self.supervisor.pid

    def _about(self, seconds: float = 60.0) -> dict[str, Any]:
        """The supervisor's own report; on a busy machine a new one gets some time to start."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.engine.about()
            except EngineAwayError:
                assert self.supervisor
                assert self.supervisor.poll() is None, "the supervisor has ended"
                if time.monotonic() > deadline:
                    raise

    @property
    def has_gateway(self) -> bool:
        """Whether its dynos reach the outside by a gateway."""
        return not self.proxy and not [it for it in self._about()["problems"] if "HTTP and HTTPS only" in it]

    def kill_supervisor(self) -> None:
        assert self.supervisor
        self.supervisor.kill()
        self.supervisor.wait()

    def restart(self) -> None:
        self.kill_supervisor()
        self.begin()

    def close(self) -> None:
        with contextlib.suppress(Exception):
            for state in self.engine.list():
                self.engine.forget(state.id)
        if self.supervisor:
            self.supervisor.terminate()
            self.supervisor.wait(60)
        if self.disk:
            subprocess.run(["umount", "-l", self._top], check=True)
        shutil.rmtree(self._top, ignore_errors=True)

    # -- words -------------------------------------------------------------------------------------------------------

    def slug(self, name: str, owner: int = ALICE, **files: str) -> str:
        """Create a slug with these files (``__`` in a name means a dot); returns its name. ``name`` replaces its
        digest.
        """
        made = names.slug(hashlib.sha256(name.encode()).hexdigest())
        folder = self.at(made)
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file.replace("__", ".")).write_text(text)
        if self.is_root:
            subprocess.run(["chown", "-R", f"{200_000 + owner}:{200_000 + owner}", str(folder)], check=True)
        self.own(str(folder.parent))
        return made

    def at(self, name: str) -> Path:
        """The path of an artefact."""
        return Path(self.home, artefacts.path(name))

    def spec(self, *command: str, python: str = "", **values: Any) -> DynoSpec:
        """A dyno of Alice that runs a command or Python code."""
        number = next(self._ids)
        values.setdefault("limits", Limits(memory_mb=256, grace=5.0))
        if isinstance(values["limits"], dict):
            values["limits"] = Limits(**{"memory_mb": 256, "grace": 5.0, **values["limits"]})
        given = {"id": f"t{number}", "kind": "run", "owner": "alice", "uid": ALICE, "process": f"run.{number}"}
        argv = (PYTHON, "-u", "-c", python) if python else command
        return DynoSpec(**{**given, "command": argv, "log": "logs/alice", **values})

    def start(self, *command: str, **values: Any) -> DynoState:
        return self.engine.start(self.spec(*command, **values))

    def run(self, *command: str, **values: Any) -> DynoState:
        """Start and wait for the end."""
        return self.until_exited(self.start(*command, **values).id)

    def until(self, dyno_id: str, true: Any, seconds: float = 20.0) -> DynoState:
        deadline = time.monotonic() + seconds
        while True:
            state = self.engine.describe(dyno_id)
            assert state, f"{dyno_id} has been forgotten"
            if true(state):
                return state
            assert time.monotonic() < deadline, f"{state}\n" + "\n".join(self.log()[-20:])
            time.sleep(0.005)

    def until_exited(self, dyno_id: str, seconds: float = 20.0) -> DynoState:
        return self.until(dyno_id, lambda state: state.phase in ("exited", "lost"), seconds)

    def until_running(self, dyno_id: str) -> DynoState:
        return self.until(dyno_id, lambda state: state.phase != "starting")

    def until_listening(self, dyno_id: str) -> DynoState:
        return self.until(dyno_id, lambda state: state.listening or state.phase == "exited")

    def folder(self, dyno_id: str) -> Path:
        return Path(self.home, "run/dynos", dyno_id)

    def output(self, dyno_id: str) -> str:
        """The raw stored output."""
        return (self.folder(dyno_id) / "output").read_text(errors="replace")

    def printed(self, *command: str, **values: Any) -> str:
        """The complete output of a command, which must succeed."""
        state = self.run(*command, output=True, **values)
        text = self.output(state.id)
        assert state.exit_code == 0, f"{state}\n{text}"
        return text

    def log(self, app: str = "alice", process: str = "") -> list[str]:
        """``source[process]: text`` of the app's log."""
        lines = logfile.read_last(os.path.join(self.home, "logs", app), 100_000)[0]
        return [line.raw.partition(" ")[2] for line in lines if not process or line.process == process]

    def shim(self, dyno_id: str) -> int:
        values = state_reader.raw(self.home, dyno_id)
        assert values
        return int(values["pid"])

    def kill_shim(self, dyno_id: str) -> None:
        os.kill(self.shim(dyno_id), signal.SIGKILL)

    def slug_mount(self, name: str = "empty", **files: str) -> tuple[Mount, ...]:
        return (Mount(target="/app", source=self.slug(name, **files), mode="overlay"),)


def everybody() -> dict[int, bytes]:
    """Command lines of all processes of the host."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                found[int(name)] = Path("/proc", name, "cmdline").read_bytes()
    return found


def with_word(word: str) -> list[int]:
    """Processes whose command line contains the word."""
    return [pid for pid, line in everybody().items() if word.encode() in line and pid != os.getpid()]


def until_nobody(word: str, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while left := with_word(word):
        assert time.monotonic() < deadline, f"still there: {left}"
        time.sleep(0.01)


def as_uid(uid: int, python: str) -> str:
    """The output of Python code, errors included, run on the host by a uid without permissions."""
    argv = ["setpriv", "--reuid", str(uid), "--regid", str(uid), "--clear-groups", PYTHON, "-c", python]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20, cwd="/")
    return done.stdout.decode()
