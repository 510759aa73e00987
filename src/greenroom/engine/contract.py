"""The contract of an engine, which runs dynos and owns their states, files, output and sockets.

A dyno is one sandboxed process tree of one app. All tenant code runs in a dyno: web, worker, run, build, tests, scan.
Rooms and entry points use names of dynos, artefacts, services and files (``names``); only the engine knows their paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket as Socket  # noqa: N812
from typing import Literal, Protocol, TypedDict

from greenroom.engine import names

Kind = Literal["web", "worker", "run", "release", "build", "install", "test", "scan", "probe", "janitor", "service"]
Mode = Literal["ro", "rw", "overlay"]
Signal = Literal["TERM", "INT", "HUP", "KILL", "STOP", "DRAIN"]
Phase = Literal["starting", "running", "exited", "lost"]

PYTHONS = "/greenroom/python"
"""Path in dynos of the interpreters that Greenroom downloaded."""
PLATFORM = "platform"
"""The owner of dynos without tenant code (installing wheels, cleaning caches)."""
RESULT_LIMIT = 1024 * 1024
"""Default maximum bytes of a result file that ``Engine.result`` returns."""
OUTPUT_PIECE = 64 * 1024
"""Default maximum bytes of output that ``Engine.output`` returns."""


@dataclass(frozen=True, kw_only=True)
class Mount:
    """One artefact that the dyno sees as a folder or file.

    target: absolute path inside the dyno.
    source: the artefact's name: ``slug:DIGEST``, ``env:KEY``, ``cache:OWNER/NAME``, ``scratch:NAME`` and the other
            kinds of ``names``. The engine refuses one that does not exist; volumes are created at their first use,
            caches at their first writable one.
    mode:   ``ro``, ``rw`` (only scratch folders, and caches and volumes of the dyno's owner), or ``overlay``: the dyno
            may change everything; writes go to its own disk and are discarded with it, the artefact never changes.
    lower:  the names of an overlay with several layers, lowest first; instead of ``source``.
    upper:  for an overlay whose writes are kept: a ``scratch:NAME`` folder. Empty: writes are discarded.
    """

    target: str
    source: str = ""
    mode: Mode = "ro"
    lower: tuple[str, ...] = ()
    upper: str = ""


@dataclass(frozen=True, kw_only=True)
class Forward:
    """Forwards TCP ``127.0.0.1:port`` inside the dyno to a service: ``service:NAME`` of this installation, or
    ``tcp:HOST:PORT``, if the engine's operator allows that address.

    An engine should end TLS in front of ``service:NAME`` for clients that ask for it (``artefacts.CERTIFICATE``).
    """

    port: int
    service: str


VASTLY = 2
"""An app's dyno may use this many times its memory quota, as on Heroku: R14 above 100 %, R15 and its end at 200 %."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the whole process tree: memory in MB, pids, cpu in cores; time limits in seconds, 0 = none.

    idle: a connection of ``socket`` on which neither side has sent a byte for so long is closed (H15). Optional for an
    engine.

    The tree ends when it needs more than ``memory_mb`` (R15). Above ``quota_mb`` it continues, and its log repeats R14.
    0: the same as ``memory_mb``.
    """

    memory_mb: int = 512
    quota_mb: int = 0
    pids: int = 256
    cpu: float = 0.0
    timeout: float = 0.0
    silence: float = 0.0
    boot: float = 60.0
    grace: float = 30.0
    drain: float = 30.0
    idle: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DynoSpec:
    """The complete input to start one dyno. Only ``env`` may contain secrets; they are passed by file descriptor.

    id:       globally unique, never reused, ``[a-z0-9.-]{1,80}``.
    owner:    the app's id (its dynos share one uid), or ``PLATFORM``.
    uid:      the owner's number, 0 .. 99999; the engine maps it to a system uid if it runs as root.
    process:  Heroku's name: ``web.1``, ``run.4821``; shown in logs and set as DYNO by the caller.
    command:  argv inside the sandbox.
    port:     the TCP port on 127.0.0.1 (inside) that a web process will bind; 0: none.
    socket:   ``Engine.endpoint`` of the id, if the router needs to reach ``port``; created when the port answers.
    service:  ``service:NAME`` under which the forwards of other dynos reach ``port``, instead of ``socket``. A newer
              dyno with the name takes its place.
    host_port: with ``service``: also listen on this port of the machine's 127.0.0.1, for its users; 0: no. Optional for
              an engine; if the port is taken, the dyno starts without it.
    egress:   allow connections to the internet: TCP, UDP and names, or at least HTTP and HTTPS by proxy variables that
              the engine sets. Never to the host and its networks.
    allowed:  with ``egress``: the only targets, as (host, port) of ``basics.targets`` (names, ``*.example.org``,
              addresses, networks; port 0: all ports); None: all. Forwards need no rule. An engine that cannot tell
              targets apart gives the dyno no way out.
    log:      folder of the app's log, relative to home; empty: no log. Lines are written as ``app[process]``.
    output:   also keep the raw output, for ``Engine.output`` (builds, tests).
    attach:   do not start the process until a client connects by ``Engine.attach``, which gets stdin and output.
              A client that lost its connection may reconnect for 90 s. When it leaves, the process gets a hangup;
              with ``hang_up`` False it continues and prints into the log.
    tty:      give it a terminal of ``rows`` x ``columns``.
    stdin:    bytes for standard input (if not attached).
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
    service: str = ""
    host_port: int = 0
    egress: bool = True
    allowed: tuple[tuple[str, int], ...] | None = None
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
    """The observed state of one dyno.

    phase:     ``starting`` (created, perhaps waiting for its client), ``running``, ``exited``, ``lost`` (no longer
               supervised; its exit code is unknown).
    certain:   of a lost dyno: whether all its processes have certainly ended. Unknown if a node was lost.
    listening: whether the port has been bound (web dynos).
    exit_code: 0..255 if exited; 128+n after signal n.
    reason:    why it ended: ``exit``, ``timeout``, ``silence``, ``boot`` (R10), ``oom`` (R15), ``disk`` (it wrote much
               and the machine's disk is full), ``signal`` (sent by the platform), ``start`` (not started; exit_code
               127), ``lost``.
    detail:    one line for users.
    active:    open connections of the bridge.
    pid:       of the shim; host_pid: host's pid of the command's first process (0: unknown).
    started_at, exited_at: seconds since the epoch.
    last_words: the end of its output after its exit, at most 4,000 characters.
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
        """Whether all its processes have certainly ended."""
        return self.phase in ("exited", "lost") and self.certain


@dataclass(frozen=True, kw_only=True)
class Output:
    """A part of a dyno's raw output.

    data: bytes from the offset. size: bytes kept so far.
    more: whether the dyno may still print; ``size`` includes everything that it printed before its end.
    """

    data: bytes = b""
    size: int = 0
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A client's connection to its dyno. The caller closes ``sock``.

    sock:     a connected, blocking stream socket. Sent bytes are standard input (shutdown for writing: end of input);
              received bytes are output; end of file is the end of the dyno.
    received: for a client that reconnects: bytes of its input that the dyno has already received.
    """

    sock: Socket
    received: int = 0


@dataclass(frozen=True)
class Usage:
    """The space that a volume takes on the disk. complete: False if it has more files or deeper folders than an engine
    counts (500,000 files, 60 levels), or a folder that it cannot read.
    """

    bytes: int = 0
    files: int = 0
    complete: bool = True


class Share(TypedDict):
    """Memory in MB and CPU cores of a dyno."""

    memory_mb: int
    cores: int


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """The most that one dyno may use, whatever its limits: megabytes of memory (0: unknown) and cores."""

    memory_mb: int = 0
    cores: int = 1

    def of(self, memory_mb: int) -> Share:
        """The share of a dyno with this memory limit in MB."""
        return {"memory_mb": min(memory_mb, self.memory_mb or memory_mb), "cores": self.cores}


class Engine(Protocol):
    """Verbs of three kinds: life cycle (start, signal, forget), observation (describe, list, capacity), and a dyno's
    files and connections (result, tree, output, attach, endpoint).

    All are idempotent: a second call with the same facts does nothing. An unknown id is no error unless a verb
    documents one; a malformed id raises EngineError.
    """

    def start(self, spec: DynoSpec) -> DynoState:
        """Start the dyno, or describe it if one with that id was started and not forgotten. Raises EngineError."""
        ...

    def describe(self, dyno_id: str) -> DynoState | None:
        """The dyno's state; None if it was never started or has been forgotten."""
        ...

    def list(self) -> list[DynoState]:
        """All dynos that have not been forgotten."""
        ...

    def signal(self, dyno_id: str, name: Signal) -> None:
        """Signal a dyno. TERM, INT, HUP: the main process. KILL: the whole tree. Unknown id: no effect.

        STOP: SIGTERM for all processes (parents that manage their children forward it to them), then KILL after
        ``limits.grace`` seconds; the dyno lives until the last process has ended.
        DRAIN: wait until the open requests of a web dyno have ended, at most ``limits.drain`` seconds, then STOP.
        It does not wait for websockets, other upgraded connections and event streams. After SIGTERM, an engine may end
        those that the app drops or leaves open: websockets with the close code 1012, event streams with a last chunk.
        """
        ...

    def forget(self, dyno_id: str) -> None:
        """Remove the run folder, scratch and cgroup of an ended dyno. Kills a running one first. Unknown id: no
        effect.
        """
        ...

    def discard(self, artefact: str) -> None:
        """Delete a slug, an environment, a volume or the cache of an app, by its name, with files of any owner. No
        effect if missing.

        New dynos can't use it from now on, and it disappears from the disk soon after. No dyno may use it. EngineError
        for any other name.
        """
        ...

    def usage(self, volume: str) -> Usage:
        """Measure a ``volume:OWNER/NAME``; nothing if it was never used. May take seconds. EngineError for any other
        name.
        """
        ...

    def result(self, dyno_id: str, name: str, *, limit: int = RESULT_LIMIT) -> bytes | None:
        """The bytes of a dyno's file: ``out/result.json`` is ``result.json`` in its ``scratch:out``.

        None if it is missing or larger than ``limit``, or if it or one of its parent folders is a link or not a regular
        file. The content is untrusted.
        """
        ...

    def tree(self, dyno_id: str, name: str) -> AbstractContextManager[Path | None]:
        """The dyno's ``scratch:NAME`` as a folder on this machine, for the duration of the context; None if there is
        none.

        The caller may rename the folder, which removes it from the dyno. For ended dynos; the contents are untrusted.
        """
        ...

    def output(self, dyno_id: str, offset: int, *, limit: int = OUTPUT_PIECE) -> Output:
        """Raw output of a dyno with ``output``: at most ``limit`` bytes from a byte offset. Unknown id: empty and
        complete.
        """
        ...

    def attach(self, dyno_id: str, *, seen: int | None = None) -> Attachment:
        """Connect the client of a dyno with ``attach``, which starts it. At most one client.

        seen: for a client that reconnects: bytes of output that it has received; the engine sends the rest. Raises
        NotReadyError (retry in a moment), NotWaitingError, OutputGoneError, OSError.
        """
        ...

    def detach(self, dyno_id: str, *, complete: bool) -> None:
        """Disconnect the client of an attached dyno for good. complete: the dyno has ended and the client has received
        all output; otherwise the dyno gets a hangup.
        """
        ...

    def endpoint(self, dyno_id: str) -> str:
        """The address for the router: a unix socket of this machine, relative to home; its file name is the id. It
        exists while the dyno listens, and leads to its port. Constant, and available before ``start``.
        """
        ...

    def connect(self, service: str, *, timeout: float) -> Socket:
        """A connection to ``service:NAME``, as a forward of a dyno has it. timeout: of the socket, in seconds. OSError
        if no dyno serves it.
        """
        ...

    def capacity(self) -> Capacity:
        """The capacity of this engine's machines for one dyno."""
        ...


def interpreter_mount(prefix: str) -> tuple[Mount, ...]:
    """The mount of an interpreter: none for one in /usr (empty prefix), which every dyno has; the host's own at its own
    path; one that Greenroom downloaded, with a prefix below PYTHONS, at a path that is the same in each home.
    """
    if not prefix:
        return ()
    version = prefix.removeprefix(PYTHONS + "/")
    return (Mount(target=prefix, source=names.host(prefix) if version == prefix else names.python(version)),)
