"""Greenroom's own secret detectors: by format, by variable name, and in URLs. Pure: path and text in, hits out.

They add formats that detect-secrets lacks, and replace its detectors of names, URLs and private keys, which report
ordinary Django code as secrets (see decision 0032 for the numbers).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from . import ignores
from . import secret_names as names
from . import secret_values as values

NAMED, ADDRESS, PRIVATE_KEY, HEADER = "Secret Keyword", "Basic Auth Credentials", "Private Key", "Authorization Header"

FORMS: tuple[tuple[str, str], ...] = (
    (
        "AWS Access Key",
        (
            r"(?i:aws)[\w .-]{0,20}(?i:secret|key)[\w"
            r" .-]{0,20}[\"'\]]*\s*(?:=>|:=|[:=,])\s*[\"']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])"
        ),
    ),
    ("AWS Access Key", r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    ("Artifactory Credentials", r"\bAKC[a-zA-Z0-9]{60,}"),
    ("GitHub Token", r"\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{36,255}\b|\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b"),
    ("GitLab Token", r"\b(?:glpat|gldt|glrt|glcbt|glptt|glft|glsoat|glimt|glagent)-[A-Za-z0-9_-]{20,}"),
    ("Slack Token", r"\bxox[abeoprs]-(?:\d-)?[A-Za-z0-9-]{10,}|\bxapp-\d-[A-Z0-9]+-\d+-[a-f0-9]{32,}"),
    ("Slack Webhook", r"https://hooks\.slack\.com/(?:services|workflows|triggers)/T\w{6,}/\w{6,}/\w{16,}"),
    ("Discord Webhook", r"https://(?:canary\.|ptb\.)?discord(?:app)?\.com/api/webhooks/\d{15,}/[\w-]{50,}"),
    ("Stripe Access Key", r"\b(?:sk|rk)_(?:live|test|prod)_[0-9a-zA-Z]{16,}|\bwhsec_[A-Za-z0-9+/]{24,}"),
    ("Twilio API Key", r"\b(?:SK|AC)[0-9a-f]{32}\b"),
    ("SendGrid API Key", r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"),
    ("Mailgun API Key", r"\bkey-[0-9a-f]{32}\b"),
    ("NPM tokens", r"\bnpm_[A-Za-z0-9]{36}\b|_authToken\s*=\s*[\"']?([A-Za-z0-9_+/=-]{20,})"),
    ("PyPI Token", r"\bpypi-AgE[A-Za-z0-9_-]{40,}"),
    ("Google API Key", r"\bAIza[0-9A-Za-z_-]{35}(?![\w-])"),
    ("Google OAuth Secret", r"\bGOCSPX-[A-Za-z0-9_-]{20,}|\bya29\.[A-Za-z0-9_-]{40,}"),
    (
        "Heroku API Key",
        r"\bHRKU-[A-Za-z0-9_-]{30,}|(?i:heroku)[\w-]*(?i:key|token)[\"'\]\s]*[:=]\s*[\"']?([0-9a-f]{8}-(?:[0-9a-f]{4}-"
        r"){3}[0-9a-f]{12})",
    ),
    ("DigitalOcean Token", r"\bdo[opr]_v1_[a-f0-9]{64}\b"),
    ("Shopify Token", r"\bshp(?:at|ca|pa|ss)_[a-fA-F0-9]{32}\b"),
    ("Anthropic API Key", r"\bsk-ant-[A-Za-z0-9_-]{24,}"),
    (
        "OpenAI Token",
        r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}|\bsk-(?:proj|svcacct"
        r"|admin)-[A-Za-z0-9_-]{40,}|\bsk-[A-Za-z0-9]{48}\b",
    ),
    ("Hugging Face Token", r"\bhf_[A-Za-z0-9]{34,}\b"),
    ("Databricks Token", r"\bdapi[a-f0-9]{32}\b"),
    ("Docker Hub Token", r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{20,}"),
    ("Grafana Token", r"\bgl(?:c|sa)_[A-Za-z0-9+/_]{32,}"),
    ("HashiCorp Token", r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}|\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}"),
    ("Atlassian Token", r"\bATATT3[A-Za-z0-9_=-]{50,}"),
    ("Linear API Key", r"\blin_api_[A-Za-z0-9]{40}\b"),
    ("New Relic Key", r"\bNRAK-[A-Z0-9]{27}\b"),
    ("Square OAuth Secret", r"\bsq0(?:csp|atp)-[0-9A-Za-z_-]{22,}"),
    ("Mailchimp Access Key", r"\b[0-9a-f]{32}-us\d{1,2}\b"),
    ("Sentry Token", r"\bsntry[su]_[A-Za-z0-9+/=_-]{40,}"),
    ("Postman API Key", r"\bPMAK-[a-f0-9]{24}-[a-f0-9]{34}\b"),
    ("Doppler Token", r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[A-Za-z0-9._-]{40,}"),
    ("Age Secret Key", r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b"),
    ("Azure Storage Account access key", r"\bAccountKey=([A-Za-z0-9+/=]{80,})"),
    ("Brevo API Key", r"\bxkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}\b"),
    ("Telegram Bot Token", r"\b\d{8,10}:AA[0-9A-Za-z_-]{33}(?![\w-])"),
)
"""Kind -> the format of its values, mostly a service's own prefix."""

