"""An interpreter that the host lacks is fetched from the operator's mirror, kept, and visible to builds and dynos. An
unavailable one is named.
"""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from greenroom.buildpacks.drivers import interpreters
from greenroom.builds.drivers import python_downloads
from greenroom.slugs.queries import mounts
from tests.builds.hosting import BASE, SIX, pip_files
from tests.builds.mirror import VERSION, Mirror
from tests.builds.test_tools import printed

MINOR = VERSION.rpartition(".")[0]
PIP = {**BASE, **pip_files(SIX)}


@pytest.fixture(scope="module")
def mirror(tmp_path_factory):
    it = Mirror(tmp_path_factory.mktemp("mirror"))
    yield it
    it.close()


@pytest.fixture
def bare(monkeypatch, mirror):
    """A host without Python. Its operator has a mirror."""
    monkeypatch.setattr(interpreters, "_candidates", lambda: [])
    monkeypatch.setattr(python_downloads._downloads, "failed", {})
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", mirror.url)
    monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", mirror.index)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    mirror.asked.clear()
    return mirror


@pytest.mark.django_db(transaction=True)
@pytest.mark.rule("4.1", "4.2")
def test_a_version_that_the_host_lacks_is_fetched_once_and_dynos_run_on_it(workshop, bare):
    build = workshop.built({**PIP, ".python-version": f"{MINOR}\n"})
    assert f"-----> Installing Python {MINOR}, which is missing on this host" in workshop.text
    assert f"-----> Using Python {VERSION} specified in .python-version" in workshop.text
    said = printed(
        workshop, mounts(build.slug), "python", "-c", "import six, sys; print(sys.version.split()[0], sys.base_prefix)"
    )
    version, place = said.split()
    assert (version, place.startswith("/greenroom/python/cpython-")) == (VERSION, True)
    assert str(workshop.home) not in str(build.slug.manifest["interpreter"])
    assert [path for path in bare.asked if path.endswith(".tar.gz")] == [f"/20260101/{bare.archive.name}"]
    bare.asked.clear()
    again = workshop.built({**PIP, ".python-version": f"{VERSION}\n", "app.py": "again = 1\n"})
    assert (again.slug.env_key, bare.asked) == (build.slug.env_key, [])


@pytest.mark.django_db(transaction=True)
@pytest.mark.rule("4.1")
def test_a_version_that_cannot_be_had_says_why_and_what_can(workshop, bare):
    python_downloads.fetch(workshop.home, MINOR, eager=True)
    build = workshop.build({**PIP, ".python-version": "3.10\n"})
    assert (build.status, build.failure_reason) == ("failed", "python-version::not-installed")
    assert "The download failed: " in build.failure_message
    assert "3.10" in build.failure_message
    bare.asked.clear()
    again = workshop.build({**PIP, ".python-version": "3.10\n"})
    assert (again.failure_reason, bare.asked) == ("python-version::not-installed", [])


@pytest.mark.django_db(transaction=True)
def test_an_operator_may_leave_it_to_the_host(workshop, bare, monkeypatch):
    monkeypatch.setenv(python_downloads.SETTING, "never")
    build = workshop.build({**PIP, ".python-version": "3.12\n"})
    assert build.failure_reason == "python-version::not-installed"
    assert python_downloads.SETTING in build.failure_message
    assert bare.asked == []


@pytest.mark.parametrize("answer", ["nothing listens", "another file"])
def test_what_is_not_the_archive_that_the_list_names_is_no_python(tmp_path, bare, monkeypatch, answer):
    if answer == "nothing listens":
        monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", "http://127.0.0.1:9")
    else:
        good = bare.archive.read_bytes()
        bare.archive.write_bytes(good[:-1] + b"?")
    try:
        while not python_downloads.fetch(tmp_path, MINOR, eager=False):
            pass
    finally:
        if answer != "nothing listens":
            bare.archive.write_bytes(good)
    assert python_downloads.why_not(tmp_path, MINOR)
    assert interpreters.find(home=tmp_path) == []


class Shared(Future):
    """A fetch with a second waiting thread, which is the first to see the end."""

    def result(self, timeout=None):
        why = super().result(timeout)
        if not self.seen:
            self.seen = True
            assert python_downloads.fetch(*self.asked, eager=True)
        return why


@pytest.mark.parametrize("why", ["", "no network"])
def test_of_two_builds_that_wait_for_the_same_version_both_see_it_end(tmp_path, monkeypatch, why):
    shared, asked = Shared(), []
    shared.seen, shared.asked = False, (tmp_path, "3.12")
    shared.set_result(why)
    monkeypatch.setattr(python_downloads._downloads.pool, "submit", lambda *order: asked.append(order) or shared)
    assert python_downloads.fetch(tmp_path, "3.12", eager=True)
    assert python_downloads.why_not(tmp_path, "3.12") == why
    assert len(asked) == 1
    assert (tmp_path, "3.12") not in python_downloads._downloads.running
