"""Builds the app's tree in its own sandbox: unpack, hooks, collectstatic, bytecode. Runs tenant code; the control plane
trusts none of its output.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import apt
import bytecode
import common
import explain
import hooks
import node

APP = "/app"
TAR = "/usr/bin/tar"


def unpack(job):
    """Unpack the commit's files (of its root folder) to /app."""
    strip = job["root"].count("/") + 1 if job["root"] else 0
    argv = [TAR, "-xf", "/greenroom/source.tar", "-C", APP, "--no-same-owner"]
    argv += [f"--strip-components={strip}", job["root"]] if strip else []
    answer = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True)
    if answer.returncode:
        raise common.Failed(
            "checkout",
            "The files of the commit could not be unpacked: " + answer.stderr.decode("utf-8", "replace")[-500:],
        )
    for name in job["ignored"]:
        path = os.path.join(APP, name)
        if os.path.lexists(path):
            os.unlink(path)
            _prune(os.path.dirname(path))
    if job["ignored"]:
        common.step("Deleting %d files matching .slugignore patterns." % len(job["ignored"]))


def _prune(folder):
    while folder != APP:
        try:
            os.rmdir(folder)
        except OSError:
            return
        folder = os.path.dirname(folder)


def has_package(name):
    """Whether ``import name`` would find a package of the environment, without running it."""
    lib = os.path.join(common.ENV, "lib")
    sites = (
        [os.path.join(lib, version, "site-packages") for version in sorted(os.listdir(lib))]
        if os.path.isdir(lib)
        else []
    )
    return any(os.path.exists(os.path.join(site, name, "__init__.py")) for site in sites)


def nltk(timer):
    """Heroku's step for NLTK: download the corpora of nltk.txt into the environment."""
    if not has_package("nltk"):
        return
    common.step("Downloading NLTK corpora...")
    wanted = os.path.join(APP, "nltk.txt")
    if not os.path.isfile(wanted):
        common.detail("nltk.txt not found, not downloading any corpora")
        return
    with open(wanted, encoding="utf-8-sig", errors="replace") as file:
        names = file.read().split()
    if not names:
        common.detail("nltk.txt names no corpora")
        return
    common.detail("Downloading NLTK packages: " + " ".join(names))
    target = os.path.join(common.ENV, "nltk_data")
    argv = [os.path.join(common.ENV, "bin", "python"), "-m", "nltk.downloader", "-d", target, *names]
    env = {
        "NLTK_ALLOW_PROXIED_URLOPEN": "1",
        **os.environ,
    }  # the proxy is the dyno's only route out, and blocks private networks
    before = os.umask(0o022)  # nltk rejects data in a group-writable directory
    os.makedirs(target, exist_ok=True)
    os.chmod(target, 0o755)
    with timer("nltk_downloader"):
        code, tail = common.run(argv, env, common.ENV)  # not in /app, whose directories would shadow nltk's modules
    os.umask(before)
    if code:
        raise common.Failed(*explain.nltk("\n".join(tail)))
    os.environ["NLTK_DATA"] = target  # at run time nltk searches there by default, since it is below sys.prefix


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
            below += [
                entry.path for entry in entries if entry.is_dir(follow_symlinks=False) and entry.path != common.ENV
            ]
        level = below
    return ""


def collectstatic(job, timer):
    """Run collectstatic under Heroku's conditions, in Heroku's order. Returns its result for the report."""
    if os.path.isfile(os.path.join(APP, ".heroku", "collectstatic_disabled")):
        common.step("Skipping Django collectstatic since the file .heroku/collectstatic_disabled exists.")
        common.note("Warning: this file is deprecated.\nSet the config var DISABLE_COLLECTSTATIC=1 instead.")
        return "disabled-file"
    if os.environ.get("DISABLE_COLLECTSTATIC", "") not in ("", "0"):
        common.step("Skipping Django collectstatic since the env var DISABLE_COLLECTSTATIC is set.")
        return "disabled-env-var"
    if not (has_package("django") or any(os.path.exists(os.path.join(APP, name)) for name in ("django", "django.py"))):
        return ""
    manage = find_manage()
    if not manage:
        common.step("Skipping Django collectstatic since no manage.py file was found.")
        return "skipped-no-manage-py"
    common.step("$ python %s collectstatic --noinput" % manage)
    python = os.path.join(common.ENV, "bin", "python")
    env = {"PYTHONPATH": ".", **os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    start = time.monotonic()
    with timer("django_collectstatic"):
        code, tail = common.run([python, manage, "collectstatic", "--noinput", "--traceback"], env, APP)
    if code:
        debug(job, env)
        return refuse(manage, "\n".join(tail))
    common.detail("Done in %.1f s." % (time.monotonic() - start))
    return "enabled"


def debug(job, env):
    """With DEBUG_COLLECTSTATIC: print its environment, config vars by name only. Heroku also prints their values."""
    if os.environ.get("DEBUG_COLLECTSTATIC", "") not in ("", "0"):
        common.step("The environment of collectstatic, without the values of config vars")
        common.detail(
            "\n".join(f"{key}={'***' if key in job['names'] else value}" for key, value in sorted(env.items()))
        )


def refuse(manage, text):
    """Explain a failed collectstatic, or skip it if Django has no such command."""
    if "Unknown command: 'collectstatic'" in text:
        common.detail("Skipped: django.contrib.staticfiles is not in INSTALLED_APPS.")
        return "skipped-unknown-command"
    raise common.Failed(*explain.collectstatic(manage, text))


def readable(folder):
    """Make everything readable for the control plane, which may run as another user, and writable for the owner
    only.
    """
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if os.path.join(parent, name) != common.ENV]
        for name in [*folders, *files]:
            path = os.path.join(parent, name)
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                continue
            wanted = 0o755 if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else 0o644
            if stat.S_IMODE(mode) != wanted:
                os.chmod(path, wanted)


def work(job, timer):
    """Run one job: {root, ignored, phase, writable, hooks, names, node, apt}.

    ``phase`` pre: unpack, run pre_compile, and return the tree; else the whole build.
    """
    with timer("unpack"):
        unpack(job)
    hooks.prepare(job)
    try:
        if job.get("apt"):
            apt.provide(job, timer)
        result = _pre(job, timer) if job["phase"] == "pre" else _all(job, timer)
    except common.Failed:
        hooks.drop(job)
        raise
    hooks.keep(job)
    return result


def _pre(job, timer):
    if job.get("node"):
        node.work(job, timer)
    hooks.run("pre_compile", timer)
    readable(APP)
    subprocess.run([TAR, "-cf", common.OUT + "/source.tar", "-C", APP, "."], check=True)
    return {}


def _all(job, timer):
    order = (job.get("node") or {}).get("order")
    if order == "before":
        node.work(job, timer)
    skip = (common.ENV, os.path.join(APP, "node_modules"), apt.TREE)
    workers = bytecode.compile_all(APP, bytecode.CHECKED, skip=skip, workers=1)
    nltk(timer)
    done = collectstatic(job, timer)
    hooks.run("post_compile", timer)
    if order == "after":
        node.work(job, timer)
    bytecode.wait(workers)
    if job["writable"]:
        bytecode.wait(bytecode.compile_all(os.path.join(common.ENV, "lib"), bytecode.UNCHECKED, known=False))
        common.own_group(common.ENV)  # the written files become a layer below tests and dynos
    with timer("readable"):
        readable(APP)
    return {"collectstatic": done}


if __name__ == "__main__":
    sys.exit(common.main(work))
