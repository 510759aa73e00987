"""The files of a server installation outside of its home, as text: systemd units, settings and shell exports.

Pure. The unit of the host process leaves dynos, Caddy and PostgreSQL running when it is stopped or restarted
(``KillMode=process``, and SIGUSR1 as the stop signal); the second unit stops them when the machine shuts down.
"""

from __future__ import annotations

import shlex
from pathlib import Path

HOME = Path("/var/lib/greenroom")
UNITS = Path("/etc/systemd/system")
SERVICE, SHUTDOWN = "greenroom.service", "greenroom-shutdown.service"
BACKUP, TIMER = "greenroom-backup.service", "greenroom-backup.timer"
ENVIRONMENT = Path("/etc/greenroom/environment")
PROFILE = Path("/etc/profile.d/greenroom.sh")
DROPPED = ("CAP_SYS_MODULE", "CAP_SYS_BOOT", "CAP_SYS_TIME", "CAP_SYSLOG", "CAP_WAKE_ALARM", "CAP_SYS_RAWIO")
"""Capabilities that neither Greenroom nor a dyno needs. Dynos need mounts, namespaces, chown and network settings."""

_SERVICE = """[Unit]
Description=Greenroom, a staging system for Django teams
After=network-online.target {shutdown}
Wants=network-online.target
Requires={shutdown}
StartLimitIntervalSec=300
StartLimitBurst=10

[Service]
Type=notify
NotifyAccess=main
EnvironmentFile=-{environment}
ExecStart={program} up --home {home}
KillMode=process
KillSignal=SIGUSR1
SuccessExitStatus=SIGUSR1
Restart=on-failure
RestartSec=2
TimeoutStartSec=600
TimeoutStopSec=60
OOMPolicy=continue
Delegate=yes
TasksMax=infinity
LimitNOFILE=65536
UMask=0022
NoNewPrivileges=yes
CapabilityBoundingSet=~{dropped}
LockPersonality=yes
RestrictRealtime=yes

[Install]
WantedBy=multi-user.target
"""

_SHUTDOWN = """[Unit]
Description=Greenroom: stop dynos, router and database at shutdown
Before={service}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop={program} down --home {home}
TimeoutStopSec=150
KillMode=process
"""

_BACKUP = """[Unit]
Description=Greenroom: nightly backup
After={service}

[Service]
Type=oneshot
EnvironmentFile=-{environment}
ExecStart={program} backup --home {home}
Nice=10
IOSchedulingClass=idle
"""

_TIMER = """[Unit]
Description=Greenroom: nightly backup

[Timer]
OnCalendar=*-*-* 03:15:00
RandomizedDelaySec=900
Persistent=yes

[Install]
WantedBy=timers.target
"""

_ENVIRONMENT = """# Settings of Greenroom, NAME=value, read at each start (docs/reference/settings.md).
# A change takes effect with: systemctl restart greenroom
# GREENROOM_ACCOUNT_APPS=25
# GREENROOM_LOG_LEVEL=INFO
"""

_PROFILE = """# Greenroom: administrators (root) use this machine's installation. Made by `greenroom server:install`.
if [ "$(id -u)" = 0 ]; then
    export GREENROOM_HOME={home}
fi
"""


def files(home: Path, program: Path, *, backup: bool) -> dict[Path, str]:
    """Path -> content. backup: also the unit and the timer of backups, which need the command ``greenroom backup``."""
    words = {
        "home": _quoted(home),
        "program": _quoted(program),
        "service": SERVICE,
        "shutdown": SHUTDOWN,
        "environment": ENVIRONMENT,
        "dropped": " ".join(DROPPED),
    }
    texts = {SERVICE: _SERVICE, SHUTDOWN: _SHUTDOWN, **({BACKUP: _BACKUP, TIMER: _TIMER} if backup else {})}
    found = {UNITS / name: text.format(**words) for name, text in texts.items()}
    return found | {PROFILE: _PROFILE.format(home=shlex.quote(str(home)))}


def environment() -> str:
    """The first content of ENVIRONMENT, which is the administrators' file from then on."""
    return _ENVIRONMENT


def _quoted(path: Path) -> str:
    """The path as one word of a unit: ``%`` is doubled, and quotes are added if needed."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(letter in text for letter in " \t;'\"\\") else text


def unwritable(path: Path) -> str:
    """Why the path cannot be in a unit; '' if it can."""
    return "" if str(path).isprintable() and "\n" not in str(path) else "contains a control character"
