"""Turns a spec into an order for the shim: checks permissions, resolves paths on this host, and assigns the uid.

Raises errors with a clear message and changes nothing. ``prepare`` creates the folders, the shim executes the order.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterable
from typing import Any

from greenroom.engine import artefacts, names
from greenroom.engine.contract import PLATFORM, DynoSpec, Mount
from greenroom.engine.errors import EngineError
from greenroom.engine.local import connections, egress, sandbox, seccomp

READABLE = ("slugs", "envs", "sources", "cache", "volumes")
"""Folders of home that may be mounted into dynos."""
CACHES = ("cache", "volumes")
"""Folders of home that may be mounted writable, besides a dyno's own scratch."""
FORWARDS = ("run/postgres", "run/addons")
"""Folders with the sockets that forwards may target."""
SOCKETS, SERVICES = "run/sockets", "run/addons"
CERTIFICATE_BYTES = 65_536
DYNOS, SCRATCH, TRASH, ETC = "run/dynos", "run/scratch", "run/trash", "run/etc"
ASKED = "the operator asked for it"
"""The reason of a proxy that is no problem."""
OWN = "_own"
"""Folder on disk for a dyno's writes, in its scratch folder (whose other names start with a letter or digit); kept
until the dyno is forgotten.
"""
_PROCESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}\Z")
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}\Z")
_LOWEST_MEMORY, _LOWEST_PIDS = 8, 4
_LIMITS = ("memory_mb", "quota_mb", "pids", "timeout", "silence", "boot", "grace", "drain", "idle")
_AS_GIVEN = ("port", "allowed", "output", "attach", "tty", "rows", "columns", "stdin", "kind", "hang_up")
_SETSID = ("/usr/bin/setsid", "-c")
_KEPT_TARGETS = ("/", "/proc", "/dev", "/etc", "/usr", "/tmp", "/bin", "/sbin", "/lib", "/lib64", "/sys")  # noqa: S108


class Place:
    """The installation: its home, the absolute prefixes that dynos may mount, and its uids (``root``: one per app).

    opened: private networks (``10.2.0.0/16``) that dynos may connect to; all others are closed.
    tcp: the ``HOST:PORT`` that forwards may target, besides the unix sockets of the embedded PostgreSQL.
    proxy: why dynos reach the outside by an HTTP proxy; empty if they have a gateway (``gateway.py``).
    """

    def __init__(
        self,
        home: str,
        *,
        allow: Iterable[str],
        root: bool,
        first_uid: int,
        group: int,
        bwrap: str,
        tcp: Iterable[str] = (),
        opened: Iterable[str] = (),
        proxy: str = "",
    ) -> None:
        self.home, self.root, self.first_uid, self.group, self.bwrap = (
            os.path.realpath(home),
            root,
            first_uid,
            group,
            bwrap,
        )
        self.tcp, self.proxy = frozenset(tcp), proxy
        self.opened = [(net, int(bits)) for net, _, bits in (text.partition("/") for text in opened)]
        self.allow = [os.path.realpath(path) for path in allow]
        self.allow_as_given = [os.path.normpath(path) for path in allow]

    def path(self, *parts: str) -> str:
        """An absolute path inside home."""
        return os.path.join(self.home, *parts)

    def dyno(self, dyno_id: str) -> str:
        """The dyno's run folder."""
        return self.path(DYNOS, dyno_id)

    def uid(self, spec: DynoSpec) -> int:
        """The system uid of the spec's owner; our own if we are not root."""
        if not self.root:
            return os.geteuid()
        return self.first_uid - 1 if spec.owner == PLATFORM else self.first_uid + spec.uid


def endpoint(dyno_id: str) -> str:
    """The socket at which the shim serves the dyno's port, relative to home."""
    return f"{SOCKETS}/{dyno_id}"


