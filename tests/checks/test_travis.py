"""What is taken from a .travis.yml, what is not, and that the file's lines run as Travis runs them."""

from __future__ import annotations

import pytest

from greenroom.checks import travis
from greenroom.checks.builtin import testing
from tests.checks.dyno_side import DJANGO, result, run, write

# file, lines before the script, lines of the script, variables, keys that the table calls ignored
FILES = {
    "the usual one": (
        'language: python\npython:\n  - "3.11"\n  - "3.12"\ninstall: pip install -r requirements.txt\nscript: python manage.py test\n',
        [], ["python manage.py test"], {}, ["install", "python"],
    ),
    "a list of scripts": ("language: python\nscript:\n  - flake8\n  - pytest -q\n", [], ["flake8", "pytest -q"], {}, []),
    "phases": (
        "before_install: make keys\ninstall:\n  - pip install -U pip\n  - npm ci\nbefore_script:\n  - psql -c 'create database x'\nscript: pytest\n",
        [("before_install", "make keys"), ("install", "npm ci"), ("before_script", "psql -c 'create database x'")], ["pytest"], {}, ["install"],
    ),
    "skip": ("install: skip\nscript: pytest\n", [], ["pytest"], {}, []),
    "install true": ("install: true\nscript: pytest\n", [], ["pytest"], {}, []),
    "pip of other things": ("install: pip install coveralls\nscript: pytest\n", [("install", "pip install coveralls")], ["pytest"], {}, []),
    "python -m pip": ("install: python -m pip install -q -r requirements_test.txt\nscript: pytest\n", [], ["pytest"], {}, ["install"]),
    "requirements and more": (
        "install: pip install -r requirements.txt codecov\nscript: pytest\n", [("install", "pip install -r requirements.txt codecov")], ["pytest"], {}, []
    ),
    "pip and another command": (
        "install: pip install -r requirements.txt && make\nscript: pytest\n", [("install", "pip install -r requirements.txt && make")], ["pytest"], {}, []
    ),
    "env text": ("env: A=1 B='x y'\nscript: pytest\n", [], ["pytest"], {"A": "1", "B": "x y"}, []),
    "env matrix": ("env:\n  - DJANGO=4.2\n  - DJANGO=5.2\nscript: tox\n", [], ["tox"], {"DJANGO": "4.2"}, ["env"]),
    "env map": ("env:\n  A: 1\n  B: true\nscript: tox\n", [], ["tox"], {"A": "1", "B": "true"}, []),
    "env global and jobs": (
        "env:\n  global:\n    - G=1\n    - secure: abc=\n  jobs:\n    - J=1\n    - J=2\nscript: tox\n", [], ["tox"], {"G": "1", "J": "1"}, ["env", "env"]
    ),
    "env global map and matrix": ("env:\n  global:\n    G: x\n  matrix: J=1\nscript: tox\n", [], ["tox"], {"G": "x", "J": "1"}, []),
    "env in a list with secure first": ("env:\n  - secure: abc=\n  - A=1\nscript: tox\n", [], ["tox"], {"A": "1"}, ["env"]),
    "env of the platform": ("env: DATABASE_URL=postgres://evil SECRET_KEY=x\nscript: tox\n", [], ["tox"], {}, ["env", "env"]),
    "env with bad names": ("env: 1A=2 'LD PRELOAD=x'\nscript: tox\n", [], ["tox"], {}, ["env", "env"]),
    "open quote": ("env: \"A='x\"\nscript: tox\n", [], ["tox"], {}, ["env"]),
    "services": ("services: [postgresql, redis-server]\nscript: tox\n", [], ["tox"], {}, ["services"]),
    "one service": ("services: postgresql\nscript: tox\n", [], ["tox"], {}, []),
    "deploy": (
        "script: tox\ndeploy:\n  provider: heroku\n  api_key:\n    secure: x\nnotifications:\n  email: false\nbranches:\n  only: [master]\n",
        [], ["tox"], {}, ["deploy", "notifications"],
    ),
    "after": ("script: tox\nafter_success: coveralls\nafter_script: rm x\n", [], ["tox"], {}, ["after_script", "after_success"]),
    "jobs": (
        "jobs:\n  include:\n    - name: docs\n      stage: lint\n    - name: unit\n      script: pytest\n    - script: tox\n", [], ["pytest"], {}, ["jobs.include"]
    ),
    "matrix of old": ("matrix:\n  include:\n    - python: 3.8\n      env: A=1\nscript: tox\n", [], ["tox"], {}, ["matrix.include"]),
    "anchors": ("x: &a [pytest]\nscript: *a\n", [], ["pytest"], {}, ["x"]),
    "numbers as versions": ("python: 3.12\nscript: pytest\n", [], ["pytest"], {}, ["python"]),
    "unknown keys": ("if: type = push\nvm: {size: x}\nscript: pytest\n", [], ["pytest"], {}, ["if", "vm"]),
    "a map as a line": ("script:\n  - pytest\n  - a: b\n", [], ["pytest"], {}, ["script"]),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_asks_for(name):
    text, setup, script, env, ignored = FILES[name]
    plan = travis.read(text, "master")
    assert plan.problem == ""
    assert (list(plan.setup), list(plan.script), plan.env) == (setup, script, env)
    assert sorted(key for key, _ in plan.ignored) == sorted(ignored)


@pytest.mark.parametrize("language", ["ruby", "[python, ruby]", "minimal", "3"])
def test_a_file_of_another_language_has_no_say_and_the_log_says_so(language):
    plan = travis.read(f"language: {language}\nscript: make\n", "master")
    assert (bool(plan.other), plan.script, plan.problem) == (True, (), "")
    (line,) = plan.table()
    assert line.startswith("-----> .travis.yml is ignored: its language is ")


# what `branches` says, whether the file is then for `master`, what the table or the line says
BRANCHES = {
    "one name": ("{only: master}", True, "only: master is one of them"),
    "a list": ("{only: [dev, master]}", True, "only: master is one of them"),
    "in short": ("[dev]", False, "branches.only leaves out master"),
    "others": ("{only: [dev]}", False, "branches.only leaves out master"),
    "a pattern": ("{only: [/^mas.*$/]}", True, "only: master is one of them"),
    "a pattern of others": ("{only: ['/^release-[0-9.]+$/']}", False, "branches.only leaves out master"),
    "a pattern of Ruby": ("{only: ['/\\AMASTER\\z/i']}", True, "only: master is one of them"),
    "only before except": ("{only: master, except: master}", True, "only: master is one of them"),
    "left out": ("{except: [gh-pages, master]}", False, "branches.except leaves out master"),
    "left out by pattern": ("{except: [/^m/]}", False, "branches.except leaves out master"),
    "not left out": ("{except: [gh-pages, /^wip/]}", True, "except: master is none of them"),
    "too costly": ("{only: ['/^(a+)+$/']}", True, "only: not evaluated; the tests run"),
    "too many parts": ("{only: ['/^a*a*a*a*a*a*a*a*a*a*b/']}", True, "only: not evaluated; the tests run"),
    "too many choices": ("{only: ['/^%sx/']}" % ("(m|m)" * 30), True, "only: not evaluated; the tests run"),
    "perhaps, thirty times": ("{only: ['/^%sx/']}" % ("m?" * 30), True, "only: not evaluated; the tests run"),
    "names in a pattern": ("{only: ['/^(dev|staging|master)$/']}", True, "only: master is one of them"),
    "looks around": ("{only: ['/(?!x)/']}", True, "only: not evaluated; the tests run"),
    "too long": ("{only: ['/%s/']}" % ("x" * 201), True, "only: not evaluated; the tests run"),
    "no pattern": ("{only: ['/[/']}", True, "only: not evaluated; the tests run"),
    "costly exception": ("{except: ['/(a+)+/']}", True, "except: master is none of them"),
    "a map in the list": ("{only: [{a: b}]}", True, "only: not evaluated; the tests run"),
    "nothing": ("{}", True, "neither only nor except in it; the tests run"),
    "an empty list": ("{only: []}", True, "only: not evaluated; the tests run"),
}  # fmt: skip


@pytest.mark.parametrize("name", BRANCHES)
def test_a_file_that_leaves_out_the_branch_has_no_say(name):
    branches, ours, said = BRANCHES[name]
    plan = travis.read(f"script: tox\nbranches: {branches}\n", "master")
    assert (plan.problem, list(plan.script), bool(plan.other)) == ("", ["tox"] if ours else [], not ours)
    assert said in "\n".join(plan.table())


@pytest.mark.parametrize(
    "text",
    [
        "language: python\n", "script: []\n", "script: ''\n", "a: [", "- x\n", "", "just words", "script: !!python/object/apply:os.system [id]",
        "x" * (travis.LIMIT + 1), "\0", "a: &a [*a]\n", "? [x]\n: y\n", "[" * 5000, "script: 5\n",
    ],
)  # fmt: skip
def test_a_file_that_tests_nothing_or_is_broken_says_so(text):
    assert travis.read(text, "master").problem


def test_the_table_names_each_key():
    table = "\n".join(travis.read(FILES["deploy"][0], "master").table())
    assert "ignored   deploy" in table
    assert "Greenroom deploys" in table
    assert "honoured  script" in table


# ---- the dyno side ----------------------------------------------------------------------------------------------------

GOOD = "import unittest\nclass T(unittest.TestCase):\n    def test_one(self):\n        pass\n"


def wish(text):
    plan = travis.read(text, "master")
    return testing._wished(plan)


@pytest.fixture
def tested(tmp_path):
    def do(text):
        return result("tests", home=tmp_path / "home", cwd=write(tmp_path / "app", {"test_a.py": GOOD}), wish=wish(text))

    return do


def test_lines_share_one_shell_as_on_travis(tested):
    found = tested("before_script:\n  - export WORD=tea\n  - mkdir deep && cd deep\nscript:\n  - test $WORD = tea\n  - test -f ../test_a.py\n  - cd .. && python -m unittest\n")
    assert (found["outcome"], found["tests"], found["kind"]) == ("success", 1, "travis")


def test_all_lines_of_the_script_run_and_one_that_fails_fails_the_tests(tested):
    found = tested("script:\n  - 'false'\n  - python -m unittest\n")
    assert (found["outcome"], found["tests"]) == ("failure", 1)


def test_a_line_before_the_script_that_fails_is_an_error_and_the_script_does_not_run(tested):
    found = tested("before_script: exit 7\nscript: python -m unittest\n")
    assert (found["outcome"], found["tests"]) == ("error", None)
    assert "exit code 7" in found["detail"]


def test_a_line_with_quotes_and_signs_stays_as_it_is(tested):
    found = tested("""script:\n  - "test \\"$(echo 'a  b')\\" = 'a  b'; python -m unittest"\n""")
    assert found["outcome"] == "success"


def test_a_file_of_another_language_leaves_the_tests_as_they_are_found(tested):
    found = tested("language: ruby\nscript: rake\n")
    assert (found["outcome"], found["kind"], found["tests"]) == ("success", "unittest", 1)


def test_travis_s_own_variables_tell_the_range_and_the_interpreter():
    marks = travis.marks(branch="master", sha="b" * 40, before="a" * 40, python="3.12.4")
    assert (marks["TRAVIS_COMMIT_RANGE"], marks["TRAVIS_PYTHON_VERSION"]) == (f"{'a' * 40}...{'b' * 40}", "3.12")
    assert travis.marks(branch="master", sha="b" * 40, before="0" * 40)["TRAVIS_COMMIT_RANGE"] == ""


def test_the_table_is_the_first_thing_in_the_log(tmp_path):
    app = write(tmp_path / "app", DJANGO)
    done = run("tests", home=tmp_path / "home", cwd=app, wish={**wish("script: 'true'\ndeploy: x\n"), "setup": "echo set up"})
    assert done.stdout.startswith("-----> .travis.yml\n")
