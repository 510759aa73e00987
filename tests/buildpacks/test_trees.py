"""Whole trees, as git provides them: the order of refusals, symbolic links, and the contents of each file."""

from __future__ import annotations

import io
import json
import tarfile

import pytest

from greenroom.buildpacks.drivers.commit_files import Source
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import plan
from greenroom.buildpacks.rules.python_versions import Interpreter

HOST = [
    Interpreter((3, 9, 20), "/a"),
    Interpreter((3, 11, 2), "/b"),
    Interpreter((3, 12, 14), "/c"),
    Interpreter((3, 13, 3), "/d"),
]
PIP = {"requirements.txt": "six\n"}


@pytest.fixture
def tree(tmp_path):
    """A function that plans a tree: text or bytes are files, ``-> name`` is a symbolic link."""

    def tree(files, root="", attached=None, **policy):
        path = tmp_path / "source.tar"
        with tarfile.open(path, "w") as archive:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                data = content.encode() if isinstance(content, str) else content
                if data.startswith(b"-> "):
                    info.type, info.linkname, data = tarfile.SYMTYPE, data[3:].decode(), b""
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        source = Source(path, root)
        try:
            plan.begin(source)
            return plan.make(source, settings={"policy": policy}, interpreters=HOST, attached=attached)
        finally:
            source.close()

    return tree


def reason(tree, files, **policy):
    with pytest.raises(BuildError) as error:
        tree(files, **policy)
    assert error.value.message, "a refusal without a text"
    assert error.value.hint, "a refusal without a remedy"
    return error.value.reason


@pytest.mark.rule("1.2", "1.3")
@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"README": "x", "venv/pyvenv.cfg": ""}, "package-manager::none-found"),
        ({**PIP, "venv/pyvenv.cfg": "", ".python-version": "nonsense"}, "checks::existing-venv-dir"),
        ({**PIP, ".venv/pyvenv.cfg": ""}, "checks::existing-venv-dir"),
        ({**PIP, "uv.lock": "", ".python-version": "nonsense"}, "package-manager::multiple-found"),
        ({**PIP, ".heroku/python/bin/python": "", "uv.lock": ""}, "checks::existing-python-dir"),
        ({**PIP, ".heroku/python": "a file"}, "checks::existing-python-dir"),
        ({"uv.lock": "", "pyproject.toml": "", "runtime.txt": "python-3.8.1"}, "python-version::eol"),
        ({"uv.lock": "", "pyproject.toml": "", "runtime.txt": "python-3.12.1"}, "runtime-txt::not-supported"),
        ({**PIP, "runtime.txt": "python-3.12", "python-version": "3.11", ".python-version": "junk"}, ""),
        ({**PIP, "venv/other.cfg": "", ".venv": "a file"}, ""),
    ],
)
def test_of_several_mistakes_the_one_is_named_that_heroku_names(tree, files, wanted):
    if wanted:
        assert reason(tree, files) == wanted
    else:
        assert tree(files).install.manager == "pip"


@pytest.mark.rule("3.3")
@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (b"3.12", (3, 12, 14)),
        (b"\r\n 3.12 \r\n", (3, 12, 14)),
        (b"\xc2\xa03.12\xe2\x80\x83\n", (3, 12, 14)),
        (b"#c\n\t# d\n3.11.2", (3, 11, 2)),
        (b"3.12.x", "invalid-version"),
        (b"3.12.*", "invalid-version"),
        (b">=3.12", "invalid-version"),
        (b"3.12-dev", "invalid-version"),
        (b"pypy3.10", "invalid-version"),
        (b"3.13t", "invalid-version"),
        (b"03.12", "invalid-version"),
        (b"3.12.0.1", "invalid-version"),
        (b"3.12\n3.12\n", "multiple-versions"),
        (b"3.12\nnonsense\n", "invalid-version"),
        (b"\n \n#\n", "no-version"),
        (b"\xef\xbb\xbf", "invalid-encoding"),
        (b"3.1\x002", "invalid-version"),
        ("3.12\n".encode("utf-16"), "invalid-encoding"),
        (b"\xef\xbb\xbf3.12\n", "invalid-encoding"),
        ("\uff13.12".encode(), "invalid-version"),
    ],
)
def test_what_may_stand_in_python_version(tree, content, wanted):
    files = {**PIP, ".python-version": content}
    if isinstance(wanted, str):
        assert reason(tree, files) == f"python-version-file::{wanted}"
    else:
        assert tree(files).python.version == wanted


