"""Opens a source for git for one fetch: its address is validated and pinned, and its credential stays in memory.

A credential is in a memory file of this process, which git's child processes open through /proc/PID/fd. It is never on
disk or in an argument, URL or environment, and disappears with this process.
"""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from greenroom.basics import outgoing
from greenroom.basics.errors import UserError
from greenroom.config_vars.drivers.encryption import master_key, seal, unseal
from greenroom.git.drivers.fetch import Remote
from greenroom.git.drivers.lfs_fetch import Server
from greenroom.sources import forges, rules
from greenroom.sources.models import Source

PORTS = {"https": 443, "http": 80, "ssh": 22}
ASKPASS = """\
#!/bin/sh
case "$1" in
Username*) printf '%s\\n' "$GREENROOM_USERNAME" ;;
*) cat -- "$GREENROOM_PASSWORD_FILE" ;;
esac
"""
SSH = '#!/bin/sh\nexec ssh -F "$GREENROOM_SSH_CONFIG" "$@"\n'
"""Both are constant; values of a call are in its environment and in files named there."""


@dataclass(frozen=True, kw_only=True)
class Opened:
    """remote: for git. lfs: for Git LFS; None for ssh. known_hosts: the file to which ssh writes the host's keys; None
    for other schemes.
    """

    remote: Remote
    lfs: Server | None = None
    known_hosts: Path | None = None

    def learned(self) -> str:
        """The host's known keys after a connection, one per line."""
        lines = self.known_hosts.read_text().split("\n") if self.known_hosts else []
        return "".join(f"{line}\n" for line in lines if line.strip())


def sealed(source: Source, name: str, plain: str, home: Path) -> bytes:
    """The encrypted form of a credential; empty for an empty one."""
    return seal(master_key(home), plain.encode(), f"source/{source.pk}/{name}") if plain else b""


def opened(source: Source, name: str, home: Path) -> str:
    """The decrypted credential; empty if there is none."""
    kept = bytes(getattr(source, name))
    place = "secret" if name == "previous" else name
    return unseal(master_key(home), kept, f"source/{source.pk}/{place}").decode() if kept else ""


def judged(scheme: str, host: str, port: int, allowed: Sequence[outgoing.Network]) -> list[str]:
    """The allowed addresses of the host. Plain http only in networks that the operator has configured.

    OutgoingError or UserError if there are none.
    """
    found = outgoing.resolve(host, port or PORTS[scheme], allowed)
    if scheme == "http" and not all(in_named_network(address, allowed) for address in found):
        raise UserError(
            f"http:// sends credentials and code in clear, and {host} is in no network that the operator allows it"
            " for.",
            hint="use https:// or ssh; else start Greenroom with GREENROOM_PRIVATE_TARGETS naming the host's network",
        )
    return found


def in_named_network(address: str, allowed: Sequence[outgoing.Network]) -> bool:
    """Whether it is in one of the operator's configured networks; a public address alone is not enough."""
    import ipaddress

    one = ipaddress.ip_address(address.partition("%")[0])
    return any(one in network for network in allowed if network.version == one.version)


@contextlib.contextmanager
def opening(source: Source, home: Path, allowed: Sequence[outgoing.Network] = ()) -> Iterator[Opened]:
    """The source, ready for git. OutgoingError or UserError for a forbidden address; OSError."""
    place = rules.place_of(source.url)
    if isinstance(place, str):
        raise UserError(f"The URL {place}.")
    addresses = judged(place.scheme, place.host, place.port, allowed)
    folder = Path(tempfile.mkdtemp(prefix="greenroom-source-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if place.scheme == "ssh":
            key = _in_memory(stack, opened(source, "key", home))
            yield _by_ssh(source, place, addresses, folder, key)
        else:
            token = opened(source, "token", home)
            remote = _by_http(source, place, addresses, folder, _in_memory(stack, token))
            yield Opened(remote=remote, lfs=_lfs(source, token, allowed))


def _lfs(source: Source, token: str, allowed: Sequence[outgoing.Network]) -> Server:
    name = source.username or forges.find(source.kind).username
    basic = f"Basic {base64.b64encode(f'{name}:{token}'.encode()).decode()}" if token else ""
    return Server(url=source.url, authorization=basic, allowed=allowed)


def _in_memory(stack: contextlib.ExitStack, text: str) -> str:
    """An anonymous memory file with the text; returns its path for child processes of the same user, empty for no
    text.
    """
    if not text:
        return ""
    handle = os.memfd_create("greenroom", os.MFD_CLOEXEC)
    stack.callback(os.close, handle)
    os.fchmod(handle, 0o600)
    os.write(handle, text.encode())
    return f"/proc/{os.getpid()}/fd/{handle}"


def _by_http(source: Source, place: rules.Place, addresses: list[str], folder: Path, token: str) -> Remote:
    port = place.port or PORTS[place.scheme]
    config = []
    if addresses != [place.host]:
        listed = ",".join(f"[{address}]" if ":" in address else address for address in addresses)
        config.append(("http.curloptResolve", f"{place.host}:{port}:{listed}"))
    env = {"GIT_SSL_CAINFO": os.environ["SSL_CERT_FILE"]} if os.environ.get("SSL_CERT_FILE") else {}
    if token:
        name = source.username or forges.find(source.kind).username
        env |= {
            "GIT_ASKPASS": _script(folder / "askpass", ASKPASS),
            "GREENROOM_USERNAME": name,
            "GREENROOM_PASSWORD_FILE": token,
        }
    return Remote(url=source.url, scheme=place.scheme, env=env, config=tuple(config))


def _by_ssh(source: Source, place: rules.Place, addresses: list[str], folder: Path, key: str) -> Opened:
    """ssh with a custom configuration: connects to the validated address under the host's name, with this key or
    none.
    """
    known = folder / "known_hosts"
    known.write_text(source.known_hosts or forges.host_key(place.host) + "\n")
    settings = {
        "HostName": addresses[0],
        "HostKeyAlias": place.host,
        "CheckHostIP": "no",
        "CanonicalizeHostname": "no",
        "StrictHostKeyChecking": "yes" if known.read_text().strip() else "accept-new",
        "UserKnownHostsFile": str(known),
        "GlobalKnownHostsFile": "/dev/null",
        "HashKnownHosts": "no",
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "IdentityFile": key or "none",
        "PreferredAuthentications": "publickey,none",
        "BatchMode": "yes",
        "ForwardAgent": "no",
        "PermitLocalCommand": "no",
        "ClearAllForwardings": "yes",
        "ProxyCommand": "none",
        "ControlMaster": "no",
        "ControlPath": "none",
        "ConnectTimeout": "20",
        "ServerAliveInterval": "15",
        "RequestTTY": "no",
        "LogLevel": "ERROR",
    }
    config = folder / "config"
    config.write_text("Host *\n" + "".join(f"\t{name} {value}\n" for name, value in settings.items()))
    env = {"GIT_SSH": _script(folder / "ssh", SSH), "GIT_SSH_VARIANT": "ssh", "GREENROOM_SSH_CONFIG": str(config)}
    return Opened(remote=Remote(url=source.url, scheme="ssh", env=env), known_hosts=known)


def _script(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o700)
    return str(path)
