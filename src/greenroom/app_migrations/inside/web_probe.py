"""Starts an app's web process, requests its health path, then runs its smoke command. ``recording`` embeds this text.

The app's Python runs it in a dyno of a release on the copy of the database. Writes ``FOLDER/cell.json``: {state,
detail, seconds}.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time

TAIL = 500
EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit|Refused|Violation): ")


def wait(process, asking, job):
    """('ok', response) if the health check succeeds in time, else ('fails', reason)."""
    port, path, host, patience = job["port"], job["path"], job["host"], job["patience"]
    until = time.monotonic() + patience
    seen = "has not bound its port in %d s" % patience
    while time.monotonic() < until:
        if process.poll() is not None:
            return "fails", "ended with exit code %s before it answered" % process.returncode
        answer = asking.question(
            lambda seconds: socket.create_connection(("127.0.0.1", port), seconds), host, path, 10.0, job["known"]
        )
        if answer.healthy:
            return "ok", answer.detail
        if "refused" not in answer.detail:
            seen = answer.detail
        time.sleep(0.1)
    return "fails", seen


def smoke(argv, seconds):
    """('ok', '') if the command exits with 0, else ('fails', end of its output)."""
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "fails", "the smoke command did not end within %d s" % seconds
    if done.returncode == 0:
        return "ok", ""
    return "fails", "the smoke command ended with exit code %d: %s" % (
        done.returncode,
        last_words(done.stdout),
    )


def last_words(output):
    """The line of the last exception without the row data that a database adds; else the last line."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if EXCEPTION.match(line)]
    return ((errors or lines or ["no output"])[-1])[:TAIL]


def work(job, asking):
    """The answer; always ends the web process."""
    began = time.monotonic()
    with open(os.path.join(job["folder"], "web.log"), "wb") as log:
        process = (
            subprocess.Popen(job["web"], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
            if job["web"]
            else None
        )
        try:
            state, detail = wait(process, asking, job) if process else ("ok", "no web process")
            if state == "ok" and job["smoke"]:
                state, said = smoke(job["smoke"], job["patience"] * 4)
                detail = said or detail + ", the smoke command succeeded"
        finally:
            if process:
                process.kill()
    return {"state": state, "detail": detail, "seconds": round(time.monotonic() - began, 3)}


def main(argv, job, asking):
    """Write the answer to the folder."""
    job["folder"] = argv[1]
    os.nice(10)  # serving processes have priority
    try:
        found = work(job, asking)
    except BaseException as error:
        found = {"state": "error", "detail": "%s: %s" % (type(error).__name__, error), "seconds": 0}
    target = os.path.join(argv[1], "cell.json")
    with open(target + ".new", "w", encoding="utf-8") as file:
        file.write(json.dumps(found))
    os.chmod(target + ".new", 0o644)
    os.rename(target + ".new", target)
    os._exit(0)
