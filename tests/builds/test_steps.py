"""Build steps besides the installation: hooks, NLTK, collectstatic, .slugignore, editable installs, a private index."""

from __future__ import annotations

import pytest

from greenroom.buildpacks.rules.dyno_environment import command_argv
from greenroom.slugs.queries import mounts
from tests.builds.hosting import ADDED, BASE, SIX, pip_files, printed

pytestmark = pytest.mark.django_db(transaction=True)
PIP = {**BASE, **pip_files(SIX)}
SHOP = """[build-system]
requires = ["setuptools>=70"]
build-backend = "setuptools.build_meta"
[project]
name = "NAME"
version = "1.0"
[tool.setuptools]
packages = ["NAME"]
"""


def hook(text):
    return f"#!/usr/bin/env bash\nset -e\n{text}\n"


@pytest.mark.rule("7.1", "7.2", "7.3")
def test_hooks_see_the_config_vars_but_not_what_would_break_the_build(workshop):
    workshop.config = {"NAME": "from-config", "PATH": "/nowhere", "LD_PRELOAD": "/evil.so", "PYTHONHOME": "/nowhere"}
    files = {
        "bin/pre_compile": hook(
            "echo pre $NAME $PWD [$LD_PRELOAD$PYTHONHOME] >&2; test ! -e .heroku/python/bin; echo made > made.txt"
        ),
        "bin/post_compile": hook("echo post $(python -c 'import six; print(six.__version__)') $(cat made.txt)"),
    }
    build = workshop.built({**PIP, **files})
    assert "-----> Running bin/pre_compile hook\n       pre from-config /app []" in workshop.text
    assert "       post 1.16.0 made" in workshop.text
    assert (workshop.home / build.slug.folder / "made.txt").read_text() == "made\n"


@pytest.mark.rule("7.6", "7.7")
def test_hooks_have_a_folder_of_config_vars_and_a_cache_that_only_good_builds_change(workshop):
    workshop.config = {"NAME": "from config\nand more", "PATH": "/nowhere"}
    pre = hook(
        'test "$BUILD_DIR" = "$PWD"; cat "$CACHE_DIR"/count 2>/dev/null || echo first; echo -n x >> "$CACHE_DIR"/count;'
        " test ! -e $ENV_DIR/PATH"
    )
    post = hook('echo "now $(cat $CACHE_DIR/count)"; cat $ENV_DIR/NAME; echo; exit $(cat status)')
    files = {**PIP, "bin/pre_compile": pre, "bin/post_compile": post, "status": "0"}
    workshop.built(files)
    assert "       first\n" in workshop.text
    assert "       now x\n       from config\n       and more" in workshop.text
    assert workshop.build({**files, "status": "1"}).failure_reason == "hooks::post_compile"
    assert "now xx" in workshop.text
    workshop.built({**files, "app.py": "other = 1\n"})
    assert "now xx\n" in workshop.text  # not xxx: the failed build changed nothing
    assert not list((workshop.home / "cache" / "apps" / workshop.app.id.hex / "hooks").glob("*/*-*"))


@pytest.mark.rule("7.4")
@pytest.mark.parametrize("name", ["pre_compile", "post_compile"])
def test_a_hook_that_fails_fails_the_build(workshop, name):
    build = workshop.build({**PIP, f"bin/{name}": hook("echo no; exit 3")})
    assert (build.status, build.failure_reason) == ("failed", f"hooks::{name}")
    assert "exit code 3" in build.failure_message


@pytest.mark.rule("7.1")
def test_a_hook_that_names_no_interpreter_is_a_script_of_the_shell(workshop):
    workshop.built(
        {**PIP, "bin/pre_compile": "words=(made here)\necho ${words[0]} without a first line\n", "bin/post_compile": ""}
    )
    assert "       made without a first line" in workshop.text
    build = workshop.build({**PIP, "bin/pre_compile": "#!/usr/bin/env bash\r\necho no\r\n"})
    assert build.failure_reason == "hooks::pre_compile"


