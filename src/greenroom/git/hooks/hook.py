"""Hands a push to Greenroom and prints what it answers: ``hook.py pre-receive`` or ``hook.py post-receive``, started by git.

It decides nothing: without an answer a push is refused before its refs have moved, and left to be recorded later afterwards.
Run by ``python -I -S`` with the standard library alone; what it needs stands in the environment, the push's token too.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time

LOCK_SECONDS = 120.0
CONNECT_SECONDS = 15.0
ANSWER_SECONDS = 180.0


def main(name: str) -> int:
    """0: go on; 1: refuse (pre-receive only). Nothing that goes wrong here may look like an acceptance, or spoil an accepted push."""
    try:
        return run(name)
    except BlockingIOError:
        say(f" !     Another push to this app has held its repository for {LOCK_SECONDS:.0f} s; nothing was changed.")
        say("       hint: push again when it has ended")
        return 1
    except (OSError, ValueError) as error:
        if name == "post-receive":
            say("-----> Recorded. Greenroom is not answering just now; it goes on with this push as soon as it does.")
            return 0
        say(f" !     Greenroom is not answering ({type(error).__name__}); nothing was changed.")
        say("       hint: push again in a moment; `greenroom status` tells how it is")
        return 1


def run(name: str) -> int:
    """Ask, print, obey."""
    request = {
        "hook": name,
        "token": os.environ["GREENROOM_PUSH"],
        "updates": [line.rstrip("\n").split(" ", 2) for line in sys.stdin],
        "quarantine": os.environ.get("GIT_QUARANTINE_PATH", ""),
    }
    handle = int(os.environ["GREENROOM_LOCK"])
    if name == "pre-receive":
        lock(handle)
    connection = connect(os.environ["GREENROOM_SOCKET"])
    connection.settimeout(ANSWER_SECONDS if name == "pre-receive" else None)
    connection.sendall(json.dumps(request).encode() + b"\n")
    for line in connection.makefile("rb"):
        answer = json.loads(line)
        if "say" in answer:
            say(answer["say"])
        if answer.get("settled"):
            fcntl.flock(handle, fcntl.LOCK_UN)
        if "exit" in answer:
            return int(answer["exit"])
    raise ConnectionError("no answer")


def lock(handle: int) -> None:
    """Take the repository's lock on a descriptor that receive-pack shares: it is held until post-receive lets go, or all have ended."""
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
            say("-----> Waiting for another push to this app")
        time.sleep(0.02)


def connect(path: str) -> socket.socket:
    """Greenroom's socket; it may be restarting."""
    folder, name = os.path.split(path)
    os.chdir(folder)  # the name alone always fits into the address
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(name)
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


def say(text: str) -> None:
    """One line for the pusher; git passes it on as ``remote: ...``."""
    sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
