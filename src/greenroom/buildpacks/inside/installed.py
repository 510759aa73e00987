"""Lists the packages of an environment from their metadata, without running their code."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common


def _metadata():
    """(name, version, folder) of what is installed."""
    lib = os.path.join(common.ENV, "lib")
    for version in os.listdir(lib):
        site = os.path.join(lib, version, "site-packages")
        for entry in os.listdir(site) if os.path.isdir(site) else ():
            if entry.endswith(".dist-info"):
                name, _, number = entry[: -len(".dist-info")].rpartition("-")
                yield name, number, os.path.join(site, entry)


def packages():
    """What is installed: name -> [version, bytes, SHA-256 of its RECORD], from the metadata alone."""
    return {name: [number, *_record(os.path.join(folder, "RECORD"))] for name, number, folder in _metadata()}


def repositories():
    """What was taken from repositories: name -> commit."""
    found = {}
    for name, _, folder in _metadata():
        try:
            with open(os.path.join(folder, "direct_url.json"), encoding="utf-8") as file:
                commit = json.load(file).get("vcs_info", {}).get("commit_id")
        except (OSError, ValueError, AttributeError):
            continue
        if commit:
            found[name] = commit
    return found


def _record(path):
    """(bytes of all files, SHA-256 of the RECORD without what depends on the moment of the installation)."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = sorted(row for row in csv.reader(file) if len(row) > 2)
    except (OSError, UnicodeDecodeError, csv.Error):
        return 0, ""
    lasting = [
        row
        for row in rows
        if not row[0].endswith((".pyc", "/direct_url.json", "/uv_cache.json", "/REQUESTED", "/INSTALLER"))
    ]
    digest = hashlib.sha256(repr(lasting).encode()).hexdigest()
    return sum(int(row[2]) for row in rows if row[2].isdigit()), digest
