"""Slugs of builds: the digest depends only on commit and lock file, the manifest lists all contents, and damage is
detected.
"""

from __future__ import annotations

import os

import pytest

from greenroom.builds.drivers import environments
from greenroom.config_vars.actions import write
from greenroom.dynos import actions as dynos
from greenroom.releases.actions import release
from greenroom.slugs import actions as slugs
from greenroom.slugs import queries
from greenroom.slugs.actions import SlugDamagedError, intact, verify
from tests.builds.hosting import ADDED, BASE, FILES, SIX, Machine, Workshop, pip_files
from tests.slugs.test_sbom import problem

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = {
    f"shop/page_{number}.py": f"def page(request, number={number}):\n    return [str(number), 'x', request]\n"
    for number in range(30)
}


@pytest.fixture
def elsewhere(cafe):
    """Another home, with empty caches."""
    machine = Machine()
    yield Workshop(cafe, machine)
    machine.close()


@pytest.mark.parametrize("manager", ["pip", "uv"])
def test_the_same_commit_and_lock_give_the_same_slug_on_another_host(workshop, elsewhere, manager):
    files = {**BASE, **PAGES, **FILES[manager](SIX, ADDED), "bin/run": "#!/bin/sh\necho hello\n"}
    here, there = workshop.built(files).slug, elsewhere.built(files).slug
    assert (here.digest, here.env_key) == (there.digest, there.env_key)
    ours, theirs = (queries.manifest(slug, place.home) for slug, place in ((here, workshop), (there, elsewhere)))
    assert ours["packages"] == theirs["packages"]
    assert ours["files"] == theirs["files"]
    assert ours["tree"] == theirs["tree"]


@pytest.mark.parametrize("manager", list(FILES))
def test_the_manifest_names_commit_interpreter_packages_tools_and_files(workshop, manager):
    build = workshop.built({**BASE, **FILES[manager](SIX)})
    manifest = queries.manifest(build.slug, workshop.home)
    assert manifest["commit"] == build.commit
    assert manifest["python_version"].startswith("3.")
    assert manifest["packages"]["six"]["version"] == "1.16.0"
    assert manifest["packages"]["six"]["size"] > 10_000
    assert any(value.startswith("sha256:8abb2f1d") for value in manifest["packages"]["six"]["hashes"])
    assert len(manifest["packages"]["six"]["record"]) == 64
    assert manager in manifest["tools"] or manager in ("pip", "uv")
    assert manifest["files"]["app.py"][0] == "f"
    bill = queries.bill_of_materials(build.slug, workshop.home)
    assert problem(bill) is None
    assert "pkg:pypi/six@1.16.0" in {component["bom-ref"] for component in bill["components"]}
    assert "of packages" in workshop.text
    needed = [key for key in (build.slug.env_key, manifest["tool_key"]) if key]
    assert all(environments.exists(workshop.home, key) for key in needed)
    assert not [name for name in queries.collectable(workshop.home) if any(key in name for key in needed)]


def test_no_dyno_starts_from_a_slug_that_was_changed_and_the_log_says_why(workshop, alice):
    machine, app = workshop.machine, workshop.app
    slug = workshop.built({**BASE, **pip_files(SIX), "note.txt": "as committed\n"}).slug
    config = write(app=app, home=workshop.home, values={}, actor=alice)
    row = release(actor=alice, app=app, kind="deploy", description="x", slug=slug, config=config)
    (workshop.home / slug.folder / "note.txt").write_text("changed\n")
    dyno = dynos.make_one_off(actor=alice, app=app, release=row, command="cat note.txt", size="basic")
    with pytest.raises(SlugDamagedError, match="are corrupt") as error:
        dynos.start(dyno=dyno, engine=machine.engine, home=workshop.home)
    assert "greenroom rollback" in error.value.hint
    assert machine.engine.describe(dyno.engine_id) is None
    dyno.refresh_from_db()
    assert (dyno.state, dyno.exit_reason) == ("ended", "slug")
    assert "R17" in "".join(path.read_text() for path in (workshop.home / app.log_folder).iterdir())
    assert workshop.built(commit=slug.commit).slug == slug  # building it again repairs it
    dyno = dynos.make_one_off(actor=alice, app=app, release=row, command="cat note.txt", size="basic")
    assert dynos.start(dyno=dyno, engine=machine.engine, home=workshop.home).phase != "lost"


def test_a_large_slug_is_read_again_after_a_change_and_not_before(workshop, monkeypatch):
    slug = workshop.built({**BASE, **pip_files(SIX), "note.txt": "as committed\n"}).slug
    monkeypatch.setattr(slugs, "EVERY_TIME", 0)
    assert intact(slug, workshop.home)
    monkeypatch.setattr(slugs, "verify", lambda slug, home: pytest.fail("read again though nothing changed"))
    assert intact(slug, workshop.home)
    monkeypatch.undo()
    monkeypatch.setattr(slugs, "EVERY_TIME", 0)
    note = workshop.home / slug.folder / "note.txt"
    times = note.stat()
    note.write_text("As committed\n")
    os.utime(note, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not intact(slug, workshop.home)


def test_a_file_that_was_changed_on_disk_is_noticed_before_a_dyno_starts(workshop):
    slug = workshop.built({**BASE, **pip_files(SIX), "note.txt": "as committed\n"}).slug
    assert verify(slug, workshop.home)
    assert intact(slug, workshop.home)
    (workshop.home / slug.folder / "note.txt").write_text("changed\n")
    assert not intact(slug, workshop.home)