@pytest.mark.rule("1.1")
def test_a_hook_may_write_the_dependency_files(workshop):
    build = workshop.built({**PIP, "bin/pre_compile": hook(f"echo {ADDED} > requirements.txt")})
    assert workshop.packages(build) & {"six", "iniconfig"} == {"iniconfig"}


@pytest.mark.rule("7.5")
def test_what_a_hook_installs_stays_with_the_app_and_changes_no_shared_environment(workshop):
    add = hook("echo x = 1 > $(python -c 'import six, os; print(os.path.dirname(six.__file__))')/added.py")
    build = workshop.built({**PIP, "bin/post_compile": add})
    assert build.slug.manifest["layers"]
    assert not list((workshop.home / build.slug.env_folder).rglob("added.py"))
    assert list((workshop.home / "envs" / build.slug.manifest["layers"][0]).rglob("added.py"))


@pytest.mark.rule("12.1")
def test_slugignore_is_applied_before_anything_looks_at_the_tree(workshop):
    files = {
        **PIP,
        "Pipfile": "[packages]\n",
        "docs/big.txt": "x",
        "keep/big.txt": "x",
        ".slugignore": "Pipfile\n/docs\n!keep\n",
    }
    build = workshop.built(files)
    assert "Deleting 2 files matching .slugignore patterns." in workshop.text
    assert "negation is not supported" in workshop.text
    folder = workshop.home / build.slug.folder
    assert not (folder / "docs").exists()
    assert (folder / "keep" / "big.txt").exists()


@pytest.mark.rule("10.3")
def test_an_editable_install_of_the_app_itself_is_imported_from_app(workshop):
    files = {
        **BASE,
        "requirements.txt": "-e .\n",
        "pyproject.toml": SHOP.replace("NAME", "shop"),
        "shop/__init__.py": "WHERE = __file__\n",
    }
    say = hook("cd /tmp && python -c 'import shop; print(shop.WHERE)'")
    workshop.built({**files, "bin/post_compile": say})
    assert "       /app/shop/__init__.py" in workshop.text


def nltk_files(body, **files):
    """A package named nltk in the tree, with a downloader."""
    source = {
        f"corpora/{name}": text
        for name, text in (("pyproject.toml", SHOP.replace("NAME", "nltk")), ("nltk/__init__.py", ""))
    }
    return {**BASE, "requirements.txt": "./corpora\n", **source, "corpora/nltk/downloader.py": body, **files}


@pytest.mark.rule("8.1", "8.2")
def test_nltk_txt_names_what_is_downloaded_into_the_environment(workshop):
    body = (
        "import os, sys\nimport six, shadow\nfolder = sys.argv[2] + '/corpora'\nos.makedirs(folder)\nopen(folder +"
        " '/got', 'w').write(' '.join(sys.argv[3:]))\nprint('private', oct(os.stat(folder).st_mode & 0o022),"
        " oct(os.stat(sys.argv[2]).st_mode & 0o022), os.environ['NLTK_ALLOW_PROXIED_URLOPEN'])\n"
    )
    post = hook("echo data $NLTK_DATA: $(cat $NLTK_DATA/corpora/got)")
    files = nltk_files(body, **{"nltk.txt": "punkt\nstopwords\n", "bin/post_compile": post})
    build = workshop.built(
        {
            **files,
            "requirements.txt": f"./corpora\n{SIX}\n",
            "six/__init__.py": "raise SystemExit('not this one')\n",
            **{
                "corpora/shadow/__init__.py": "",
                "corpora/pyproject.toml": files["corpora/pyproject.toml"].replace('["nltk"]', '["nltk", "shadow"]'),
                "shadow/__init__.py": "raise SystemExit('not this one')\n",
            },
        }
    )
    assert "-----> Downloading NLTK corpora..." in workshop.text
    assert "private 0o0 0o0 1" in workshop.text, (
        "nltk 3.10 refuses data in folders that a group may write to, and fetches by a proxy"
    )
    assert "data /app/.heroku/python/nltk_data: punkt stopwords" in workshop.text
    look = "import os; print(oct(os.stat('/app/.heroku/python/nltk_data').st_mode & 0o022))"
    assert printed(workshop, mounts(build.slug), "python", "-c", look) == "0o0\n"


