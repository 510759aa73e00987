"""New secrets in changed files: found by form and name, never shown, and known ones left alone."""

from __future__ import annotations

import json

import pytest
from ruff import find_ruff_bin

from greenroom.checks import tools
from tests.checks.dyno_side import archive, run, write

AWS = "AKIA" + "Q3EGRHT7XKPLMN2W"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n"
PASSWORD = "kJ8#mQ2vX" + "9pL4z"
CODE = {"app/a.py": "X = 1\n"}


@pytest.fixture
def scanned(tmp_path):
    def do(new, old=CODE, packages=""):
        wish = {"ruff": find_ruff_bin(), "work": str(tmp_path / "work"), "new": str(archive(tmp_path / "new.tar", new)), "old": None}
        if old is not None:
            wish["old"] = str(archive(tmp_path / "old.tar", old))
        wish["secrets"] = packages or str(tmp_path / "home" / tools.secrets_mount(tmp_path / "home").source)
        done = run("scan", home=tmp_path / "home", cwd=tmp_path, wish=wish)
        text = (tmp_path / "home" / "out" / "result.json").read_text()
        assert not [value for value in (AWS, PASSWORD, "MIIEpAIBAAKCAQEA") if value in text + done.stdout + done.stderr]
        return json.loads(text)

    return do


def found(scan):
    return [(item["rule"], item["path"], item["line"]) for item in scan["findings"] if item["tool"] == "detect-secrets"]


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("app/aws.py", f"\nK = '{AWS}'\n", "AWS Access Key"),
        ("deploy.txt", f"\naws {AWS}\n", "AWS Access Key"),
        ("tests/test_aws.py", f"\nK = '{AWS}'\n", "AWS Access Key"),
        ("keys/id", f"\n{KEY}", "Private Key"),
        ("app/settings.py", f"\npassword = '{PASSWORD}'\n", "Secret Keyword"),
        (".env", f"\nDB_PASSWORD={PASSWORD}\n", "Secret Keyword"),
    ],
)
def test_a_new_secret_is_red_with_file_line_and_kind(scanned, path, text, kind):
    scan = scanned({**CODE, path: text})
    assert scan["outcome"] == "failure"
    assert found(scan) == [(kind, path, 2)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("tests/test_login.py", f"password = '{PASSWORD}'\n"),
        ("README.md", f"password: {PASSWORD}\n"),
        ("app/settings.py", "password = os.environ['PASSWORD']\n"),
        ("app/settings.py", "SECRET_KEY = env('SECRET_KEY')\n"),
        ("app/settings.py", f"password = '{PASSWORD}'  # pragma: allowlist secret\n"),
        ("app/data.py", "DIGEST = '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08'\n"),
    ],
)
def test_what_is_no_secret_is_not_red(scanned, path, text):
    assert found(scanned({**CODE, path: text})) == []


def test_a_secret_that_is_deployed_is_known_wherever_it_moves(scanned):
    old = {**CODE, "app/aws.py": f"K = '{AWS}'\n"}
    assert found(scanned({**CODE, "app/aws.py": f"# more\n\nK = '{AWS}'\n"}, old)) == []
    assert found(scanned({**CODE, "app/moved.py": f"K = '{AWS}'\n"}, old)) == []
    assert found(scanned({**CODE, **old, "app/b.py": "K = 'AKIA" + "Z9EGRHT7XKPLMN2W'\n"}, old)) == [("AWS Access Key", "app/b.py", 1)]


def test_an_ignored_file_and_the_first_scan_are_not_looked_at(scanned):
    assert found(scanned({**CODE, ".checkignore": "fixtures\n", "fixtures/a.py": f"K = '{AWS}'\n"})) == []
    assert scanned({**CODE, "app/aws.py": f"K = '{AWS}'\n"}, None)["outcome"] == "success"


def test_not_having_looked_is_an_error_and_no_pass(scanned, tmp_path):
    write(tmp_path / "packages", {"detect_secrets/__init__.py": "raise ImportError('detect-secrets is broken')"})
    scan = scanned({**CODE, "app/b.py": "Y = 2\n"}, packages=str(tmp_path / "packages"))
    assert scan["outcome"] == "error"
    assert "detect" in scan["detail"]
