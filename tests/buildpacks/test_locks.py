"""Lock files of pipenv and poetry: the files they require, the key of their environment, and the Python version they
request.
"""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from greenroom.buildpacks.drivers.commit_files import Source
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import plan
from greenroom.buildpacks.rules.python_versions import Interpreter

HOST = [Interpreter((3, 11, 7), "/usr/bin/python3.11"), Interpreter((3, 12, 4), "/opt/b", "/opt/b")]
PIPFILE = "[packages]\nsix = '*'\n"
PYPROJECT = "[project]\nname = 'shop'\n[tool.poetry]\npackage-mode = false\n"
POETRY = "[[package]]\nname = 'six'\n[metadata]\ncontent-hash = 'x'\n"
VERSION = {".python-version": "3.11"}


def lock(requires=None, **default):
    return json.dumps(
        {"_meta": {"hash": {}, "requires": requires or {}}, "default": default or {"six": {"version": "==1.16.0"}}}
    )


@pytest.fixture
def make(tmp_path):
    def make(files, **settings):
        path = tmp_path / "source.tar"
        with tarfile.open(path, "w") as archive:
            for name, text in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(text.encode())
                archive.addfile(info, io.BytesIO(text.encode()))
        source = Source(path)
        try:
            return plan.make(source, settings={"policy": {}, **settings}, interpreters=HOST)
        finally:
            source.close()

    return make


def pipenv(**changes):
    return {**VERSION, "Pipfile": PIPFILE, "Pipfile.lock": lock(), **changes}


def poetry(**changes):
    return {**VERSION, "pyproject.toml": PYPROJECT, "poetry.lock": POETRY, **changes}


@pytest.mark.rule("3.4")
def test_pipfile_lock_gives_the_python_version_when_no_file_does(make):
    files = {"Pipfile": PIPFILE, "Pipfile.lock": lock({"python_version": "3.12", "python_full_version": "3.11.7"})}
    assert make(files).python.version == (3, 11, 7)
    assert make({**files, "Pipfile.lock": lock({"python_version": "3.12"})}).python.minor == (3, 12)
    assert make({**files, ".python-version": "3.12"}).python.minor == (3, 12)


@pytest.mark.rule("3.4", "5.2", "5.12")
@pytest.mark.parametrize(
    ("files", "reason", "word"),
    [
        ({"Pipfile": PIPFILE, "Pipfile.lock": "{"}, "pipfile-lock::invalid-json", "pipenv lock"),
        ({"Pipfile": PIPFILE, "Pipfile.lock": lock({"python_version": "3"})}, "pipfile-lock::invalid-version", "3.N"),
        (pipenv(**{"Pipfile.lock": "[]"}), "install-dependencies::pipenv", "pipenv lock"),
        ({**VERSION, "Pipfile.lock": lock()}, "install-dependencies::pipenv", "git add -f Pipfile"),
        ({**VERSION, "poetry.lock": POETRY}, "install-dependencies::poetry", "git add -f pyproject.toml"),
        (poetry(**{"poetry.lock": "= nothing"}), "install-dependencies::poetry", "poetry lock"),
        (pipenv(**{"poetry.lock": POETRY}), "package-manager::multiple-found", "poetry.lock (poetry)"),
        (
            {**VERSION, "Pipfile": PIPFILE, "requirements.txt": "six"},
            "package-manager::pipenv-missing-lockfile",
            "pipenv lock",
        ),
    ],
)
def test_a_refusal_says_what_to_do(make, files, reason, word):
    with pytest.raises(BuildError) as error:
        make(files)
    assert error.value.reason == reason
    assert word in str(error.value)


@pytest.mark.rule("6.3")
def test_a_comment_or_another_spacing_names_the_same_environment(make):
    first = make(pipenv()).install
    assert make(pipenv(Pipfile=PIPFILE + "# why\n", **{"Pipfile.lock": lock() + "\n"})).install.digest == first.digest
    assert make(pipenv(Pipfile=PIPFILE + "attrs = '*'\n")).install.digest != first.digest
    assert make(pipenv(**{"Pipfile.lock": lock(six={"version": "==1.15.0"})})).install.digest != first.digest
    second = make(poetry()).install
    assert make(poetry(**{"poetry.lock": "# by Poetry\n" + POETRY})).install.digest == second.digest
    assert make(poetry(**{"poetry.lock": POETRY.replace("six", "attrs")})).install.digest != second.digest


def test_the_tree_takes_part_only_where_it_is_built(make):
    assert not make(pipenv()).install.local
    assert make(pipenv(**{"Pipfile.lock": lock(shop={"path": ".", "editable": True})})).install.tree
    repository = make(pipenv(**{"Pipfile.lock": lock(shop={"git": "https://example.com/x.git", "ref": "1"})})).install
    assert (repository.local, repository.tree) == (True, False)
    assert not make(poetry()).install.local
    assert make(poetry(**{"pyproject.toml": "[project]\nname = 'shop'\n"})).install.tree