@pytest.mark.rule("8.3")
def test_a_download_that_fails_fails_the_build(workshop):
    build = workshop.build(nltk_files("raise SystemExit(1)\n", **{"nltk.txt": "nonsense\n"}))
    assert (build.status, build.failure_reason) == ("failed", "nltk-downloader")


@pytest.mark.rule("7.1")
def test_of_a_hook_that_prints_300_mb_nine_are_kept_and_one_line_says_so(workshop):
    flood = hook(
        "yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | head -c 300000000; echo after"
    )
    workshop.built({**PIP, "bin/pre_compile": flood})
    assert workshop.text.count("was truncated: it is longer than 9 MB") == 1
    assert len(workshop.text) < 11_000_000
    assert max(map(len, workshop.said)) < 1_000_000
    assert "Procfile declares types" in workshop.text


@pytest.mark.rule("8.2")
def test_at_run_time_nltk_data_is_found_where_the_build_put_it(tmp_path):
    assert (
        "[ -d /app/.heroku/python/nltk_data ] && export NLTK_DATA=/app/.heroku/python/nltk_data"
        in command_argv("true")[2]
    )


@pytest.mark.rule("8.4")
def test_nltk_without_nltk_txt_is_a_note_and_nltk_txt_without_nltk_is_nothing(workshop):
    workshop.built(nltk_files(""))
    assert "nltk.txt not found" in workshop.text
    workshop.built({**PIP, "nltk.txt": "punkt\n"})
    assert "NLTK" not in workshop.text


MANAGE = "import os, sys\nprint('ran', sys.argv[1:3], os.environ.get('NAME'), os.environ['PYTHONPATH'])\n"
DJANGO = {**PIP, "django/__init__.py": "", "src/manage.py": MANAGE}
"""A folder ``django`` in the tree counts, as on Heroku, so these builds need no real Django."""


@pytest.mark.rule("9.4", "9.5", "9.7")
def test_collectstatic_runs_the_shallowest_manage_py_with_the_config_vars(workshop):
    workshop.config = {"NAME": "from-config"}
    workshop.built(
        {**DJANGO, "src/deep/manage.py": "raise SystemExit(1)\n", "a/b/c/manage.py": "raise SystemExit(1)\n"}
    )
    assert (
        "-----> $ python src/manage.py collectstatic --noinput\n       ran ['collectstatic', '--noinput'] from-config ."
        in workshop.text
    )


@pytest.mark.rule("9.1", "9.2", "9.3", "9.4")
@pytest.mark.parametrize(
    ("config", "files", "words"),
    [
        ({}, {".heroku/collectstatic_disabled": "x"}, "since the file .heroku/collectstatic_disabled exists"),
        ({"DISABLE_COLLECTSTATIC": "1"}, {}, "since the env var DISABLE_COLLECTSTATIC is set"),
        ({"DISABLE_COLLECTSTATIC": "false"}, {}, "since the env var DISABLE_COLLECTSTATIC is set"),
        ({"DISABLE_COLLECTSTATIC": "0"}, {"src/manage.py": ""}, "$ python src/manage.py collectstatic"),
        ({}, {"src/manage.py": None, "1/2/3/manage.py": ""}, "since no manage.py file was found"),
        ({}, {"django/__init__.py": None, "django": None}, None),
    ],
)
def test_collectstatic_is_left_out_for_herokus_reasons_in_herokus_order(workshop, config, files, words):
    workshop.config = config
    workshop.built({name: text for name, text in {**DJANGO, **files}.items() if text is not None})
    assert words in workshop.text if words else "ollectstatic" not in workshop.text


