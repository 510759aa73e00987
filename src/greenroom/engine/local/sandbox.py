"""Builds bubblewrap's options for one spec, which determine the dyno's file system; runs nothing.

The shim passes them by file descriptor. The shim, not bubblewrap, sets the network and the host's uid.
"""

from __future__ import annotations

import contextlib
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UID = 1000
"""Inside, every dyno is the user ``dyno`` with this uid, whatever its uid on the host."""
HOME = "/app"
PATH = "/usr/local/bin:/usr/bin:/bin"
HOSTNAME = "dyno"
_MB = 1024 * 1024
TMP, HOMES, UPPER, WORK = "tmp", ("home", "cwd"), "upper", "work"
"""Subfolders of the dyno's own folder on disk: /tmp, /app and the working folder if nothing is mounted there, and two
folders per overlay for its writes (``upper0``, ``work0``).
"""
SYSTEM = ("bin", "lib", "lib32", "lib64", "libx32", "sbin")

ETC = {
    "passwd": (
        f"root:x:0:0:root:/root:/usr/sbin/nologin\ndyno:x:{UID}:{UID}:dyno:{HOME}:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
    ),
    "group": f"root:x:0:\ndyno:x:{UID}:\nnogroup:x:65534:\n",
    "hosts": f"127.0.0.1 localhost {HOSTNAME}\n::1 ip6-localhost ip6-loopback\n",
    "hostname": f"{HOSTNAME}\n",
    "nsswitch.conf": (
        "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"
    ),
    "timezone": "Etc/UTC\n",
}
NO_RESOLVER = "# a dyno has no name server: its way out is the proxy of HTTP_PROXY\noptions attempts:1 timeout:1\n"
FROM_HOST = (
    "alternatives",
    "ca-certificates",
    "fonts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "mime.types",
    "pki/ca-trust/extracted",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
)
"""Files of the host's /etc that programs need and that are not confidential."""


def make_etc(folder: str, resolver: str) -> None:
    """Create the /etc of all dynos: Greenroom's own files, and copies of the host's. Repeatable. Raises OSError.

    resolver: address of the dynos' name server; empty if they have none.
    """
    _folder(folder)
    for name, text in (ETC | {"resolv.conf": f"nameserver {resolver}\n" if resolver else NO_RESOLVER}).items():
        _write(os.path.join(folder, name), text.encode())
    _link("/usr/share/zoneinfo/Etc/UTC", os.path.join(folder, "localtime"))
    for name in FROM_HOST:
        if os.path.exists(f"/etc/{name}"):
            parent = folder
            for part in name.split("/")[:-1]:
                parent = os.path.join(parent, part)
                _folder(parent)
            _copy(f"/etc/{name}", os.path.join(folder, name))


def _copy(source: str, target: str) -> None:
    """Copy a world-readable file; keeps links (they lead into /usr)."""
    mode = os.lstat(source).st_mode
    if stat.S_ISLNK(mode):
        _link(os.readlink(source), target)
    elif stat.S_ISDIR(mode) and mode & 0o005 == 0o005:
        _folder(target)
        for name in os.listdir(source):
            _copy(os.path.join(source, name), os.path.join(target, name))
    elif stat.S_ISREG(mode) and mode & 0o004:
        with open(source, "rb") as file:
            _write(target, file.read())


def _folder(path: str) -> None:
    os.makedirs(path, exist_ok=True)
    os.chmod(path, 0o755)  # noqa: S103 (all dynos read it)


def _link(to: str, path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path + "~")
    os.symlink(to, path + "~")
    os.rename(path + "~", path)


def _write(path: str, data: bytes) -> None:
    with open(path + "~", "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), 0o644)
    os.rename(path + "~", path)


class View:
    """One mount with absolute sources: ``kind`` is ``ro``, ``rw``, ``overlay`` or ``kept`` (both with upper and
    work).
    """

    def __init__(self, kind: str, target: str, sources: Iterable[str], upper: str = "", work: str = "") -> None:
        self.kind, self.target, self.sources = kind, target, list(sources)
        self.upper, self.work = upper, work

    def options(self) -> list[str]:
        """The bubblewrap arguments of this mount."""
        if self.kind == "ro":
            return ["--ro-bind", self.sources[0], self.target]
        if self.kind == "rw":
            return ["--bind", self.sources[0], self.target]
        layers = [word for source in self.sources for word in ("--overlay-src", source)]
        return [*layers, "--overlay", self.upper, self.work, self.target]


def options(
    *, env: Mapping[str, str], views: Iterable[View], cwd: str, etc: str, memory_mb: int, disk: str
) -> list[str]:
    """All bubblewrap options except those that refer to file descriptors. ``disk``: the dyno's own folder, see
    ``OWN``.
    """
    views = sorted(views, key=lambda view: view.target.count("/") if view.target != "/" else 0)
    words = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += ["--disable-userns", "--uid", str(UID), "--gid", str(UID), "--hostname", HOSTNAME]
    words += ["--die-with-parent", "--new-session", "--cap-drop", "ALL"]
    words += _system(etc)
    size = str(memory_mb * _MB)
    words += [
        "--proc",
        "/proc",
        "--dev",
        "/dev",
        "--perms",
        "1777",
        "--size",
        size,
        "--tmpfs",
        "/dev/shm",  # noqa: S108 -- inside the dyno
    ]
    words += ["--bind", os.path.join(disk, TMP), "/tmp"]  # noqa: S108 (inside)
    words += ["--dir", "/var", "--symlink", "/tmp", "/var/tmp", "--dir", "/run"]  # noqa: S108
    for folder, home in zip(HOMES, dict.fromkeys((HOME, cwd)), strict=False):
        seen = ("/tmp", *(view.target for view in views))  # noqa: S108
        if home != "/" and not any(_covers(target, home) for target in seen):
            words += ["--bind", os.path.join(disk, folder), home]
    for view in views:
        words += view.options()
    words += ["--remount-ro", "/", "--chdir", cwd, "--clearenv"]
    for name, value in environment(env).items():
        words += ["--setenv", name, value]
    return words


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """The dyno's whole environment: defaults that every program needs, overridden by the spec's."""
    return {"HOME": HOME, "PATH": PATH, "LANG": "C.UTF-8", "USER": "dyno", **env}


def _covers(target: str, path: str) -> bool:
    return path == target or path.startswith(target.rstrip("/") + "/")


def _system(etc: str) -> list[str]:
    words = ["--ro-bind", "/usr", "/usr"]
    for name in SYSTEM:
        path = f"/{name}"
        if os.path.islink(path):
            words += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            words += ["--ro-bind", path, path]
    return [*words, "--ro-bind", etc, "/etc"]


def encode(words: Iterable[str]) -> bytes:
    """Encode the arguments for ``--args``, each terminated by a zero byte. Raises ValueError if one contains a zero
    byte.
    """
    data = [os.fsencode(word) for word in words]
    if any(b"\0" in word for word in data):
        raise ValueError("a zero byte in a path or in the environment")
    return b"".join(word + b"\0" for word in data)
