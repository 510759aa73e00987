"""Shared parts of the scripts: Heroku's line format, child processes with indented output, the job and the result.
Standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time

OUT = "/greenroom/out"
ENV = "/app/.heroku/python"
FAILED = 10
NEEDS_BUILD = 20
DOUBT = 21
CONFLICT = 22
TAIL = 200
LONGEST = 16 * 1024
"""Maximum bytes of a line that are read at once."""
MOST = 9_000_000
"""Maximum bytes of a child's output that are shown, less than the engine's limit for all output.

The rest is discarded, so that later output is still shown.
"""


class Failed(Exception):  # noqa: N818 -- a value that is raised, not an error of ours
    """A failure caused by the app: reason is a failure id; message and hint are for users."""

    def __init__(self, reason, message, hint="", code=FAILED):
        super().__init__(message)
        self.reason, self.message, self.hint, self.code = reason, message, hint, code


def say(text=""):
    """Print one line and flush: the user watches the push."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def step(title):
    """Print the heading of a step in Heroku's format."""
    say("-----> " + title)


def detail(text):
    """Print lines below a heading."""
    for line in text.splitlines():
        say("       " + line if line else "")


def note(text):
    """Print a notice or warning in Heroku's format."""
    say()
    for line in text.splitlines():
        say(" !     " + line)
    say()


def run(argv, env, cwd, hide=(), hold=(), held=None):
    """Run a child with indented output. Returns (exit code, the last lines of its output). Failed if it was killed.

    hide: prefixes of lines that are not shown. hold: from a line with such a prefix on, all lines go to the list
    ``held``.
    """
    child = subprocess.Popen(
        argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert child.stdout is not None
    tail, shown, inside, visible = [], 0, False, True
    while raw := child.stdout.readline(LONGEST):
        line, goes_on, inside = raw.decode("utf-8", "replace").rstrip("\r\n"), inside, not raw.endswith(b"\n")
        visible = visible if goes_on else not line.startswith(hide)
        tail.append(line)
        del tail[:-TAIL]
        if shown > MOST:
            continue
        shown += len(raw) + 7
        if shown > MOST:
            say(
                "\n" * goes_on
                + " !     The output of %s was truncated: it is longer than 9 MB." % os.path.basename(argv[0])
            )
        elif held is not None and (held or line.startswith(hold)):
            held.append(line)
        elif visible:
            _show(line, goes_on, inside)
    if inside and visible and not held and shown <= MOST:
        say()
    code = child.wait()
    if code in (-9, 137):
        raise Failed("build::memory", os.path.basename(argv[0]) + " was killed")
    return (128 - code if code < 0 else code), tail


def _show(line, goes_on, more):
    """Print a line or a chunk of a long one.

    No line breaks between chunks: the secret filter would miss a secret that spans two of them.
    """
    sys.stdout.write(("       " if line and not goes_on else "") + line + ("" if more else "\n"))
    sys.stdout.flush()


def own_group(folder, skip=""):
    """Set the group of all files of this user below the directory to the dyno's own.

    They inherit the control plane's group from the scratch directory. No user namespace maps it, and an overlay that
    must copy such a file fails with EOVERFLOW; files in a lower layer are therefore left unchanged.
    """
    group, user = os.getgid(), os.getuid()
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(place, name) != skip]  # a separate read-only mount
        for name in (*folders, *files):
            path = os.path.join(place, name)
            facts = os.lstat(path)
            if facts.st_gid != group and facts.st_uid == user:
                with contextlib.suppress(OSError):
                    os.chown(path, -1, group, follow_symlinks=False)


class Timer:
    """The duration of each named part, in seconds."""

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
    """Write the result for the control plane, atomically."""
    path = os.path.join(OUT, "result.json")
    with open(path + ".new", "w") as file:
        json.dump(value, file)
    os.chmod(path + ".new", 0o644)
    os.replace(path + ".new", path)


def main(work):
    """Read the job from standard input, run it, write a result; the exit code classifies a failure."""
    job = json.loads(sys.stdin.buffer.read())
    timer = Timer()
    try:
        result = work(job, timer)
    except Failed as failure:
        write_result(
            {
                "ok": False,
                "reason": failure.reason,
                "message": failure.message,
                "hint": failure.hint,
                "seconds": timer.seconds,
            }
        )
        return failure.code
    write_result({"ok": True, "seconds": timer.seconds, **(result or {})})
    return 0
