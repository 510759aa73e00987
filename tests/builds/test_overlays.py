"""Test requirements are installed over any kind of slug: wheels, sources, folders of the tree, hooks, uv's packages."""

from __future__ import annotations

import pytest

from tests.builds.hosting import (
    ADDED,
    BASE,
    SIX,
    Machine,
    Workshop,
    overlay,
    pip_files,
    poetry_files,
    printed,
    uv_project,
)

pytestmark = pytest.mark.django_db(transaction=True)
PACKAGE = """[build-system]
requires = ["setuptools>=70"]
build-backend = "setuptools.build_meta"
[project]
name = "NAME"
version = "1.0"
requires-python = ">=3.10"
dependencies = ["six==1.16.0"]
"""
DEV = '[dependency-groups]\ndev = ["iniconfig==2.0.0"]\n'
TESTS = {"requirements-test.txt": f"{ADDED}\n"}
HOOK = {
    "bin/post_compile": (
        "#!/bin/sh\necho x = 1 > $(python -c 'import six, os; print(os.path.dirname(six.__file__))')/added.py\n"
    )
}

REPOSITORY = {
    "bin/pre_compile": (
        "#!/bin/sh\nset -e\ncd lib\ngit init -q\ngit add -A\ngit -c user.name=Alice -c user.email=alice@example.com"
        " commit -qm work\n"
    )
}
NLTK = {"nltk.txt": "punkt\n", "corpora/nltk/downloader.py": "import sys\nopen(sys.argv[2] + '/got', 'w').close()\n"}


def package(name, folder="", more=""):
    top = f"{folder}/" if folder else ""
    only = f'[tool.setuptools]\npackages = ["{name}"]\n'
    return {
        f"{top}pyproject.toml": PACKAGE.replace("NAME", name) + only + more,
        f"{top}{name}/__init__.py": "WHERE = __file__\n",
    }


def kinds():
    lib = package("lib", "lib")
    workspace = '[tool.uv.workspace]\nmembers = ["core"]\n[tool.uv.sources]\ncore = { workspace = true }\n'
    root = (
        PACKAGE.replace("NAME", "shop").replace('["six==1.16.0"]', '["six==1.16.0", "core"]').partition("[project]")[2]
    )
    return {
        "wheels": ({**pip_files(SIX), **TESTS}, "six"),
        "another version": ({**pip_files(SIX), "requirements-test.txt": f"{ADDED}\nsix==1.17.0\n"}, "six"),
        "a hook": ({**pip_files(SIX), **HOOK, **TESTS}, "added"),
        "sources": ({**pip_files("docopt==0.6.2"), **TESTS}, "docopt"),
        "an editable folder": ({**pip_files(SIX, "-e ./lib"), **lib, **TESTS}, "lib"),
        "a repository": ({"requirements.txt": "lib @ git+file:///app/lib\n", **lib, **REPOSITORY, **TESTS}, "lib"),
        "corpora of nltk": ({**pip_files("./corpora"), **package("nltk", "corpora"), **NLTK, **TESTS}, "nltk"),
        "a folder for the tests": (
            {**pip_files(SIX), **package("kit", "kit"), "requirements-test.txt": f"-e ./kit\n{ADDED}\n"},
            "kit",
        ),
        "a uv package": (lambda: uv_project(package("shop", more=DEV)), "shop"),
        "a uv workspace": (
            lambda: uv_project({"pyproject.toml": f"[project]{root}{DEV}{workspace}", **package("core", "core")}),
            "core",
        ),
    }


@pytest.mark.rule("5.13")
@pytest.mark.parametrize("kind", list(kinds()))
def test_the_tests_requirements_are_installed_over_whatever_the_slug_was_built_from(workshop, kind):
    files, name = kinds()[kind]
    build = workshop.built({**BASE, **(files() if callable(files) else files)})
    assert "iniconfig" not in workshop.packages(build)
    found = overlay(workshop, build)
    assert found.status == "ready", f"{found.message}\n{workshop.text}"
    assert printed(workshop, found.mounts, "python", "-c", f"import iniconfig, {name}; print('both')") == "both\n"
    if kind == "another version":
        look = "import importlib.metadata as m; print([d.version for d in m.distributions() if d.name == 'six'])"
        assert printed(workshop, found.mounts, "python", "-c", look) == "['1.17.0']\n"


@pytest.fixture(scope="module")
def ordinary_machine():
    it = Machine(ordinary=True)
    yield it
    it.close()


@pytest.mark.rule("5.13")
@pytest.mark.parametrize("kind", ["wheels", "a hook"])
def test_where_an_ordinary_user_runs_greenroom_they_are_installed_too(shop, ordinary_machine, kind):
    files, name = kinds()[kind]
    workshop = Workshop(shop, ordinary_machine)
    build = workshop.built({**BASE, **files})
    found = overlay(workshop, build)
    assert found.status == "ready", f"{found.message}\n{workshop.text}"
    assert printed(workshop, found.mounts, "python", "-c", f"import iniconfig, {name}; print('both')") == "both\n"


@pytest.mark.rule("5.13")
@pytest.mark.parametrize("shadow", ["requests", "packaging"])
def test_a_folder_of_the_app_shadows_no_module_of_poetry(workshop, shadow):
    made = poetry_files(SIX)
    files = {
        name: text.replace("package-mode = false", "package-mode = true\npackages = [{ include = 'shop' }]")
        for name, text in made.items()
    }
    build = workshop.built(
        {**BASE, **files, "shop/__init__.py": "", f"{shadow}/__init__.py": "raise SystemExit('the wrong module')\n"}
    )
    assert overlay(workshop, build).status == "ready", workshop.text
