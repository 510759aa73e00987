"""Creates a Python environment with uv.

In an install dyno: from pinned wheels with hashes, into an empty environment, without any code of a package or file of
an app. In a build dyno: also from sources.
Exit codes: 0 created, 10 a failure caused by the app, 20 a package without a wheel must be built in the app's own
sandbox, 21 a shared file was modified.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tarfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import apt
import bytecode
import common
import explain
import installed
import pipenv_poetry
import verify

UV = "/greenroom/uv"
CACHE = "/greenroom/cache"
WORK = "/tmp/work"
TREE = "/greenroom/tree"
NO_WHEEL = (
    "Wheels are required for",
    "building from source is disabled",
    "Building source distributions",
    "can't be installed because it is marked as `--no-build`",
    "because it is marked as `--no-build` but has no binary distribution",
)
NOISE = ("Using Python ", "Using CPython ", "Creating virtual environment", "Audited ")
HELD = ("error:", "  x ", "  \u00d7 ")
"""First lines of a failure explanation by uv; buffered until it is clear whether it is one."""


def environment(job):
    """uv's environment, built from scratch: the operator's index, the proxy, the cache, and the config vars of the
    app's list.
    """
    keep = (
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
        "SSL_CERT_FILE",
    )
    env = {
        name: value
        for name, value in os.environ.items()
        if name in keep or name.startswith("UV_") or name in job.get("listed", ())
    }
    path = "/usr/local/bin:/usr/bin:/bin"
    env.update(
        HOME="/tmp",
        PATH=path if job.get("shared") else common.ENV + "/bin:" + path,
        LANG="C.UTF-8",
        LC_ALL="C.UTF-8",
        UV_CACHE_DIR=CACHE + "/uv",
        UV_NO_PROGRESS="1",
        UV_PYTHON_DOWNLOADS="never",
        UV_NO_MANAGED_PYTHON="1",
        UV_LINK_MODE=job.get("link", "copy"),
        UV_PROJECT_ENVIRONMENT=common.ENV,
        UV_NO_ENV_FILE="1",
        NO_COLOR="1",
        SOURCE_DATE_EPOCH="315532800",
    )
    env.update(apt.variables(job, env["PATH"]))
    if job["manager"] == "pip" or job.get("shared"):
        env["UV_NO_CONFIG"] = "1"  # pip does not read [tool.uv] of a pyproject.toml
    return env


def uv(job, *arguments, cwd=WORK, pm="pip"):
    """Run uv; classify a failure and raise it."""
    held: list = []
    code, tail = common.run([UV, *arguments], environment(job), cwd, hide=NOISE, hold=HELD, held=held)
    text = "\n".join(tail)
    if code and job["no_build"] and any(mark in text for mark in NO_WHEEL):
        raise common.Failed("needs-build", text[-2000:], code=common.NEEDS_BUILD)
    common.detail("\n".join(held))
    if code:
        raise common.Failed(job.get("reason") or "install-dependencies::" + pm, *explain.installer(text, code))


TITLES = {
    "pip": "Installing dependencies using 'uv pip install -r %s'",
    "uv": "Installing dependencies using 'uv sync --locked --no-default-groups'",
}


AS_IT_IS: dict = {"filter": "fully_trusted"} if hasattr(tarfile, "fully_trusted_filter") else {}
"""An app's own sandbox unpacks the app's own files. Python 3.14 would refuse absolute links, and 3.12 warns."""


def unpack_sources(job):
    """For requirements that are built from the tree: unpack the commit's files to /app."""
    prefix, left_out = (job["root"] + "/" if job.get("root") else ""), set(job.get("ignored", ()))
    with tarfile.open("/greenroom/source.tar") as archive:
        for member in archive:
            if not (member.isreg() or member.isdir() or member.issym()) or not member.name.startswith(prefix):
                continue
            member.name = member.name[len(prefix) :]
            if member.name in left_out:
                continue
            if (
                member.name
                and not member.name.startswith((".heroku/python/", "/"))
                and ".." not in member.name.split("/")
            ):
                archive.extract(member, "/app", set_attrs=member.isreg(), **AS_IT_IS)


def copy_tree():
    """For tests: copy the slug's files to /app, where its packages expect them."""
    left_out = shutil.ignore_patterns(".heroku")
    shutil.copytree(
        TREE,
        "/app",
        symlinks=True,
        dirs_exist_ok=True,
        ignore=lambda place, names: left_out(place, names) if place == TREE else (),
    )


