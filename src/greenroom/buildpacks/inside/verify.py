"""Verifies an environment shared by many apps against the RECORDs of its packages: each file as listed, no others.
Standard library only.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common

UNHASHED = ("/RECORD", "/RECORD.jws", "/RECORD.p7s")
CHUNK = 1 << 20


def tree(folder):
    """``{relative path: stat data}`` of all files and links below the directory, without following links."""
    found = {}
    for parent, folders, names in os.walk(folder):
        for name in [*names, *(name for name in folders if os.path.islink(os.path.join(parent, name)))]:
            path = os.path.join(parent, name)
            facts = os.lstat(path)
            found[os.path.relpath(path, folder)] = (facts.st_mode, facts.st_ino, facts.st_size, facts.st_mtime_ns)
    return found


def check(folder, empty):
    """Raise Failed(DOUBT) unless the additions to the empty environment (its ``tree``) equal the packages' RECORDs.

    Failed(CONFLICT) if the RECORDs are ambiguous: two packages list a file differently, or a file has no hash.
    """
    present: dict = tree(folder)
    listed: dict = {}
    for site, path in _records(folder):
        for name, digest in _rows(path):
            place = os.path.relpath(os.path.normpath(os.path.join(site, name)), folder)
            if listed.get(place, digest) != digest or not (digest or place.endswith(UNHASHED)):
                raise common.Failed(
                    "conflict", "%s is listed by two packages, or without a hash" % place[:200], code=common.CONFLICT
                )
            listed[place] = digest
    changed = sorted(name for name, facts in empty.items() if present.get(name) != facts or name in listed)
    added = sorted(set(present) - set(empty) - set(listed))
    outside = [name for name in listed if name.startswith("..")]
    wrong = [
        name
        for name, digest in sorted(listed.items())
        if name not in empty and not _is(os.path.join(folder, name), name, digest)
    ]
    for names, text in (
        (changed, "was replaced"),
        (added, "belongs to no package"),
        (outside, "lies outside"),
        (wrong, "differs from its package's list"),
    ):
        if names:
            raise common.Failed("doubt", "%s %s" % (names[0][:200], text), code=common.DOUBT)


def _records(folder):
    lib = os.path.join(folder, "lib")
    for version in sorted(os.listdir(lib)):
        site = os.path.join(lib, version, "site-packages")
        for entry in sorted(os.listdir(site)) if os.path.isdir(site) else ():
            path = os.path.join(site, entry, "RECORD")
            if entry.endswith(".dist-info") and os.path.isfile(path):
                yield site, path


def _rows(path):
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return [(row[0], row[1]) for row in csv.reader(file) if len(row) > 1]
    except (UnicodeDecodeError, csv.Error):
        return []  # its files then belong to no package


def _is(path, name, digest):
    """Whether a regular file has the listed SHA-256; only the list itself may have no hash."""
    if not digest:
        return name.endswith(UNHASHED) and os.path.isfile(path)
    kind, _, wanted = digest.partition("=")
    if kind not in ("sha256", "sha384", "sha512") or os.path.islink(path) or not os.path.isfile(path):
        return False
    total = hashlib.new(kind)
    with open(path, "rb") as file:
        while data := file.read(CHUNK):
            total.update(data)
    return base64.urlsafe_b64encode(total.digest()).rstrip(b"=").decode() == wanted
