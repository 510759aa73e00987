"""What an engine is: it starts, signals, describes and forgets dynos, and throws away what they made.

A dyno is one sandboxed process tree of one app. Everything that runs a tenant's code is one: web, worker, run, build,
tests, scan.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Kind = Literal["web", "worker", "run", "release", "build", "install", "test", "scan", "probe", "janitor"]
Mode = Literal["ro", "rw", "overlay"]
Signal = Literal["TERM", "INT", "HUP", "KILL", "STOP", "DRAIN"]
Phase = Literal["starting", "running", "exited", "lost"]

PYTHONS = "/greenroom/python"
PYTHON_FOLDER = "cache/python"
"""Interpreters that Greenroom fetched: where dynos see them, and where they lie, relative to home."""
PLATFORM = "platform"
"""The owner of dynos that run no tenant's code (installing wheels, cleaning caches)."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One folder or file that the dyno sees.

    source: relative to Greenroom's home (``slugs/<digest>/app``), or absolute for an interpreter on the engine's
    allow-list.
            ``scratch:NAME`` is a folder of this dyno's own, made at the start, gone when the dyno is forgotten.
            Several sources of one ``overlay`` are given as ``lower`` layers, the first lowest.
    target: absolute path inside.
    mode:   ``ro``, ``rw`` (only scratch folders and what the engine's allow-list names), or ``overlay``: all of it is
            the dyno's to change; writes go to the dyno's own disk and vanish with it, the source never changes.
    upper:  for an overlay whose writes are to be kept: a ``scratch:NAME`` folder; empty: they vanish.
    """

    target: str
    source: str = ""
    mode: Mode = "ro"
    lower: tuple[str, ...] = ()
    upper: str = ""


@dataclass(frozen=True, kw_only=True)
class Forward:
    """TCP ``127.0.0.1:port`` inside the dyno leads to the unix socket ``socket`` (relative to home) outside."""

    port: int
    socket: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """memory in MB, pids and cpu (cores) of the whole process tree; seconds for the deadlines, 0 = none."""

    memory_mb: int = 512
    pids: int = 256
    cpu: float = 0.0
    timeout: float = 0.0
    silence: float = 0.0
    boot: float = 60.0
    grace: float = 30.0
    drain: float = 30.0


@dataclass(frozen=True, kw_only=True)
class DynoSpec:
    """All that is needed to start one dyno. Secrets stand in ``env`` alone; they reach the sandbox by file descriptor.

    id:       unique for ever, ``[a-z0-9.-]{1,80}``; names the run folder ``run/dynos/<id>``.
    owner:    the app's id (its dynos share one uid), or ``PLATFORM``.
    uid:      the owner's number, 0 .. 99999; the engine maps it to a system uid when it runs as root.
    process:  Heroku's name: ``web.1``, ``run.4821``; shown in logs and set as DYNO by the caller.
    command:  argv inside the sandbox.
    port:     the TCP port on 127.0.0.1 (inside) that a web process will bind; 0: none.
    socket:   unix socket (relative to home) that the engine bridges to ``port``; made when the port answers.
    egress:   whether the dyno may reach the outside world (HTTP and HTTPS by proxy variables that the engine sets).
    log:      folder of the app's log, relative to home; empty: no log. Lines are written as ``app[process]``.
    output:   keep the raw output in ``run/dynos/<id>/output`` too (builds, tests).
    attach:   hold the process until a client comes to ``run/dynos/<id>/attach.sock``, hand it stdin and output.
              A client that was lost may come back for 90 s (``resume.sock``); one that leaves is hung up on, unless
              ``hang_up`` is False:
              then the process goes on and prints into the log.
    tty:      give it a terminal of ``rows`` x ``columns``.
    stdin:    bytes for standard input (when not attached).
    """

    id: str
    kind: Kind
    owner: str
    uid: int
    process: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    cwd: str = "/app"
    port: int = 0
    socket: str = ""
    egress: bool = True
    forwards: tuple[Forward, ...] = ()
    limits: Limits = field(default_factory=Limits)
    log: str = ""
    output: bool = False
    attach: bool = False
    hang_up: bool = True
    tty: bool = False
    rows: int = 24
    columns: int = 80
    stdin: bytes = b""


@dataclass(frozen=True, kw_only=True)
class DynoState:
    """What is seen of one dyno.

    phase:     ``starting`` (made, perhaps waiting for its client), ``running``, ``exited``, ``lost`` (its shim died;
    nothing runs).
    listening: whether the port has been bound (web dynos).
    exit_code: 0..255 when exited; 128+n after signal n.
    reason:    why it ended: ``exit``, ``timeout``, ``silence``, ``boot`` (R10), ``oom`` (R15), ``disk`` (it wrote much
    and the machine's is full),
               ``signal`` (ours), ``start`` (could not be started; exit_code is 127 then), ``lost``.
    detail:    one line for people.
    active:    connections that the bridge serves now.
    pid:       of the shim; host_pid of the command's first process outside the sandbox (0: unknown).
    started_at, exited_at: seconds since the epoch.
    last_words: the end of its output, once it has exited: 4,000 characters at most, whatever it printed.
    """

    id: str
    kind: Kind
    owner: str
    process: str
    phase: Phase
    pid: int = 0
    host_pid: int = 0
    listening: bool = False
    exit_code: int | None = None
    reason: str = ""
    detail: str = ""
    active: int = 0
    started_at: float = 0.0
    exited_at: float = 0.0
    last_words: str = ""

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.phase in ("exited", "lost")


class Engine(Protocol):
    """Six verbs. Each may be repeated; the second call with the same facts does nothing."""

    def start(self, spec: DynoSpec) -> DynoState:
        """Start the dyno, or describe it if one of that id was ever started and not forgotten. Raises EngineError."""
        ...

    def describe(self, dyno_id: str) -> DynoState | None:
        """The dyno's state, or None if it was never started or has been forgotten."""
        ...

    def list(self) -> list[DynoState]:
        """All dynos that have not been forgotten."""
        ...

    def signal(self, dyno_id: str, name: Signal) -> None:
        """TERM, INT, HUP: the main process. KILL: the whole tree. Unknown id: nothing.

        STOP: SIGTERM for all processes (those that answer for their children get it for them), then KILL after
        ``limits.grace``
        seconds; the dyno lives until the last of them has ended.
        DRAIN: wait until the open connections of a web dyno have ended, at most ``limits.drain`` seconds, then STOP.
        """
        ...

    def forget(self, dyno_id: str) -> None:
        """Remove what is kept of an ended dyno: run folder, scratch, cgroup. Of a living one: kills it first. Unknown
        id: nothing.
        """
        ...

    def discard(self, folder: str) -> None:
        """Throw away a folder of slugs, envs or cache/apps, whoever owns what is in it: ``envs/KEY``. Not there:
        nothing.

        It is gone from its place at once, and from the disk soon after. No dyno may use it. EngineError for any other
        folder.
        """
        ...


def interpreter_mount(prefix: str) -> tuple[Mount, ...]:
    """How a dyno sees an interpreter: nothing for one in /usr (empty prefix), which it sees anyway; the host's own at
    its own path; one of
    Greenroom's home, whose prefix is below PYTHONS, at a path that is the same in each home."""
    if not prefix:
        return ()
    name = prefix.removeprefix(PYTHONS + "/")
    return (Mount(target=prefix, source=prefix if name == prefix else f"{PYTHON_FOLDER}/{name}"),)


def scratch_folder(dyno_id: str, name: str) -> str:
    """Where the folder ``scratch:name`` of a dyno lies, relative to home, until the dyno is forgotten."""
    return f"run/scratch/{dyno_id}/{name}"


def output_file(dyno_id: str) -> str:
    """Where the raw output of a dyno with ``output`` lies, relative to home, until the dyno is forgotten."""
    return f"run/dynos/{dyno_id}/output"
