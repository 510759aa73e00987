"""Reads a message: headers, text, HTML and attachments. Each part of the result is bounded."""

from __future__ import annotations

import codecs
import contextlib
from email.parser import BytesHeaderParser, BytesParser
from email.policy import default as POLICY  # noqa: N812

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any as Message
    from typing import BinaryIO

HEADER_BYTES = 65_536
"""Bytes of a message in which its headers are looked for, for the list."""
VALUE, HEADERS = 4_000, 200
"""Characters of a header's value, and number of headers."""
TEXT, HTML = 200_000, 1_000_000
"""Characters that are shown."""
PARTS, DEPTH = 200, 20
MARKS = 20_000
"""Lines that may begin a part: more of them exhaust the memory."""
ODD = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "utf-7"}
"""Encodings that no mail uses and that are slow or surprising."""


class UnreadableError(Exception):
    """The message cannot be parsed."""


def facts(start: bytes) -> dict:
    """Subject, sender and type of a message, from its first bytes."""
    head = start[:HEADER_BYTES].replace(b"\r\n", b"\n").split(b"\n\n", 1)[0] + b"\n\n"
    try:
        message = BytesHeaderParser(policy=POLICY).parsebytes(head)
        named = {name.lower(): name for name in reversed(message.keys())}
        found = {key: value_of(message, key) if key in named else "" for key in ("subject", "from")}
        kind = message.get_content_type()
    except Exception:
        return {"subject": "", "header_from": "", "type": ""}
    return {"subject": found["subject"][:1000], "header_from": found["from"][:1000], "type": clean(kind)[:200]}


def value_of(message: Message, name: str) -> str:
    """The first header of that name, decoded."""
    for key, raw in message.raw_items():
        if key.lower() == name:
            return decoded(key, raw)
    return ""


def decoded(name: str, raw: object) -> str:
    """A header's value for people."""
    raw = str(raw)
    if len(raw) <= VALUE:
        with contextlib.suppress(Exception):  # a malformed header is shown as it is
            raw = str(POLICY.header_fetch_parse(name, raw))
    return clean(" ".join(raw[:VALUE].split()))


def clean(text: str) -> str:
    """The text without unpaired surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read(file: BinaryIO) -> Message:
    """The parsed message. UnreadableError."""
    if sum(piece.count(b"\n--") for piece in iter(lambda: file.read(1 << 20), b"")) > MARKS:
        raise UnreadableError
    file.seek(0)
    try:
        return BytesParser(policy=POLICY).parse(file)
    except Exception as error:
        raise UnreadableError from error


def shown(message: Message) -> dict:
    """headers, text, html and attachments of a parsed message; truncated: whether it is incomplete. UnreadableError."""
    try:
        return _shown(message)
    except Exception as error:
        raise UnreadableError from error


def _shown(message: Message) -> dict:
    pairs = list(message.raw_items())
    found: dict = {"headers": [[clean(name)[:200], decoded(name, raw)] for name, raw in pairs[:HEADERS]]}
    found.update({"text": None, "html": None, "attachments": []})
    parts = list(leaves(message))
    found["truncated"] = len(pairs) > HEADERS or len(parts) >= PARTS
    for number, part in enumerate(parts, 1):
        kind = part.get_content_type()
        key, most = {"text/plain": ("text", TEXT), "text/html": ("html", HTML)}.get(kind, ("", 0))
        attached = part.get_filename() or part.get_content_disposition() == "attachment"
        if key and not attached and found[key] is None:
            text = characters(part)
            found[key], found["truncated"] = text[:most], found["truncated"] or len(text) > most
            continue
        found["attachments"].append(described(number, part, kind))
    return found


def described(number: int, part: Message, kind: str) -> dict:
    """An attachment without its content."""
    return {
        "number": number,
        "name": clean(part.get_filename() or "")[:200],
        "type": clean(kind)[:200],
        "size": len(content(part)),
        "id": clean(str(part.get("content-id") or "")).strip("<> ")[:200],
        "inline": part.get_content_disposition() == "inline",
    }


def leaves(message: Message, depth: int = 0) -> Iterator[Message]:
    """The parts that contain no others; an attached message is one part."""
    kind = message.get_content_maintype()
    if depth > DEPTH:
        raise ValueError("nested too deeply")
    if kind == "multipart" and message.is_multipart():
        left = PARTS
        for part in message.get_payload():
            for leaf in leaves(part, depth + 1):
                if not left:
                    return
                left -= 1
                yield leaf
    else:
        yield message


def content(part: Message) -> bytes:
    """The bytes of a part."""
    if part.is_multipart():  # an attached message
        inner = part.get_payload()
        return inner[0].as_bytes() if inner else b""
    return part.get_payload(decode=True) or b""


def characters(part: Message) -> str:
    """The text of a part; bytes that its encoding does not know are replaced."""
    charset = part.get_content_charset("utf-8")
    try:
        name = codecs.lookup(charset).name
        text = content(part).decode("utf-8" if name in ODD else name, "replace")
    except (LookupError, UnicodeError, ValueError):
        text = content(part).decode("utf-8", "replace")
    return clean(text.replace("\r\n", "\n"))


def attachment(message: Message, number: int) -> tuple[str, str, bytes] | None:
    """(name, type, bytes) of the attachment of that number; None if there is none. UnreadableError."""
    try:
        for place, part in enumerate(leaves(message), 1):
            if place == number:
                facts = described(number, part, part.get_content_type())
                return facts["name"], facts["type"], content(part)
    except Exception as error:
        raise UnreadableError from error
    return None


def start_of(path: str) -> bytes:
    """The first bytes of a file."""
    with open(path, "rb") as file:
        return file.read(HEADER_BYTES)
