"""Decides whether a value could be a real secret and not a placeholder, word, template or password hash. Pure;
standard library only.
"""

from __future__ import annotations

import math
import re
from collections import Counter

_FILLERS = """
a abc abcd abcdef abcdefgh access admin administrator an and anonymous any api apikey app auth authentication aws bar
baz be bearer bot by can change changed changeit changeme changethis ci client code config correct credential
credentials database db debug default demo dev devel developer development django do docker dont dummy empty enter env
environment example examples fake fallback false fill fixme fixture foo foobar for from fun generate generated goes
guest here id if in insecure insert inside invalid ipsum is it its keep key keys life like local localdev localhost
login long lorem me mock must my mypassword mysecret mysql name never new no nobody none not nothing null of old on
only or owner pass passphrase passwd password passwords please postgres postgresql prod production project public pw
pwd qwerty random real redis removed replace replaced replaceme required root running safe sample secret secretkey
secrets secure server set should site so some something sqlite staging string super supersecret temp temporary test
tester testing testpass testpassword tests testuser text that the this tmp to todo token tokens travis true undefined
unknown unsafe unset use used user username value values very was we weak web with word working x xx xxx xxxx you your
yours
"""
FILLERS = frozenset(_FILLERS.split())
"""Words that occur in placeholders."""

LEET = str.maketrans("013457@$", "oleastas")
SPACE = re.compile(r"\s")
WORDS = re.compile(r"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]+")
CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
TEMPLATE = re.compile(
    r"^[a-z][a-z0-9+.-]*://|\{\{|\}\}|\$\{|^\$\([^)]*\)$|^\$\w+$|%\(\w+\)s?|^[^%]{0,20}%[sdr][^%]{0,10}$|"
    r"<[A-Za-z][\w -]*>|^<.*>$|^\[.*\]$|^\{.*\}$|^%\w+%$|^__\w+__$|^[@!][\w.-]*$|\*\*\*|\.\.\.|…|"
    r"^ENC\[|^vault:|^op://|\\x[0-9a-f]|\\u[0-9a-f]"
)
CALL = re.compile(
    r"[A-Za-z_][\w.]{0,40}\([\w\"',"
    r" .=-]*\)?$|^(?:os\.environ|env|settings|self|process\.env|config|secrets|vars)[.\[]\w"
)
HASHED = re.compile(
    r"(?:pbkdf2|argon2|bcrypt|scrypt|sha1|sha256|md5|unsalted|crypt)[\w]*\$|^\$(?:2[abxy]|5|6|1|y|argon2\w*|apr1)\$"
    r"|\{(?:SSHA|SHA|CRYPT)\}",
    re.IGNORECASE,
)
DATED = re.compile(r"\d{4}-\d\d-\d\d|\d+\.\d+\.\d+|\A\d+/(?:s|m|h|d|sec|min|minute|hour|day)\w*\b")
PLACE = re.compile(
    r"[\w.~-]*(?:/[\w.{}<>:-]*)+\.?[\w-]*\Z|[\w-]+(?:\.[\w-]+)+\Z|[a-z]+://\S*\Z|[\w.-]+:[\w.-]+(?:/[\w.-]+)*\Z"
    r"|[\w.+-]+@[\w-]+\.[\w.]+\Z"
)
UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\Z", re.IGNORECASE)
HEX = re.compile(r"[0-9a-fA-F]{32,}\Z")
_PAIRS = """
th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic ne
ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr no ct us ac ot il tr ly nc et ut ss so rs un lo wa
ge ie ee wi em ad ol rt po we na ul ni ts mo ow pa im mi ai sh ir su id os iv ia am fi ci vi pl ig tu ld ry mp bl ab
op ex ke fr oo ag if ap gr od bo sp rd do ck ey pp au wo gi ok qu ui um up
"""
PAIRS = frozenset(_PAIRS.split())
"""The most common letter pairs in English words and identifiers."""
SEQUENCE = re.compile(r"1234567|7654321|abcdef|fedcba|deadbeef|qwert|asdfg|zxcvb|(.)\1{4}", re.IGNORECASE)
INSECURE = "django-insecure-"
"""The prefix of the SECRET_KEY that startproject generates."""

MIN_LENGTH = 8
MIN_RANDOM = 16


def placeholder(value: str) -> bool:
    """Whether the value is a placeholder: a template, a call, a path, a password hash, or text of filler words."""
    if len(set(value)) < 5 or SPACE.search(value) or not value.isprintable():
        return True
    if TEMPLATE.search(value) or HASHED.search(value) or CALL.match(value) or DATED.search(value):
        return True
    return len(rest(value)) < 5 and not _without_words(value)


