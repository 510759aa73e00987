"""Requirements of a tree: Python's version, the package manager, the packages; and the refusals."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import package_managers, python_versions, version_files
from greenroom.buildpacks.rules.app_files import read_app_json, read_procfile, read_settings, required_env
from greenroom.buildpacks.rules.dyno_environment import build_env, command_argv, runtime_env, web_concurrency
from greenroom.buildpacks.rules.python_versions import Interpreter
from greenroom.buildpacks.rules.requirements import normal, read_requirements
from greenroom.builds.rules import too_heavy

HOST = [
    Interpreter((3, 11, 7), "/usr/bin/python3.11"),
    Interpreter((3, 12, 1), "/opt/3.12/bin/python3.12", "/opt/3.12"),
    Interpreter((3, 12, 4), "/opt/b", "/opt/b"),
]


def ask(content=None, names=(), cached=None, runtime=None):
    files = {key: value for key, value in ((".python-version", content), ("runtime.txt", runtime)) if value is not None}
    return version_files.requested(files, [*names, *files], cached=cached)


def refused(call, *words, **options):
    with pytest.raises(BuildError) as error:
        call(*words, **options)
    assert error.value.message
    return error.value.reason


@pytest.mark.rule("3.3")
@pytest.mark.rule("3.3")
@pytest.mark.parametrize(
    ("content", "version"), [(b"3.12", (3, 12)), (b"3.12.4\n", (3, 12, 4)), (b"# ours\n\n  3.11  \r\n", (3, 11))]
)
def test_the_version_file_is_read(content, version):
    assert ask(content).version == version


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"3", "invalid-version"),
        (b"python-3.12", "invalid-version"),
        (b"3.12rc1", "invalid-version"),
        (b"'3.12'", "invalid-version"),
        (b"3.12 # inline", "invalid-version"),
        (b"3.012", "invalid-version"),
        (b"", "no-version"),
        (b"# nothing\n", "no-version"),
        (b"3.11\n3.12\n", "multiple-versions"),
        (b"\xff\xfe3\x00.\x001\x002\x00", "invalid-encoding"),
        (b"\xef\xbb\xbf3.12", "invalid-encoding"),
    ],
)
def test_a_bad_version_file_is_refused_by_herokus_reason(content, reason):
    assert refused(ask, content) == f"python-version-file::{reason}"


@pytest.mark.rule("3.2")
def test_a_misspelled_version_file_is_refused_even_beside_the_right_one():
    assert refused(ask, b"3.12", names=["python-version"]) == "python-version-file::misspelled"


@pytest.mark.rule("3.1")
def test_runtime_txt_comes_first():
    assert ask(b"3.11", runtime=b"python-3.12.1\n").version == (3, 12, 1)
    assert refused(ask, runtime=b"3.12") == "runtime-txt::invalid-version"


@pytest.mark.rule("3.5")
def test_without_a_file_the_last_builds_version_counts():
    assert ask(cached=(3, 11)).version == (3, 11)


@pytest.mark.rule("3.7")
def test_a_minor_version_means_its_newest_patch_here():
    assert python_versions.choose(ask(b"3.12"), HOST).interpreter.version == (3, 12, 4)


@pytest.mark.rule("3.9")
def test_a_patch_that_is_not_here_is_replaced_with_a_warning():
    choice = python_versions.choose(ask(b"3.12.3"), HOST)
    assert choice.interpreter.minor == (3, 12)
    assert choice.warnings


@pytest.mark.rule("4.1")
def test_a_version_that_cannot_be_had_names_what_can():
    with pytest.raises(BuildError) as error:
        python_versions.choose(ask(b"3.13"), HOST)
    assert "3.12" in str(error.value)


@pytest.mark.rule("3.8")
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"3.9", "python-version::eol"),
        (b"2.7.18", "python-version::eol"),
        (b"3.99", "python-version::unknown-major"),
        (b"4.0", "python-version::unknown-major"),
    ],
)
def test_versions_out_of_range_are_refused(content, reason):
    assert refused(python_versions.choose, ask(content), HOST) == reason


@pytest.mark.rule("5.1")
def test_one_package_manager_is_chosen_by_its_file():
    assert package_managers.choose(["requirements.txt", "manage.py"]).name == "pip"
    assert package_managers.choose(["uv.lock", "pyproject.toml"]).name == "uv"


@pytest.mark.rule("5.1", "5.2", "5.3")
def test_no_or_several_package_managers_are_refused():
    assert refused(package_managers.choose, ["manage.py"]) == "package-manager::none-found"
    assert refused(package_managers.choose, ["setup.py"]) == "package-manager::setup-py-only"
    assert refused(package_managers.choose, ["uv.lock", "requirements.txt"]) == "package-manager::multiple-found"
    assert refused(package_managers.choose, ["Pipfile"]) == "package-manager::pipenv-missing-lockfile"


def read(text, **others):
    files = {
        "requirements.txt": text.encode(),
        **{name.replace("_", "."): value.encode() for name, value in others.items()},
    }
    return read_requirements(files.get)


@pytest.mark.rule("6.3")
def test_comments_order_and_spacing_cost_nothing():
    assert read("Django==5.2\n# why\n\nredis>=5 # cache\n").digest == read("redis >= 5\nDjango == 5.2").digest


@pytest.mark.rule("5.4")
def test_a_line_may_be_continued_anywhere_as_with_pip():
    hashed = f"six==1.16.0 \\\r\n    --hash=sha256:{'0' * 64} \\\r\n    --hash=sha256:{'1' * 64}\r\n"
    assert read("six \\\n  ==1.16.0\nidna\\\n>=3").lines == ("idna>=3", "six==1.16.0")
    assert read(hashed).hashed
    assert read("six\\\n# why \\\nidna\n").lines == ("idna", "six")
    assert read("six\\").lines == ("six",)
    found = read("six \\\n  ==1.16.0\n# a \\\nidna\n").files["requirements.txt"].splitlines()
    assert [line.split() for line in found] == [["six", "==1.16.0"], [], ["#", "a", "\\"], ["idna"]]
    with pytest.raises(BuildError, match="line 4:"):
        read("six \\\n  \\\n ==1.16.0\n-r gone.txt\n")


@pytest.mark.rule("6.4")
def test_nested_files_count():
    assert read("-r base.txt\n", base_txt="Django==5.2").digest != read("-r base.txt\n", base_txt="Django==5.1").digest


def test_what_is_built_from_the_tree_is_told_apart():
    assert read("-e .\n").local
    assert read("x @ git+https://example.com/x.git\n").local
    assert not read("Django==5.2\n").local


@given(
    st.sampled_from(["Django", "psycopg[binary]", "A_b.c"]), st.sampled_from(["", "==1.0", ">=1,<2"]), st.integers(0, 3)
)
def test_a_normal_line_stays_as_it_is(name, rest, spaces):
    once = normal(f"{name}{' ' * spaces}{rest}")
    assert normal(once) == once


@pytest.mark.rule("13.1")
def test_a_procfile_is_read_and_its_errors_name_the_line():
    assert read_procfile(b"web: gunicorn a.b\nworker: celery -A x\n") == {
        "web": "gunicorn a.b",
        "worker": "celery -A x",
    }
    with pytest.raises(BuildError, match="2"):
        read_procfile(b"web: a\nthis is no line\n")


@pytest.mark.rule("1.4")
@pytest.mark.rule("14.1")
def test_required_keys_are_those_of_app_json_and_of_django():
    keys = required_env({"env": {"API": {"description": "theirs"}, "OPT": {"required": False}}}, True)
    assert set(keys) == {"DATABASE_URL", "SECRET_KEY", "API"}
    assert required_env({}, False) == {}


@pytest.mark.rule("14.4")
@pytest.mark.parametrize(
    "data", [b"{", b"[]", b'{"env": []}', b'{"env": {"A": 1}}', b'{"environments": {"test": 1}}', b'{"a": 1, "a": 2}']
)
def test_a_bad_app_json_is_refused(data):
    refused(read_app_json, data)


@pytest.mark.parametrize(
    "data",
    [
        b"health_path = 3",
        b'health_path = "healthz"',
        b"[policy]\nwhat = 1",
        b'root = "../x"',
        b'root = "./../x"',
        b'root = "."',
        b"required_checks = 1",
        b"= 1",
    ],
)
def test_a_bad_greenroom_toml_is_refused(data):
    refused(read_settings, data)


@pytest.mark.parametrize("text", ["backend", "./backend", "./backend/", "/backend/"])
def test_the_root_folder_may_be_written_in_each_usual_way(text):
    assert read_settings(f'root = "{text}"'.encode())["root"] == "backend"


@pytest.mark.rule("10.2")
def test_config_vars_never_override_what_a_dyno_needs():
    config = {
        "PORT": "1",
        "DYNO": "x",
        "PATH": "/evil",
        "HOME": "/evil",
        "LD_PRELOAD": "/evil.so",
        "WEB_CONCURRENCY": "7",
        "LANG": "de",
    }
    env = runtime_env(config=config, process="web.1", port=5000)
    assert (env["PORT"], env["DYNO"], env["HOME"], env["WEB_CONCURRENCY"], env["LANG"]) == (
        "5000",
        "web.1",
        "/app",
        "7",
        "de",
    )
    assert env["PATH"] == "/app/.heroku/python/bin:/evil:/usr/local/bin:/usr/bin:/bin"
    assert "LD_LIBRARY_PATH" not in env
    assert "LD_PRELOAD" not in env
    assert "PYTHONHOME" not in env


@pytest.mark.rule("10.2")
def test_a_worker_has_no_port():
    assert "PORT" not in runtime_env(config={"PORT": "1"}, process="worker.1")


@pytest.mark.rule("10.1")
@pytest.mark.parametrize(
    ("memory", "cores", "workers"),
    [(512, 8, 2), (1024, 8, 4), (128, 8, 1), (2560, 2, 5), (14336, 8, 17), (30720, 4, 9), (129024, 16, 33)],
)
def test_workers_fit_the_memory_and_the_cores(memory, cores, workers):
    assert web_concurrency(memory, cores) == workers
    env = runtime_env(config={}, process="web.1", memory_mb=memory, cores=cores)
    assert (env["WEB_CONCURRENCY"], env["DYNO_RAM"], env["WEB_CONCURRENCY_SET_BY"]) == (
        str(workers),
        str(memory),
        "heroku/python",
    )


@pytest.mark.rule("10.6")
def test_what_a_dyno_has_by_default_is_what_heroku_gives_it():
    env = runtime_env(
        config={"GUNICORN_CMD_ARGS": "--workers 3", "FORWARDED_ALLOW_IPS": "10.0.0.1", "PYTHONUNBUFFERED": "0"},
        process="web.1",
    )
    assert (env["GUNICORN_CMD_ARGS"], env["FORWARDED_ALLOW_IPS"], env["PYTHONUNBUFFERED"], env["PYTHONPATH"]) == (
        "--workers 3",
        "*",
        "true",
        "/app",
    )
    assert runtime_env(config={}, process="worker.1")["GUNICORN_CMD_ARGS"] == "--access-logfile -"
    assert runtime_env(config={"PYTHONPATH": "/app/src"}, process="worker.1")["PYTHONPATH"] == "/app/src"
    assert "WEB_CONCURRENCY_SET_BY" not in runtime_env(config={"WEB_CONCURRENCY": "3"}, process="web.1")


@pytest.mark.rule("10.1")
@pytest.mark.parametrize(
    ("dyno", "set_by", "told"),
    [("web.1", "heroku/python", True), ("worker.1", "heroku/python", False), ("web.1", "", False)],
)
def test_only_web_dynos_say_how_many_workers_they_were_given(tmp_path, dyno, set_by, told):
    env = {
        "HOME": str(tmp_path),
        "PATH": "/usr/bin:/bin",
        "DYNO": dyno,
        "WEB_CONCURRENCY": "2",
        "DYNO_RAM": "512",
        "WEB_CONCURRENCY_SET_BY": set_by,
    }
    done = subprocess.run(command_argv("echo up"), env=env, capture_output=True, text=True, check=True)
    assert (done.stdout, "WEB_CONCURRENCY is 2, for 512 MB" in done.stderr) == ("up\n", told)


def test_a_command_is_one_word_of_the_tenants_shell():
    assert command_argv("a; b $(c)")[-1] == "a; b $(c)"


@pytest.mark.rule("2.1")
@pytest.mark.parametrize(
    "name", [*sorted(package_managers.SIGNS), *package_managers.MISSPELLED, *sorted(package_managers.SIGN_FOLDERS)]
)
def test_each_sign_of_a_python_app_is_known(name):
    package_managers.detect(["README", name])


@pytest.mark.rule("2.2")
def test_a_tree_without_a_sign_is_refused_with_its_listing():
    with pytest.raises(BuildError) as error:
        package_managers.detect(["README", "src/", "Manage.py"])
    assert error.value.reason == "detect::not-python"
    assert all(
        word in str(error.value)
        for word in ("README", "src/", "in another folder", "spelled", ".gitignore", "not committed", "git add")
    )


@pytest.mark.rule("3.6")
def test_without_any_version_the_default_counts_or_the_newest_of_this_host():
    assert python_versions.choose(ask(), HOST).interpreter.version == (3, 12, 4)
    assert python_versions.choose(ask(), [*HOST, Interpreter((3, 14, 0), "/x")]).interpreter.minor == (3, 14)


@pytest.mark.rule("3.10")
def test_uv_needs_a_version_file_and_refuses_runtime_txt():
    assert refused(python_versions.choose, ask(), HOST, manager="uv") == "python-version-file::not-found"
    assert (
        refused(python_versions.choose, ask(runtime=b"python-3.12"), HOST, manager="uv") == "runtime-txt::not-supported"
    )


@pytest.mark.rule("3.11")
def test_runtime_txt_and_no_version_at_all_are_warned_about():
    assert "deprecated" in python_versions.choose(ask(runtime=b"python-3.12"), HOST).warnings[0]
    assert "No Python version" in python_versions.choose(ask(cached=(3, 11)), HOST).warnings[0]
    assert python_versions.choose(ask(b"3.12"), HOST).warnings == ()


@pytest.mark.rule("10.4")
def test_profile_scripts_are_sourced_before_the_command(tmp_path):
    (tmp_path / ".profile.d").mkdir()
    (tmp_path / ".profile.d" / "one.sh").write_text("export ONE=1")
    (tmp_path / ".profile").write_text("export TWO=$ONE+1")
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command_argv("echo $ONE $TWO"), env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "1 1+1\n"


@pytest.mark.rule("12.3")
def test_a_heavy_slug_is_warned_about_and_its_largest_packages_are_named():
    packages = {"torch": ["2.0", 600_000_000], "six": ["1.16.0", 11_000]}
    text = "\n".join(too_heavy(1_000_000, packages))
    assert "601M" in text
    assert "torch 2.0 (600M), six" in text
    assert too_heavy(1_000_000, {"six": ["1.16.0", 11_000]}) == []


@pytest.mark.rule("10.5")
def test_hooks_and_collectstatic_know_that_they_are_on_the_platform():
    env = build_env(
        config={"DYNO": "x", "HOME": "/root", "STACK": "mine", "SECRET": "s", "LANG": "de_DE.UTF-8"}, commit="c" * 40
    )
    assert env["SECRET"] == "s"
    assert (env["DYNO"], env["HOME"], env["STACK"], env["SOURCE_VERSION"]) == (
        "build.1",
        "/app",
        "greenroom-1",
        "c" * 40,
    )


@pytest.mark.rule("10.2")
def test_the_apps_own_folders_follow_those_of_its_python_as_on_heroku():
    env = runtime_env(
        config={"PATH": "/app/tools:/usr/bin", "LD_LIBRARY_PATH": "/app/vendor/lib"}, process="web.1", port=5000
    )
    assert env["PATH"] == "/app/.heroku/python/bin:/app/tools:/usr/bin:/usr/local/bin:/bin"
    assert env["LD_LIBRARY_PATH"] == "/app/.heroku/python/lib:/app/vendor/lib"


def hint_of(call, *words, **options):
    with pytest.raises(BuildError) as error:
        call(*words, **options)
    return error.value.hint


def test_hints_keep_the_python_in_use_and_lead_out_of_the_file_that_wins():
    cached = python_versions.choose(ask(cached=(3, 12)), HOST)
    assert "echo 3.12 > .python-version" in "".join(cached.warnings)
    assert "git rm runtime.txt; echo 3.12 >" in "".join(
        python_versions.choose(ask(runtime=b"python-3.12"), HOST).warnings
    )
    assert hint_of(python_versions.choose, ask(runtime=b"python-3.8.1"), HOST).startswith("git rm runtime.txt; echo 3.")
    assert (
        hint_of(python_versions.choose, ask(runtime=b"python-3.11"), HOST, manager="uv")
        == "git rm runtime.txt; echo 3.11 > .python-version && git add -f .python-version"
    )
    assert "Pipfile" in hint_of(python_versions.choose, python_versions.Request((3, 8), "Pipfile.lock"), HOST)
    assert hint_of(ask, b"python-3.12").startswith("echo 3.12 > .python-version")
    assert hint_of(ask, b"3.11\n3.12\n").startswith("echo 3.11 >")


@pytest.mark.parametrize(
    "data", [b"\xef\xbb\xbf3.12", b"\xff\xfe3\x00.\x001\x002\x00", b"\xfe\xff\x003\x00.\x001\x002"]
)
def test_a_byte_order_mark_is_explained_with_a_command_that_writes_none_in_powershell_either(data):
    hint = hint_of(ask, data)
    assert "echo 3.12 > .python-version" in hint
    assert "Set-Content -Encoding ascii .python-version 3.12" in hint


@pytest.mark.rule("3.2")
@pytest.mark.parametrize("name", sorted(version_files.MISSPELLINGS))
def test_each_name_of_herokus_list_is_refused_with_a_command_that_works(name, tmp_path):
    assert len(version_files.MISSPELLINGS) == 20
    for beside in (False, True):
        folder = tmp_path / str(beside)
        folder.mkdir()
        (folder / name).write_text("3.12")
        if beside:
            (folder / ".python-version").write_text("3.12")
        git = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c")
        for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "x")):
            subprocess.run([*git, *words], cwd=folder, check=True)
        hint = hint_of(
            ask, b"3.12" if beside else None, names=sorted(path.name for path in folder.iterdir() if path.is_file())
        )
        subprocess.run(["sh", "-c", hint.partition(" (")[0]], cwd=folder, check=True)
        assert [path.name for path in folder.iterdir() if path.is_file()] == [".python-version"]


@pytest.mark.parametrize(
    "name",
    [
        "PYTHON_VERSIONS.md",
        "python-version.md",
        ".python-versions",
        "python-versions.txt",
        "py-version",
        "python-ver.txt",
        "pythonversion.txt",
        "python.version",
    ],
)
def test_names_that_herokus_list_lacks_are_let_be(name):
    assert ask(b"3.12", names=[name]).version == (3, 12)


def test_a_patch_that_is_newer_than_the_list_is_to_be_fetched_before_it_is_refused():
    with pytest.raises(python_versions.NotHereError) as error:
        python_versions.choose(ask(b"3.12.99"), HOST)
    assert (error.value.wanted, error.value.reason) == ("3.12.99", "python-version::unknown-patch")
    assert error.value.hint.startswith("echo 3.12 >")


def test_of_several_managers_the_hint_names_every_file_that_has_to_go():
    names = ["Pipfile", "Pipfile.lock", "requirements.txt", "uv.lock"]
    hint = hint_of(package_managers.choose, names)
    assert hint.startswith("keep uv.lock: git rm Pipfile.lock requirements.txt Pipfile;")
    gone = hint.partition("git rm ")[2].partition(";")[0].split()
    assert package_managers.choose([name for name in names if name not in gone]).name == "uv"


def test_requirements_that_are_a_folder_are_explained():
    hint = hint_of(package_managers.choose, ["manage.py", "requirements/"])
    assert "echo '-r requirements/production.txt' > requirements.txt" in hint
    assert "pip freeze > requirements.txt" in hint_of(package_managers.choose, ["manage.py"])
