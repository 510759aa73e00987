"""New secrets in changed files: detected by format and name, and never shown. Known ones are not reported."""

from __future__ import annotations

import json
import time
from pathlib import Path

import detect_secrets
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings
from ruff import find_ruff_bin

from benchmarks import planted_secrets
from greenroom.checks.drivers import tools
from greenroom.checks.inside import run_secrets, secret_rules, secret_values
from greenroom.engine import artefacts
from tests.checks.dyno_side import archive, run, write

AWS = "AKIA" + "Q3EGRHT7XKPLMN2W"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----\n"
PASSWORD = "kJ8#mQ2vX" + "9pL4z"
PACKAGES = str(Path(detect_secrets.__file__).parents[1])
CODE = {"app/a.py": "X = 1\n"}


def placed(home: Path) -> Path:
    """The folder with the packages of the secret scan for dynos."""
    return home / artefacts.path(tools.secrets_mount(home).source)


@pytest.fixture
def scanned(tmp_path):
    def do(new, old=CODE, packages=""):
        wish = {
            "ruff": find_ruff_bin(),
            "work": str(tmp_path / "work"),
            "new": str(archive(tmp_path / "new.tar", new)),
            "old": None,
        }
        if old is not None:
            wish["old"] = str(archive(tmp_path / "old.tar", old))
        wish["secrets"] = packages or str(placed(tmp_path / "home"))
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


ORDINARY = {
    "accounts/forms.py": (
        """PASSWORD_RESET_URL_NAME = "password_reset_confirm"
RESET_TOKEN_SESSION_KEY = "_password_reset_token"
API_KEY_HEADER = "X-Api-Key"
PASSWORD_FIELD = "password"
password_label = "Your password"
error_messages = {"password_mismatch": _("The two password fields did not match."), "invalid_token": "Invalid token"}
RATES = {"change_password": "5/m/user", "reset_password": "20/m/ip,5/m/key"}
TOKEN_MODEL = "rest_framework.authtoken.models.Token"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
passwordless = "passwordless" in request.GET
access_token_url = "https://api.acme.io/oauth2/token"
secret_name = "projects/acme-prod-1/secrets/db-password"
"""
    ),
    "core/management/commands/seed.py": (
        """DEFAULT_PASSWORD = "changeme-please-1"
create_user("demo", password="demo-Passw0rd!")
"""
    ),
    "core/factories.py": """password = factory.PostGenerationMethodCall("set_password", "s3cret-pass")\n""",
    "proj/settings.py": (
        """SECRET_KEY = os.environ["SECRET_KEY"]
SECRET_KEY = env("SECRET_KEY", default="django-insecure-change-me-in-production")
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", "not-so-secret-key-for-development-only")
EMAIL_HOST_PASSWORD = os.environ.get("EMAIL_HOST_PASSWORD", "")
DATABASES = {"default": {"USER": "postgres", "PASSWORD": "postgres"}}
STRIPE_PUBLIC_KEY = "pk_test_51H8abcdEFGHijklMNOPqrstUVWX"
CACHES = {"default": {"LOCATION": "redis://:secret@localhost:6379/0"}}
AWS_SECRET_ACCESS_KEY = config("AWS_SECRET_ACCESS_KEY")
"""
    ),
    ".env.example": (
        """SECRET_KEY=replace-me-with-something-long
DATABASE_URL=postgres://user:password@localhost:5432/dbname
AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE
AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY
"""
    ),
    "docker-compose.yml": (
        """services:
  db:
    environment:
      POSTGRES_PASSWORD: postgres
      DATABASE_URL: postgres://app:app@db:5432/app
      SECRET_KEY: ${SECRET_KEY}
"""
    ),
    "README.md": "Run with SECRET_KEY=abcdefgh12345678 and postgres://user:pass@localhost/db\n",
    "fixtures/users.json": (
        '[{"fields": {"password": "pbkdf2_sha256$600000$abcdefghij$0123456789abcdefghijABCDEFGHIJ0123456789abc="}}]\n'
    ),
    "core/parser.py": (
        'BEGIN = "-----BEGIN RSA PRIVATE KEY-----"\nif text.startswith("-----BEGIN PRIVATE KEY-----"):\n    pass\n'
    ),
    "deploy/values.yaml": (
        "auth:\n  existingSecret: acme-postgres-credentials\n  secretKey: password\n  tokenUrl:"
        " https://login.acme.io/token\n"
    ),
}


@pytest.mark.parametrize("path", ORDINARY)
def test_ordinary_code_holds_no_secret(scanned, path):
    assert found(scanned({**CODE, path: ORDINARY[path]})) == []


