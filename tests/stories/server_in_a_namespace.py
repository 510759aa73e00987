"""A server installation in network and mount namespaces of its own, with an ACME CA on its loopback.

Called as ``unshare -n -m python server_in_a_namespace.py FOLDER``. Follows the page *Install on a server* and prints
one JSON object of facts for ``test_server``.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

BIN = Path(sys.executable).parent
DOMAIN = "staging.example.org"
HOSTS = ("ca.example.org", DOMAIN, f"localhost.{DOMAIN}", f"shop.{DOMAIN}", "www.shop.example", f"other.{DOMAIN}")
CA_PORT, API_PORT = 22443, 22000
SECONDS = 500


def main(folder: Path) -> dict:
    """All facts, in the order of the page."""
    with _alone(folder), _certificate_authority(folder) as root:
        server = Server(folder, root)
        try:
            return server.story()
        finally:
            server.greenroom("server:uninstall", "--purge", "--yes")


@contextlib.contextmanager
def _alone(folder: Path):
    """Names and unit folders that only this namespace sees."""
    (folder / "hosts").write_text(f"127.0.0.1 localhost {' '.join(HOSTS)}\n")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["mount", "--bind", str(folder / "hosts"), "/etc/hosts"], check=True)
    places = [Path("/etc/systemd/system"), Path("/etc/profile.d"), Path("/etc/greenroom")]
    created = [place for place in places if not place.exists()]
    for place in places:
        place.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], check=True)
    yield
    for place in created:
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()


@contextlib.contextmanager
def _certificate_authority(folder: Path):
    """Caddy's ACME server at https://ca.example.org; gives the file of its root certificate."""
    route = {"match": [{"host": [HOSTS[0]]}], "handle": [{"handler": "acme_server", "ca": "local"}]}
    server = {
        "listen": [f"127.0.0.1:{CA_PORT}"],
        "automatic_https": {"disable_redirects": True},
        "routes": [route],
        "tls_connection_policies": [{}],
    }
    policy = {"subjects": [HOSTS[0]], "issuers": [{"module": "internal", "ca": "local"}]}
    config = {
        "admin": {"disabled": True},
        "storage": {"module": "file_system", "root": str(folder / "ca")},
        "apps": {
            "pki": {"certificate_authorities": {"local": {"install_trust": False}}},
            "http": {"servers": {"acme": server}},
            "tls": {"automation": {"policies": [policy]}},
        },
    }
    (folder / "ca.json").write_text(json.dumps(config))
    env = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
    words = [str(BIN / "caddy"), "run", "--config", str(folder / "ca.json")]
    root = folder / "ca/pki/authorities/local/root.crt"
    with subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _until(lambda: root.exists() and _connects(CA_PORT))
        try:
            yield root
        finally:
            process.terminate()


class Server:
    """The installation, and the unit's program as systemd would run it."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder, self.root, self.home = folder, root, folder / "home"
        self.env = {"PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(folder / "notify"))

    def greenroom(self, *words: str) -> str:
        """The output of a command. The story ends when it fails."""
        home = ("--home", str(self.home))
        done = subprocess.run(
            [str(BIN / "greenroom"), *words, *home], env=self.env, capture_output=True, text=True, timeout=SECONDS
        )
        print(f"$ greenroom {shlex.join(words)}\n{done.stdout}{done.stderr}", file=sys.stderr, flush=True)
        if done.returncode and words[0] != "server:check":
            raise SystemExit(f"greenroom {words[0]} failed")
        return done.stdout

    def story(self) -> dict:
        """Install, start by the unit's line, serve, restart, check."""
        ca = ("--acme-ca", f"https://{HOSTS[0]}:{CA_PORT}/acme/local/directory", "--acme-root", str(self.root))
        words = ("server:install", "--domain", DOMAIN, "--email", "ops@example.org", "--api-port", str(API_PORT))
        self.greenroom(*words, *ca)
        host = self.start()
        self.greenroom("create", "shop", "--no-remote")
        facts = {
            "api": self.get(DOMAIN, "/health"),
            "alias": self.get(f"localhost.{DOMAIN}", "/apps/shop"),
            "app": self.get(f"shop.{DOMAIN}", "/"),
            "unknown": self.get(f"other.{DOMAIN}", "/"),
            "issuers": sorted(path.parent.name for path in (self.home / "caddy/caddy/certificates").glob("*/*/*.crt")),
        }
        before = self.pids()
        host.send_signal(signal.SIGUSR1)
        facts["code"] = host.wait(SECONDS)
        facts["while_down"] = self.get(f"shop.{DOMAIN}", "/")
        self.start()
        after = self.pids()
        facts["kept"] = sorted(name for name in before if before[name] == after[name])
        facts["check"] = {row["name"]: row["level"] for row in json.loads(self.greenroom("server:check", "--json"))}
        return facts

    def start(self) -> subprocess.Popen:
        """Run the ExecStart line with the unit's limits, until it says that it is ready."""
        lines = Path("/etc/systemd/system/greenroom.service").read_text().splitlines()
        settings = dict(line.split("=", 1) for line in lines if "=" in line)
        dropped = [f"-{name.removeprefix('CAP_').lower()}" for name in settings["CapabilityBoundingSet"][1:].split()]
        limits = ["setpriv", "--no-new-privs", f"--bounding-set={','.join(dropped)}"]
        env = {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": str(self.folder / "notify")}
        with (self.folder / "host.log").open("a") as log:
            process = subprocess.Popen([*limits, *shlex.split(settings["ExecStart"])], env=env, stdout=log, stderr=log)
        _until(lambda: process.poll() is not None or select.select([self.notify], [], [], 0.5)[0])
        if process.poll() is not None:
            raise SystemExit(f"the unit's program ended:\n{(self.folder / 'host.log').read_text()[-3000:]}")
        assert self.notify.recv(200).startswith(b"READY=1")
        return process

    def pids(self) -> dict[str, int]:
        """The pid of each component."""
        return {row["name"]: row["pid"] for row in json.loads(self.greenroom("status", "--json"))["components"]}

    def get(self, host: str, path: str) -> str:
        """The status of an HTTPS request on port 443, with the certificate verified; or ``refused``."""
        context = ssl.create_default_context(cafile=str(self.root))
        try:
            with (
                socket.create_connection(("127.0.0.1", 443), timeout=60) as sock,
                context.wrap_socket(sock, server_hostname=host) as tls,
            ):
                tls.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                return tls.recv(100).split()[1].decode()
        except ssl.SSLError:
            return "refused"


def _connects(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _until(found) -> None:
    deadline = time.monotonic() + SECONDS
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.1)


if __name__ == "__main__":
    os.umask(0o022)
    print(json.dumps(main(Path(sys.argv[1]))))
