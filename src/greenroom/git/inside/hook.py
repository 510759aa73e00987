"""Hands a push to Greenroom and prints what it answers: ``hook.py pre-receive`` or ``hook.py post-receive``, started by
git.

It decides nothing: without an answer a push is refused before its refs have moved, and left to be recorded later
afterwards.
Run by ``python -I -S``: what it needs stands in the environment, and it imports little, since two of it run in each
push.

It sends lines (name of the hook, token, folder of the new objects or ``-``, push options, then those that git gave it)
and an empty one; it is sent
``say TEXT``, ``settled`` (the rows are written, the lock may go) and at last ``exit CODE``.
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
"""Stands for an empty word: an empty line would end the request."""


def main(name: str) -> int:
    """0: go on; 1: refuse (pre-receive only). Nothing that goes wrong here may look like an acceptance, or spoil an
    accepted push.
    """
    try:
        return run(name)
    except BlockingIOError:
        held = f"Another push to this app has held its repository for {LOCK_SECONDS:.0f} s"
        say(f" !     {held}; nothing was changed.".encode())
        say(b"       hint: push again when it has ended")
        return 1
    except (OSError, ValueError) as error:
        if name == "post-receive":
            say(b"-----> Recorded. Greenroom is not answering just now; it goes on with this push as soon as it does.")
            return 0
        say(f" !     Greenroom is not answering ({type(error).__name__}); nothing was changed.".encode())
        say(b"       hint: push again in a moment; `greenroom status` tells how it is")
        return 1


def run(name: str) -> int:
    """Ask, print, obey."""
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
    """What the pusher gave as ``git push -o TEXT``: a line for each, ``option TEXT``."""
    count = os.environ.get("GIT_PUSH_OPTION_COUNT", "0")
    found = (os.environ.get(f"GIT_PUSH_OPTION_{number}", "") for number in range(min(int(count), MOST_OPTIONS)))
    return ["option " + text.replace("\n", " ")[:LONGEST_OPTION] for text in found]


def updates() -> bytes:
    """What git says on standard input: ``BEFORE AFTER REF`` lines."""
    parts = []
    while data := os.read(0, 65536):
        parts.append(data)
    return b"".join(parts)


def lock(handle: int) -> None:
    """Take the repository's lock on a descriptor that receive-pack shares: it is held until post-receive lets go, or
    all have ended.
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
    """Greenroom's socket; it may be restarting."""
    folder, name = os.path.split(path)
    os.chdir(folder)  # the name alone always fits into the address
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
    """One line for the pusher; git passes it on as ``remote: ...``."""
    data = line + b"\n"
    while data:
        data = data[os.write(1, data) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