@pytest.mark.rule("3.1")
@pytest.mark.parametrize(
    "content",
    [
        "3.12",
        "python 3.12",
        "python-3",
        "python-3.12.x",
        "python-3.12rc1",
        "python-3.12\npython-3.11",
        "Python-3.12",
        "pypy-3.10",
        "",
    ],
)
def test_what_may_not_stand_in_runtime_txt(tree, content):
    assert reason(tree, {**PIP, "runtime.txt": content}) == "runtime-txt::invalid-version"


UV = {"uv.lock": "version = 1\n", "pyproject.toml": "[project]\nname = 'x'\n", ".python-version": "3.12"}
POETRY = {"poetry.lock": "", "pyproject.toml": "", ".python-version": "3.12"}


@pytest.mark.rule("5.12")
@pytest.mark.parametrize(
    ("files", "wanted", "remedy"),
    [
        ({**PIP, ".python-version": "3." + "9" * 5000}, "python-version-file::invalid-version", "echo 3.13"),
        ({**UV, "uv.lock": "package = 3\n"}, "install-dependencies::uv", "uv lock"),
        ({**UV, "uv.lock": "package = [1]\n"}, "install-dependencies::uv", "uv lock"),
        ({**UV, "pyproject.toml": "project = 1\ntool = 3\n"}, "", ""),
        ({**UV, "pyproject.toml": "[tool]\nuv = 3\n"}, "", ""),
        (
            {**POETRY, "poetry.lock": "package = 3\n", "pyproject.toml": "tool = 3\n"},
            "install-dependencies::poetry",
            "poetry lock",
        ),
        ({**POETRY, "poetry.lock": "[[package]]\nsource = 'x'\n", "pyproject.toml": "[tool]\npoetry = 3\n"}, "", ""),
        ({"Pipfile": "", "Pipfile.lock": '{"_meta": 1, "default": [1]}', ".python-version": "3.12"}, "", ""),
        (
            {"Pipfile": "", "Pipfile.lock": '{"_meta": {"requires": {"python_version": "3.9"}}}'},
            "python-version::eol",
            "python_eol",
        ),
        (
            {"Pipfile": "", "Pipfile.lock": '{"_meta": {"requires": {"python_version": 3}}}'},
            "pipfile-lock::invalid-version",
            "pipenv lock",
        ),
        ({"pyproject.toml": ""}, "package-manager::none-found", "uv lock"),
        ({"pdm.lock": "", "pyproject.toml": ""}, "package-manager::none-found", "pdm export"),
        ({"pylock.toml": "", "app.py": ""}, "package-manager::none-found", "uv lock"),
        ({"requirements/base.txt": ""}, "package-manager::none-found", "echo '-r requirements/"),
        ({"requirments.txt": ""}, "package-manager::none-found", "git mv requirments.txt requirements.txt"),
        ({"requirements.txt": "-r ../base.txt\n"}, "install-dependencies::pip", "move it into the folder"),
        ({"requirements.txt": "-r base.txt\n"}, "install-dependencies::pip", "git add -f base.txt"),
        ({"requirements.txt": b"# caf\xe9\nsix\n"}, "install-dependencies::pip", "as UTF-8"),
        ({**PIP, ".python-version": bytes(range(256))}, "python-version-file::invalid-encoding", "echo 3.13"),
        ({**PIP, ".python-version": "3.12\r3.11\r"}, "python-version-file::invalid-version", "echo 3.12"),
        ({**PIP, "runtime.txt": b"\xef\xbb\xbfpython-3.12"}, "runtime-txt::invalid-version", "git rm runtime.txt"),
    ],
)
def test_odd_files_are_refused_with_the_one_thing_to_do_or_left_to_the_package_manager(tree, files, wanted, remedy):
    if not wanted:
        assert tree(files).install.main
        return
    with pytest.raises(BuildError) as error:
        tree(files)
    assert error.value.reason == wanted
    assert remedy in error.value.hint


def test_runtime_txt_may_hold_comments_and_blanks(tree):
    assert tree({**PIP, "runtime.txt": "\n# ours\n  python-3.12.14 \r\n"}).python.version == (3, 12, 14)


@pytest.mark.rule("3.2")
@pytest.mark.parametrize(
    "name",
    [
        ".python-version.txt",
        "python-version",
        ".python_version",
        ".python-version ",
        "python_version.txt",
        ".Python-version",
    ],
)
def test_slips_of_python_version_are_known(tree, name):
    assert reason(tree, {**PIP, name: "3.12", ".python-version": "3.12"}) == "python-version-file::misspelled"


@pytest.mark.parametrize(
    "name", ["python_version.py", "version", "python-version/x", "python.txt", "check-python-version.sh"]
)
def test_other_names_are_no_slips(tree, name):
    assert tree({**PIP, name: "3.12", ".python-version": "3.12"}).python.minor == (3, 12)


