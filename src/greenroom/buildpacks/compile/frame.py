"""What both scripts share: Heroku's line format, child processes with indented output, the job and the result. Standard library only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

OUT = "/greenroom/out"
ENV = "/app/.heroku/python"
FAILED = 10
NEEDS_BUILD = 20
TAIL = 200


class Failed(Exception):  # noqa: N818 -- it is the app that failed
    """The app's fault: reason is a failure id, the message and the hint are for people."""

    def __init__(self, reason, message, hint="", code=FAILED):
        super().__init__(message)
        self.reason, self.message, self.hint, self.code = reason, message, hint, code


def say(text=""):
    """One line, at once: the pusher is looking on."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def step(title):
    """Heroku's heading of a step."""
    say("-----> " + title)


def detail(text):
    """Lines below a heading."""
    for line in text.splitlines():
        say("       " + line if line else "")


def note(text):
    """A notice or warning, as Heroku frames it."""
    say()
    for line in text.splitlines():
        say(" !     " + line)
    say()


def run(argv, env, cwd, hide=(), hold=(), held=None):
    """Run a child with its output indented. Returns (exit code, the last lines of its output). Failed when it was killed.

    hide: beginnings of lines that are not shown. hold: from a line that begins so on, all go to the list ``held`` instead.
    """
    child = subprocess.Popen(argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert child.stdout is not None
    tail = []
    for raw in child.stdout:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        tail.append(line)
        del tail[:-TAIL]
        if held is not None and (held or line.startswith(hold)):
            held.append(line)
        elif not line.startswith(hide):
            say("       " + line if line else "")
    code = child.wait()
    if code in (-9, 137):
        raise Failed("build::memory", os.path.basename(argv[0]) + " was killed")
    return (128 - code if code < 0 else code), tail


class Timer:
    """Seconds of each named part."""

    def __init__(self):
        self.seconds = {}

    def __call__(self, name):
        self.name, self.start = name, time.monotonic()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.seconds[self.name] = round(time.monotonic() - self.start, 3)


def write_result(value):
    """Leave the result where the control plane reads it; atomically, so that half a result is none."""
    path = os.path.join(OUT, "result.json")
    with open(path + ".new", "w") as file:
        json.dump(value, file)
    os.chmod(path + ".new", 0o644)
    os.replace(path + ".new", path)


def main(work):
    """Read the job from standard input, do it, leave a result; the exit code says whose fault a failure is."""
    job = json.loads(sys.stdin.buffer.read())
    timer = Timer()
    try:
        result = work(job, timer)
    except Failed as failure:
        write_result({"ok": False, "reason": failure.reason, "message": failure.message, "hint": failure.hint, "seconds": timer.seconds})
        return failure.code
    write_result({"ok": True, "seconds": timer.seconds, **(result or {})})
    return 0