ALL_FORMS = tuple((kind, re.compile(form)) for kind, form in FORMS)
LOOSE = ("Twilio API Key", "Mailgun API Key", "Mailchimp Access Key", "Google API Key")
EXACT_FORMS = tuple((kind, form) for kind, form in ALL_FORMS if kind not in LOOSE and "(?i:" not in form.pattern)
"""Kinds that also count in bundles and API descriptions: their format is unambiguous, and browsers never get such a
key.
"""

EXAMPLE_WORD = re.compile(r"example|sample|dummy|placeholder|redacted|\.\.\.|your[_-]", re.IGNORECASE)
EXAMPLE = re.compile(rf"{EXAMPLE_WORD.pattern}|(.)\1{{6}}", re.IGNORECASE)

URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{1,30})://(?P<user>[^\s:/?#\[\]@\"'<>{}()$]{0,100}):(?P<value>[^\s:/@\"'<>{}()`]{3,20"
    r"0})@(?P<host>[\w.-]+|\[[\da-f:]+\])",
    re.IGNORECASE,
)
NEAR = re.compile(
    r"(?:localhost|127\.\d+\.\d+\.\d+|0\.0\.0\.0|::1|host|hostname|server|servername|domain|proxy"
    r"|.*\.?example(?:\.\w+)?|.*\.(?:test|invalid|local|localhost|example)|"
    r"foo\.(?:bar|com|net|org)|(?:my|your|some)[_-]?(?:company|domain|host|proxy|server|site)\.[a-z]{2,4}|(?:my|your"
    r"|some)[\w-]*|[a-z_-]+)\Z",
    re.IGNORECASE,
)
"""Hosts of the developer's machine, of compose files and of documentation."""

AUTHORIZATION = re.compile(
    r"""(?:Authorization["']?\s*[:=,\]]+\s*[fbru]{0,2}["']?)?\b(?:Bearer|Basic|Token"""
    r"""|token)\s+(?P<value>[A-Za-z0-9._~+/=-]{20,600})"""
)
KEY_BEGINS = re.compile(
    r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|PuTTY-User-Key-File-[23]:|---- BEGIN SSH2 ENCRYPTED PRIVATE"
    r" KEY ----"
)
OPENSSH = "b3BlbnNzaC1rZXktdj"
"""The start of each OpenSSH key body. The first line is the same for all keys of a kind, so the second identifies a
key.
"""

SECOND_LINE = re.compile(r"(?:\\n|\\r|\s|[\"'+>|\\,-])+([A-Za-z0-9+/=]{16,})")
KEY_BODY = re.compile(
    r"(?:\\n|\\r|\s|[\"'+>|\\,-])*(?:(?:Proc-Type|DEK-Info|Version|Comment|Encryption"
    r"|Public-Lines)[^\n]{0,200}\n\s*)*(?P<body>[A-Za-z0-9+/=]{16,})"
)