@pytest.mark.rule("3.8", "3.9", "3.12")
def test_which_versions_are_had_warned_about_or_refused(tree):
    def ask(version, **policy):
        return tree({**PIP, ".python-version": version}, **policy)

    assert reason(tree, {**PIP, ".python-version": "3.9"}) == "python-version::eol"
    assert "no more fixes" in " ".join(ask("3.9", python_eol="warn").warnings)
    assert reason(tree, {**PIP, ".python-version": "3.8"}, python_eol="warn") == "python-version::not-installed"
    assert reason(tree, {**PIP, ".python-version": "3.15"}) == "python-version::unknown-major"
    assert reason(tree, {**PIP, ".python-version": "2.7.18"}) == "python-version::eol"
    assert reason(tree, {**PIP, ".python-version": "3.12.999"}) == "python-version::unknown-patch"
    assert "not installed on this host" in ask("3.12.3").warnings[0]
    assert "not the newest patch" in ask("3.11.2").warnings[0]
    assert ask("3.12.14").warnings == ()
    assert ask("3.11").warnings == ()


@pytest.mark.parametrize(
    ("file", "text", "pin"),
    [
        (".python-version", "3.7.8", "echo 3.11"),
        (".python-version", "2.7", "echo 3.11"),
        ("runtime.txt", "python-3.8.1", "git rm runtime.txt; echo 3.11"),
        (".python-version", "3.99", "echo 3.13"),
    ],
)
def test_the_hint_for_another_python_names_the_closest_one(tree, file, text, pin):
    """Packages that an old project pins have wheels for an old Python."""
    with pytest.raises(BuildError) as raised:
        tree({**PIP, file: text})
    assert raised.value.hint.startswith(f"{pin} > .python-version"), raised.value.hint
    assert "python_eol" not in raised.value.hint


def test_an_app_may_insist_on_a_version_file(tree):
    assert tree(PIP).warnings
    assert reason(tree, PIP, python_default="error") == "python-version-file::not-found"


@pytest.mark.rule("5.14")
def test_links_within_the_tree_are_followed(tree):
    files = {
        "requirements.txt": "-> deploy/requirements.txt",
        "deploy/requirements.txt": "-> ./prod.txt",
        "deploy/prod.txt": "-r base.txt\nsix\n",
    }
    files |= {
        "base.txt": "iniconfig\n",
        ".python-version": "-> deploy/version",
        "deploy/version": "3.12\n",
        "Procfile": "-> /app/deploy/Procfile",
        "deploy/Procfile": "web: x\n",
    }
    made = tree(files)
    assert made.python.minor == (3, 12)
    assert made.process_types == {"web": "x"}
    assert set(made.install.files) == {"requirements.txt", "base.txt"}


@pytest.mark.parametrize("target", ["../outside", "/etc/passwd", "requirements.txt", "nowhere"])
def test_a_link_that_leads_out_or_nowhere_is_no_file(tree, target):
    assert reason(tree, {"requirements.txt": f"-> {target}", ".python-version": "3.12"}) == "install-dependencies::pip"


def test_a_folder_of_that_name_is_no_lock_file(tree):
    assert reason(tree, {"requirements.txt/base.txt": "six"}) == "package-manager::none-found"
    assert reason(tree, {"requirements.txt": "-> reqs", "reqs/base.txt": "six"}) == "package-manager::none-found"


@pytest.mark.rule("5.15")
@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-32"])
def test_requirements_by_windows_tools_are_read(tree, encoding):
    made = tree({"requirements.txt": "six==1.16.0\r\niniconfig\r\n".encode(encoding)})
    assert made.install.files["requirements.txt"].startswith("six==1.16.0")


@pytest.mark.rule("5.22")
def test_what_only_pip_takes_is_written_as_uv_takes_it(tree):
    files = {
        "requirements.txt": (
            "-rbase.txt\n-e.\n -e './lib'\n--editable=\"./more\"\n-ihttps://index.invalid/simple\n-cpins.txt\n"
        ),
        "base.txt": "six\n",
        "pins.txt": "six<2\n",
    }
    made = tree(files).install
    assert (
        made.files["requirements.txt"]
        == "-r base.txt\n-e .\n -e ./lib\n--editable=./more\n-i https://index.invalid/simple\n-c pins.txt\n"
    )
    assert set(made.files) == {"requirements.txt", "base.txt", "pins.txt"}
    assert made.options == ("-i https://index.invalid/simple",)
    assert made.tree
    assert tree({"requirements.txt": "-egit+https://example.invalid/x.git#egg=x\n"}).install.local
    assert reason(tree, {"requirements.txt": "six==1.16.0 --config-settings=a=b\n"}) == "install-dependencies::pip"