def order(place: Place, spec: DynoSpec) -> dict[str, Any]:
    """The shim's complete order, ready to be marshalled. Raises EngineError."""
    _check(spec)
    port = _egress_port(spec) if spec.egress and place.proxy else 0
    env = dict(egress.variables(port)) | dict(spec.env) if port else dict(spec.env)
    views = [view(place, spec, mount) for mount in spec.mounts]
    words = sandbox.options(
        env=env, views=views, cwd=spec.cwd, etc=place.path(ETC), memory_mb=spec.limits.memory_mb, disk=own(place, spec)
    )
    try:
        arguments = sandbox.encode([*words])
        sandbox.encode(spec.command)
        program = seccomp.program()
    except ValueError as error:
        _refuse(str(error))
    return {
        "folder": place.dyno(spec.id),
        "own": own(place, spec),
        "bwrap": place.bwrap,
        "arguments": arguments,
        "seccomp": program,
        "command": [*(_SETSID if spec.tty else ()), *spec.command],
        "shown": shown(spec.command),
        "uid": place.uid(spec) if place.root else -1,
        "adopt": foreign_layers(views, place.uid(spec)) if place.root else [],
        "umask": 0o002 if any(mount.mode == "rw" or mount.upper for mount in spec.mounts) else 0o022,
        "log": within(place, spec.log, ("logs",), "log") if spec.log else "",
        "socket": _socket(place, spec),
        "shared": bool(spec.service),
        "host_port": spec.host_port,
        "overlays": [(view.sources, view.upper) for view in views if view.kind == "kept"],
        "unkept": [(view.sources, view.upper) for view in views if view.kind == "overlay"],
        "forwards": [(it.port, _forward(place, it.service, it.port)) for it in spec.forwards],
        "certificate": certificate(place) if spec.forwards or spec.host_port else b"",
        "egress": port,
        "gateway": spec.egress and not place.proxy,
        "opened": place.opened,
        "limits": {name: getattr(spec.limits, name) for name in _LIMITS},
        **{name: getattr(spec, name) for name in _AS_GIVEN},
    }


def shown(command: tuple[str, ...]) -> str:
    """The command for the log: the text of ``sh -c TEXT``, the command of ``sh -c WRAPPER NAME COMMAND``."""
    if len(command) == 5 and command[1] == "-c" and command[3] == command[0]:
        return command[4][:1000]
    if len(command) == 3 and command[1] in ("-c", "-lc") and command[0].rpartition("/")[2] in ("sh", "bash", "dash"):
        return command[2][:1000]
    return " ".join(command)[:1000]


def _refuse(message: str, hint: str = "") -> None:
    raise EngineError(message, hint=hint or "see engine/contract.py for the allowed values", id="invalid_params")


def _check(spec: DynoSpec) -> None:
    artefacts.check(spec)
    problems = [
        (not _OWNER.match(spec.owner), f"the owner {spec.owner[:100]!r} is not a name"),
        (not 0 <= spec.uid < 100_000, f"uid {spec.uid} is not within 0 .. 99999"),
        (not _PROCESS.match(spec.process), f"the process {spec.process[:100]!r} is not a name"),
        (not spec.command or not spec.command[0], "the command is empty"),
        (not _is_clean(spec.cwd), f"the folder {spec.cwd!r} is not a plain absolute path"),
        (spec.limits.memory_mb < _LOWEST_MEMORY, f"memory_mb must be at least {_LOWEST_MEMORY}"),
        (spec.limits.pids < _LOWEST_PIDS, f"pids must be at least {_LOWEST_PIDS}"),
        (bool(spec.socket or spec.service) and not spec.port, "a socket or a service needs a port to lead to"),
        (bool(spec.socket and spec.service), "a dyno has a socket or is a service, not both"),
        (not 0 <= spec.host_port < 65536, f"host_port {spec.host_port} is not within 0 .. 65535"),
        (bool(spec.host_port) and not spec.service, "host_port needs a service"),
        (not 0 < spec.rows < 1000 or not 0 < spec.columns < 1000, "rows and columns must be within 1 .. 999"),
    ]
    problems += [
        (not _is_name(name), f"{name[:100]!r} is not a valid name of an environment variable") for name in spec.env
    ]
    ports = [spec.port] * bool(spec.port) + [forward.port for forward in spec.forwards]
    problems += [(not 0 < port < 65536, f"port {port} is not within 1 .. 65535") for port in ports]
    problems += [(len(set(ports)) != len(ports), "a port is used twice in the dyno")]
    for wrong, message in problems:
        if wrong:
            _refuse(f"dyno {spec.id}: {message}")