CODE = (
    ".py",
    ".pyi",
    ".js",
    ".ts",
    ".jsx",
    ".tsx",
    ".mjs",
    ".cjs",
    ".vue",
    ".rb",
    ".go",
    ".java",
    ".php",
    ".sh",
    ".bash",
    ".ipynb",
    ".tf",
    ".html",
    ".htm",
)
CONFIG = (
    ".env",
    ".ini",
    ".cfg",
    ".conf",
    ".toml",
    ".yml",
    ".yaml",
    ".json",
    ".properties",
    ".xml",
    ".tfvars",
    ".netrc",
    ".pgpass",
    ".envrc",
    ".config",
)
PROSE = (".md", ".rst", ".txt", ".adoc", ".po", ".pot", ".html", ".htm")
LISTS = re.compile(
    r"(?:^|[/_.-])(?:requirements|constraints)[^/]*\.(?:txt|in)\Z|(?:^|/)requirements/[^/]+\.(?:txt|in)\Z"
)
LOCKS = r"\.lock|-lock\.json|npm-shrinkwrap\.json|(?:^|/)RECORD|go\.sum"
LOCKED = re.compile(rf"(?:{LOCKS})\Z")
SKIPPED = re.compile(
    rf"(?:{LOCKS}|\.min\.(?:js|css)|\.map|\.svg|\.css|\.pem\.pub|\.po|\.pot|\.mo"
    r"|(?:openapi|swagger)[^/]*\.(?:ya?ml|json))\Z"
)
"""Generated files and descriptions: names and URLs do not count there. In LOCKED files nothing counts."""
PGPASS_FILE = re.compile(r"(?:^|[/.])pgpass(?:\.conf)?\Z")
SAMPLE = re.compile(
    r"example|sample|template|dist\b|(?:^|[/_.-])(?:docs?|demo|fixtures?|cassettes|locale|e2e|cypress|spec|specs"
    r"|mocks?)(?:[/_.-]|$)",
    re.IGNORECASE,
)
SETTINGS = re.compile(
    r"(?:^|/)[^/]*(?:settings|config|conf|secrets?|credentials|local|production|staging)[^/]*\.py\Z|(?:^|/)(?:settings"
    r"|config|conf)/[^/]+\.py\Z"
)


class Hit(NamedTuple):
    """One secret. line: from 1. hint: shown, does not block."""

    kind: str
    line: int
    value: str
    hint: bool = False


def find(path: str, text: str) -> list[Hit]:
    """The secrets of a file by line. Each value of a kind counts once per line."""
    if LOCKED.search(path):
        return []
    if SKIPPED.search(path):
        found = [hit for number, line in enumerate(text.splitlines(), 1) for hit in _forms(EXACT_FORMS, line, number)]
    else:
        found = [*_keys(path, text), *_lines(path, text)]
    return sorted(dict.fromkeys(found), key=lambda hit: (hit.line, hit.kind, hit.value))


def _forms(forms: tuple[tuple[str, re.Pattern[str]], ...], line: str, number: int) -> Iterator[Hit]:
    for kind, form in forms:
        for match in form.finditer(line):
            value = match.group(match.lastindex or 0)
            if believable(value):
                yield Hit(kind, number, value)


def _lines(path: str, text: str) -> Iterator[Hit]:
    named, strict = _by_name(path)
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        yield from _forms(ALL_FORMS, line, number)
        if "://" in line:
            yield from _addresses(path, line, number)
        if len(line) > names.MAX_LINE:
            continue
        if not ignores.is_test(path) and ("earer " in line or "Basic " in line or "oken " in line):
            yield from (
                Hit(HEADER, number, m["value"]) for m in AUTHORIZATION.finditer(line) if values.looks_random(m["value"])
            )
        if named and names.opens(line):
            yield from _named(path, lines[number - 1 : number - 1 + names.MAX_ROWS], number, strict)
        if named and (PGPASS_FILE.search(path) or ".pgpass" in line):
            found = (m["value"] for m in names.PGPASS.finditer(line))
            yield from (Hit(NAMED, number, value) for value in found if values.password(value))


