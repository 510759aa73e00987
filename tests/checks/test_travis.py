"""The supported and the ignored parts of a .travis.yml. Its lines run as on Travis."""

from __future__ import annotations

import json

import pytest

from greenroom.checks.builtin import testing
from greenroom.checks.rules import travis
from greenroom.checks.rules.travis import conditions
from greenroom.checks.rules.travis import jobs as travis_jobs
from tests.checks.dyno_side import DJANGO, result, run, write

# file, lines before the script, lines of the script, variables, keys that the table lists as ignored
FILES = {
    "the usual one": (
        (
            'language: python\npython:\n  - "3.11"\n  - "3.12"\ninstall: pip install -r requirements.txt\nscript:'
            " python manage.py test\n"
        ),
        [],
        ["python manage.py test"],
        {},
        ["install", "python"],
    ),
    "a list of scripts": (
        "language: python\nscript:\n  - flake8\n  - pytest -q\n",
        [],
        ["flake8", "pytest -q"],
        {},
        [],
    ),
    "phases": (
        (
            "before_install: make keys\ninstall:\n  - pip install -U pip\n  - npm ci\nbefore_script:\n  - psql -c"
            " 'create database x'\nscript: pytest\n"
        ),
        [("before_install", "make keys"), ("install", "npm ci")],
        ["pytest"],
        {},
        ["before_script", "install"],
    ),
    "skip": ("install: skip\nscript: pytest\n", [], ["pytest"], {}, []),
    "install true": ("install: true\nscript: pytest\n", [], ["pytest"], {}, []),
    "pip of other things": (
        "install: pip install coveralls\nscript: pytest\n",
        [("install", "pip install coveralls")],
        ["pytest"],
        {},
        [],
    ),
    "python -m pip": (
        "install: python -m pip install -q -r requirements-test.txt\nscript: pytest\n",
        [],
        ["pytest"],
        {},
        ["install"],
    ),
    "requirements that no build installs": (
        "install: pip install -r requirements_test.txt\nscript: pytest\n",
        [("install", "pip install -r requirements_test.txt")],
        ["pytest"],
        {},
        [],
    ),
    "requirements and more": (
        "install: pip install -r requirements.txt codecov\nscript: pytest\n",
        [("install", "pip install -r requirements.txt codecov")],
        ["pytest"],
        {},
        [],
    ),
    "pip and another command": (
        "install: pip install -r requirements.txt && make\nscript: pytest\n",
        [("install", "make")],
        ["pytest"],
        {},
        ["install"],
    ),
    "root in a chain": (
        "before_install: sudo apt-get update && sudo apt-get install -y libpq-dev\nscript: pytest\n",
        [],
        ["pytest"],
        {},
        ["before_install", "before_install"],
    ),
    "a block that begins with a service": (
        "script:\n  - flake8\n  - |\n    # the server\n    sudo service postgresql start\n    pytest\n",
        [],
        ["flake8", "# the server\npytest"],
        {},
        ["script"],
    ),
    "a block with a condition": (
        "script: |\n  if true\n  then\n    sudo service x start\n  fi\n  pytest\n",
        [],
        ["if true\nthen\n  sudo service x start\nfi\npytest"],
        {},
        [],
    ),
    "root that may fail": ("script: sudo apt-get update || pytest\n", [], ["sudo apt-get update || pytest"], {}, []),
    "lines by an alias": ("x: &c [flake8, pytest]\nscript: [*c, mypy]\n", [], ["flake8", "pytest", "mypy"], {}, ["x"]),
    "a map that a shell must not take apart": ('env:\n  A: a"b\nscript: tox\n', [], ["tox"], {"A": '"a\\"b"'}, []),
    "an open command substitution": ("env: A=$(date\nscript: tox\n", [], ["tox"], {}, ["env"]),
    "env text": ("env: A=1 B='x y'\nscript: pytest\n", [], ["pytest"], {"A": "1", "B": "'x y'"}, []),
    "env matrix": ("env:\n  - DJANGO=4.2\n  - DJANGO=5.2\nscript: tox\n", [], ["tox"], {"DJANGO": "4.2"}, []),
    "env map": ("env:\n  A: 1\n  B: true\nscript: tox\n", [], ["tox"], {"A": "1", "B": "true"}, []),
    "env global and jobs": (
        "env:\n  global:\n    - G=1\n    - secure: abc=\n  jobs:\n    - J=1\n    - J=2\nscript: tox\n",
        [],
        ["tox"],
        {"G": "1", "J": "1"},
        ["env"],
    ),
    "env global map and matrix": (
        "env:\n  global:\n    G: x\n  matrix: J=1\nscript: tox\n",
        [],
        ["tox"],
        {"G": "x", "J": "1"},
        [],
    ),
    "env in a list with secure first": (
        "env:\n  - secure: abc=\n  - A=1\nscript: tox\n",
        [],
        ["tox"],
        {"A": "1"},
        ["env"],
    ),
    "env of the platform": (
        "env: DATABASE_URL=postgres://evil SECRET_KEY=x\nscript: tox\n",
        [],
        ["tox"],
        {},
        ["env", "env"],
    ),
    "env with bad names": ("env: 1A=2 'LD PRELOAD=x'\nscript: tox\n", [], ["tox"], {}, ["env", "env"]),
    "open quote": ('env: "A=\'x"\nscript: tox\n', [], ["tox"], {}, ["env"]),
    "services": ("services: [postgresql, redis-server]\nscript: tox\n", [], ["tox"], {}, ["services"]),
    "one service": ("services: postgresql\nscript: tox\n", [], ["tox"], {}, []),
    "deploy": (
        (
            "script: tox\ndeploy:\n  provider: heroku\n  api_key:\n    secure: x\nnotifications:\n  email:"
            " false\nbranches:\n  only: [master]\n"
        ),
        [],
        ["tox"],
        {},
        ["deploy", "notifications"],
    ),
    "after": (
        "script: tox\nafter_success: coveralls\nafter_script: rm x\n",
        [],
        ["tox"],
        {},
        ["after_script", "after_success"],
    ),
    "anchors": ("x: &a [pytest]\nscript: *a\n", [], ["pytest"], {}, ["x"]),
    "numbers as versions": ("python: 3.12\nscript: pytest\n", [], ["pytest"], {}, ["python"]),
    "unknown keys": ("if: type = push\nvm: {size: x}\nscript: pytest\n", [], ["pytest"], {}, ["vm"]),
}