def _forward(place: Place, target: str, port: int) -> str:
    kind, _ = names.target(target)
    if kind == names.SERVICE:
        return within(place, artefacts.socket(target, port), FORWARDS, "forward")
    if target.removeprefix(connections.TCP) not in place.tcp:
        allowed = ", ".join(sorted(place.tcp)) or "none"
        _refuse(f"the forward to {target[:200]!r} is not allowed", hint=f"allowed: {allowed} (supervisor --tcp)")
    return target


def certificate(place: Place) -> bytes:
    """The private key and the certificate of the forwards, in PEM; empty if there is none, and no forward speaks TLS.

    They reach the shim in its order, so that the file is readable by the supervisor and the control plane alone.
    """
    try:
        with open(place.path(artefacts.CERTIFICATE), "rb") as file:
            return file.read(CERTIFICATE_BYTES)
    except OSError:
        return b""


def _is_name(name: str) -> bool:
    return bool(name) and "=" not in name and "\0" not in name


def _is_clean(path: str) -> bool:
    return path.startswith("/") and os.path.normpath(path) == path and not path.startswith("//") and "\0" not in path


def _egress_port(spec: DynoSpec) -> int:
    taken = {spec.port, *(forward.port for forward in spec.forwards)}
    return next(port for port in range(egress.PORT, 65536) if port not in taken)


def served(spec: DynoSpec) -> str:
    """The socket at which the dyno's port is served, relative to home; empty if there is none."""
    return artefacts.socket(spec.service, spec.port) if spec.service else spec.socket


def _socket(place: Place, spec: DynoSpec) -> str:
    if spec.service:
        return within(place, served(spec), (SERVICES,), "service")
    if not spec.socket:
        return ""
    path = within(place, spec.socket, (f"{DYNOS}/{spec.id}", SOCKETS), "socket")
    if os.path.basename(path) in ("state.json", "attach.sock", "output", "active"):
        _refuse(f"dyno {spec.id}: the socket's name is reserved by the engine")
    return path


def within(place: Place, relative: str, folders: Iterable[str], what: str) -> str:
    """The real absolute path of a file or folder below one of home's ``folders``. Raises EngineError."""
    folders = list(folders)
    allowed = ", ".join(f"{folder}/" for folder in folders)
    if relative.startswith("/") or os.path.normpath(relative) != relative or "\0" in relative:
        _refuse(f"{what} {relative!r} is not a plain path relative to home", hint=f"allowed: below {allowed}")
    if not any(relative.startswith(folder + "/") for folder in folders):
        _refuse(f"{what} {relative!r} is not allowed", hint=f"allowed: below {allowed}")
    real = os.path.realpath(place.path(relative))
    if not any(real.startswith(place.path(folder) + "/") for folder in folders):
        _refuse(f"{what} {relative!r} is outside of the allowed folders", hint=f"allowed: below {allowed}")
    return real


def view(place: Place, spec: DynoSpec, mount: Mount) -> sandbox.View:
    """The mount with absolute sources. Raises EngineError."""
    if not _is_clean(mount.target) or mount.target in _KEPT_TARGETS:
        _refuse(f"dyno {spec.id}: nothing can be mounted at {mount.target!r}")
    if mount.mode != "overlay":
        if mount.lower or mount.upper or not mount.source:
            _refuse(f"dyno {spec.id}: the {mount.mode} mount at {mount.target} needs a source, and no layers")
        return sandbox.View(mount.mode, mount.target, [source(place, spec, mount.source, mount.mode == "rw")])
    layers = mount.lower or (mount.source,)
    lower = [source(place, spec, layer, False) for layer in layers]
    if not mount.upper:
        number = spec.mounts.index(mount)
        upper, work = (os.path.join(own(place, spec), f"{name}{number}") for name in (sandbox.UPPER, sandbox.WORK))
        return sandbox.View("overlay", mount.target, lower, upper, work)
    if names.artefact(mount.upper)[0] != "scratch":
        _refuse(f"dyno {spec.id}: the upper layer of {mount.target} must be scratch:NAME")
    upper = source(place, spec, mount.upper, True)
    return sandbox.View("kept", mount.target, lower, upper, work_folder(upper))


def own(place: Place, spec: DynoSpec) -> str:
    """The folder on disk for the dyno's discarded writes."""
    return place.path(SCRATCH, spec.id, OWN)


