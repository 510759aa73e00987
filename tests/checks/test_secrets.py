"""New secrets in changed files: found by form and name, never shown, and known ones left alone."""

from __future__ import annotations

import json
from pathlib import Path

import detect_secrets
import pytest
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings
from ruff import find_ruff_bin

from greenroom.checks import tools
from greenroom.checks.runner import run_secrets
from tests.checks.dyno_side import archive, run, write

AWS = "AKIA" + "Q3EGRHT7XKPLMN2W"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n"
PASSWORD = "kJ8#mQ2vX" + "9pL4z"
PACKAGES = str(Path(detect_secrets.__file__).parents[1])
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


def test_a_secret_is_known_by_its_fingerprint_wherever_its_line_stands(scanned):
    def prints(text, path="app/b.py"):
        return [item["fingerprint"] for item in scanned({**CODE, path: text})["findings"]]

    (one,) = prints(f"K = '{AWS}'\n")
    assert prints(f"# more\n\nif True:\n    K  =  '{AWS}'\n") == [one]
    other, value, text = prints(f"K = '{AWS}'\n", "app/c.py"), prints("K = 'AKIA" + "Z9EGRHT7XKPLMN2W'\n"), prints(f"KEY = '{AWS}'\n")
    twice = prints(f"K = '{AWS}'\nK = '{AWS}'\n")
    assert twice[0] == one
    assert len({one, *other, *value, *text, *twice}) == 5


def test_bytes_that_are_no_utf8_hide_no_secret(tmp_path):
    name = tmp_path / "packages"
    name.mkdir()
    found = run_secrets.Looker(PACKAGES, str(name)).look({"app/a.py": b"# caf\xe9\nK = '" + AWS.encode() + b"'\n"})
    assert [(secret.kind, secret.line) for secret in found["app/a.py"]] == [("AWS Access Key", 2)]


def test_the_fast_way_finds_what_the_tool_itself_finds(tmp_path):
    """Over lines of all kinds of secrets, what allows them, and what only looks like one, in every kind of file."""
    texts = {
        name: "\n".join(
            f"{before}{line}"
            for before in ("", "# pragma: allowlist nextline secret\n", "text\n")
            for line in (
                f"K = '{AWS}'", f"password = '{PASSWORD}'", f"password: {PASSWORD}", f"export DB_PASSWORD={PASSWORD}", KEY,
                "token = 'ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8'", "url = 'https://u:" + PASSWORD.replace("#", "") + "@host/x'",
                "api_key = ${SECRET}", "secret = get(key)", f"k = '{AWS}'  # pragma: allowlist secret", "[section]", "x = 1",
            )
        )
        for name in ("a.py", "b.yml", "c.ini", ".env", "d.json", "e.js", "f.txt")
    }  # fmt: skip
    looker = run_secrets.Looker(PACKAGES, str(tmp_path))
    with transient_settings(looker.settings):
        tests = run_secrets._tests()
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
            slow = {(s.type, s.line_number, s.secret_value) for s in scan_file(str(tmp_path / name))}
            assert slow, name
            assert set(run_secrets.scan_file(str(tmp_path / name), tests)) == slow, name


def test_an_ignored_file_and_the_first_scan_are_not_looked_at(scanned):
    assert found(scanned({**CODE, ".checkignore": "fixtures\n", "fixtures/a.py": f"K = '{AWS}'\n"})) == []
    assert scanned({**CODE, "app/aws.py": f"K = '{AWS}'\n"}, None)["outcome"] == "success"


def test_not_having_looked_is_an_error_and_no_pass(scanned, tmp_path):
    write(tmp_path / "packages", {"detect_secrets/__init__.py": "raise ImportError('detect-secrets is broken')"})
    scan = scanned({**CODE, "app/b.py": "Y = 2\n"}, packages=str(tmp_path / "packages"))
    assert scan["outcome"] == "error"
    assert "detect" in scan["detail"]
