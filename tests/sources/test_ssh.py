"""A source over ssh with a real sshd: its host keys are learned once and then pinned, and only the deploy key gives
access.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time

import pytest

from greenroom.sources.models import Source
from tests.postgres import free_port

pytestmark = pytest.mark.django_db
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def can_run() -> bool:
    """sshd started by root needs its own user and folder; started by others, it needs nothing."""
    if SSHD is None or os.geteuid() != 0:
        return SSHD is not None
    try:
        return bool(pwd.getpwnam("sshd")) and os.path.isdir("/run/sshd")
    except KeyError:
        return False


needs_sshd = pytest.mark.skipif(not can_run(), reason="sshd cannot run here (apt install openssh-server)")


class Sshd:
    """An sshd on its own port for the user who runs the tests, with a replaceable host key."""

    def __init__(self, folder) -> None:
        self.folder, self.port, self.process = folder, free_port(), None
        folder.mkdir()
        (folder / "authorized").write_text("")

    def start(self) -> None:
        key = self.folder / "host"
        for path in (key, self.folder / "host.pub"):
            path.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        settings = [
            f"Port {self.port}",
            "ListenAddress 127.0.0.1",
            f"HostKey {key}",
            f"AuthorizedKeysFile {self.folder / 'authorized'}",
            "UsePAM no",
            "StrictModes no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PidFile none",
            "PermitRootLogin yes",
            "AcceptEnv GIT_PROTOCOL",
        ]
        (self.folder / "config").write_text("\n".join(settings) + "\n")
        self.process = subprocess.Popen(
            [str(SSHD), "-D", "-e", "-f", str(self.folder / "config")], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("sshd did not start")

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(20)


@pytest.fixture
def sshd(tmp_path):
    server = Sshd(tmp_path / "sshd")
    server.start()
    yield server
    server.stop()


@needs_sshd
def test_a_deploy_key_opens_a_source_whose_host_key_is_learned_and_pinned(api, look, repo, sshd, home):
    commit = repo.commit("one")
    user = pwd.getpwuid(os.geteuid()).pw_name
    answer = api.set(f"ssh://{user}@127.0.0.1:{sshd.port}{repo.bare}", deploy_key="new")
    assert answer.status_code == 201, answer.content
    row = look()
    assert (row.state, row.problem[:36]) == ("failing", "Access to the repository was denied:")
    (sshd.folder / "authorized").write_text(answer.json()["credentials"]["deploy_key"] + "\n")
    row = look()
    assert (row.state, row.problem, row.taken) == ("synced", "", commit)
    public = (sshd.folder / "host.pub").read_text().split()[1]
    assert public in row.known_hosts
    assert api.info()["known_hosts"][0]["fingerprint"].startswith("SHA256:")

    second = repo.commit("two")
    assert look().taken == second
    sshd.stop()
    sshd.start()  # another key: it may be another server
    repo.commit("three")
    row = look()
    assert (row.state, row.problem, row.taken) == (
        "failing",
        "Host key verification failed.",
        second,
    )
    assert public in Source.objects.get().known_hosts
    keys = f"[127.0.0.1]:{sshd.port} {(sshd.folder / 'host.pub').read_text()}"
    assert api.set(row.url, known_hosts=keys).status_code == 200
    assert look().state == "synced"
