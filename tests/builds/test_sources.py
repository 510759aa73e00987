"""Other sources in requirements.txt: a folder of the tree, a repository, a folder of wheels, another index."""

from __future__ import annotations

import pytest

from tests.builds.hosting import BASE, SIX, index

pytestmark = pytest.mark.django_db(transaction=True)
SETUP = "import setuptools\nsetuptools.setup(name='{0}', version='1.0', py_modules=['{0}'])\n"
PRE = """#!/usr/bin/env bash
set -e
python3 - <<'END'
import os, zipfile
os.makedirs("wheels", exist_ok=True)
with zipfile.ZipFile("wheels/boxed-2.0-py3-none-any.whl", "w") as box:
    box.writestr("boxed.py", "WHERE = 'a wheel of the tree'\\n")
    box.writestr("boxed-2.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: boxed\\nVersion: 2.0\\n")
    box.writestr("boxed-2.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    files = ("boxed.py", *("boxed-2.0.dist-info/" + name for name in ("METADATA", "WHEEL", "RECORD")))
    box.writestr("boxed-2.0.dist-info/RECORD", "".join(name + ",,\\n" for name in files))
END
cd vendor/cloned
git init -q -b main .
git add -A
git -c user.name=Alice -c user.email=alice@example.com commit -qm one
"""
POST = """#!/usr/bin/env bash
cd /tmp
python -c 'import beside, cloned, boxed, six
print("beside:", beside.__file__); print("cloned:", cloned.WHERE); print("boxed:", boxed.WHERE)'
"""


@pytest.mark.rule("10.3", "5.17", "5.19")
def test_folders_repositories_wheels_and_indexes_of_a_requirements_file_are_really_installed(workshop):
    requirements = (
        f"--index-url {index()}\n--find-links ./wheels\n-e ./libs/beside\n-e"
        f" git+file:///app/vendor/cloned@main#egg=cloned\nboxed\n{SIX}\n"
    )
    files = {
        **BASE,
        "requirements.txt": requirements,
        "bin/pre_compile": PRE,
        "bin/post_compile": POST,
        "libs/beside/setup.py": SETUP.format("beside"),
        "libs/beside/beside.py": "",
        "vendor/cloned/setup.py": SETUP.format("cloned"),
        "vendor/cloned/cloned.py": "WHERE = 'first'\n",
    }
    first = workshop.built(files)
    assert (
        "       beside: /app/libs/beside/beside.py\n       cloned: first\n       boxed: a wheel of the tree"
        in workshop.text
    )
    assert workshop.packages(first) >= {"beside", "cloned", "boxed", "six"}
    again = workshop.built({**files, "vendor/cloned/cloned.py": "WHERE = 'second'\n"})
    assert "cloned: second" in workshop.text
    assert again.slug.env_key != first.slug.env_key
