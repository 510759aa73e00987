"""Compiles Python files to hash-based pycs (PEP 552): valid in a copied tree, and reproducible.

Pycs of the environment, which is never changed, are unchecked. Those of the app's files, which may be edited in a
one-off dyno, are checked. A pyc of the environment is cached by the hash of its path and source, so that a new
environment compiles only new files. In a shared cache, each file has a seal (HMAC) by a key that only the platform's
own installations get; unsealed files are compiled again.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import marshal
import os
import sys

UNCHECKED, CHECKED = 0b01, 0b11
LIMIT = 2 * 1024 * 1024
MOST = 64 * 1024 * 1024


def sources(folder, skip=()):
    """The .py files below a directory, without those below ``skip``; symbolic links are not followed."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if name not in ("__pycache__", "node_modules") and os.path.join(parent, name) not in skip
        ]
        for name in files:
            path = os.path.join(parent, name)
            if name.endswith(".py") and not os.path.islink(path):
                yield path


def compile_all(folder, flags, skip=(), cache="", workers=1, known=True, seal=""):
    """Compile everything below ``folder`` with ``workers`` processes. Files with errors are skipped, as by pip.

    known: also files that already have a pyc. seal: the key, in hex, for ``cache``.
    """
    files = sorted(
        path for path in sources(folder, skip) if known or not os.path.exists(importlib.util.cache_from_source(path))
    )
    children = []
    for index in range(workers):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for path in files[index::workers]:
                    _compile(path, flags, cache, bytes.fromhex(seal))
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    return children


def wait(children):
    """Wait for the processes of ``compile_all``."""
    for child in children:
        os.waitpid(child, 0)


def _compile(path, flags, cache, seal):
    try:
        with open(path, "rb") as file:
            source = file.read(LIMIT + 1)
        if len(source) > LIMIT:
            return
        target = importlib.util.cache_from_source(path)
        stored = _stored(path, source, cache)
        data = _opened(stored, seal) if stored else None
        if data is None:
            data = _pyc(path, source, flags)
            if stored:
                _write(stored, _tag(stored, data, seal) + data)
        _write(target, data)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OSError):
        return


def _pyc(path, source, flags):
    code = compile(source, path, "exec", dont_inherit=True, optimize=0)
    head = importlib.util.MAGIC_NUMBER + flags.to_bytes(4, "little") + importlib.util.source_hash(source)
    return head + marshal.dumps(code)


def _stored(path, source, cache):
    if not cache:
        return ""
    key = hashlib.sha256(path.encode("utf-8", "surrogateescape") + b"\0" + source).hexdigest()
    return os.path.join(cache, sys.implementation.cache_tag, key[:2], key)


def _tag(stored, data, seal):
    """32 bytes that bind the content to its name with the key."""
    return hmac.digest(seal, os.path.basename(stored).encode() + data, "sha256")


def _opened(path, seal):
    """The cached content at ``path``; None if it is missing or not sealed by this key."""
    try:
        with open(path, "rb") as file:
            content = file.read(MOST)
    except OSError:
        return None
    return content[32:] if hmac.compare_digest(content[:32], _tag(path, content[32:], seal)) else None


def _write(path, data):
    temporary = "%s.%d" % (path, os.getpid())
    try:
        file = open(temporary, "wb")  # noqa: SIM115
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        file = open(temporary, "wb")  # noqa: SIM115
    with file:
        file.write(data)
    os.replace(temporary, path)
