"""Builds the app's tree in its own sandbox: unpack, hooks, collectstatic, bytecode. Runs the tenant's code; the control plane trusts no line of it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import bytecode
import frame

APP = "/app"
TAR = "/usr/bin/tar"
REASONS = (
    ("SyntaxError", "collectstatic-syntax-error"),
    ("ImproperlyConfigured", "collectstatic-improper-configuration"),
    ("The CSS file", "collectstatic-fancy-references"),
    ("OSError", "collectstatic-missing-file"),
)


def unpack(job):
    """The commit's files (of its root folder) at /app."""
    strip = job["root"].count("/") + 1 if job["root"] else 0
    argv = [TAR, "-xf", "/greenroom/source.tar", "-C", APP, "--no-same-owner"]
    argv += [f"--strip-components={strip}", job["root"]] if strip else []
    answer = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True)
    if answer.returncode:
        raise frame.Failed("checkout", "The files of the commit could not be unpacked: " + answer.stderr.decode("utf-8", "replace")[-500:])
    for name in job["ignored"]:
        path = os.path.join(APP, name)
        if os.path.lexists(path):
            os.unlink(path)
            _prune(os.path.dirname(path))
    if job["ignored"]:
        frame.step("Deleting %d files matching .slugignore patterns." % len(job["ignored"]))  # noqa: UP031


def _prune(folder):
    while folder != APP:
        try:
            os.rmdir(folder)
        except OSError:
            return
        folder = os.path.dirname(folder)


def hook(name, timer):
    """Heroku's bin/pre_compile and bin/post_compile: config vars in the environment, output indented."""
    path = os.path.join(APP, "bin", name)
    if not os.path.isfile(path):
        return
    frame.step("Running bin/%s hook" % name)  # noqa: UP031
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
    with timer(name + "_hook"):
        try:
            code, _ = frame.run([path], dict(os.environ), APP)
        except OSError as error:
            raise frame.Failed("hooks::" + name, f"bin/{name} could not be started: {error.strerror}.", "begin it with a line such as #!/usr/bin/env bash")  # noqa: E501
    if code:
        raise frame.Failed("hooks::" + name, f"bin/{name} ended with exit code {code}.", "read its output above")


def find_manage():
    """The first manage.py at a depth of up to 3, shallowest first."""
    level = [APP]
    for _ in range(3):
        below = []
        for folder in level:
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                continue
            if any(entry.name == "manage.py" and entry.is_file() for entry in entries):
                return os.path.relpath(os.path.join(folder, "manage.py"), APP)
            below += [entry.path for entry in entries if entry.is_dir(follow_symlinks=False) and entry.path != frame.ENV]
        level = below
    return ""


def has_django():
    """Whether ``import django`` would find something; nothing is run for it."""
    lib = os.path.join(frame.ENV, "lib")
    sites = [os.path.join(lib, name, "site-packages") for name in sorted(os.listdir(lib))] if os.path.isdir(lib) else []
    return any(os.path.exists(os.path.join(site, "django", "__init__.py")) for site in [*sites, APP])


def collectstatic(timer):
    """Heroku's conditions in Heroku's order. Returns what was done, for the report."""
    if os.path.isfile(os.path.join(APP, ".heroku", "collectstatic_disabled")):
        frame.step("Skipping Django collectstatic since the file .heroku/collectstatic_disabled exists.")
        frame.note("Warning: this file is deprecated.\nSet the config var DISABLE_COLLECTSTATIC=1 instead.")
        return "disabled-file"
    if os.environ.get("DISABLE_COLLECTSTATIC", "") not in ("", "0"):
        frame.step("Skipping Django collectstatic since the env var DISABLE_COLLECTSTATIC is set.")
        return "disabled-env-var"
    if not has_django():
        return ""
    manage = find_manage()
    if not manage:
        frame.step("Skipping Django collectstatic since no manage.py file was found.")
        return "skipped-no-manage-py"
    frame.step("$ python %s collectstatic --noinput" % manage)  # noqa: UP031
    python = os.path.join(frame.ENV, "bin", "python")
    env = {"PYTHONPATH": ".", **os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    start = time.monotonic()
    with timer("django_collectstatic"):
        code, tail = frame.run([python, manage, "collectstatic", "--noinput", "--traceback"], env, APP)
    if code:
        return refuse(manage, "\n".join(tail))
    frame.detail("Done in %.1f s." % (time.monotonic() - start))  # noqa: UP031
    return "enabled"


def refuse(manage, text):
    """A failed collectstatic: explained, or skipped when Django has no such command."""
    if "Unknown command: 'collectstatic'" in text:
        frame.detail("Skipped: django.contrib.staticfiles is not in INSTALLED_APPS.")
        return "skipped-unknown-command"
    reason = next((found for mark, found in REASONS if mark in text), "collectstatic-other")
    message, hint = f"`python {manage} collectstatic --noinput` failed.", "greenroom config:set DISABLE_COLLECTSTATIC=1 if static files are not needed"
    last = next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
    for mark, why, remedy in (
        ("KeyError: '", "The settings read an environment variable that is not set: ", "greenroom config:set NAME=VALUE"),
        ("STATIC_ROOT", "STATIC_ROOT is not set in the settings. ", 'STATIC_ROOT = BASE_DIR / "staticfiles" in the settings'),
        ("Missing staticfiles manifest entry", "A template or stylesheet names a static file that does not exist: ", "correct the name"),
        ("could not be found with", "A stylesheet names a file that does not exist: ", "correct the name in the stylesheet"),
        ("ModuleNotFoundError: ", "A module is missing: ", "add its package to the requirements"),
        ("OperationalError", "Something connects to the database while the settings or apps load: ", "do that later, not at import"),
    ):
        if mark in text:
            message, hint = f"{message} {why}", remedy
            break
    raise frame.Failed(reason, f"{message}\n{last[:500]}", hint)


def readable(folder):
    """Everything readable for the control plane, which may run as another user; nothing writable for others."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(parent, name) != frame.ENV]
        for name in [*folders, *files]:
            path = os.path.join(parent, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                continue
            wanted = 0o755 if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0o644
            if stat.S_IMODE(mode) != wanted:
                os.chmod(path, wanted)


def work(job, timer):
    """One job: {root, ignored, phase}. ``phase`` pre: unpack and pre_compile, and hand the tree back; else all of it."""
    with timer("unpack"):
        unpack(job)
    if job["phase"] == "pre":
        hook("pre_compile", timer)
        readable(APP)
        subprocess.run([TAR, "-cf", frame.OUT + "/source.tar", "--exclude=./.heroku/python", "-C", APP, "."], check=True)
        return {}
    workers = bytecode.compile_all(APP, bytecode.CHECKED, skip=(frame.ENV,), workers=1)
    done = collectstatic(timer)
    hook("post_compile", timer)
    bytecode.wait(workers)
    with timer("readable"):
        readable(APP)
    return {"collectstatic": done}


if __name__ == "__main__":
    sys.exit(frame.main(work))
