"""The contract of an engine: it runs dynos and owns everything that they leave: states, files, output, sockets.

A dyno is one sandboxed process tree of one app. Everything that runs a tenant's code is one: web, worker, run, build,
tests, scan. Rooms and entry points name dynos and files; only the engine knows where they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket as Socket  # noqa: N812
from typing import Literal, Protocol, TypedDict

Kind = Literal["web", "worker", "run", "release", "build", "install", "test", "scan", "probe", "janitor"]
Mode = Literal["ro", "rw", "overlay"]
Signal = Literal["TERM", "INT", "HUP", "KILL", "STOP", "DRAIN"]
Phase = Literal["starting", "running", "exited", "lost"]

PYTHONS = "/greenroom/python"
PYTHON_FOLDER = "cache/python"
"""Interpreters that Greenroom fetched: where dynos see them, and where they lie, relative to home."""
PLATFORM = "platform"
"""The owner of dynos that run no tenant's code (installing wheels, cleaning caches)."""
RESULT_LIMIT = 1024 * 1024
"""Bytes of a result file that ``Engine.result`` returns unless the caller allows more."""
OUTPUT_PIECE = 64 * 1024
"""Bytes of output that ``Engine.output`` returns unless the caller asks for another number."""


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

    id:       unique for ever, ``[a-z0-9.-]{1,80}``.
    owner:    the app's id (its dynos share one uid), or ``PLATFORM``.
    uid:      the owner's number, 0 .. 99999; the engine maps it to a system uid when it runs as root.
    process:  Heroku's name: ``web.1``, ``run.4821``; shown in logs and set as DYNO by the caller.
    command:  argv inside the sandbox.
    port:     the TCP port on 127.0.0.1 (inside) that a web process will bind; 0: none.
    socket:   what ``Engine.endpoint`` says for the id, if the router shall reach ``port``; made when the port answers.
    egress:   whether the dyno may reach the outside world (HTTP and HTTPS by proxy variables that the engine sets).
    log:      folder of the app's log, relative to home; empty: no log. Lines are written as ``app[process]``.
    output:   keep the raw output too, for ``Engine.output`` (builds, tests).
    attach:   hold the process until a client comes by ``Engine.attach``; it gets stdin and output.
              A client that was lost may come back for 90 s; one that leaves is hung up on, unless ``hang_up`` is
              False: then the process goes on and prints into the log.
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

    phase:     ``starting`` (made, perhaps waiting for its client), ``running``, ``exited``, ``lost`` (nobody watches
               it any more; its exit code is unknown).
    certain:   of a lost dyno: whether nothing of it runs for certain. An engine that has lost a node cannot know.
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
    certain: bool = True

    @property
    def ended(self) -> bool:
        """Whether nothing of it runs any more, for certain."""
        return self.phase in ("exited", "lost") and self.certain


@dataclass(frozen=True, kw_only=True)
class Output:
    """A piece of a dyno's raw output.

    data: bytes from the offset on. size: bytes that have been kept so far.
    more: whether the dyno may still print; what it printed before it ended is part of ``size``.
    """

    data: bytes = b""
    size: int = 0
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A client's connection to its dyno. The caller closes ``sock``.

    sock:     a connected stream socket, blocking: sent bytes are standard input (shut down for writing: its end),
              received bytes are output; its end is the end of the dyno.
    received: bytes of the client's input that the dyno had got before, for a client that comes back.
    """

    sock: Socket
    received: int = 0


class Share(TypedDict):
    """Memory in MB and CPU cores of a dyno."""

    memory_mb: int
    cores: int


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """What one dyno may use at most, whatever its limits: megabytes of memory (0: unknown) and cores."""

    memory_mb: int = 0
    cores: int = 1

    def of(self, memory_mb: int) -> Share:
        """The share of a dyno with this memory limit."""
        return {"memory_mb": min(memory_mb, self.memory_mb or memory_mb), "cores": self.cores}


class Engine(Protocol):
    """Verbs of three kinds: life (start, signal, forget), what is seen (describe, list, capacity), and what a dyno
    leaves or offers (result, tree, output, attach, endpoint).

    Each may be repeated; the second call with the same facts does nothing. An unknown id is no error unless a verb
    says so; an id of another form raises EngineError.
    """

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

    def result(self, dyno_id: str, name: str, *, limit: int = RESULT_LIMIT) -> bytes | None:
        """The bytes of a file that the dyno left: ``out/result.json`` is ``result.json`` in its ``scratch:out``.

        None when there is none, when it is larger than ``limit``, or when it or a folder on its way is a link or no
        plain file. Nothing else about the content may be trusted.
        """
        ...

    def tree(self, dyno_id: str, name: str) -> AbstractContextManager[Path | None]:
        """The dyno's ``scratch:NAME`` as a folder on this machine while the context lasts; None when there is none.

        The caller may move the folder away by a rename, which leaves the dyno without it. Call it for ended dynos;
        nothing in the folder may be trusted.
        """
        ...

    def output(self, dyno_id: str, offset: int, *, limit: int = OUTPUT_PIECE) -> Output:
        """Raw output of a dyno with ``output``: at most ``limit`` bytes from a byte offset on. Unknown id: empty, and
        no more comes.
        """
        ...

    def attach(self, dyno_id: str, *, seen: int | None = None) -> Attachment:
        """Connect the client of a dyno with ``attach``; it starts then. Good for one client.

        seen: of a client that was lost and comes back, how many bytes of output it has got; what followed is sent.
        Raises NotReadyError (a moment later it may be), NotWaitingError, OutputGoneError, OSError.
        """
        ...

    def detach(self, dyno_id: str, *, complete: bool) -> None:
        """The client of an attached dyno leaves for good. complete: the dyno has ended, and the client has all of its
        output; otherwise the dyno is hung up on.
        """
        ...

    def endpoint(self, dyno_id: str) -> str:
        """What the router connects to: a unix socket of this machine, relative to home; its file's name is the id. It
        is there while the dyno listens, and leads to its port. The same for ever; asked before ``start``.
        """
        ...

    def capacity(self) -> Capacity:
        """What the machines of this engine have for one dyno."""
        ...


def interpreter_mount(prefix: str) -> tuple[Mount, ...]:
    """How a dyno sees an interpreter: nothing for one in /usr (empty prefix), which it sees anyway; the host's own at
    its own path; one of
    Greenroom's home, whose prefix is below PYTHONS, at a path that is the same in each home."""
    if not prefix:
        return ()
    name = prefix.removeprefix(PYTHONS + "/")
    return (Mount(target=prefix, source=prefix if name == prefix else f"{PYTHON_FOLDER}/{name}"),)
