"""Creates files with one secret each: every kind that the scan should find, in common notations, with values from a
seed.

No value is a real secret, and none is stored in this file: they are generated at run time.
"""

from __future__ import annotations

import base64
import json
import random
import string
import struct
import uuid
from collections.abc import Callable, Iterator

LETTERS, HEX = string.ascii_letters + string.digits, "0123456789abcdef"
URLSAFE = LETTERS + "_-"
Draw = random.Random


def text(draw: Draw, size: int, among: str = LETTERS) -> str:
    """A random text."""
    return "".join(draw.choice(among) for _ in range(size))


def _jwt(draw: Draw) -> str:
    head, body = (
        {"alg": "HS256", "typ": "JWT"},
        {"sub": text(draw, 12, string.digits), "name": text(draw, 9), "iat": draw.randrange(10**9)},
    )
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in (head, body)]
    return ".".join([*parts, text(draw, 43, URLSAFE)])


def _private_key(kind: str) -> Callable[[Draw], str]:
    def make(draw: Draw) -> str:
        body = "\n".join("MII" + text(draw, 61, LETTERS + "+/") for _ in range(12))
        return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----"

    return make


def _field(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def _openssh_key(draw: Draw) -> str:
    """An Ed25519 key without a passphrase in OpenSSH format, made of random bytes."""
    kind, public, check = b"ssh-ed25519", draw.randbytes(32), draw.randbytes(4)
    private = check * 2 + b"".join(map(_field, (kind, public, draw.randbytes(32) + public, b"deploy@shop")))
    private += bytes(range(1, 9))[: -len(private) % 8]
    head = b"openssh-key-v1\0" + _field(b"none") * 2 + _field(b"") + struct.pack(">I", 1)
    whole = base64.b64encode(head + _field(_field(kind) + _field(public)) + _field(private)).decode()
    body = "\n".join(whole[spot : spot + 70] for spot in range(0, len(whole), 70))
    return f"-----BEGIN OPENSSH PRIVATE KEY-----\n{body}\n-----END OPENSSH PRIVATE KEY-----"


def _uuid(draw: Draw) -> str:
    return str(uuid.UUID(bytes=draw.randbytes(16), version=4))


def _password(draw: Draw) -> str:
    """Like a password manager: at least one character of each class."""
    kinds = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "!#*+-=?^_")
    own = [draw.choice(kind) for kind in kinds] + [draw.choice("".join(kinds)) for _ in range(draw.randrange(8, 16))]
    draw.shuffle(own)
    return draw.choice(string.ascii_letters) + "".join(own)


def _chosen(draw: Draw) -> str:
    """Like a user: a word, a name, digits and a punctuation mark."""
    return (
        draw.choice(("Sommer", "Phoenix", "Bluebird", "Karlsruhe", "mango", "Gl4cier"))
        + text(draw, 4, string.digits)
        + draw.choice("!#+")
    )


TOKENS: dict[str, Callable[[Draw], str]] = {
    "AWS access key": lambda draw: "AKIA" + text(draw, 16, string.ascii_uppercase + "234567"),
    "AWS temporary key": lambda draw: "ASIA" + text(draw, 16, string.ascii_uppercase + "234567"),
    "GitHub personal token": lambda draw: "ghp_" + text(draw, 36),
    "GitHub app token": lambda draw: "ghs_" + text(draw, 36),
    "GitHub fine-grained token": lambda draw: "github_pat_" + text(draw, 22) + "_" + text(draw, 59),
    "GitLab token": lambda draw: "glpat-" + text(draw, 20, URLSAFE),
    "Slack bot token": lambda draw: (
        f"xoxb-{text(draw, 12, string.digits)}-{text(draw, 13, string.digits)}-{text(draw, 24)}"
    ),
    "Slack user token": lambda draw: (
        f"xoxp-{text(draw, 12, string.digits)}-{text(draw, 12, string.digits)}-{text(draw, 12, string.digits)}"
        f"-{text(draw, 32, HEX)}"
    ),
    "Slack webhook": lambda draw: (
        f"https://hooks.slack.com/services/T{text(draw, 8).upper()}/B{text(draw, 8).upper()}/{text(draw, 24)}"
    ),
    "Stripe secret key": lambda draw: "sk_live_" + text(draw, 24),
    "Stripe restricted key": lambda draw: "rk_live_" + text(draw, 24),
    "Stripe test key": lambda draw: "sk_test_" + text(draw, 24),
    "Twilio account": lambda draw: "AC" + text(draw, 32, HEX),
    "Twilio API key": lambda draw: "SK" + text(draw, 32, HEX),
    "SendGrid key": lambda draw: f"SG.{text(draw, 22, URLSAFE)}.{text(draw, 43, URLSAFE)}",
    "Mailgun key": lambda draw: "key-" + text(draw, 32, HEX),
    "Mailchimp key": lambda draw: text(draw, 32, HEX) + "-us12",
    "npm token": lambda draw: "npm_" + text(draw, 36),
    "PyPI token": lambda draw: "pypi-AgEIcHlwaS5vcmc" + text(draw, 90, URLSAFE),
    "JSON web token": _jwt,
    "Google API key": lambda draw: "AIza" + text(draw, 35, URLSAFE),
    "DigitalOcean token": lambda draw: "dop_v1_" + text(draw, 64, HEX),
    "Shopify token": lambda draw: "shpat_" + text(draw, 32, HEX),
    "OpenAI key": lambda draw: f"sk-proj-{text(draw, 40)}T3BlbkFJ{text(draw, 40)}",
    "Anthropic key": lambda draw: "sk-ant-api03-" + text(draw, 90, URLSAFE) + "AA",
    "Telegram bot token": lambda draw: f"{text(draw, 10, '123456789')}:AA{text(draw, 33, URLSAFE)}",
}
"""Kind -> a value that is identified by its format."""

