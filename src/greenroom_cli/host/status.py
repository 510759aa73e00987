"""``greenroom status``: state, uptime and memory of the components."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from greenroom.basics import backup_record
from greenroom_cli.host import engine_processes, ports, processes
from greenroom_cli.host.home import Installation


def names(install: Installation) -> list[str]:
    """The components of the installation, with the host process."""
    program = engine_processes.part(install.engine).program
    database = ["postgres"] if install.postgres == "embedded" else []
    return ["host", *database, *([program.name] if program else []), "caddy", "web", "worker"]


def gather(home: Path, install: Installation) -> dict[str, Any]:
    """{home, mode, ports, up, components: [{name, state, pid, uptime, memory_kb, restarts}], memory_kb, backup}."""
    closed = {port.owner for port in ports.silent(install)}
    rows = [_component(home, name, closed=name in closed) for name in names(install)]
    return {
        "home": str(home),
        "mode": install.mode,
        "up": all(row["state"] == "up" for row in rows),
        "ports": {
            "api": install.api_port,
            "tls": install.tls_port,
            "rendezvous": install.rendezvous_port,
            "postgres": install.pg_port,
            "http": install.http_port,
            "https": install.https_port,
        },
        "components": rows,
        "memory_kb": sum(row["memory_kb"] for row in rows),
        "backup": _backup(home),
    }


def _backup(home: Path) -> dict[str, Any] | None:
    """{state, error} of the last backup, and {path, bytes, age} in seconds of the last one that succeeded; None before
    the first one. An unreadable record counts as none.
    """
    record = backup_record.read(home)
    if record.last is None:
        return None
    good = record.succeeded
    return {
        "state": record.last.state,
        "error": record.last.error,
        "path": good.path if good else None,
        "bytes": good.bytes if good else None,
        "age": round(time.time() - good.ended) if good else None,
    }


def _component(home: Path, name: str, *, closed: bool = False) -> dict[str, Any]:
    """The row of a component. closed: one of its ports is not listening."""
    who = processes.known(home, name)
    about = processes.details(home, name)
    return {
        "name": name,
        "state": ("not listening" if closed else "up") if who else "down",
        "pid": who.pid if who else None,
        "uptime": round(time.time() - about.get("since", time.time())) if who else None,
        "memory_kb": sum(pss_kb(pid) for pid in tree(who.pid, own=name == "host")) if who else 0,
        "restarts": about.get("restarts", 0),
    }


def tree(pid: int, *, own: bool = False) -> list[int]:
    """The pids of the process and its descendants. own: only the process itself, for the host."""
    found = [pid]
    if not own:
        for number in found:
            try:
                tasks = Path(f"/proc/{number}/task").iterdir()
                found += [int(child) for task in tasks for child in (task / "children").read_text().split()]
            except OSError:
                continue
    return found


def pss_kb(pid: int) -> int:
    """Proportional set size (PSS) in KB; 0 when the kernel does not report it."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        return 0
    return 0


def show(data: dict[str, Any]) -> str:
    """The status as text."""
    lines = [f"{'component':<12} {'state':<13} {'pid':>8} {'uptime':>9} {'memory':>9}  restarts"]
    for row in data["components"]:
        memory = f"{row['memory_kb'] / 1024:.1f} MB" if row["memory_kb"] else "-"
        lines.append(
            f"{row['name']:<12} {row['state']:<13} {row['pid'] or '-':>8} {_age(row['uptime']):>9} {memory:>9} "
            f" {row['restarts']}"
        )
    ports = ", ".join(f"{name} {port}" for name, port in data["ports"].items())
    lines += [
        "",
        f"home    {data['home']}",
        f"mode    {data['mode']}",
        f"ports   {ports}",
        f"memory  {data['memory_kb'] / 1024:.1f} MB in total",
        f"backup  {_backup_text(data['backup'])}",
    ]
    return "\n".join(lines)


def _backup_text(row: dict[str, Any] | None) -> str:
    if row is None:
        return "none yet: greenroom backup"
    good = (
        f"{_age(row['age'])} ago, {row['bytes'] / 1e6:.1f} MB, {row['path']}" if row["path"] else "none that succeeded"
    )
    return good if row["state"] == "succeeded" else f"{good}; the last one: {row['state']}  {row['error']}".rstrip()


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    for size, unit, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if seconds >= size:
            return f"{seconds // size}{unit} {seconds % size // part}{smaller}"
    return f"{seconds}s"
