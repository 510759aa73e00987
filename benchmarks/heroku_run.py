"""Compares the Heroku CLI, Greenroom's CLI and the bare process: time to the first byte of `run`, delay of `logs
--tail`, 500 concurrent tails.

Starts an installation with one small app and removes it afterwards; prints a table and one JSON line. Times are
medians. The row `heroku version` is the start-up time of the Heroku CLI without any request.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from greenroom.basics import logfile
from tests.contracts.heroku_cli.conftest import APP, Contract
from tests.stories.team import Installation

WORD = b"ready-from-the-dyno"


def first_byte(argv: list[str], env: dict[str, str]) -> float:
    """Seconds until the word appears in the command's output."""
    begun = time.perf_counter()
    with subprocess.Popen(
        argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        seen = b""
        while WORD not in seen:
            part = os.read(process.stdout.fileno(), 65536)
            if not part:
                raise SystemExit(f"{argv} ended without its word: {seen!r}")
            seen += part
        took = time.perf_counter() - begun
        process.wait()
    return took


def median(count: int, argv: list[str], env: dict[str, str]) -> float:
    """The median of ``count`` runs after a warm-up run."""
    first_byte(argv, env)
    return round(statistics.median(first_byte(argv, env) for _ in range(count)), 3)


def runs(app: Contract, count: int) -> dict[str, float]:
    """Seconds to the first byte, for each client."""
    text, env = WORD.decode(), app.cli.env
    heroku = shutil.which("heroku", path=env["PATH"]) or "heroku"
    own = {**app.place.env}
    begun = time.perf_counter()
    subprocess.run([heroku, "version"], env=env, capture_output=True, check=True)
    alone = time.perf_counter() - begun
    return {
        "bare process": median(count, ["sh", "-c", f"echo {text}"], own),
        "greenroom run": median(count, [str(app.place.greenroom), "run", "-a", APP, "echo", text], own),
        "heroku run": median(count, [heroku, "run", "--no-tty", "-a", APP, "--", "echo", text], env),
        "heroku version": round(alone, 3),
    }


def say(folder: Path, text: str) -> float:
    """Append a line to the app's log; returns the time."""
    logfile.append(str(folder), [(time.time(), "app", "web.1", text)])
    return time.perf_counter()


def tail_delay(app: Contract, folder: Path, count: int) -> dict[str, float]:
    """Seconds from a new log line to its output by ``heroku logs --tail``."""
    argv = [shutil.which("heroku", path=app.cli.env["PATH"]) or "heroku", "logs", "--tail", "-a", APP]
    with subprocess.Popen(
        argv, env=app.cli.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        delays = []
        try:
            begun = say(folder, "line 0 .")
            for number in range(count + 1):
                until(process.stdout.fileno(), b"line %d ." % number)
                if number:
                    delays.append(time.perf_counter() - begun)
                time.sleep(0.3)
                begun = say(folder, f"line {number + 1} .")
        finally:
            process.terminate()
    return {"median": round(statistics.median(delays), 4), "longest": round(max(delays), 4)}


def until(fd: int, word: bytes) -> None:
    """Read until the word appears."""
    seen = b""
    while word not in seen:
        part = os.read(fd, 65536)
        if not part:
            raise SystemExit("the tail ended")
        seen = (seen + part)[-200_000:]


def status(pid: int, name: str) -> int:
    """A value of the process's status: Threads, or VmRSS in kB."""
    found = re.search(rf"^{name}:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


@contextlib.contextmanager
def tails(app: Contract, count: int) -> Iterator[list[socket.socket]]:
    """Open that many log streams, like the CLI."""
    sockets = []
    try:
        for _ in range(count):
            url = urlsplit(
                app.place.api("POST", f"/apps/{APP}/log-sessions", {"tail": True, "lines": 0})[1]["logplex_url"]
            )
            sock = socket.create_connection(("127.0.0.1", url.port or 80))
            path = f"{url.path}?{url.query}" if url.query else url.path
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode())
            sockets.append(sock)
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


def many(app: Contract, folder: Path, count: int) -> dict[str, float]:
    """Threads and memory of the web process without and with the tails, and the time until the last tail gets a
    line.
    """
    pid = app.place.pids()["web"]
    before = {"threads": status(pid, "Threads"), "rss_mb": status(pid, "VmRSS") / 1024}
    with tails(app, count) as sockets:
        time.sleep(2)
        begun = say(folder, "for all of them")
        waiting = selectors.DefaultSelector()
        for sock in sockets:
            waiting.register(sock, selectors.EVENT_READ, bytearray())
        left = count
        while left and time.perf_counter() - begun < 60:
            for key, _ in waiting.select(1):
                key.data.extend(key.fileobj.recv(65536))  # type: ignore[union-attr]
                if b"for all of them" in key.data:
                    waiting.unregister(key.fileobj)
                    left -= 1
        took = time.perf_counter() - begun
        after = {"threads": status(pid, "Threads"), "rss_mb": status(pid, "VmRSS") / 1024}
    return {
        "tails": count,
        "missed": left,
        "seconds_to_the_last": round(took, 3),
        "threads_before": before["threads"],
        "threads": after["threads"],
        "rss_mb_before": round(before["rss_mb"], 1),
        "rss_mb": round(after["rss_mb"], 1),
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=7, help="how often each command is run")
    parser.add_argument("--tails", type=int, default=500, help="how many tails at once")
    given = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="greenroom-bench-"))
    place = Installation(home=base / "home", greenroom=Path(sys.executable).parent / "greenroom")
    place.up()
    try:
        app = Contract(place, base / "work")
        folder = place.home / "logs" / "apps" / app.get("")["id"].replace("-", "")  # type: ignore[index]
        found = {
            "first_byte": runs(app, given.times),
            "tail_delay": tail_delay(app, folder, 20),
            "many": many(app, folder, given.tails),
        }
    finally:
        place.down()
        shutil.rmtree(base, ignore_errors=True)
    for name, row in found.items():
        print(name, *(f"\n  {key:<22} {value}" for key, value in row.items()), sep="")
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