def test_every_planted_kind_is_found(tmp_path):
    looker = run_secrets.Looker(PACKAGES, str(tmp_path))
    missed = [
        (kind, path)
        for kind, path, content in planted_secrets.planted(4, 3)
        if not list(looker.hits({path: content.encode()}))
    ]
    assert missed == []


PEM, OPENSSH = serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH
MADE = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


def real_key(kind, form=OPENSSH):
    return MADE[kind]().private_bytes(PEM, form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("form", [OPENSSH, serialization.PrivateFormat.PKCS8])
@pytest.mark.parametrize("place", ["{}", 'KEY = """{}"""', "key: |\n  {}"])
def test_a_real_private_key_is_found(kind, form, place):
    text = place.format(real_key(kind, form))
    (hit,) = secret_rules.find("keys/id", text)
    assert (hit.kind, hit.hint, hit.line) == ("Private Key", False, text[: text.index("-----BEGIN")].count("\n") + 1)


def test_another_key_of_openssh_is_another_secret_although_all_begin_alike(scanned):
    one, other = real_key("ed25519"), real_key("ed25519")
    assert one.splitlines()[1] == other.splitlines()[1]
    assert found(scanned({**CODE, "b": one}, {**CODE, "a": one})) == []
    assert found(scanned({**CODE, "b": other}, {**CODE, "a": one})) == [("Private Key", "b", 1)]
    escaped = [json.dumps(key) for key in (one, other)]
    assert len({secret_rules.find("key.json", text)[0].value for text in escaped}) == 2


def test_the_head_that_all_keys_of_openssh_have_is_no_key():
    head = real_key("ed25519").splitlines()[1][:60]
    assert (
        secret_rules.find(
            "id", f"-----BEGIN OPENSSH PRIVATE KEY-----\n{head}\n...\n-----END OPENSSH PRIVATE KEY-----\n"
        )
        == []
    )


RANDOM = "pT7wQ2zLk9" + "VbX4sMh8Rc" + "N3yGd6Fj1A" + "uE5oHiWq0K"
SHORT = "Zx9" + "kP2mQ7"
UUID4 = "3f2b8c1e-9a47-4d60-" + "b5e8-7c19d2f0a63b"
LETTERS = "xkqvbzjw" + "mhgtpyfd"
SETTINGS = {
    "or": ('SECRET_KEY = os.getenv("SECRET_KEY") or "{}"', 1),
    "or in brackets": ('SECRET_KEY = (\n    os.getenv("KEY")\n    or "{}"\n)', 3),
    "else": ('SECRET_KEY = os.environ["KEY"] if "KEY" in os.environ else "{}"', 1),
    "as black writes it": ('SECRET_KEY = os.environ.get(\n    "SECRET_KEY",\n    "{}",\n)', 3),
    "another name": ('SECRET_KEY = env.str(\n    "DJANGO_KEY",\n    default="{}",\n)', 3),
    "no name in the first line": ('X = config(\n    "SECRET_KEY",\n    default="{}",\n)', 3),
    "a list": ('SECRET_KEY_FALLBACKS = ["{}"]', 1),
    "a long list": ('SECRET_KEY_FALLBACKS: list[str] = [\n    env("OLD"),\n    "{}",\n]', 3),
    "three quotes": ('SECRET_KEY = """{}"""', 1),
    "three quotes in lines": ("SECRET_KEY = '''\n{}\n'''", 2),
    "before a list": ('login(token="{}", tokens=[\n    "a",\n])', 1),
}


@pytest.mark.parametrize("way", SETTINGS)
def test_a_key_in_settings_is_found_however_it_is_written(way):
    form, line = SETTINGS[way]
    assert [hit[:4] for hit in secret_rules.find("proj/settings.py", form.format(RANDOM))] == [
        ("Secret Keyword", line, RANDOM, False)
    ]


@pytest.mark.parametrize(
    ("path", "form", "value"),
    [
        ("shop/db.py", 'psycopg2.connect("dbname=shop user=shop password={} host=db")', SHORT),
        ("shop/db.py", 'CONNECT = "Server=db;User Id=sa;Password={};"', SHORT),
        ("bin/dump.sh", "PGPASSWORD={} pg_dump -h db shop > dump.sql", SHORT),
        (".github/workflows/a.yml", '      run: PGPASSWORD="{}" pg_dump shop', SHORT),
        (".netrc", "machine git.acme.io login bot password {}", SHORT),
        (".pgpass", "db.acme.io:5432:shop:shop:{}", SHORT),
        ("bin/dump.sh", 'echo "db:5432:*:shop:{}" > ~/.pgpass', SHORT),
        ("app.json", '{{"env": {{"SECRET_KEY": {{"value": "{}"}}}}}}', RANDOM),
        ("app.json", '{{"env": {{\n"SECRET_KEY": {{\n"description": "signs",\n"value": "{}"\n}}}}}}', RANDOM),
        ("proj/settings.py", 'POSTMARK_SERVER_TOKEN = "{}"', UUID4),
        (".env", "POSTMARK_TOKEN={}", UUID4),
        ("proj/settings.py", 'EMAIL_HOST_PASSWORD = "{}"', LETTERS),
        (".env", "EMAIL_HOST_PASSWORD={}", LETTERS),
        ("proj/settings.py", 'EMAIL_HOST_PASSWORD = "{}"', " ".join(LETTERS[i : i + 4] for i in (0, 4, 8, 12))),
        (".env", "EMAIL_HOST_PASSWORD={}", " ".join(LETTERS[i : i + 4] for i in (0, 4, 8, 12))),
        *(
            ("proj/settings.py", f'U = "mysql://shop:{{}}@{host}/shop"', "sommer" + "2024")
            for host in ("mysql.acme.com", "some.acme.io", "yourshop.eu", "foo.acme.io")
        ),
        *(
            (path, "x = '{}'", value)
            for path in ("openapi.yaml", "static/app.min.js")
            for value in ("ghp_" + RANDOM[:36], "sk_live_" + RANDOM[:24], AWS)
        ),
    ],
)
def test_a_secret_is_found_where_teams_leave_it(path, form, value):
    hits = secret_rules.find(path, form.format(value))
    assert [(hit.value, hit.hint) for hit in hits] == [(value, False)]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("uv.lock", "x = 'ghp_" + RANDOM[:36] + "'"),
        ("static/app.min.js", "k='AIza" + RANDOM[:35] + "';password='" + PASSWORD + "'"),
        *(
            ("proj/settings.py", f'U = "mysql://shop:sommer2024@{host}/shop"')
            for host in ("mydb1", "your-server-2", "mydomain.com", "foo.bar")
        ),
        (".env", "SECRETS_BUCKET=acme7-prod-Xb21Qz9"),
        (".env", "SECRET_MANAGER_PROJECT=acme7-prod-Xb21Qz9"),
        ("deploy/values.yaml", "imagePullSecret: acme7-prod-Xb21Qz9"),
        ("deploy/values.yaml", "secretRef: acme7-prod-Xb21Qz9"),
        ("deploy/values.yaml", "tokenIssuer: acme7-prod-Xb21Qz9"),
        ("proj/settings.py", 'TOKEN = "12345678-1234-4234-8234-123456789abc"'),
        ("proj/settings.py", f'TOKEN_OWNER = "{UUID4}"'),
        (".env.example", f"POSTMARK_TOKEN={UUID4}"),
        *(
            ("proj/settings.py", f'EMAIL_HOST_PASSWORD = "{words}"')
            for words in ("correcthorsebatt", "abcdefghijklmnop", "your pass word here")
        ),
        ("proj/settings.py", 'SECRET_KEY = os.getenv("SECRET_KEY") or "django-insecure-change-me"'),
        ("proj/settings.py", 'SECRET_KEY_FALLBACKS = [\n    os.environ["OLD_SECRET_KEY_1"],\n]'),
        ("shop/db.py", 'connect(f"dbname=shop user=shop password={pw1X} host=db")'),
        ("bin/dump.sh", "PGPASSWORD=$DB_PASS1 pg_dump shop"),
        (".pgpass", "localhost:5432:shop:shop:password"),
    ],
)
def test_what_only_looks_like_one_is_none(path, line):
    assert secret_rules.find(path, line) == []