def own_folders(spec: DynoSpec) -> list[str]:
    """Names of its subfolders that ``order`` requires."""
    plain = [str(number) for number, mount in enumerate(spec.mounts) if mount.mode == "overlay" and not mount.upper]
    return [sandbox.TMP, *sandbox.HOMES, *(name + number for number in plain for name in (sandbox.UPPER, sandbox.WORK))]


def foreign_layers(views: Iterable[sandbox.View], uid: int) -> list[tuple[str, int, int]]:
    """Lower layers of overlays that the dyno's uid and gid do not own: (path, owner, group). The shim makes them appear
    as the dyno's own.
    """
    found = {}
    for path in (source for it in views if it.upper for source in it.sources):
        with contextlib.suppress(OSError):
            owner, group = owner_of(path)
            if (owner, group) != (uid, uid):
                found[path] = (path, owner, group)
    return list(found.values())


def owner_of(tree: str) -> tuple[int, int]:
    """Owner and group of a stored tree's contents. Only its top folder may have the control plane's group: an overlay
    never copies it.
    """
    first = os.stat(tree)
    with os.scandir(tree) as entries:
        inside = [entry.stat(follow_symlinks=False).st_gid for entry in itertools.islice(entries, 100)]
    return first.st_uid, max(inside, key=inside.count, default=first.st_gid)


def work_folder(upper: str) -> str:
    """The work folder of overlayfs for ``upper``: beside it, on the same disk."""
    return os.path.join(os.path.dirname(upper), "_work_" + os.path.basename(upper))


def source(place: Place, spec: DynoSpec, name: str, write: bool) -> str:
    """The absolute path of one artefact that ``artefacts.check`` accepted. Raises EngineError if it is not allowed or
    does not exist.
    """
    kind, key = names.artefact(name)
    if kind == "scratch":
        return place.path(SCRATCH, spec.id, key)
    if write and kind not in ("cache", "volume"):
        hint = "allowed: scratch:NAME, cache:OWNER/NAME and volume:OWNER/NAME"
        _refuse(f"dyno {spec.id}: {name!r} must not be mounted writable", hint=hint)
    if kind == "host":
        return _foreign(place, spec, key)
    real = within(place, artefacts.path(name), CACHES if write else READABLE, name)
    if not os.path.exists(real) and not write and kind != "volume":
        _refuse(f"dyno {spec.id}: the source {name!r} does not exist")
    return real


def _foreign(place: Place, spec: DynoSpec, text: str) -> str:
    allowed = ", ".join(place.allow_as_given) or "none"
    hint = f"allowed prefixes: {allowed} (supervisor --allow)"
    if not _is_clean(text) or not any(_below(text, prefix) for prefix in place.allow_as_given):
        _refuse(f"dyno {spec.id}: the source {text!r} is not allowed", hint=hint)
    real = os.path.realpath(text)
    if not any(_below(real, prefix) for prefix in (*place.allow, "/usr")):
        _refuse(f"dyno {spec.id}: the source {text!r} leads to {real}, which is not allowed", hint=hint)
    if not os.path.exists(real):
        _refuse(f"dyno {spec.id}: the source {text!r} does not exist")
    return real


def _below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix.rstrip("/") + "/")


def scratch_names(spec: DynoSpec) -> set[str]:
    """Names of the scratch folders in the spec."""
    texts = [text for mount in spec.mounts for text in (mount.source, mount.upper, *mount.lower)]
    return {text.partition(":")[2] for text in texts if text.startswith("scratch:")}


def own_artefacts(spec: DynoSpec) -> list[str]:
    """Folders of the spec's volumes, and of the caches that it mounts writable, relative to home."""
    written = {mount.source for mount in spec.mounts if mount.mode == "rw"}
    sources = dict.fromkeys(text for mount in spec.mounts for text in mount.lower or (mount.source,))
    return [
        artefacts.path(source)
        for source in sources
        if source.startswith("volume:") or (source.startswith("cache:") and source in written)
    ]


def kept_uppers(spec: DynoSpec) -> set[str]:
    """Names of the scratch folders that are upper layers."""
    return {mount.upper.partition(":")[2] for mount in spec.mounts if mount.upper}