TOKEN_PLACES = (
    ("shop/client.py", "client = Client({!r})\n"),
    ("proj/settings.py", 'SERVICE = "{}"\n'),
    (".env", "SERVICE={}\n"),
    ("deploy/values.yaml", "service:\n  value: {}\n"),
    ("config.json", '{{"service": "{}"}}\n'),
    ("README.md", "curl -H 'X-Auth: {}' https://api.acme.io/\n"),
    ("bin/deploy.sh", "export SERVICE='{}'\n"),
    ("tests/test_client.py", 'VALUE = "{}"\n'),
)
KEYS = {
    "RSA private key": _private_key("RSA "),
    "EC private key": _private_key("EC "),
    "OpenSSH private key": _openssh_key,
    "PKCS8 private key": _private_key(""),
    "encrypted private key": _private_key("ENCRYPTED "),
}
KEY_PLACES = (
    ("keys/id", "{}\n"),
    ("proj/settings.py", 'JWT_KEY = """{}"""\n'),
    ("deploy/secret.yaml", "key: |\n  {}\n"),
)
GENERIC: dict[str, tuple[Callable[[Draw], str], tuple[tuple[str, str], ...]]] = {
    "Django SECRET_KEY": (
        lambda draw: text(draw, 50, string.ascii_lowercase + string.digits + "!@#$%^&*(-_=+)"),
        (
            ("proj/settings.py", 'SECRET_KEY = "{}"\n'),
            ("config/settings/base.py", "SECRET_KEY = '{}'\n"),
            ("proj/settings.py", 'SECRET_KEY = "django-insecure-{}"\n'),
            ("proj/settings.py", 'SECRET_KEY = os.environ.get("SECRET_KEY", "{}")\n'),
            ("proj/settings.py", 'SECRET_KEY = env("DJANGO_SECRET_KEY", default="{}")\n'),
            ("proj/settings.py", 'SECRET_KEY = os.getenv("SECRET_KEY") or "{}"\n'),
            ("proj/settings.py", 'SECRET_KEY = os.environ["KEY"] if "KEY" in os.environ else "{}"\n'),
            ("proj/settings.py", 'SECRET_KEY = os.environ.get(\n    "SECRET_KEY",\n    "{}",\n)\n'),
            ("proj/settings.py", 'SECRET_KEY_FALLBACKS = ["{}"]\n'),
            ("proj/settings.py", 'SECRET_KEY = """{}"""\n'),
            ("app.json", '{{"env": {{"SECRET_KEY": {{"description": "signs", "value": "{}"}}}}}}\n'),
        ),
    ),
    "alphanumeric key": (
        lambda draw: text(draw, 40),
        (
            (".env", "SECRET_KEY={}\n"),
            (".env.production", 'export DJANGO_SECRET_KEY="{}"\n'),
            ("docker-compose.yml", "    environment:\n      - SECRET_KEY={}\n"),
            ("proj/settings.py", 'API_KEY = "{}"\n'),
            ("shop/api.py", 'client = Client(api_key="{}")\n'),
            ("shop/api.py", 'headers = {{"Authorization": "Bearer {}"}}\n'),
            ("proj/settings.py", 'SOCIAL_AUTH_GOOGLE_OAUTH2_SECRET = "{}"\n'),
            ("app.json", '{{"env": {{"AUTH_TOKEN": "{}"}}}}\n'),
            ("setup.cfg", "[x]\nauth_token = {}\n"),
            ("proj/settings.py", 'AWS_SECRET_ACCESS_KEY = "{}"\n'),
            ("web/app.js", 'const apiKey = "{}";\n'),
            (".github/workflows/ci.yml", "  env:\n    API_TOKEN: {}\n"),
        ),
    ),
    "hexadecimal key": (
        lambda draw: text(draw, 40, HEX),
        (
            ("proj/settings.py", 'AUTH_TOKEN = "{}"\n'),
            (".env", "CLIENT_SECRET={}\n"),
            ("shop/api.py", 'access_token = "{}"\n'),
            ("proj/settings.py", 'TWILIO_AUTH_TOKEN = "{}"\n'),
        ),
    ),
    "UUID token": (
        _uuid,
        (
            ("proj/settings.py", 'POSTMARK_SERVER_TOKEN = "{}"\n'),
            (".env", "POSTMARK_TOKEN={}\n"),
        ),
    ),
    "password among other words": (
        lambda draw: "Zx9" + text(draw, 9),
        (
            ("shop/sync.py", 'psycopg2.connect("dbname=shop user=shop password={} host=db")\n'),
            ("bin/dump.sh", "PGPASSWORD={} pg_dump -h db shop > dump.sql\n"),
            (".netrc", "machine git.acme.io login bot password {}\n"),
            (".pgpass", "db.acme.io:5432:shop:shop:{}\n"),
        ),
    ),
    "made password": (
        _password,
        (
            ("proj/settings.py", 'DATABASES = {{"default": {{"USER": "app", "PASSWORD": "{}"}}}}\n'),
            ("proj/settings.py", 'EMAIL_HOST_PASSWORD = "{}"\n'),
            (".env", "DB_PASSWORD={}\n"),
            ("docker-compose.yml", "      POSTGRES_PASSWORD: {}\n"),
            ("config.ini", "[db]\npassword = {}\n"),
            ("shop/sync.py", 'login("ftp", password="{}")\n'),
            ("config.toml", 'password = "{}"\n'),
            ("proj/settings.py", 'SECRETS = dict(\n    password="{}",\n)\n'),
            (".pgpass", "password={}\n"),
        ),
    ),
    "chosen password": (
        _chosen,
        (
            ("proj/settings.py", 'EMAIL_HOST_PASSWORD = "{}"\n'),
            (".env", "DATABASE_PASSWORD={}\n"),
            ("config/settings/production.py", '"PASSWORD": "{}",\n'),
            ("docker-compose.prod.yml", "      POSTGRES_PASSWORD: {}\n"),
        ),
    ),
    "database URL": (
        lambda draw: text(draw, 20),
        (
            (
                "proj/settings.py",
                'DATABASES = {{"default": dj_database_url.parse("postgres://app:{}@db.acme.io:5432/app")}}\n',
            ),
            (".env", "DATABASE_URL=postgres://app:{}@ec2-1-2-3-4.compute-1.amazonaws.com:5432/app\n"),
            (".env", "REDIS_URL=redis://:{}@cache.acme.io:6379/0\n"),
            ("docker-compose.yml", "      DATABASE_URL: postgresql://app:{}@db:5432/app\n"),
            ("notes.md", "psql postgres://app:{}@db.acme.io/app\n"),
            ("shop/tasks.py", 'app = Celery("x", broker="amqp://worker:{}@mq.acme.io//")\n'),
            ("proj/settings.py", 'MONGO = "mongodb+srv://app:{}@cluster0.acme.mongodb.net/app"\n'),
        ),
    ),
    "database URL with a chosen password": (
        _chosen,
        (
            ("proj/settings.py", 'URL = "postgres://app:{}@db.acme.io/app"\n'),
            (".env", "DATABASE_URL=mysql://app:{}@10.0.3.7/app\n"),
        ),
    ),
    "basic-auth URL": (
        lambda draw: text(draw, 12) + "7aB",
        (
            ("shop/api.py", 'get("https://bot:{}@api.acme.io/v1")\n'),
            ("requirements.txt", "--extra-index-url https://ci:{}@pypi.acme.io/simple\n"),
            (".git-credentials", "https://bot:{}@git.acme.io\n"),
        ),
    ),
}
"""Kind -> (value, location): a value that is identified by its name or location."""


def planted(seed: int, rounds: int = 5) -> Iterator[tuple[str, str, str]]:
    """(kind, path, content) of each file."""
    draw = random.Random(seed)
    for _ in range(rounds):
        for kind, make in TOKENS.items():
            yield from ((kind, path, form.format(make(draw))) for path, form in TOKEN_PLACES)
        for kind, make in KEYS.items():
            yield from ((kind, path, form.format(make(draw))) for path, form in KEY_PLACES)
        for kind, (make, places) in GENERIC.items():
            yield from ((kind, path, form.format(make(draw))) for path, form in places)