@pytest.mark.parametrize("name", ["local", "test", "testing", "ci", "dev", "development"])
def test_the_key_of_settings_of_a_developer_is_shown_and_does_not_block(name):
    text = f'SECRET_KEY = env("DJANGO_SECRET_KEY", default="{RANDOM}")\n'
    assert [hit.hint for hit in secret_rules.find(f"config/settings/{name}.py", text)] == [True]
    assert [hit.hint for hit in secret_rules.find("config/settings/base.py", text)] == [False]
    (token,) = secret_rules.find(f"config/settings/{name}.py", f'X = "ghp_{RANDOM[:36]}"\n')
    assert not token.hint


def test_most_random_letters_and_no_words_are_a_password_of_an_app():
    draw = planted_secrets.Draw(3)
    made = [planted_secrets.text(draw, 16, "abcdefghijklmnopqrstuvwxyz") for _ in range(500)]
    assert sum(map(secret_values.app_password, made)) > 425
    read = (
        "internationalize",
        "responsibilities",
        "misunderstanding",
        "characterization",
        "sommerferienhaus",
        "passwordpassword",
    )
    assert [word for word in read if secret_values.app_password(word)] == []


@pytest.mark.parametrize(
    "line", ["token" * 390, "token: " * 280, '"token": {' * 190, "A_KEYPASSWORD" * 140 + "=", "x='" + "host=a " * 280]
)
def test_a_line_of_nothing_but_names_takes_no_long_time(line):
    start = time.process_time()
    secret_rules.find("proj/settings.py", line)
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    ("comment", "allowed"),
    [
        ("# pragma: allowlist secret", True),
        ("# nosec", True),
        ("# nosec B105", True),
        ("# nosec: B101, B106", True),
        ("# noqa", True),
        ("# noqa: S105", True),
        ("# noqa: E501, S106 - the documented one", True),
        ("# gitleaks:allow", True),
        ("# noqa: E501", False),
        ("# nosec B608", False),
        ("# no secret", False),
    ],
)
def test_a_comment_that_is_about_secrets_allows_its_line_and_no_other(scanned, comment, allowed):
    scan = scanned({**CODE, "app/settings.py": f"password = '{PASSWORD}'  {comment}\n"})
    assert (found(scan) == [], scan["suppressed"] - scan["suppressed_before"]) == (allowed, int(allowed))