def plain_repositories(text):
    """Requirements with ``-e git+...`` rewritten to ``git+...``: uv installs a repository as a package in both
    cases.
    """
    return re.sub(r"(?m)^(\s*)(?:-e|--editable)[ =]+(?=(?:[\w.-]+\s*@\s*)?(?:git|hg|svn|bzr)\+)", r"\1", text)


def write_files(job, folder):
    """Write the commit's dependency files to their paths."""
    for path, text in job["files"].items():
        target = os.path.join(folder, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _write(target, text)


def _write(path, text):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def _read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _common(job):
    """uv's flags for the global options of requirements.txt."""
    allowed = ["--prerelease", "allow"] if "--pre" in job.get("options", ()) else []
    return ["--index-strategy", "unsafe-best-match", *allowed, *(["--no-build"] if job["no_build"] else [])]


def resolve(job, folder):
    """Resolve once, with hashes. Without ``no_build``, packages may be built to read their requirements.

    Unpinned pip or setuptools get the versions of the seeds: pip installs those before the other packages.
    """
    target = os.path.join(common.OUT, "lock.txt")
    _write(target, job.get("seeds", ""))  # uv prefers the versions of an existing output file
    uv(
        job,
        "pip",
        "compile",
        "--quiet",
        "--generate-hashes",
        "--no-header",
        "--no-annotate",
        "--emit-index-annotation",
        "--no-emit-index-url",
        *_common(job),
        "--python",
        job["python"],
        "--output-file",
        target,
        job["main"],
        cwd=folder,
    )
    if not os.path.getsize(target):
        _write(target, "# Nothing is required.\n")
    return target


def export(job, folder):
    """The requirements of uv.lock, with hashes."""
    uv(
        job,
        "export",
        "--quiet",
        "--locked",
        "--no-default-groups",
        "--no-emit-project",
        "--format",
        "requirements-txt",
        "--no-header",
        "--no-annotate",
        "--no-build",
        "--python",
        job["python"],
        "--output-file",
        os.path.join(common.OUT, "lock.txt"),
        cwd=folder,
        pm="uv",
    )


def install_shared(job, timer):
    """Install a list of pinned wheels with hashes into an empty environment, whose Python runs only before the
    installation.
    """
    _write(os.path.join(WORK, "lock.txt"), job["lock"])
    _write(os.path.join(WORK, "seeds.txt"), without(job.get("seeds", ""), job["lock"]))
    wanted = [word for name in ("lock.txt", "seeds.txt") for word in _names(name, WORK)]
    with timer("install"):
        uv(job, "venv", "--quiet", "--python", job["python"], "--allow-existing", common.ENV, pm=job["manager"])
        unlock()
        empty = verify.tree(common.ENV)
        quiet = ["--quiet"] if job.get("title") else []
        if wanted:
            uv(
                job,
                "pip",
                "install",
                *_common(job),
                "--python",
                common.ENV,
                *quiet,
                "--require-hashes",
                *wanted,
                pm=job["manager"],
            )
        unlock()
    with timer("verify"):
        verify.check(common.ENV, empty)


def unlock():
    """Remove uv's lock file from the environment: another user, who extends it in a layer, could not open it."""
    if os.path.exists(os.path.join(common.ENV, ".lock")):
        os.unlink(os.path.join(common.ENV, ".lock"))


def _names(lock, folder):
    """Arguments for uv; empty for a file without requirements, for which it prints a warning."""
    lines = _read(os.path.join(folder, lock)).splitlines()
    wanted = any(line.strip() and not line.lstrip().startswith("#") for line in lines)
    return ["--requirements", lock] if wanted else []


def install_pip(job, timer, folder):
    """Install requirements.txt: resolve it, unless already resolved, then install exactly the result."""
    lock, hashes = job["main"], []
    if job.get("lock"):
        lock, hashes = os.path.join(common.OUT, "lock.txt"), ["--require-hashes"]
        _write(lock, job["lock"])
    elif job["hashed"]:
        hashes = ["--require-hashes"]
    elif not (job["local"] or job.get("overlay")):
        with timer("resolve"):
            lock, hashes = resolve(job, folder), ["--require-hashes"]
    install = ["pip", "install", *_common(job), "--python", common.ENV]
    with timer("install"):
        if not job.get("overlay"):
            uv(job, "venv", "--quiet", "--allow-existing", "--python", job["python"], common.ENV)
        both = _seeds(job, install, folder, lock, together=bool(hashes))
        words = _names(lock, folder)
        if words and lock != job["main"]:
            words += _options(job, folder)
        if words + both:
            uv(job, *install, *(["--quiet"] if job.get("title") else []), *hashes, *words, *both, cwd=folder)


def without(seeds, locked):
    """The seeds that a lock does not contain: it must not list a package with two versions."""
    named = {
        re.sub(r"[-_.]+", "-", line.split("==")[0].split("[")[0].strip()).lower()
        for line in locked.splitlines()
        if "==" in line
    }
    return "".join(line for line in seeds.splitlines(keepends=True) if line.split("==")[0] not in named)


def _seeds(job, install, folder, lock, together):
    """Install pip and setuptools, as on Heroku: with the other packages if those have hashes and use the same index,
    else before.
    """
    if not job.get("seeds"):
        return []
    seeds = os.path.join(WORK, "seeds.txt")
    text = without(job["seeds"], _read(os.path.join(folder, lock))) if together else job["seeds"]
    if not text:
        return []
    _write(seeds, text)
    elsewhere = any(option.startswith(("-i", "--index-url", "--no-index")) for option in job.get("options", ()))
    if together and not elsewhere:
        return ["--requirements", seeds]
    uv(job, *install, "--quiet", "--require-hashes", "--requirements", seeds, cwd=folder)
    return []


def _options(job, folder):
    """The index options of requirements.txt, so that packages are fetched from the indexes used for the resolution."""
    kept = [option for option in job.get("options", ()) if option not in ("--pre", "--require-hashes")]
    if not kept:
        return []
    _write(os.path.join(folder, "options.txt"), "\n".join(kept) + "\n")
    return ["--requirements", "options.txt"]


def install_uv(job, timer, folder):
    """Install uv.lock like ``uv sync --locked --no-default-groups``."""
    flags = ["--no-build"] if job["no_build"] else []
    project = [] if job["local"] else ["--no-install-project"]
    groups = (
        ["--inexact"] if job.get("groups") else ["--no-default-groups"]
    )  # keep packages that a hook added for the tests
    with timer("install"):
        uv(job, "sync", "--locked", *groups, *flags, *project, "--python", job["python"], cwd=folder, pm="uv")


def install_locked(job, timer, folder):
    """Install Pipfile.lock or poetry.lock with the app's own package manager, into an environment created by uv."""
    if not job.get("overlay"):
        uv(job, "venv", "--quiet", "--allow-existing", "--python", job["python"], common.ENV, pm=job["manager"])
    pipenv_poetry.install(job, timer, folder, environment(job))


def work(job, timer):
    """Run one job: {manager, files, main, hashed, lock, seeds, local, no_build, shared, resolve, overlay, tree, root,
    python, target, title, reason}.
    """
    os.makedirs(WORK, exist_ok=True)
    common.ENV = job.get("target") or common.ENV
    if not job.get("overlay") and not job.get("headed"):
        common.step(
            job.get("title")
            or (
                TITLES[job["manager"]].replace("%s", job["main"])
                if job["manager"] in TITLES
                else pipenv_poetry.title(job)
            )
        )
    if job.get("resolve"):
        write_files(job, WORK)
        with timer("resolve"):
            (export if job["manager"] == "uv" else resolve)(job, WORK)
        return {}
    if job.get("shared"):
        install_shared(job, timer)
    else:
        install_own(job, timer)
    with timer("bytecode"):
        site, known = os.path.join(common.ENV, "lib"), not job.get("overlay")
        cache, workers = CACHE + "/pyc", os.cpu_count() or 1
        children = bytecode.compile_all(
            site, bytecode.UNCHECKED, cache=cache, workers=workers, known=known, seal=job.get("seal", "")
        )
        bytecode.wait(children)
        common.own_group(common.ENV, skip=job.get("tool", ""))
    os.chmod(common.ENV, 0o2775)  # readable for others, movable for the control plane's group
    return {"packages": installed.packages(), "repositories": installed.repositories()}


def install_own(job, timer):
    """Install in the app's sandbox from its own files, and with its tree if it is needed."""
    folder = "/app" if job["local"] else WORK
    if job.get("apt"):
        apt.provide(job, timer)
    if job["local"]:
        with timer("unpack"):
            copy_tree() if job.get("tree") else unpack_sources(job)
        if job["manager"] == "pip":
            write_files({"files": {path: plain_repositories(text) for path, text in job["files"].items()}}, folder)
    else:
        write_files(job, WORK)
    if job.get("overlay"):
        unlock()
    {"pip": install_pip, "uv": install_uv}.get(job["manager"], install_locked)(job, timer, folder)
    unlock()


if __name__ == "__main__":
    sys.exit(common.main(work))
