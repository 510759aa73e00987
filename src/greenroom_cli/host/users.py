"""The system users of a root installation."""

from __future__ import annotations

import pwd
import shutil
import subprocess

from greenroom.basics import locking
from greenroom_cli.host.home import CONTROL_USER, POSTGRES_USER, HostError

LOCK = "/var/lib/greenroom/users.lock"
"""Serializes calls of useradd, which checks the name before it locks its files: two calls could add a user twice."""


def ensure() -> tuple[int, int]:
    """Create the system users of the control plane and of PostgreSQL, if missing. Returns (uid, gid) of the first.
    HostError when that fails.
    """
    with locking.held(LOCK):
        for name in (CONTROL_USER, POSTGRES_USER):
            if find(name) is None:
                _add(name)
    control = pwd.getpwnam(CONTROL_USER)
    return control.pw_uid, control.pw_gid


def find(name: str) -> pwd.struct_passwd | None:
    """The system user of that name, or None."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _add(name: str) -> None:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        raise HostError(
            f"The system user {name} is missing, and useradd is not installed.", f"create a system user named {name}"
        )
    argv = [program, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "--user-group", name]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode and find(name) is None:
        raise HostError(
            f"Creating the system user {name} failed: {result.stderr.strip()}.", f"create a system user named {name}"
        )