@pytest.mark.rule("5.16")
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("six==1.16.0 --hash=sha256:{0}\n", True),
        ("six==1.16.0 \\\n    --hash=sha256:{0} \\\n    # why\n    --hash=sha256:{1}\n", True),
        ("six==1.16.0 ; python_version < '4' --hash=sha256:{0}\n", True),
        ("six @ https://example.com/six-1.16.0-py3-none-any.whl --hash=sha256:{0}\n", True),
        ("six==1.16.0 --hash=sha256:{0}\niniconfig==2.0.0\n", None),
        ("six>=1.16.0 --hash=sha256:{0}\n", None),
        ("six==1.16.0 --hash=sha256:{0}\n-e .\n", None),
        ("--require-hashes\nsix==1.16.0\n", None),
        ("six==1.16.0\n", False),
    ],
)
def test_hashes_are_for_all_requirements_or_for_none(tree, text, wanted):
    files = {"requirements.txt": text.format("0" * 64, "1" * 64)}
    if wanted is None:
        assert reason(tree, files) == "install-dependencies::pip"
    else:
        assert tree(files).install.locked is wanted


@pytest.mark.rule("5.17")
def test_what_may_be_another_thing_tomorrow_is_told_apart(tree):
    def moving(line):
        return tree({"requirements.txt": line + "\n"}).install.moving

    assert moving("git+https://example.com/x.git@main#egg=x")
    assert moving("-e git+https://example.com/x.git#egg=x")
    assert moving("-c https://example.com/constraints.txt\nsix")
    assert not moving("x @ git+https://example.com/x.git@" + "a" * 40)
    assert not moving("git+https://example.com/x.git@" + "a" * 40 + "#egg=x")
    assert not moving("six==1.16.0")


def test_a_folder_of_packages_takes_part(tree):
    made = tree({"requirements.txt": "--no-index\n--find-links ./wheels\nsix\n", "wheels/x": ""}).install
    assert made.local
    assert made.tree
    assert not tree({"requirements.txt": "--find-links https://example.com/wheels\nsix\n"}).install.local


@pytest.mark.rule("12.1")
def test_what_slugignore_leaves_out_is_seen_by_nothing(tree):
    files = {**PIP, "uv.lock": "", "venv/pyvenv.cfg": "", ".python-version": "junk"}
    made = tree({**files, ".slugignore": "# ours\nuv.lock\nvenv/\n.python-*\n"})
    assert made.install.manager == "pip"
    assert reason(tree, {**PIP, ".slugignore": "*.txt\n"}) == "detect::not-python"


@pytest.mark.rule("14.9")
def test_add_ons_of_app_json_that_are_not_here_are_pointed_out(tree):
    def warnings(addons, **attached):
        app_json = json.dumps({"addons": addons})
        return [
            text
            for text in tree({**PIP, ".python-version": "3.12", "app.json": app_json}, attached=attached).warnings
            if "add-on" in text or "second" in text
        ]

    assert warnings(["heroku-postgresql:essential-0", {"plan": "heroku-postgresql", "as": "DATABASE"}]) == []
    assert "addons:create heroku-redis:mini" in warnings(["heroku-redis:mini"])[0]
    assert warnings(["heroku-redis:mini", {"plan": "heroku-redis", "as": "CACHE"}], REDIS="redis", CACHE="redis") == []
    assert "--as CACHE" in warnings([{"plan": "heroku-redis", "as": "CACHE"}], REDIS="redis")[0]
    assert "Instead: heroku addons:create mail" in warnings(["sendgrid:starter"])[0]
    assert warnings(["mailgun:starter"])[0].endswith("heroku addons:create mailgun"), "that plan is unknown here"
    assert warnings(["sendgrid:starter", "mailgun:starter"], EMAIL="mail") == []
    assert "config:set KAFKA_URL=" in warnings(["heroku-kafka:basic-0"])[0]
    assert "config:set QUEUE_URL=" in warnings([{"plan": "cloudamqp:lemur", "as": "QUEUE"}])[0]
    assert (
        "addons:create heroku-postgresql --as REPORTS" in warnings([{"plan": "heroku-postgresql", "as": "REPORTS"}])[0]
    )


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_an_extended_header_of_300_mb_is_refused_unread(tmp_path, kind):
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, 300_000_000
    path = tmp_path / "source.tar"
    with path.open("wb") as file:
        file.write(header.tobuf(tarfile.USTAR_FORMAT))
        file.truncate(310_000_000)
    with pytest.raises(BuildError, match="an extended header has 300000000 bytes"):
        Source(path)
