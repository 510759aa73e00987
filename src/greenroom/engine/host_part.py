"""The contract of an engine's part of the host: what ``greenroom up``, ``down``, ``status`` and ``doctor`` ask it.

An engine has one program that the host keeps running, or none. Used without Django and without the control plane.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from greenroom.basics.processes import Identity

Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class HostSettings:
    """The parts of the machine that dynos may use. readable: folders outside of the home; networks: private networks.

    tcp: the only address outside of the home that forwards may lead to, or empty. gid: the group of the control plane;
    -1 without root. proxy: the operator wants dynos to reach the outside by an HTTP proxy.
    """

    readable: tuple[Path, ...]
    tcp: str
    networks: tuple[str, ...]
    gid: int
    proxy: bool = False


@dataclass(frozen=True, kw_only=True)
class Program:
    """The engine's program. It runs as the user of the host process, as ``python -m MODULE``, with the home as an
    argument, and takes the lock of its name itself, because dynos outlive it and must not inherit the lock.

    name: of the component; it may not be that of another component.
    """

    name: str
    module: str


class HostPart(Protocol):
    """An engine's part of the host. All calls may be repeated."""

    program: Program | None
    """The program that the host keeps running; None for an engine that needs none on this machine."""
    folders: tuple[str, ...]
    """Folders of the engine, relative to home: ``up`` creates them for root and the control plane's group."""

    def argv(self, home: Path, settings: HostSettings) -> tuple[str, ...]:
        """The program's command."""

    def answers(self, home: Path) -> bool:
        """Whether the program answers."""

    def dynos(self, home: Path) -> Mapping[str, Identity]:
        """Dyno id -> its process that outlives the program, of dynos that run on this machine."""

    def end_dynos(self, home: Path, say: Say) -> bool:
        """Stop those processes while the program does not run; true if there were any."""

    def without_gateway(self) -> str:
        """Why dynos reach only HTTP and HTTPS outside, on this machine; empty if they reach everything."""

    def server_group(self, home: Path, name: str, memory: int) -> tuple[str, ...]:
        """Create a cgroup beside those of dynos for a server of the platform, limited to ``memory`` bytes; returns its
        ``cgroup.procs`` files, none without cgroups. Raises OSError.
        """

    def remove_server_group(self, home: Path, name: str) -> None:
        """Remove that cgroup after the server has ended, and the home's if it is empty. Raises OSError."""


class NoHostPart:
    """The part of an engine that has neither programs nor folders nor cgroups on this machine."""

    program: Program | None = None
    folders: tuple[str, ...] = ()

    def argv(self, home: Path, settings: HostSettings) -> tuple[str, ...]:
        """See HostPart."""
        return ()

    def answers(self, home: Path) -> bool:
        """See HostPart."""
        return True

    def dynos(self, home: Path) -> Mapping[str, Identity]:
        """See HostPart."""
        return {}

    def end_dynos(self, home: Path, say: Say) -> bool:
        """See HostPart."""
        return False

    def without_gateway(self) -> str:
        """See HostPart."""
        return ""

    def server_group(self, home: Path, name: str, memory: int) -> tuple[str, ...]:
        """See HostPart."""
        return ()

    def remove_server_group(self, home: Path, name: str) -> None:
        """See HostPart."""
