"""The git hooks ``hook.py pre-receive`` and ``hook.py post-receive``: pass a push to Greenroom and print the response.

Without a response, pre-receive refuses the push, and post-receive leaves it to be recorded later. Run by
``python -I -S``, configured by environment variables, with few imports because each push starts it twice.

Protocol: it sends lines (name of the hook, token, quarantine folder or ``-``, push options, then git's ref updates) and
an empty line; it receives ``say TEXT``, ``settled`` (the rows are written, release the lock) and finally ``exit CODE``.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time

try:
    from _socket import AF_UNIX, socket  # a third of the start-up time of the module around it
except ImportError:  # pragma: no cover - another Python
    from socket import AF_UNIX, socket  # type: ignore[assignment]

LOCK_SECONDS = 120.0
CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 180.0
MOST_OPTIONS = 20
LONGEST_OPTION = 100
NOTHING = "-"
"""Placeholder for an empty value, because an empty line ends the request."""


def main(name: str) -> int:
    """0: continue; 1: refuse (pre-receive only). An error must never accept a push, or fail an accepted one."""
    try:
        return run(name)
    except BlockingIOError:
        say(f" !     Another push to this app has been running for {LOCK_SECONDS:.0f} s. Nothing was changed.".encode())
        say(b"       hint: push again when it has ended")
        return 1
    except (OSError, ValueError) as error:
        if name == "post-receive":
            say(b"-----> Recorded. Greenroom is not answering; it continues with this push when it is back.")
            return 0
        say(f" !     Greenroom is not answering ({type(error).__name__}). Nothing was changed.".encode())
        say(b"       hint: push again in a moment, or check `greenroom status`")
        return 1


def run(name: str) -> int:
    """Send the request, print the response and return the exit code."""
    words = [name, os.environ["GREENROOM_PUSH"], os.environ.get("GIT_QUARANTINE_PATH") or NOTHING]
    request = os.fsencode("\n".join([*words, *options()]) + "\n") + updates() + b"\n"
    handle = int(os.environ["GREENROOM_LOCK"])
    if name == "pre-receive":
        lock(handle)
    connection = connect(os.environ["GREENROOM_SOCKET"])
    connection.settimeout(ANSWER_SECONDS if name == "pre-receive" else None)
    connection.sendall(request)
    rest = b""
    while data := connection.recv(65536):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            verb, _, text = line.partition(b" ")
            if verb == b"say":
                say(text)
            elif verb == b"settled":
                fcntl.flock(handle, fcntl.LOCK_UN)
            elif verb == b"exit":
                return int(text)
    raise ConnectionError("no answer")


def options() -> list[str]:
    """The push options (``git push -o TEXT``) as ``option TEXT`` lines."""
    count = os.environ.get("GIT_PUSH_OPTION_COUNT", "0")
    found = (os.environ.get(f"GIT_PUSH_OPTION_{number}", "") for number in range(min(int(count), MOST_OPTIONS)))
    return ["option " + text.replace("\n", " ")[:LONGEST_OPTION] for text in found]


def updates() -> bytes:
    """The ref updates from stdin: ``BEFORE AFTER REF`` lines."""
    parts = []
    while data := os.read(0, 65536):
        parts.append(data)
    return b"".join(parts)


def lock(handle: int) -> None:
    """Take the repository's lock on a descriptor that is shared with receive-pack. It is released by post-receive, or
    when all these processes have ended.
    """
    deadline = time.monotonic() + LOCK_SECONDS
    told = False
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
        if not told and time.monotonic() > deadline - LOCK_SECONDS + 1:
            told = True
            say(b"-----> Waiting for another push to this app")
        time.sleep(0.02)


def connect(path: str) -> socket:
    """Connect to Greenroom's socket; retries, because it may be restarting."""
    folder, name = os.path.split(path)
    os.chdir(folder)  # a path may be too long for a socket address
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        connection = socket(AF_UNIX)
        try:
            connection.connect(name)
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def say(line: bytes) -> None:
    """Print a line, which git shows as ``remote: ...``."""
    data = line + b"\n"
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
