"""Imports a tar archive as a commit into an app's repository, without unpacking it to disk.

A child process with limited memory and CPU time reads the archive and writes a stream for git fast-import. The new
objects stay in a quarantine, like those of a push, until the same rules have accepted the tree.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from greenroom.apps.models import App
from greenroom.basics.errors import PlatformError, UserError
from greenroom.git import queries, rules
from greenroom.git.drivers import inspection, runner
from greenroom.git.rules import DEFAULT_LIMITS, Limits

READER = Path(__file__).parent.parent / "inside" / "tar_reader.py"
SECONDS = 120.0
REFUSED = 3
"""The reader's exit code for an invalid archive; the reason is on stderr."""
BRANCH = "refs/heads/import"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A commit made from an archive. claimed: the commit id that ``git archive`` wrote into it, which is untrusted."""

    sha: str
    claimed: str = ""


def import_tarball(
    *,
    app: App,
    home: Path,
    tarball: Path,
    message: str,
    name: str,
    email: str,
    parent: str | None = None,
    at: int = 0,
    limits: Limits = DEFAULT_LIMITS,
) -> Imported:
    """Create a commit with the files of ``tarball`` (tar, plain or compressed with gzip, bzip2 or xz). Moves no ref.

    Build the commit with ``builds.actions.start``, or deliver it like a push: pass
    ``parent=git.queries.head(app, home, app.protected_branch)`` and call ``git.actions.platform_pushes.move_branch``.

    A single top-level folder, as in GitHub's archives, is removed. at: seconds since the epoch; the same arguments give
    the same commit. UserError for an invalid archive: absolute or parent paths, ``.git``, devices, pipes, sparse files,
    links through links, too many or too large files. PlatformError when git or the disk fails. Takes up to two minutes.
    """
    repo = queries.repository_path(app, home)
    quarantine = repo / "objects" / f"incoming-{secrets.token_hex(8)}"
    try:
        claimed = _read_into(repo, quarantine, tarball, _job(message, name, email, parent, at, limits))
        sha = (quarantine / "git" / BRANCH).read_text().strip()
        tree = inspection.read_tree(repo, sha, quarantine, limits)
        refusals = rules.judge_tree("the archive", tree, limits)
        if refusals:
            raise UserError(refusals[0].message, hint=refusals[0].hint)
        _keep(quarantine / "pack", repo / "objects" / "pack")
    finally:
        shutil.rmtree(quarantine, ignore_errors=True)
    return Imported(sha=sha, claimed=claimed)


def _job(message: str, name: str, email: str, parent: str | None, at: int, limits: Limits) -> dict[str, object]:
    clean = {ord(char): None for char in "<>\0"}
    return {
        "message": rules.printable(message, 500) or "Source archive",
        "name": rules.printable(name, 200).translate(clean) or "greenroom",
        "email": rules.printable(email, 254).translate(clean),
        "parent": parent if parent and rules.is_sha(parent) else "",
        "at": at,
        "entries": limits.tree_entries,
        "file_bytes": limits.file_bytes,
        "bytes": limits.tree_bytes,
    }


def _read_into(repo: Path, quarantine: Path, tarball: Path, job: dict[str, object]) -> str:
    """Run the reader and git fast-import into the quarantine; returns the commit id that the archive claims."""
    env = _repository(repo, quarantine)
    with tarball.open("rb") as archive:
        reader = subprocess.Popen(
            [sys.executable, "-I", "-S", str(READER), json.dumps(job)],
            stdin=archive,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"LC_ALL": "C.UTF-8"},
            cwd="/",
        )
    words = ["fast-import", "--quiet", "--done"]
    importer = subprocess.Popen(
        runner.command(words), stdin=reader.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env, cwd="/"
    )
    runner.limit(importer.pid)
    assert reader.stdout
    reader.stdout.close()
    try:
        _, complaint = importer.communicate(timeout=SECONDS)
        _, said = reader.communicate(timeout=10)
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"Reading the archive took longer than {SECONDS:.0f} s.", hint="leave out unnecessary files"
        ) from error
    finally:
        for child in (reader, importer):
            child.kill()
            child.wait()
    return _judged(reader.returncode, said, importer.returncode, complaint)


def _judged(reader: int, said: bytes, importer: int, complaint: bytes) -> str:
    if reader == REFUSED:
        found = json.loads(said)
        raise UserError(f"The archive was refused: {rules.printable(found['why'], 400)}", hint=found["hint"])
    if reader < 0 or reader == 1:
        raise UserError(
            "The archive was refused: reading it exceeds the memory or time limit.",
            hint="create it with: git archive HEAD",
        )
    if importer or reader:
        raise PlatformError(f"git fast-import failed: {runner.complaint(complaint)}", hint="greenroom doctor")
    return str(json.loads(said)["claimed"])


def _repository(repo: Path, quarantine: Path) -> dict[str, str]:
    """Create a repository for refs only, whose objects are in the quarantine; returns git's environment."""
    refs = quarantine / "git"
    for folder in (quarantine / "pack", refs / "refs", refs / "objects"):
        folder.mkdir(parents=True)
    (refs / "HEAD").write_text(f"ref: {BRANCH}\n")
    (refs / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")
    config = [("core.fsync", "all"), ("fastimport.unpackLimit", "0"), ("core.bigFileThreshold", "8m")]
    env = runner.environment(repo, quarantine=quarantine, config=config)
    return {**env, "GIT_DIR": str(refs)}


def _keep(source: Path, target: Path) -> None:
    """Move the objects into the repository, each index after its pack."""
    target.mkdir(exist_ok=True)
    for path in sorted(source.iterdir(), key=lambda path: path.suffix == ".idx"):
        os.rename(path, target / path.name)