@pytest.mark.parametrize("name", FILES)
def test_what_a_file_asks_for(name):
    text, setup, script, env, ignored = FILES[name]
    plan = travis_jobs.read(text, "master")
    assert plan.problem == ""
    job = plan.jobs[0]
    assert (list(job.setup), list(job.script), dict(job.env)) == (setup, script, env)
    assert sorted(key for key, _ in plan.ignored) == sorted(ignored)


@pytest.mark.parametrize("language", ["ruby", "[ruby, python]", "3"])
def test_a_file_of_another_language_has_no_say_and_the_log_says_so(language):
    plan = travis_jobs.read(f"language: {language}\nscript: make\n", "master")
    assert (bool(plan.other), plan.jobs, plan.problem) == (True, (), "")
    (line,) = plan.table()
    assert line.startswith("-----> .travis.yml is ignored: its language is ")


# value of `branches`, whether the file then applies to `master`, text of the table or the line
BRANCHES = {
    "one name": ("{only: master}", True, "only: includes master"),
    "a list": ("{only: [dev, master]}", True, "only: includes master"),
    "in short": ("[dev]", False, "branches.only excludes master"),
    "others": ("{only: [dev]}", False, "branches.only excludes master"),
    "a pattern": ("{only: [/^mas.*$/]}", True, "only: includes master"),
    "a pattern of others": ("{only: ['/^release-[0-9.]+$/']}", False, "branches.only excludes master"),
    "a pattern of Ruby": ("{only: ['/\\AMASTER\\z/i']}", True, "only: includes master"),
    "only before except": ("{only: master, except: master}", True, "only: includes master"),
    "left out": ("{except: [gh-pages, master]}", False, "branches.except excludes master"),
    "left out by pattern": ("{except: [/^m/]}", False, "branches.except excludes master"),
    "not left out": ("{except: [gh-pages, /^wip/]}", True, "except: does not list master"),
    "too costly": ("{only: ['/^(a+)+$/']}", True, "only: not evaluated; the tests run"),
    "too many parts": ("{only: ['/^a*a*a*a*a*a*a*a*a*a*b/']}", True, "only: not evaluated; the tests run"),
    "too many choices": ("{only: ['/^%sx/']}" % ("(m|m)" * 30), True, "only: not evaluated; the tests run"),
    "perhaps, thirty times": ("{only: ['/^%sx/']}" % ("m?" * 30), True, "only: not evaluated; the tests run"),
    "names in a pattern": ("{only: ['/^(dev|staging|master)$/']}", True, "only: includes master"),
    "looks around": ("{only: ['/(?!x)/']}", True, "only: not evaluated; the tests run"),
    "too long": ("{only: ['/%s/']}" % ("x" * 201), True, "only: not evaluated; the tests run"),
    "no pattern": ("{only: ['/[/']}", True, "only: not evaluated; the tests run"),
    "costly exception": ("{except: ['/(a+)+/']}", True, "except: does not list master"),
    "a map in the list": ("{only: [{a: b}]}", True, "only: not evaluated; the tests run"),
    "nothing": ("{}", True, "neither only nor except; the tests run"),
    "an empty list": ("{only: []}", True, "only: not evaluated; the tests run"),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_a_file_that_leaves_out_the_branch_has_no_say(name):
    branches, ours, said = BRANCHES[name]
    plan = travis_jobs.read(f"script: tox\nbranches: {branches}\n", "master")
    assert (plan.problem, [list(job.script) for job in plan.jobs], bool(plan.other)) == (
        "",
        [["tox"]] if ours else [],
        not ours,
    )
    assert said in "\n".join(plan.table())


@pytest.mark.parametrize(
    "text",
    [
        "language: python\n",
        "script: []\n",
        "script: ''\n",
        "a: [",
        "- x\n",
        "",
        "just words",
        "script: !!python/object/apply:os.system [id]",
        "x" * (travis.LIMIT + 1),
        "\0",
        "a: &a [*a]\n",
        "? [x]\n: y\n",
        "[" * 5000,
        "script: 5\n",
        "script:\n  - echo tests: now && pytest\n",
        "script: pytest\njobs:\n  include:\n    - {env: &a [*a], script: x}\n",
    ],
)
def test_a_file_that_tests_nothing_or_is_broken_says_so(text):
    assert travis_jobs.read(text, "master").problem


def test_the_table_names_each_key():
    table = "\n".join(travis_jobs.read(FILES["deploy"][0], "master").table())
    assert "ignored   deploy" in table
    assert "Greenroom deploys" in table
    assert "honoured  script" in table


# ---- the dyno side ---------------------------------------------------------------------------------------------------

GOOD = "import unittest\nclass T(unittest.TestCase):\n    def test_one(self):\n        pass\n"


def wish(text):
    plan = travis_jobs.read(text, "master")
    return testing._options_of(plan)


@pytest.fixture
def tested(tmp_path):
    def do(text):
        return result(
            "tests", home=tmp_path / "home", cwd=write(tmp_path / "app", {"test_a.py": GOOD}), wish=wish(text)
        )

    return do


RED = GOOD.replace("pass", "self.fail()")
SEVERAL = {"test_a.py": GOOD, "red/test_b.py": RED}


@pytest.fixture
def jobs(tmp_path):
    def do(text, files=SEVERAL, python="3.12.4", **env):
        plan = travis_jobs.read(text, "master", python)
        return result(
            "tests", home=tmp_path / "home", cwd=write(tmp_path / "app", files), wish=testing._options_of(plan), **env
        )

    return do


def rows(found):
    return [(row["name"], row["outcome"]) for row in found["jobs"]]


def test_a_lint_job_first_does_not_hide_red_tests(jobs):
    found = jobs(
        "jobs:\n  include:\n    - stage: lint\n      script: echo fine\n    - stage: test\n      script: python -m"
        " unittest discover red\n"
    )
    assert (found["outcome"], rows(found)) == ("failure", [("lint: job 1", "success"), ("test: job 2", "failure")])
    assert found["failures"][0]["name"].endswith("T.test_one")


def test_every_row_of_env_is_run(jobs):
    text = "env:\n  - PART=.\n  - PART=red\nscript: python -m unittest discover $PART\n"
    assert rows(jobs(text)) == [("PART=.", "success"), ("PART=red", "failure")]
    good = jobs(
        "env:\n  global: BASE=.\n  jobs:\n    - PART=$BASE\n    - PART=./\nscript: python -m unittest discover $PART\n"
    )
    assert (good["outcome"], good["tests"], [name for name, _ in rows(good)]) == (
        "success",
        2,
        ["PART=$BASE", "PART=./"],
    )


def test_a_failure_that_is_allowed_is_told_and_does_not_count(jobs):
    text = (
        "env: [PART=., PART=red]\nscript: python -m unittest discover $PART\njobs:\n  fast_finish: true\n "
        " allow_failures:\n    - env: PART=red\n"
    )
    found = jobs(text)
    assert (found["outcome"], found["tests"], rows(found)) == (
        "success",
        1,
        [("PART=.", "success"), ("PART=red", "failure")],
    )


def test_a_stage_after_one_that_failed_does_not_begin_and_is_named(jobs):
    text = (
        "stages: [test, lint]\njobs:\n  include:\n    - {stage: lint, script: echo no}\n    - {stage: test, script:"
        " exit 3}\n"
    )
    found = jobs(text)
    assert (found["outcome"], rows(found)) == ("failure", [("test: job 2", "failure"), ("lint: job 1", "not run")])


def test_a_job_that_cannot_be_run_here_is_an_error_that_names_it(jobs):
    text = "script: python -m unittest\njobs:\n  include:\n    - {name: front, language: node_js, script: npm test}\n"
    found = jobs(text)
    assert found["outcome"] == "error"
    assert "front (it needs node_js; dynos run Linux and Python)" in found["detail"]
    assert rows(found)[-1] == ("test: front", "cannot run")


def test_a_job_s_own_phases_and_variables_are_its_own(jobs):
    text = (
        'install: export FROM=top\nscript: test "$FROM" = top && python -m unittest\nenv: {global: [A=1]}\njobs:\n '
        ' include:\n    - name: own\n      env: B=$A-2\n      install: export FROM=own\n      before_script: test "$B"'
        ' = 1-2\n      script: test "$FROM" = own\n'
    )
    assert [outcome for _, outcome in rows(jobs(text))] == ["success", "success"]


def test_travis_s_own_functions_and_variables_work(jobs):
    text = (
        'env:\n  - SRC=$TRAVIS_BUILD_DIR/src PATH=$PATH:$TRAVIS_BUILD_DIR/bin NAME="a b"\ninstall: travis_retry pip'
        " install -r requirements.txt\nbefore_script:\n  - travis_retry sh -c '[ -e tried ] || { touch tried; exit 1;"
        " }'\n  - sudo -E true\nscript:\n  - test \"$SRC|$NAME\" = '/app/src|a b'\n  - travis_wait 30 python -m"
        " unittest\n  - travis_wait true\n"
    )
    found = jobs(text, TRAVIS_BUILD_DIR="/app")
    assert (found["outcome"], found["tests"]) == ("success", 1)


# the slug's python is 3.12: jobs that run, jobs that need not run, jobs that cannot run
PLANS = {
    "versions": ('python: ["3.11", "3.12"]\nscript: tox\n', ["Python 3.12"], ["Python 3.11"], []),
    "a number": ("python: 3.12\nscript: tox\n", ["Python 3.12"], [], []),
    "only others": ('python: ["3.6", "3.7"]\nscript: tox\n', ["Python 3.6"], ["Python 3.7"], []),
    "an included version": (
        'python: "3.12"\nscript: tox\nmatrix:\n  include:\n    - {python: "3.9", env: TOXENV=lint}\n',
        ["test: job 1, TOXENV=lint"],
        [],
        [],
    ),
    "the same elsewhere": (
        'python: "3.12"\nscript: tox\njobs:\n  include:\n    - python: "3.13"\n',
        ["test: job 1"],
        [],
        [],
    ),
    "included jobs with scripts of their own": (
        'python: "3.12"\nscript: tox\njobs:\n  include:\n    - script: make\n',
        ["Python 3.12", "test: job 1"],
        [],
        [],
    ),
    "a script that is nothing": (
        "script: tox\njobs:\n  include:\n    - {env: A=1, script: }\n",
        ["test: job 1, A=1"],
        [],
        [],
    ),
    "another language by its default": (
        (
            "python: '3.12'\njobs:\n  include:\n    - {script: pytest}\n    - {language: node_js, node_js: 12}\n    -"
            " {language: node_js, script: skip}\n"
        ),
        ["test: job 1"],
        ["test: job 3"],
        ["test: job 2"],
    ),
    "another language whose script is skipped": (
        "script: true\njobs:\n  include:\n    - {language: node_js, node_js: 12}\n    - {script: pytest}\n",
        ["test: job 2"],
        ["test: job 1"],
        [],
    ),
    "stages that are only called alike": (
        (
            "script: flake8\njobs:\n  include:\n    - {stage: Production tests, script: pytest}\n    - {stage: deploy,"
            " script: make}\n"
        ),
        ["the job", "Production tests: job 1"],
        ["deploy: job 2"],
        [],
    ),
    "a system in a list": (
        "script: tox\njobs:\n  include:\n    - {os: [linux], script: make}\n",
        ["the job", "test: job 1"],
        [],
        [],
    ),
    "another language for lines of a shell": ("language: Generic\nscript: ./ci/test.sh\n", ["the job"], [], []),
    "nested lists of jobs": (
        "x: &j [{script: make}]\njobs:\n  include:\n    - *j\n    - {script: tox}\n",
        ["test: job 1", "test: job 2"],
        [],
        [],
    ),
    "files that are imported": ("import: ci/base.yml\nscript: flake8\n", ["the job"], [], ["import"]),
    "excluded": (
        (
            'python: ["3.12", "3.11"]\nenv: [A=1, A=2]\nscript: tox\nmatrix:\n  exclude:\n    - {python: "3.12", env:'
            " A=2}\n"
        ),
        ["Python 3.12, A=1", "Python 3.11, A=2"],
        ["Python 3.11, A=1"],
        [],
    ),
    "systems": ("os: [linux, osx]\nscript: tox\n", ["linux"], ["osx"], []),
    "a system of its own": (
        "script: tox\njobs:\n  include:\n    - {os: windows, script: dir}\n",
        ["the job"],
        [],
        ["test: job 1"],
    ),
    "of another branch": (
        "script: tox\njobs:\n  include:\n    - {if: branch = dev, script: make}\n",
        ["the job"],
        ["test: job 1"],
        [],
    ),
    "of this branch": (
        "script: tox\njobs:\n  include:\n    - {if: branch = master AND type != cron, script: make}\n",
        ["the job", "test: job 1"],
        [],
        [],
    ),
    "not evaluated": (
        "script: tox\njobs:\n  include:\n    - {if: env(X) = 1, script: make}\n",
        ["the job", "test: job 1"],
        [],
        [],
    ),
    "a stage of another branch": (
        (
            "stages: [test, {name: nightly, if: type = cron}]\nscript: tox\njobs:\n  include:\n    - {stage: nightly,"
            " script: make}\n"
        ),
        ["the job"],
        ["nightly: job 1"],
        [],
    ),
    "skip": (
        "script: tox\njobs:\n  include:\n    - {stage: deploy, script: skip}\n",
        ["the job"],
        ["deploy: job 1"],
        [],
    ),
    "a deployment": (
        "script: tox\njobs:\n  include:\n    - {stage: Deploy, script: ./deploy}\n",
        ["the job"],
        ["Deploy: job 1"],
        [],
    ),
    "stages in order": (
        (
            "stages: [lint, test]\nscript: tox\njobs:\n  include:\n    - {stage: lint, script: flake8}\n    - {script:"
            " black .}\n"
        ),
        ["lint: job 1", "lint: job 2", "the job"],
        [],
        [],
    ),
    "anchors": (
        (
            "x: &base\n  install: skip\n  script: make\njobs:\n  include:\n    - <<: *base\n      name: one\n      env:"
            " A=1\n    - {<<: *base, name: two, env: A=2}\n"
        ),
        ["test: one, A=1", "test: two, A=2"],
        [],
        [],
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_which_jobs_of_a_file_are_run(name):
    text, run_, covered, left_out = PLANS[name]
    plan = travis_jobs.read(text, "master", "3.12.4")
    seen = ([job.name for job in plan.jobs], [row[0] for row in plan.covered], [row[0] for row in plan.left_out])
    assert (plan.problem, *seen) == ("", run_, covered, left_out)
    table = "\n".join(plan.table())
    assert all(name in table for name in (*covered, *left_out))


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ("branch = master", True),
        ("branch == dev", False),
        ("branch != dev", True),
        ("branch =~ ^mas", True),
        ("branch !~ /^mas/", False),
        ("branch IN (master, dev)", True),
        ("branch NOT IN (master, dev)", False),
        ("type = push", True),
        ("type IN (cron, api)", False),
        ("tag IS present", False),
        ("tag IS blank", True),
        ("tag IS NOT blank", False),
        ("NOT type = pull_request AND (branch = master OR tag =~ ^v)", True),
        ("fork = false", True),
        ("true", True),
        (False, False),
        ("env(X) = 1", None),
        ("env(X) = 1 OR branch = master", True),
        ("env(X) = 1 AND type = cron", False),
        ("commit_message =~ /skip/", None),
        ("branch =~ /(a+)+/", None),
        ("branch = ", None),
        ("(((", None),
        ("x" * 2000, None),
        ("type = push && !(branch = dev)", True),
    ],
)
def test_conditions_are_judged_for_a_push_to_the_branch(condition, answer):
    assert conditions.holds(condition, "master") is answer


def test_more_jobs_than_can_be_run_are_an_error_and_no_pass():
    text = f"env: [{', '.join(f'A={number}' for number in range(30))}]\nscript: tox\n"
    assert travis_jobs.read(text, "master").problem == ".travis.yml has 30 jobs; the maximum is 20"


def test_a_file_whose_condition_leaves_out_the_branch_has_no_say():
    assert "condition" in travis_jobs.read("if: branch = dev\nscript: tox\n", "master").other


def test_system_packages_and_servers_are_left_out_and_named():
    text = (
        "before_install:\n  - sudo apt-get update -qq\n  - sudo apt-get install -y libpq-dev\nbefore_script: sudo -u"
        " postgres createdb x\nscript: tox\n"
    )
    plan = travis_jobs.read(text, "master")
    assert (plan.jobs[0].setup, [key for key, _ in plan.ignored]) == (
        (),
        ["before_install", "before_install", "before_script"],
    )


@pytest.mark.parametrize(
    ("line", "left_out"),
    [
        ("psql -c 'create database travis_ci_test;' -U postgres", True),
        ("psql -U postgres -c \"create user x with password 'y'; alter role x createdb;\"", True),
        ("psql -c 'create database x;'; make fixtures", False),
        ("createdb x && make fixtures", False),
    ],
)
def test_a_semicolon_in_quotes_begins_no_other_command(line, left_out):
    plan = travis_jobs.read(f"before_script:\n  - {json.dumps(line)}\nscript: tox\n", "master")
    assert (plan.jobs[0].setup == ()) is left_out


def test_lines_share_one_shell_as_on_travis(tested):
    found = tested(
        "before_script:\n  - export WORD=tea\n  - mkdir deep && cd deep\nscript:\n  - test $WORD = tea\n  - test -f"
        " ../test_a.py\n  - cd .. && python -m unittest\n"
    )
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


@pytest.mark.neighbours
def test_the_table_is_the_first_thing_in_the_log(tmp_path):
    app = write(tmp_path / "app", DJANGO)
    done = run(
        "tests", home=tmp_path / "home", cwd=app, wish={**wish("script: 'true'\ndeploy: x\n"), "setup": "echo set up"}
    )
    assert done.stdout.startswith("-----> .travis.yml\n")


def test_set_e_in_a_block_ends_the_job_as_in_a_shell(tested):
    found = tested("script:\n  - |\n    set -e\n    false\n    echo not reached\n  - python -m unittest\n")
    assert found["outcome"] == "failure", found
    assert "not reached" not in found["tail"].replace("echo not reached", "")
