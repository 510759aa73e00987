"""A build of a commit with submodules and files in Git LFS: the slug contains the files themselves."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile

import pytest

from greenroom.basics.outgoing import networks
from greenroom.builds.drivers import leftovers
from greenroom.builds.queries import gathers
from greenroom.builds.steps import sources
from greenroom.checks.builtin import scanning
from greenroom.git.drivers import lfs_store, modules
from tests.builds.hosting import BASE
from tests.sources.forge import ENV, Repo, forging

pytestmark = pytest.mark.django_db(transaction=True)
CONTENT = bytes(range(256)) * 1000
OID = hashlib.sha256(CONTENT).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {len(CONTENT)}\n"
FILES = {**BASE, "requirements.txt": "", ".gitattributes": "*.bin filter=lfs diff=lfs\n", "data/model.bin": POINTER}


@pytest.fixture(autouse=True)
def without_git_lfs(monkeypatch):
    """A git-lfs of the machine must not take part: the pointer files are made by hand."""
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")


@pytest.fixture
def forge(tmp_path, settings):
    with forging(tmp_path / "forge") as made:
        settings.SUBMODULE_HOSTS = (made.url,)
        settings.PRIVATE_TARGETS = networks(["127.0.0.0/8"])
        yield made


def with_submodule(workshop, url, sha):
    """A commit of FILES with the submodule ``vendor/kit``."""
    workshop.commit({**FILES, ".gitmodules": f'[submodule "kit"]\n\tpath = vendor/kit\n\turl = {url}\n'})
    work, bare = workshop.home / "work" / workshop.app.id.hex, workshop.home / workshop.app.repo_folder
    for words in (
        ["update-index", "--add", "--cacheinfo", f"160000,{sha},vendor/kit"],
        ["commit", "-qm", "with a submodule"],
        ["push", "-q", "-f", str(bare), "HEAD:master"],
    ):
        subprocess.run(["git", "-C", str(work), *words], check=True, env=ENV)
    done = subprocess.run(["git", "-C", str(work), "rev-parse", "HEAD"], check=True, env=ENV, capture_output=True)
    return done.stdout.decode().strip()


def test_the_slug_has_the_files_of_submodules_and_of_git_lfs(workshop, forge):
    kit = Repo(forge, "lib/kit")
    files = {"kit.py": "kit\n", ".gitattributes": "*.bin filter=lfs\n", "own.bin": POINTER}
    sha = with_submodule(workshop, kit.url, kit.commit("one", **files))
    with lfs_store.upload(workshop.home / workshop.app.repo_folder, OID) as upload:
        upload.write(CONTENT)
        upload.keep()
    build = workshop.start(commit=sha)
    assert gathers(build)
    workshop.step(build)
    sources._running.clear()  # as after kill -9 of the worker
    workshop.finish(build)
    assert build.status == "succeeded", f"{build.failure_message}\n{workshop.text}"
    assert not gathers(build)
    tree = workshop.home / build.slug.folder
    assert (tree / "data/model.bin").read_bytes() == CONTENT
    assert (tree / "vendor/kit/kit.py").read_text() == "kit\n"
    assert "-----> Git LFS: 1 file, 0.3 MB" in workshop.text
    assert "-----> Fetching 1 submodule: 'vendor/kit'" in workshop.text
    assert "Files in Git LFS of submodules stay pointer files: 'vendor/kit'" in workshop.text
    asked = len(forge.asked)
    again = workshop.built(commit=sha)
    assert (again.slug_id, len(forge.asked)) == (build.slug_id, asked)
    running = workshop.start(commit=sha)
    workshop.step(running)
    removed = leftovers.sweep(
        engine=workshop.machine.engine, home=workshop.home, now=build.created_at.timestamp() + 9e4
    )
    assert running.facts["source"] not in removed
    workshop.finish(running)


def test_a_refused_submodule_fails_the_build_with_the_command_that_helps(workshop, forge):
    build = workshop.build(commit=with_submodule(workshop, "git@github.com:ach/kit.git", "1" * 40))
    assert (build.status, build.failure_reason) == ("failed", "checkout::submodules")
    assert "The submodule 'vendor/kit' has the URL 'git@github.com:ach/kit.git'" in build.failure_message
    assert build.failure_hint.startswith("git config -f .gitmodules submodule.kit.url https://github.com/ach/kit.git")
    assert "The build gets pointer files: the content of 1 file in Git LFS is missing" in workshop.text
    assert "hint: git lfs push --all greenroom" in workshop.text


def test_the_scan_reads_the_tree_of_the_build_and_never_less_of_a_new_commit(workshop, forge):
    kit = Repo(forge, "lib/kit")
    sha = with_submodule(workshop, kit.url, kit.commit("one", **{"kit.py": "kit\n"}))
    build = workshop.built(commit=sha)
    asked = {"app": workshop.app, "home": workshop.home, "sha": sha}
    tar = scanning.source_file(**asked)
    assert tar == workshop.home / build.facts["source"]
    tar.unlink()
    assert scanning.source_file(**asked) == tar
    tar.unlink()
    assert modules.evict(workshop.home / workshop.app.repo_folder, set(), most=0)
    with pytest.raises(modules.MissingError, match="no longer in the cache"):
        scanning.source_file(**asked)
    key = scanning._old_key(workshop.app, workshop.home, sha)
    with tarfile.open(workshop.home / "sources" / f"{key}.tar") as old:
        assert "app.py" in old.getnames()
        assert "vendor/kit/kit.py" not in old.getnames()
