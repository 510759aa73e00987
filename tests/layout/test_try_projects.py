"""The rules of scripts/try_projects.py: .changes files, hints, and the table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))
import try_projects
from trying import changes, copies, hints, look, report

BUILD_FAILED = """\
remote: -----> Building on the Greenroom-1 stack
remote:        ModuleNotFoundError: No module named 'storages'
remote:  !     collectstatic failed.
remote:  !     hint: add the package to requirements.txt
remote:  !     hint: greenroom config:set SECRET_KEY=... -a shop
"""


def test_a_changes_file_has_files_config_vars_and_addons():
    read = changes.read(
        'addons = ["heroku-redis"]\nexpect = "held"\n[files]\nProcfile = "web: gunicorn shop.wsgi"\n'
        '[config]\nSECRET_KEY = "random"\n[override]\ntests = "they fail"\n[why]\nProcfile = "Heroku needs one"\n'
    )
    assert read.override == {"tests": "they fail"}
    assert read.files == {"Procfile": "web: gunicorn shop.wsgi"}
    assert (read.addons, read.expect, read.manage) == (["heroku-redis"], "held", "manage.py")
    assert changes.summary(read) == ["+Procfile", "SECRET_KEY=...", "add-on heroku-redis"]


def test_an_empty_changes_file_changes_nothing_and_expects_live():
    assert changes.read("") == changes.Changes()
    assert changes.summary(changes.read("")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[file]\n", "unknown key: file"),
        ("addons = 'heroku-redis'", "addons: a list of texts"),
        ("[config]\nDEBUG = 1", "config: a table of texts"),
        ("[files]\n'../x' = ''", "a path inside the project"),
        ("[files]\n'/etc/x' = ''", "a path inside the project"),
        ("[append]\n'.git/config' = ''", "a path inside the project"),
        ("expect = 'green'", "expect: allowed: live"),
        ("files = [", "not TOML"),
    ],
)
def test_a_mistake_in_a_changes_file_is_named(text, message):
    with pytest.raises(changes.ChangesError, match=message):
        changes.read(text)


def test_random_values_differ_and_other_values_stay():
    assert changes.value_of("random") != changes.value_of("random")
    assert changes.value_of("shop.settings") == "shop.settings"


@pytest.mark.parametrize(
    ("folder", "name"), [("My_Shop.2", "my-shop-2"), ("2048", "p-2048"), ("ab", "ab-app"), ("x" * 40, "x" * 30)]
)
def test_a_folder_becomes_an_app_name(folder, name):
    assert changes.app_name(folder) == name


def test_hints_are_found_in_the_output_of_a_push():
    assert hints.printed(BUILD_FAILED) == [
        "add the package to requirements.txt",
        "greenroom config:set SECRET_KEY=... -a shop",
    ]


@pytest.mark.parametrize(
    ("hint", "kind", "words"),
    [
        ("greenroom config:set SECRET_KEY=... -a shop", "config", ("SECRET_KEY=random",)),
        ('greenroom config:set KEY="$(openssl rand -hex 32)" -a shop', "config", ("KEY=random",)),
        ("heroku config:set DJANGO_SETTINGS_MODULE=a.b", "config", ("DJANGO_SETTINGS_MODULE=a.b",)),
        ("heroku addons:create heroku-redis -a shop", "addon", ("heroku-redis",)),
        ("heroku buildpacks:add heroku/nodejs", "buildpack", ("heroku/nodejs",)),
        ("git rm -r --cached staticfiles", "git", ("rm", "-r", "--cached", "staticfiles")),
        ("uv python pin 3.13 && git add -f .python-version (a version ...)", "write", (".python-version", "3.13")),
        ("echo 3.12 > .python-version && git add -f .python-version", "write", (".python-version", "3.12", ">")),
        (
            "use pymysql; or: echo libmariadb-dev >> Aptfile && git add Aptfile",
            "write",
            ("Aptfile", "libmariadb-dev", ">>"),
        ),
        ("greenroom buildpacks:add --index 1 heroku-community/apt", "buildpack", ("heroku-community/apt", "1")),
    ],
)
def test_a_safe_command_of_a_hint_is_followed(hint, kind, words):
    first = hints.actions(hint)[0]
    assert (first.kind, first.words, first.text) == (kind, words, hint)


@pytest.mark.parametrize(
    "hint",
    [
        "add the package to requirements.txt",
        "greenroom deploy:override 1f3a9c2 -a shop",
        "git push --force greenroom HEAD:master",
        "git commit --amend",
        "echo x > /etc/passwd",
        "heroku addons:create <plan>",
        "greenroom config:set 'unfinished",
        "pip freeze > requirements.txt && git add requirements.txt",
    ],
)
def test_other_hints_are_left_to_a_person(hint):
    assert hints.actions(hint) == []


def test_a_hint_that_is_printed_twice_is_followed_once():
    text = "greenroom config:set SECRET_KEY=... -a shop"
    assert [action.words for action in hints.choose([text, text])] == [("SECRET_KEY=random",)]


@pytest.mark.parametrize(
    ("delivery", "outcome"),
    [
        ({"state": "live", "release": {}}, "live"),
        ({"state": "held", "release": {}}, "held"),
        ({"state": "refused", "release": None}, "withheld"),
        ({"state": "refused", "release": {"version": 3}}, "refused"),
        ({"state": "failed", "release": None}, "failed"),
        (None, "refused"),
    ],
)
def test_the_outcome_is_that_of_the_delivery(delivery, outcome):
    assert report.outcome(delivery) == outcome


def test_the_first_wrong_thing_is_the_reason_and_the_error_behind_it():
    delivery = {"state": "failed", "reason": "build failed: collectstatic failed."}
    found = report.first_wrong(delivery, BUILD_FAILED)
    assert found == "build failed: collectstatic failed: ModuleNotFoundError: No module named 'storages'"


def test_the_error_that_greenroom_shows_is_chosen_before_others():
    output = "remote:  KeyError: 'x'\nremote:  !     ValueError: shown\nremote:  TypeError: later\n"
    assert report.first_wrong(None, output) == "ValueError: shown"
    assert report.first_wrong(None, "KeyError: 'x'\nImportError: the last\n") == "ImportError: the last"


def test_of_a_push_that_git_itself_ends_the_first_error_is_chosen():
    output = (
        "fatal: unable to read 38ccf761\nfatal: the remote end hung up unexpectedly\n"
        "error: failed to push some refs to 'http://localhost:8000/shop.git'\n"
    )
    assert report.first_wrong(None, output) == "fatal: unable to read 38ccf761"


def test_an_error_that_the_reason_contains_is_not_repeated():
    delivery = {"state": "failed", "reason": "ModuleNotFoundError: No module named 'storages'"}
    assert report.first_wrong(delivery, BUILD_FAILED) == delivery["reason"]


def test_the_first_wrong_thing_is_kept_and_the_last_one_is_added():
    result = report.Result("shop")
    result.found_wrong("first page: 500")
    result.found_wrong("sign-in: no form")
    assert result.wrong == "first page: 500"
    assert report.row(result)[-1] == "first page: 500; then: sign-in: no form"


def test_the_error_of_a_command_is_the_marked_line():
    assert (
        report.complaint("Setting X... !\n ▸    Config var X is reserved.\nhint: use Y\n")
        == "Config var X is reserved."
    )
    assert report.complaint("Cloning...\nfatal: no such repository\n") == "fatal: no such repository"
    assert report.complaint("something else\n") == "something else"


def test_needs_are_read_from_the_files_at_the_root():
    files = {
        "requirements.txt": "Django==5.2\n# redis\npsycopg2-binary==2.9\ncelery==5\ndjango-storages\n",
        "Procfile": "web: gunicorn shop.wsgi\nworker: celery -A shop worker\nrelease: ./release.sh\n",
        "package.json": "{}",
    }
    assert report.needs(files) == [
        "PostgreSQL", "Redis", "object storage", "process worker", "release command", "Node",
    ]  # fmt: skip


def test_the_table_has_a_row_for_each_project_and_names_what_was_not_expected():
    good = report.Result("shop", outcome="live", first_outcome="refused", seconds=31.6, followed=["config KEY=..."])
    bad = report.Result("old", outcome="failed", overridden=["tests"], wrong="Python 3.6 | no longer available")
    lines = report.table([good, bad]).splitlines()
    assert lines[2].startswith("| shop | - | hint: config KEY=... | - | 32 | refused, then live | -")
    assert "| nothing | tests | - | failed (expected live)" in lines[3]
    assert "Python 3.6 \\| no longer available" in lines[3]
    assert lines[-1] == "2 projects: 1 live, 1 as expected"


def test_static_links_are_those_of_the_same_site():
    page = (
        '<link href="https://cdn.example.com/a.css"><script src="//x.example/b.js"></script><img src="/static/c.png">'
    )
    assert look.static_links(page) == ["/static/c.png"]


def test_a_folder_is_read_before_anything_starts(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop.changes").write_text('[config]\nSECRET_KEY = "random"\n')
    (tmp_path / "blog").mkdir()
    assert [(path.name, found.config) for path, found in try_projects.projects(tmp_path, [])] == [
        ("blog", {}),
        ("shop", {"SECRET_KEY": "random"}),
    ]
    with pytest.raises(try_projects.TryError, match="no checkout bakery"):
        try_projects.projects(tmp_path, ["bakery"])


def test_a_checkout_is_never_changed(tmp_path):
    source = tmp_path / "shop"
    source.mkdir()
    (source / "manage.py").write_text("")
    env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)} | {
        f"GIT_{role}_{what}": "alice@example.com" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    copy = copies.Copy(SimpleNamespace(env=env), source, tmp_path / "copies" / "shop")
    copy.apply(changes.Changes(files={"Procfile": "web: x"}, append={"manage.py": "# more"}))
    assert [path.name for path in source.iterdir()] == ["manage.py"]
    assert (source / "manage.py").read_text() == ""
    tracked = subprocess.run(["git", "ls-files"], cwd=copy.folder, capture_output=True, text=True, check=True).stdout
    assert tracked.split() == ["Procfile", "manage.py"]
