"""Heroku's bin/pre_compile and bin/post_compile, and their three directories: BUILD_DIR, CACHE_DIR and ENV_DIR.

CACHE_DIR is a copy of the cache of the app's last successful build, and replaces it only after the whole build has
succeeded.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common

APP = "/app"
CACHE = "/greenroom/cache/hooks"
ENV_DIR = "/tmp/greenroom-env"
STALE = 24 * 3600
"""Seconds after which another build removes the working copy of an interrupted one."""
HOOK_ENV = {
    "PIP_NO_COMPILE": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""A hook that uses pip then leaves neither a cache nor bytecode with timestamps."""


def prepare(job):
    """Create the three directories and set their variables, unless config vars of these names exist, as on Heroku.

    job: {hooks: {build, generation} or None, names: those of the config vars}.
    """
    if not job.get("hooks"):
        return
    os.makedirs(ENV_DIR, mode=0o700, exist_ok=True)
    for name in job["names"]:
        if name in os.environ:
            with open(
                os.open(os.path.join(ENV_DIR, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
                "w",
                errors="surrogateescape",
            ) as file:
                file.write(os.environ[name])
    work, before, current = _places(job["hooks"])
    _sweep(os.path.dirname(work), {work, before})
    shutil.rmtree(work, ignore_errors=True)  # left by an interrupted attempt
    source = next(
        (path for path in (before, current) if os.path.isdir(path) and (path != before or job["phase"] != "pre")), ""
    )
    if source:
        shutil.copytree(source, work, symlinks=True)
    else:
        os.makedirs(work)
    for name, value in (("BUILD_DIR", APP), ("CACHE_DIR", work), ("ENV_DIR", ENV_DIR)):
        os.environ.setdefault(name, value)


def keep(job):
    """Keep the cache of a successful phase: after pre_compile for post_compile, after the whole build for the next
    build.

    Atomic under kills. If a hook removed CACHE_DIR, the previous cache stays.
    """
    if not job.get("hooks"):
        return
    work, before, current = _places(job["hooks"])
    if job["phase"] == "pre":
        shutil.rmtree(before, ignore_errors=True)
        if os.path.isdir(work):
            os.rename(work, before)
        return
    if os.path.isdir(work):
        old = f"{work}.old"
        if os.path.isdir(current):
            os.rename(current, old)
        os.rename(work, current)
        shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(before, ignore_errors=True)


def drop(job):
    """Remove the copies of a failed build."""
    for path in _places(job["hooks"])[:2] if job.get("hooks") else ():
        shutil.rmtree(path, ignore_errors=True)


def _places(hooks):
    """(the hooks' working copy, the result of pre_compile, the cache of the last successful build)."""
    top = "%s/%d" % (CACHE, hooks["generation"])
    return top + "/work-" + hooks["build"], top + "/pre-" + hooks["build"], top + "/current"


def _sweep(top, keep):
    os.makedirs(top, exist_ok=True)
    for entry in os.scandir(top):
        left = entry.name.startswith(("work-", "pre-")) and entry.path not in keep
        if left and time.time() - entry.stat(follow_symlinks=False).st_mtime > STALE:
            shutil.rmtree(entry.path, ignore_errors=True)


def _run(path):
    """The command for the hook, as a shell would run it: a file without an interpreter line is a shell script."""
    env = {**os.environ, **HOOK_ENV}
    try:
        return common.run([path], env, APP)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    return common.run([shutil.which("bash") or "/bin/sh", path], env, APP)


def run(name, timer):
    """Run one hook: config vars in the environment, output indented; its failure fails the build."""
    path = os.path.join(APP, "bin", name)
    if not os.path.isfile(path):
        return
    common.step("Running bin/%s hook" % name)
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    with timer(name + "_hook"):
        try:
            code, _ = _run(path)
        except OSError as error:
            hint = "begin it with a line such as #!/usr/bin/env bash, without a carriage return at its end"
            raise common.Failed("hooks::" + name, f"bin/{name} could not be started: {error.strerror}.", hint)
    if code:
        raise common.Failed("hooks::" + name, f"bin/{name} ended with exit code {code}.", "read its output above")
