"""A mirror of interpreters on 127.0.0.1, like that of an operator without internet access: an archive in uv's format,
made from this host's own Python, and the list with its name and hash.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import json
import platform
import subprocess
import tarfile
import threading
from pathlib import Path

from greenroom.buildpacks.drivers import interpreters

RELEASES = "https://github.com/astral-sh/python-build-standalone/releases/download"
OURS = next((it for it in interpreters.find() if not it.prefix), interpreters.find()[-1])
"""The system's own, which needs no shared library from a folder that is invisible to dynos."""
VERSION = OURS.text
LEFT_OUT = (
    "__pycache__",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "ensurepip",
    "site-packages",
    "dist-packages",
    "turtledemo",
)


def _kept(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    parts = member.name.split("/")
    member.uid = member.gid = 0
    return (
        None
        if member.linkname.startswith("/") or any(part in LEFT_OUT or part.startswith("config-") for part in parts)
        else member
    )


class Mirror:
    """Serves until closed. asked: the requested paths. index: the URL of the list."""

    def __init__(self, folder: Path) -> None:
        major, minor, patch = OURS.version
        name = f"cpython-{VERSION}-{platform.machine()}-unknown-linux-gnu-install_only_stripped.tar.gz"
        archive = folder / "20260101" / name
        archive.parent.mkdir(parents=True)
        with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
            tar.add(OURS.path, f"python/bin/python{major}.{minor}")
            ask = [OURS.path, "-I", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]
            tar.add(
                subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip(),
                f"python/lib/python{major}.{minor}",
                filter=_kept,
            )
            link = tarfile.TarInfo("python/bin/python3")
            link.type, link.linkname = tarfile.SYMTYPE, f"python{major}.{minor}"
            tar.addfile(link)
        entry = {
            "name": "cpython",
            "arch": {"family": platform.machine(), "variant": None},
            "os": "linux",
            "libc": "gnu",
            "major": major,
            "minor": minor,
            "patch": patch,
            "prerelease": "",
            "url": f"{RELEASES}/20260101/{name}",
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
            "variant": None,
            "build": "20260101",
        }
        (folder / "list.json").write_text(json.dumps({f"cpython-{VERSION}-linux-{platform.machine()}-gnu": entry}))
        self.archive = archive
        self.asked: list[str] = []
        asked = self.asked

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                asked.append(self.path)

        self.server = http.server.ThreadingHTTPServer(
            ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
        )
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.index = f"{self.url}/list.json"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