def test_a_private_key_of_the_tests_is_shown_and_does_not_block(scanned):
    scan = scanned({**CODE, "tests/keys/server.pem": KEY})
    assert (scan["outcome"], [item["severity"] for item in scan["findings"]]) == ("success", [3])


def test_a_secret_that_is_deployed_is_known_wherever_it_moves(scanned):
    old = {**CODE, "app/aws.py": f"K = '{AWS}'\n"}
    assert found(scanned({**CODE, "app/aws.py": f"# more\n\nK = '{AWS}'\n"}, old)) == []
    assert found(scanned({**CODE, "app/moved.py": f"K = '{AWS}'\n"}, old)) == []
    assert found(scanned({**CODE, **old, "app/b.py": "K = 'AKIA" + "Z9EGRHT7XKPLMN2W'\n"}, old)) == [
        ("AWS Access Key", "app/b.py", 1)
    ]


def test_a_secret_is_known_by_its_fingerprint_wherever_its_line_stands(scanned):
    def prints(text, path="app/b.py"):
        return [item["fingerprint"] for item in scanned({**CODE, path: text})["findings"]]

    (one,) = prints(f"K = '{AWS}'\n")
    assert prints(f"# more\n\nif True:\n    K  =  '{AWS}'\n") == [one]
    other, value, text = (
        prints(f"K = '{AWS}'\n", "app/c.py"),
        prints("K = 'AKIA" + "Z9EGRHT7XKPLMN2W'\n"),
        prints(f"KEY = '{AWS}'\n"),
    )
    twice = prints(f"K = '{AWS}'\nK = '{AWS}'\n")
    assert twice[0] == one
    assert len({one, *other, *value, *text, *twice}) == 5


def test_bytes_that_are_no_utf8_hide_no_secret(tmp_path):
    name = tmp_path / "packages"
    name.mkdir()
    found = run_secrets.Looker(PACKAGES, str(name)).look({"app/a.py": b"# caf\xe9\nK = '" + AWS.encode() + b"'\n"})
    assert [(secret.kind, secret.line) for secret in found["app/a.py"]] == [("AWS Access Key", 2)]


def test_the_fast_way_finds_what_the_tool_itself_finds(tmp_path):
    """Compares both on all kinds of secrets, allowlist comments and lookalikes, in every kind of file."""
    texts = {
        name: "\n".join(
            f"{before}{line}"
            for before in ("", "# pragma: allowlist nextline secret\n", "text\n")
            for line in (
                f"K = '{AWS}'",
                f"password = '{PASSWORD}'",
                f"password: {PASSWORD}",
                f"export DB_PASSWORD={PASSWORD}",
                KEY,
                "token = 'ghp_" + "a1B2c3D4e5" * 3 + "f6G7h8'",
                "url = 'https://u:" + PASSWORD.replace("#", "") + "@host/x'",
                "api_key = ${SECRET}",
                "secret = get(key)",
                f"k = '{AWS}'  # pragma: allowlist secret",
                "[section]",
                "x = 1",
            )
        )
        for name in ("a.py", "b.yml", "c.ini", ".env", "d.json", "e.js", "f.txt")
    }
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
