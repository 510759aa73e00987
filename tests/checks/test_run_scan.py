"""The scan, with the real ruff: new findings are red, findings of the deployed code are not."""

from __future__ import annotations

import tarfile

import pytest
from ruff import find_ruff_bin

from tests.checks.dyno_side import DJANGO, archive, result, run, write

CLEAN = {"app/views.py": "def index(request):\n    return None\n"}
SQL = "def find(cursor, name):\n    cursor.execute(\"SELECT * FROM t WHERE n = '%s'\" % name)\n"
NOQA = SQL.replace("% name)", "% name)  # noqa: S608")


@pytest.fixture
def scanned(tmp_path):
    def do(new, old=None):
        archives = {"new": str(archive(tmp_path / "new.tar", new)), "old": None}
        if old is not None:
            archives["old"] = str(archive(tmp_path / "old.tar", old))
        wish = {"ruff": find_ruff_bin(), "work": str(tmp_path / "work"), **archives}
        return result("scan", home=tmp_path / "home", cwd=tmp_path, wish=wish)

    return do


def found(scan):
    return [(item["rule"], item["path"], item["line"], item["state"]) for item in scan["findings"]]


def test_the_first_scan_takes_all_findings_as_known(scanned):
    scan = scanned({"app/db.py": SQL})
    assert (scan["outcome"], scan["baseline"], scan["total"], scan["new"]) == ("success", True, 1, 0)


def test_a_new_finding_is_red(scanned):
    scan = scanned({**CLEAN, "app/db.py": SQL}, CLEAN)
    assert scan["outcome"] == "failure"
    assert found(scan) == [("S608", "app/db.py", 2, "new")]
    assert scan["findings"][0]["severity"] == 1


def test_a_finding_that_is_deployed_already_is_not_red(scanned):
    scan = scanned({"app/db.py": "# moved down\n\n\n" + SQL}, {"app/db.py": SQL})
    assert (scan["outcome"], scan["new"], scan["total"]) == ("success", 0, 1)


def test_a_renamed_file_brings_nothing_new(scanned):
    body = SQL + "".join(f"VALUE_{number} = {number}\n" for number in range(30))
    scan = scanned({"app/database.py": body}, {"app/db.py": body})
    assert (scan["outcome"], scan["states"]["unchanged"]) == ("success", 1)


def test_a_file_that_does_not_parse_is_red(scanned):
    scan = scanned({"app/views.py": "def index(:\n"}, CLEAN)
    assert scan["outcome"] == "failure"
    assert found(scan)[0][0] == "invalid-syntax"


def test_new_syntax_of_the_app_s_own_python_is_no_error(scanned):
    files = {"app/a.py": "type Name = str\n", ".python-version": "3.12.4\n"}
    assert scanned(files, {})["outcome"] == "success"
    assert scanned({**files, ".python-version": "3.11\n"}, {})["outcome"] == "failure"


def test_security_findings_in_tests_do_not_count_and_other_ones_do(scanned):
    scan = scanned({"app/tests/test_db.py": SQL, "app/tests/test_b.py": "def f(a=[]):\n    print(undefined)\n"}, CLEAN)
    assert sorted(item[0] for item in found(scan)) == ["B006", "F821"]


def test_checkignore_leaves_files_out_and_says_so(scanned):
    scan = scanned({"app/db.py": SQL, ".checkignore": "app/*\n"}, CLEAN)
    assert (scan["outcome"], scan["ignored"], scan["ignore_changed"]) == ("success", 1, True)


def test_suppressions_are_honoured_and_counted(scanned):
    scan = scanned({"app/db.py": NOQA}, {"app/db.py": SQL})
    assert (scan["outcome"], scan["total"], scan["suppressed"], scan["suppressed_before"]) == ("success", 0, 1, 0)


def test_the_repository_s_own_ruff_settings_cannot_weaken_the_gate(scanned):
    scan = scanned(
        {"app/db.py": SQL, "ruff.toml": "lint.select = []\n", "pyproject.toml": "[tool.ruff]\nexclude=['app']\n"}, {}
    )
    assert scan["outcome"] == "failure"


def test_of_a_repository_with_several_projects_only_the_app_s_folder_counts(scanned):
    files = {"greenroom.toml": 'root = "backend"\n', "other/db.py": SQL, "backend/views.py": CLEAN["app/views.py"]}
    assert scanned(files, {})["outcome"] == "success"
    assert scanned({**files, "backend/db.py": SQL}, {})["outcome"] == "failure"


def test_style_is_no_finding(scanned):
    assert scanned({"a.py": "import os\nx=1;y = 2\ndef f( ) :\n  return(x)\n"}, {})["outcome"] == "success"


