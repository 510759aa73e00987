"""The system users of a root installation."""

from __future__ import annotations

import pwd
import shutil
import subprocess

from greenroom_cli.host.home import CONTROL_USER, POSTGRES_USER, HostError


def ensure() -> tuple[int, int]:
    """Make the users of the control plane and of PostgreSQL unless they are there; uid and gid of the first."""
    for name in (CONTROL_USER, POSTGRES_USER):
        if _find(name) is None:
            _add(name)
    control = pwd.getpwnam(CONTROL_USER)
    return control.pw_uid, control.pw_gid


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _add(name: str) -> None:
    program = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        raise HostError(
            f"The system user {name} is missing and there is no useradd.", f"make a system user named {name}"
        )
    argv = [program, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", "--user-group", name]
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode and _find(name) is None:
        raise HostError(
            f"The system user {name} could not be made: {result.stderr.strip()}.", f"make a system user named {name}"
        )