def _without_words(value: str) -> bool:
    """Whether a long value with all character classes contains nothing like a word."""
    longest = max((len(part) for part in re.findall("[a-z]+", value.lower().translate(LEET))), default=0)
    return len(value) >= 12 and classes(value) == 4 and longest < 5


def rest(value: str) -> str:
    """The value without filler words, punctuation and trailing digits. Digits used as letters count as letters."""
    plain = re.sub(r"[\d\W_]+\Z", "", value)
    one, other = _unfilled(plain), _unfilled(plain.lower().translate(LEET))
    return min(one, other, key=len)


def _unfilled(text: str) -> str:
    kept = []
    for word in WORDS.findall(text):
        if word.isalpha():
            parts = [word] if word.lower() in FILLERS else CAMEL.findall(word)
            kept += [part for part in parts if not _filler(part.lower())]
        elif word.isdigit() and word not in "01234567890123456789":
            kept.append(word)
    return "".join(kept)


def _filler(word: str) -> bool:
    """Whether a word is one filler word, or two combined."""
    return word in FILLERS or any(word[:cut] in FILLERS and word[cut:] in FILLERS for cut in range(2, len(word) - 1))


def words(value: str) -> bool:
    """Whether most of the value consists of words, as in identifiers, sentences, paths and class names."""
    letters = sum(character.isalpha() for character in value)
    if not letters:
        return True
    read = sum(len(part) for part in CAMEL.findall(value) if _readable(part))
    digits = sum(character.isdigit() for character in value)
    return read >= 0.6 * letters and digits <= 0.34 * len(value)


def _readable(part: str) -> bool:
    """Whether most of its letter pairs are common, as in words."""
    word = part.lower()
    return (word in FILLERS and len(word) > 2) or (len(word) >= 4 and _common(word) >= 0.6)


def _common(word: str) -> float:
    """The share of common letter pairs, 0 to 1."""
    pairs = [word[spot : spot + 2] in PAIRS for spot in range(len(word) - 1)]
    return sum(pairs) / len(pairs)


def entropy(value: str) -> float:
    """Shannon entropy in bits per character."""
    size = len(value)
    return -sum(number / size * math.log2(number / size) for number in Counter(value).values())


def classes(value: str) -> int:
    """Number of character classes: lower case, upper case, digits, punctuation."""
    return sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]", r"[^A-Za-z0-9]"))


def looks_random(value: str) -> bool:
    """Whether the value looks generated: long, many different characters, not readable."""
    if len(value) < MIN_RANDOM or UUID.match(value) or placeholder(value):
        return False
    if HEX.match(value):
        return entropy(value) > 2.8 and not value.isdigit()
    if PLACE.match(value) and words(value):
        return False
    if _jumble(value):
        return True
    mixed = classes(re.sub(r"[-_.]", "", value)) >= 2 and any(character.isdigit() for character in value)
    return mixed and entropy(value) > 3.3 and not words(value)


def _jumble(value: str) -> bool:
    """Whether it consists of letters in random case, as in base64."""
    changes = len(re.findall(r"[a-z](?=[A-Z])", value))
    return len(value) >= 20 and value.isalnum() and changes >= len(value) / 8 and not words(value)


def strong(value: str) -> bool:
    """Whether it looks random, or has a password's length, three character classes and is not readable."""
    if looks_random(value):
        return True
    if not MIN_LENGTH <= len(value) < 64 or placeholder(value) or UUID.match(value) or PLACE.match(value):
        return False
    return classes(value) >= 3 and any(character.isdigit() for character in value) and not words(value)


def password(value: str) -> bool:
    """Whether it could be a real password: 8 or more characters, digits or punctuation and letters, no placeholder."""
    if strong(value):
        return True
    if not MIN_LENGTH <= len(value) < 100 or placeholder(value) or UUID.match(value) or PLACE.match(value):
        return False
    inner = re.search(r"[A-Za-z][^A-Za-z_.\s-]+|[^A-Za-z_.\s-]+[A-Za-z]", value)
    return bool(inner) and (any(character.isdigit() for character in value) or classes(value) >= 3)


def random_uuid(value: str) -> bool:
    """Whether it is a random UUID (version 4), not a typed one."""
    return UUID.match(value) is not None and value[14] == "4" and len(set(value)) >= 10 and not SEQUENCE.search(value)


def app_password(value: str) -> bool:
    """Whether it has the format of Google's app passwords: 16 lower-case letters, also in groups of four, no words."""
    letters = value.replace(" ", "")
    if not re.match(r"[a-z]{16}\Z", letters) or len(set(letters)) < 8 or SEQUENCE.search(letters):
        return False
    return _common(letters) < 0.4 and not placeholder(letters)