def test_a_child_process_is_red_only_with_a_shell_and_a_hint_without(scanned):
    call = "import subprocess\n\n\ndef f(words):\n    return subprocess.run({}, check=True)\n"
    plain = scanned({"a.py": call.format('["ls", *words]')}, {})
    assert (plain["outcome"], {(item["rule"], item["severity"]) for item in plain["findings"]}) == (
        "success",
        {("S603", 3), ("S607", 3)},
    )
    shell = scanned({"a.py": call.format("words, shell=True")}, {})
    assert [(item["rule"], item["severity"]) for item in shell["findings"]] == [("S602", 1)]
    assert [(item["end_line"], item["end_column"]) for item in shell["findings"]] == [(5, 26)]


SHOWN = {
    "random numbers": "import random\nX = random.choice([1, 2])\n",
    "all interfaces": 'INTERNAL_IPS = ["0.0.0.0"]\n',
    "a temporary folder": 'MEDIA = "/tmp/media"\n',
    "zip": "X = list(zip([1], [2]))\n",
    "no timeout": "import requests\ndef f(u):\n    return requests.get(u)\n",
    "a pass": "try:\n    X = 1\nexcept Exception:\n    pass\n",
    "a default that can be changed": "def f(found=[]):\n    return found\n",
    "an assembled statement": 'def f(cursor, table):\n    cursor.execute(f"SELECT count(*) FROM {table}")\n',
    "placeholders": 'def f(cursor, table, pk):\n    cursor.execute(f"SELECT * FROM {table} WHERE id = %s", [pk])\n',
    "all fields": "from django import forms\nclass F(forms.ModelForm):\n    class Meta:\n        fields = '__all__'\n",
    "a quoted annotation": 'def f(x) -> "django.http.HttpResponse":\n    return x\n',
    "a later annotation": "from __future__ import annotations\ndef f(x: dict[str, Unknown]) -> Other:\n    return x\n",
    "a hash": "import hashlib\nX = hashlib.md5(b'').hexdigest()\n",
}
BLOCKS = {
    "an unknown name": ("def f():\n    return unknown\n", "F821"),
    "an unknown name in a map": ("from __future__ import annotations\nX = {'a': unknown}\n", "F821"),
    "a value in a statement": ('def f(cursor, pk):\n    cursor.execute(f"SELECT * FROM t WHERE id = {pk}")\n', "S608"),
    "a quoted value in a statement": (
        "def f(cursor, name):\n    cursor.execute(f\"SELECT * FROM t WHERE n LIKE '{name}'\")\n",
        "S608",
    ),
    "an added value": (
        'def f(cursor, name):\n    cursor.execute("SELECT * FROM t WHERE n = \'" + name + "\'")\n',
        "S608",
    ),
    "a formatted value": ('def f(cursor, pk):\n    cursor.execute("DELETE FROM t WHERE id = {}".format(pk))\n', "S608"),
    "a shell": ("import os\ndef f(x):\n    os.system(x)\n", "S605"),
    "eval": ("def f(x):\n    return eval(x)\n", "S307"),
    "TLS without a look": ("import requests\ndef f(u):\n    return requests.get(u, verify=False, timeout=1)\n", "S501"),
    "a debugger": ("def f():\n    breakpoint()\n", "T100"),
    "a comparison with is": ("def f(x):\n    return x is 'a'\n", "F632"),
    "a return in finally": ("def f():\n    try:\n        pass\n    finally:\n        return 1\n", "B012"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_ordinary_code_is_shown_and_does_not_block(scanned, name):
    scan = scanned({**CLEAN, "app/a.py": SHOWN[name]}, CLEAN)
    assert (scan["outcome"], {item["severity"] for item in scan["findings"]} <= {3}) == ("success", True)


@pytest.mark.parametrize("name", BLOCKS)
def test_code_that_cannot_be_meant_blocks(scanned, name):
    text, rule = BLOCKS[name]
    scan = scanned({**CLEAN, "app/a.py": text}, CLEAN)
    assert (scan["outcome"], rule in [item[0] for item in found(scan)]) == ("failure", True)


def latin(scanned, tmp_path, first_line):
    content = f'{first_line}NAME = "caf\u00e9"\n'.encode("latin-1")
    source = tmp_path / "latin.py"
    source.write_bytes(content)
    target = archive(tmp_path / "new.tar", CLEAN)
    with tarfile.open(target, "a") as tar:
        tar.add(source, arcname="app/latin.py")
    wish = {
        "ruff": find_ruff_bin(),
        "work": str(tmp_path / "work"),
        "new": str(target),
        "old": str(archive(tmp_path / "old.tar", CLEAN)),
    }
    return result("scan", home=tmp_path / "home", cwd=tmp_path, wish=wish)


@pytest.mark.parametrize(
    "line",
    [
        "# -*- coding: latin-1 -*-\n",
        "#!/usr/bin/env python\n# vim: set fileencoding=iso-8859-15 :\n",
        "# coding=cp1252\n",
    ],
)
def test_a_file_that_names_its_encoding_is_valid_python(scanned, tmp_path, line):
    assert latin(scanned, tmp_path, line)["outcome"] == "success"


@pytest.mark.parametrize(
    "line", ["", "# coding: utf-8\n", "X = 1\n# coding: latin-1\n", "X = 1\n\n# coding: latin-1\n"]
)
def test_a_file_that_is_not_in_the_encoding_it_names_is_red(scanned, tmp_path, line):
    assert latin(scanned, tmp_path, line)["outcome"] == "failure"


def test_a_template_of_a_project_is_no_broken_python(scanned):
    files = {
        "cookie/{{cookiecutter.slug}}/setup.py": "import {{cookiecutter.slug}}\n",
        "skeleton/urls.py": "from {{ project_name }} import views\n",
    }
    assert scanned({**CLEAN, **files}, CLEAN)["outcome"] == "success"


def test_a_suppression_is_counted_once_and_found_in_any_file(scanned):
    files = {f"app/m{number}.py": NOQA for number in range(3)} | {
        "app/d.py": SQL,
        "app/e.py": NOQA.replace("# noqa: S608", "#noqa"),
    }
    scan = scanned(files, {"app/d.py": SQL})
    assert (scan["outcome"], scan["suppressed"], scan["suppressed_before"], scan["total"]) == ("success", 4, 0, 1)


def test_suppressed_findings_are_listed_as_such_and_do_not_count(scanned):
    scan = scanned({"app/db.py": NOQA}, {"app/db.py": SQL})
    assert [(item["rule"], item["state"]) for item in scan["findings"]] == [("S608", "suppressed")]
    assert (scan["total"], scan["new"]) == (0, 0)


@pytest.mark.neighbours
def test_links_and_strange_paths_in_an_archive_are_left_alone(tmp_path):
    path = tmp_path / "new.tar"
    with tarfile.open(path, "w") as tar:
        for name, kind, target in (("l.py", tarfile.SYMTYPE, "/etc/passwd"), ("h.py", tarfile.LNKTYPE, "l.py")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
        tar.addfile(tarfile.TarInfo("../../escape.py"))
        tar.addfile(tarfile.TarInfo("/absolute.py"))
    wish = {"ruff": find_ruff_bin(), "work": str(tmp_path / "work"), "new": str(path), "old": None}
    scan = result("scan", home=tmp_path / "home", cwd=tmp_path, wish=wish)
    assert (scan["outcome"], scan["files"]) == ("success", 0)
    assert not list(tmp_path.rglob("escape.py"))


@pytest.mark.neighbours
def test_a_scanner_that_crashes_is_an_error_and_never_green(tmp_path):
    broken = tmp_path / "ruff"
    broken.write_text("#!/bin/sh\necho panicked >&2\nexit 101\n")
    broken.chmod(0o755)
    wish = {
        "ruff": str(broken),
        "work": str(tmp_path / "w"),
        "new": str(archive(tmp_path / "n.tar", CLEAN)),
        "old": None,
    }
    scan = result("scan", home=tmp_path / "home", cwd=tmp_path, wish=wish)
    assert scan["outcome"] == "error"
    assert "panicked" in scan["detail"]


@pytest.mark.neighbours
def test_a_scanner_that_says_nothing_is_an_error(tmp_path):
    wish = {
        "ruff": "/bin/true",
        "work": str(tmp_path / "w"),
        "new": str(archive(tmp_path / "n.tar", CLEAN)),
        "old": None,
    }
    assert result("scan", home=tmp_path / "home", cwd=tmp_path, wish=wish)["outcome"] == "error"


@pytest.mark.neighbours
def test_an_archive_that_is_broken_is_an_error(tmp_path):
    (tmp_path / "n.tar").write_bytes(b"not a tar")
    wish = {"ruff": find_ruff_bin(), "work": str(tmp_path / "w"), "new": str(tmp_path / "n.tar"), "old": None}
    assert result("scan", home=tmp_path / "home", cwd=tmp_path, wish=wish)["outcome"] == "error"


def models(tmp_path, files):
    return result("models", home=tmp_path / "home", cwd=write(tmp_path / "app", files), wish={})


@pytest.mark.neighbours
def test_a_model_with_its_migration_is_fine(tmp_path):
    assert models(tmp_path, DJANGO)["outcome"] == "success"


@pytest.mark.neighbours
def test_a_changed_model_without_a_migration_is_a_failure_with_the_change(tmp_path):
    changed = {**DJANGO, "shop/models.py": DJANGO["shop/models.py"] + "    price = models.IntegerField(null=True)\n"}
    answer = models(tmp_path, changed)
    assert answer["outcome"] == "failure"
    assert "Migrations for 'shop':" in answer["changes"][0]
    assert any("price" in line for line in answer["changes"])


@pytest.mark.neighbours
def test_a_changed_model_that_needs_a_default_is_a_failure_too(tmp_path):
    changed = {**DJANGO, "shop/models.py": DJANGO["shop/models.py"] + "    price = models.IntegerField()\n"}
    assert models(tmp_path, changed)["outcome"] == "failure"


@pytest.mark.neighbours
def test_conflicting_migrations_are_a_failure(tmp_path):
    second = (
        'from django.db import migrations\nclass Migration(migrations.Migration):\n    dependencies = [("shop",'
        ' "0001_initial")]\n'
    )
    files = {**DJANGO, "shop/migrations/0002_a.py": second, "shop/migrations/0002_b.py": second}
    answer = models(tmp_path, files)
    assert (answer["outcome"], "conflict" in answer["detail"]) == ("failure", True)


@pytest.mark.neighbours
def test_settings_that_cannot_be_imported_are_the_app_s_to_mend(tmp_path):
    answer = models(tmp_path, {**DJANGO, "conf/settings.py": "import nothing_x\n"})
    assert answer["outcome"] == "failure"
    assert "the app does not load with the settings that manage.py names" in answer["detail"]
    assert "nothing_x" in answer["detail"]


PACKAGE = {
    "site-packages/flagger/__init__.py": "",
    "site-packages/flagger/models.py": (
        "from django.db import models\nclass Flag(models.Model):\n    name = models.CharField(max_length=20)\n"
    ),
    "site-packages/flagger/migrations/__init__.py": "",
    "site-packages/flagger/migrations/0001_initial.py": (
        DJANGO["shop/migrations/0001_initial.py"].replace("Item", "Flag").replace("BigAutoField", "AutoField")
    ),
    "conf/settings.py": DJANGO["conf/settings.py"].replace('["shop"]', '["shop", "flagger"]'),
}


@pytest.mark.neighbours
def test_an_installed_package_without_its_migration_is_a_note_and_not_red(tmp_path):
    files = {**DJANGO, **PACKAGE}
    wish, folder = {}, write(tmp_path / "app", files)
    answer = result("models", home=tmp_path / "home", cwd=folder, wish=wish, PYTHONPATH=str(folder / "site-packages"))
    assert (answer["outcome"], answer["changes"]) == ("success", []), answer["tail"]
    assert "flagger" in answer["note"]
    assert "MIGRATION_MODULES" in answer["note"]


@pytest.mark.neighbours
def test_a_change_without_migration_that_is_deployed_already_is_known(tmp_path):
    files = {**DJANGO, "shop/models.py": DJANGO["shop/models.py"] + "    price = models.IntegerField(null=True)\n"}
    first = result("models", home=tmp_path / "home", cwd=write(tmp_path / "app", files), wish={})
    assert first["outcome"] == "failure"
    again = result("models", home=tmp_path / "home2", cwd=tmp_path / "app", wish={"known": first["changes"]})
    assert (again["outcome"], again["drift"]) == ("success", first["changes"])
    write(tmp_path / "app", {"shop/models.py": files["shop/models.py"] + "    size = models.IntegerField(null=True)\n"})
    assert (
        result("models", home=tmp_path / "home3", cwd=tmp_path / "app", wish={"known": first["changes"]})["outcome"]
        == "failure"
    )


@pytest.mark.neighbours
def test_a_database_that_is_down_does_not_matter(tmp_path):
    settings = (
        DJANGO["conf/settings.py"]
        + 'DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": "x", "HOST": "127.0.0.1",'
        ' "PORT": 1}}\n'
    )
    answer = models(tmp_path, {**DJANGO, "conf/settings.py": settings})
    assert answer["outcome"] == "success", answer["tail"]


@pytest.mark.neighbours
def test_a_job_that_crashes_leaves_no_result(tmp_path):
    done = run("scan", home=tmp_path / "home", cwd=tmp_path, wish={})
    assert done.returncode != 0
    assert not (tmp_path / "home" / "out" / "result.json").exists()