def believable(value: str) -> bool:
    """Whether a value of a known format is real and not an example: enough different characters, not named example."""
    return len(set(value[4:])) >= 8 and not EXAMPLE.search(value)


def _by_name(path: str) -> tuple[bool, bool]:
    """(whether names count in the file, whether only random values count)."""
    base = os.path.basename(path)
    config = (
        base.endswith(CONFIG)
        or base.startswith((".env", "env.", "Dockerfile", "Procfile"))
        or base in ("env", ".netrc", ".pgpass", ".npmrc", ".pypirc")
    )
    if ignores.is_test(path) or not (config or base.endswith(CODE)):
        return False, True
    return True, bool(SAMPLE.search(path)) or not (config or SETTINGS.search(path))


def _named(path: str, rows: list[str], number: int, strict: bool) -> Iterator[Hit]:
    """Values assigned to a name such as ``password``. Those in a developer's local settings are shown, do not block."""
    text, listed = names.whole(rows)
    sample, hint = SAMPLE.search(path), ignores.is_local_settings(path)
    bare = not path.endswith(CODE) or path.endswith((".sh", ".bash", ".tf"))
    for name, value, start, careful in names.places(text, listed, bare):
        made = value.startswith(values.INSECURE) or values.UUID.match(value)
        if names.NOT_ONE.search(name) or value in name or EXAMPLE.search(value) or (sample and made):
            continue
        if _counts(name, value, strict or careful, careful):
            yield Hit(NAMED, number + text.count("\n", 0, start), value, hint)


def _counts(name: str, value: str, strict: bool, default: bool) -> bool:
    """Whether the value of that name is a secret. strict: only random values count; default: it is a default value."""
    if value.startswith(values.INSECURE):
        return not default and values.looks_random(value[len(values.INSECURE) :])
    if values.UUID.match(value):
        return bool(re.search(r"(?:token|key|secret)\Z", name, re.IGNORECASE)) and values.random_uuid(value)
    if re.search("pass|pwd", name, re.IGNORECASE) and values.app_password(value):
        return True
    if strict:
        chosen = re.search(r"pass|pwd|secret_?key", name, re.IGNORECASE)
        return values.strong(value) if chosen else values.looks_random(value)
    return values.password(value)


def _addresses(path: str, line: str, number: int) -> Iterator[Hit]:
    """Passwords in URLs. For local hosts, tests and samples only random passwords count."""
    aside = bool(ignores.is_test(path) or SAMPLE.search(path) or (path.endswith(PROSE) and not LISTS.search(path)))
    for match in URL.finditer(line):
        value, host = match["value"], match["host"]
        if value.lower() == match["user"].lower() or values.placeholder(value) or EXAMPLE.search(host):
            continue
        near = bool(NEAR.match(host))
        chosen = values.password(value) or len(values.rest(value)) >= 6
        if (
            values.looks_random(value)
            or (values.strong(value) and not (near and aside))
            or (chosen and not near and not aside)
        ):
            yield Hit(ADDRESS, number, value)


def _keys(path: str, text: str) -> Iterator[Hit]:
    """Private keys with a body; the header alone does not count. Keys in tests are shown, do not block."""
    for match in KEY_BEGINS.finditer(text):
        body = KEY_BODY.match(text, match.end())
        if not body or len(set(body["body"])) < 8 or EXAMPLE_WORD.search(body["body"]):
            continue
        value = body["body"]
        if value.startswith(OPENSSH) and len(value) <= 100:
            second = SECOND_LINE.match(text, body.end())
            if not second:
                continue
            value = second.group(1)
        yield Hit(PRIVATE_KEY, text.count("\n", 0, match.start()) + 1, value, ignores.is_test(path))
