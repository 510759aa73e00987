"""heroku-community/apt in the app's own dynos: downloads Debian packages and those that they need and the host lacks,
and unpacks them below /app/.apt. Runs no maintainer script and needs no root.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common

TREE = "/app/.apt"
HOST = "/greenroom/apt"
TOP = "/greenroom/cache/apt"
WORK = "/tmp/apt"
LARGEST = 300_000_000
"""Maximum bytes of a .deb file of a URL."""
FRESH = 7 * 24 * 3600
"""Seconds for which downloaded packages of the same Aptfile are used again."""
SCRIPT = 100_000
MULTIARCH = {"x86_64": "x86_64-linux-gnu", "aarch64": "aarch64-linux-gnu"}
CONFIG = """
#include "{host}/apt.conf";
Dir "{work}";
Dir::State "{work}/state";
Dir::State::status "{host}/status";
Dir::State::lists "{lists}";
Dir::Cache "{work}/cache";
Dir::Etc "{work}/etc";
Dir::Etc::main "{work}/none";
Dir::Etc::parts "{work}/none";
Dir::Etc::sourcelist "{work}/sources.list";
Dir::Etc::sourceparts "{host}/sources.list.d";
Dir::Etc::trusted "{host}/trusted.gpg";
Dir::Etc::trustedparts "{host}/trusted.gpg.d";
Dir::Etc::preferences "{host}/preferences";
Dir::Etc::preferencesparts "{host}/preferences.d";
Dir::Log "{work}/log";
Debug::NoLocking "true";
APT::Sandbox::User "";
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::EnableSrvRecords "false";
Acquire::GzipIndexes "true";
"""
CAUSES = (
    ("Unable to locate package", "apt::unknown-package", "The repositories of this host do not have a package of"
     " Aptfile:", "correct its name in Aptfile; names differ between releases of Debian and Ubuntu"),
    ("has no installation candidate", "apt::unknown-package", "The repositories of this host do not have a package of"
     " Aptfile:", "correct its name in Aptfile; names differ between releases of Debian and Ubuntu"),
    ("was not found", "apt::unknown-package", "The repositories of this host do not have a version of Aptfile:",
     "remove the version from Aptfile"),
    ("unmet dependencies", "apt::conflict", "The packages of Aptfile do not fit those of this host:",
     "remove the version from Aptfile, or ask the operator to update this host"),
    ("Could not connect", "apt::download", "A repository could not be reached:", "push again later"),
    ("Failed to fetch", "apt::download", "A package could not be downloaded:", "push again later"),
)  # fmt: skip
"""(mark, reason, message, hint) for the output of apt-get."""


def variables(job, path):
    """The variables by which an installer finds the packages. path: its own PATH. Nothing without an Aptfile."""
    if not job.get("apt"):
        return {}
    found = job["apt"]["variables"]
    return {**found, "PATH": path + ":" + found["PATH"]}


def provide(job, timer):
    """Put the packages of ``job["apt"]`` at /app/.apt, from the app's own cache or downloaded.

    job: {packages, debs, repositories, host, generation, build, variables}.
    """
    wish = job["apt"]
    top = "%s/%d" % (TOP, wish["generation"])
    parts = [wish["host"], wish["packages"], wish["debs"], wish["repositories"]]
    goal = top + "/tree-" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:40]
    common.step("Installing the packages of Aptfile")
    if _is_fresh(goal):
        common.detail("They are those of the last build with the same Aptfile")
    else:
        with timer("apt"):
            _make(wish, top, goal)
    if os.path.islink(TREE) or os.path.isfile(TREE):
        os.unlink(TREE)
    shutil.rmtree(TREE, ignore_errors=True)
    shutil.copytree(goal, TREE, symlinks=True, dirs_exist_ok=True)


def _is_fresh(goal):
    try:
        return time.time() - os.stat(goal).st_mtime < FRESH
    except OSError:
        return False


def _make(wish, top, goal):
    """Download and unpack into a draft, and rename it. On a race, the second one wins."""
    files = download(wish, top + "/lists")
    draft = "%s/new-%s" % (top, wish["build"])
    shutil.rmtree(draft, ignore_errors=True)
    os.makedirs(draft)
    for path in files:
        _unpack(path, draft)
    adapt(draft)
    for name in os.listdir(top):
        if name.startswith("tree-"):
            shutil.rmtree(os.path.join(top, name), ignore_errors=True)
    os.rename(draft, goal)
    os.utime(goal)


def download(wish, lists):
    """The paths of the downloaded packages."""
    archives = WORK + "/cache/archives"
    for folder in (lists + "/partial", archives + "/partial", WORK + "/state", WORK + "/etc", WORK + "/none"):
        os.makedirs(folder, exist_ok=True)
    with open(HOST + "/sources.list" if os.path.exists(HOST + "/sources.list") else os.devnull) as file:
        text = file.read()
    with open(WORK + "/sources.list", "w") as file:
        file.write("\n".join([text, *wish["repositories"], ""]))
    with open(WORK + "/apt.conf", "w") as file:
        file.write(CONFIG.format(host=HOST, work=WORK, lists=lists))
    if wish["packages"]:
        _apt_get("update", "-qq")
        common.detail("Fetching " + " ".join(wish["packages"]))
        _apt_get("install", "--download-only", "--reinstall", "--yes", "-qq", "--", *wish["packages"])
    found = [os.path.join(archives, name) for name in sorted(os.listdir(archives)) if name.endswith(".deb")]
    for index, url in enumerate(wish["debs"]):
        found.append(_fetch(url, "%s/cache/own-%d.deb" % (WORK, index)))
    return found


def _apt_get(*words):
    env = {key: value for key, value in os.environ.items() if key.lower().endswith("_proxy")}
    env |= {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "APT_CONFIG": WORK + "/apt.conf"}
    env |= {"DEBIAN_FRONTEND": "noninteractive", "HOME": "/tmp", "TMPDIR": "/tmp"}
    code, tail = common.run(["/usr/bin/apt-get", *words], env, "/", hide=("W: ", "debconf: "))
    if code:
        raise common.Failed(*explain("\n".join(tail), code))


def explain(text, code):
    """(reason, message, hint) for the output of apt-get. Pure."""
    said = [line.strip() for line in text.splitlines() if line.startswith(("E: ", " "))]
    for mark, reason, message, hint in CAUSES:
        lines = [line for line in said if mark in line]
        if lines:
            return reason, "%s\n%s" % (message, "\n".join(lines[:3])[:1000]), hint
    last = "\n".join(said[-3:] or text.splitlines()[-3:])
    return "apt::failed", "apt-get failed (exit code %d).\n%s" % (code, last[:1000]), "read the output above"


def _fetch(url, path):
    """Download a .deb file over HTTPS, up to a limit."""
    import urllib.error
    import urllib.request

    common.detail("Fetching " + url)
    try:
        with urllib.request.urlopen(url, timeout=60) as answer, open(path, "wb") as file:  # noqa: S310 -- https only
            if not answer.geturl().startswith("https://"):
                raise common.Failed("apt::download", "%s leads to an address without https." % url, "use another URL")
            left = LARGEST
            while data := answer.read(1024 * 1024):
                left -= len(data)
                if left < 0:
                    raise common.Failed("apt::download", "%s is larger than 300 MB." % url, "use another URL")
                file.write(data)
    except (OSError, ValueError) as error:
        text = "%s could not be downloaded: %s" % (url, getattr(error, "reason", error))
        raise common.Failed("apt::download", text[:1000], "correct the URL in Aptfile, or push again later") from None
    return path


def _unpack(path, folder):
    done = subprocess.run(["/usr/bin/dpkg-deb", "-x", path, folder], stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[-500:]
        text = "%s could not be unpacked.\n%s" % (os.path.basename(path), said)
        raise common.Failed("apt::unpack", text, "remove it from Aptfile, or push again")


def adapt(folder):
    """Make the unpacked files work at /app/.apt: links whose target only the host has, and paths in the scripts and
    files that compilers ask.
    """
    for place, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(place, name)
            if os.path.islink(path):
                _relink(path, folder)
            elif name in files and (name.endswith(".pc") or _is_config(path, folder)):
                _rewrite(path)


def _relink(path, folder):
    """A link to a file that is not in the packages, since the host has it, leads to the host's."""
    target = os.readlink(path)
    inside = "/" + os.path.relpath(os.path.dirname(path), folder)
    wanted = os.path.normpath(os.path.join(inside, target))
    if os.path.lexists(folder + wanted):
        if target.startswith("/"):
            os.unlink(path)
            os.symlink(os.path.relpath(folder + wanted, os.path.dirname(path)), path)
    elif os.path.exists(wanted):
        os.unlink(path)
        os.symlink(wanted, path)


def _is_config(path, folder):
    """Whether it is a script such as pg_config or xml2-config."""
    name = os.path.basename(path)
    if os.path.dirname(path) != folder + "/usr/bin" or not name.endswith("config") or os.path.getsize(path) > SCRIPT:
        return False
    with open(path, "rb") as file:
        return file.read(2) == b"#!"


def _rewrite(path):
    with open(path, "rb") as file:
        text = file.read()
    head, line, rest = text.partition(b"\n") if text.startswith(b"#!") else (b"", b"", text)
    for name in (b"include", b"lib", b"share"):
        rest = rest.replace(b"/usr/" + name, TREE.encode() + b"/usr/" + name)
    if path.endswith(".pc") or b"prefix=/usr\n" in rest:
        rest = rest.replace(b"prefix=/usr\n", b"prefix=" + TREE.encode() + b"/usr\n")
    with open(path, "wb") as file:
        file.write(head + line + rest)