@pytest.mark.rule("9.6")
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("this is no python", "collectstatic-syntax-error"),
        ("raise Exception('ImproperlyConfigured')", "collectstatic-improper-configuration"),
        ("raise Exception('The CSS file x')", "collectstatic-fancy-references"),
        ("raise OSError('x')", "collectstatic-missing-file"),
        ("raise SystemExit(1)", "collectstatic-other"),
    ],
)
def test_a_collectstatic_that_fails_is_classified(workshop, body, reason):
    build = workshop.build({**DJANGO, "src/manage.py": body + "\n"})
    assert (build.status, build.failure_reason) == ("failed", reason)
    assert "collectstatic --noinput" in build.failure_message


@pytest.mark.rule("9.8")
def test_the_environment_of_a_failed_collectstatic_is_shown_on_demand_without_the_values_of_config_vars(workshop):
    workshop.config = {"DEBUG_COLLECTSTATIC": "1", "PLAIN": "plain-value", "PYTHONPATH": "src"}
    workshop.build({**DJANGO, "src/manage.py": "raise SystemExit(1)\n"})
    assert "       PLAIN=***\n" in workshop.text
    assert "       DYNO=build.1\n" in workshop.text
    assert "plain-value" not in workshop.text


@pytest.mark.rule("5.9", "5.10")
def test_an_installer_sees_no_config_var_but_its_index_and_no_output_shows_its_password(workshop):
    workshop.config = {"PIP_EXTRA_INDEX_URL": "https://bob:s3cr3t-w0rd@index.invalid/simple", "STRIPE_KEY": "live-1234"}
    spy = (
        'import os, setuptools\nprint(sorted(k for k in os.environ if "STRIPE" in k or "INDEX" in k),'
        ' os.environ.get("UV_INDEX"))\nraise SystemExit(1)\n'
    )
    build = workshop.build({**BASE, "requirements.txt": "./spy\n", "spy/setup.py": spy})
    assert build.status == "failed"
    said = workshop.text + build.failure_message + build.failure_hint
    assert "s3cr3t-w0rd" not in said
    assert "STRIPE" not in said
    rows = [path for path in (workshop.home / "envs").glob("*.json") if "s3cr3t-w0rd" in path.read_text()]
    assert not rows


@pytest.mark.rule("5.10")
def test_what_a_hook_prints_is_shown_without_credentials_of_an_index(workshop):
    workshop.config = {
        "POETRY_HTTP_BASIC_MAIN_PASSWORD": "pass-of-poetry",
        "PIP_EXTRA_INDEX_URL": "https://u:p%40ss-of-pip@index.invalid/",
    }
    said = hook(
        "echo $POETRY_HTTP_BASIC_MAIN_PASSWORD p@ss-of-pip $PIP_EXTRA_INDEX_URL https://a:b@c.invalid/d >&2; exit 4"
    )
    build = workshop.build({**PIP, "bin/pre_compile": said})
    assert "       *** *** https://***@index.invalid/ https://***@c.invalid/d" in workshop.text
    assert build.failure_reason == "hooks::pre_compile"


@pytest.mark.rule("6.1", "3.5")
def test_an_app_without_a_version_keeps_the_one_of_its_last_build(workshop):
    first = workshop.built(PIP)
    files = {name: text for name, text in PIP.items() if name != ".python-version"}
    again = workshop.built(files)
    assert "Using the same major version as the last build" in workshop.text
    assert again.slug.manifest["python_version"] == first.slug.manifest["python_version"]


@pytest.mark.rule("6.2")
def test_a_failed_build_leaves_what_was_there_and_the_next_one_reuses_it(workshop):
    first = workshop.built(PIP)
    assert workshop.build({**PIP, "bin/post_compile": hook("exit 1")}).status == "failed"
    again = workshop.built(PIP)
    assert "Using the environment of the last build" in workshop.text
    assert again.slug.env_key == first.slug.env_key


@pytest.mark.rule("5.8", "5.12")
def test_an_installation_that_fails_names_its_manager_and_what_was_asked_for(workshop):
    build = workshop.build({**BASE, "requirements.txt": "six==99.99\n"})
    assert (build.status, build.failure_reason) == ("failed", "install-dependencies::pip")
    assert "six" in build.failure_message + workshop.text
    assert build.failure_hint
