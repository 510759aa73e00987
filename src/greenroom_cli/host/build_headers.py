"""The compiler and headers of Heroku's build image for packages that are built from source; names the missing ones."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

COMPILER = ("cc", "build-essential")
HEADERS = {
    "libpq-fe.h": "libpq-dev",
    "mysql.h": "default-libmysqlclient-dev",
    "libxml/parser.h": "libxml2-dev",
    "libxslt/xslt.h": "libxslt1-dev",
    "ffi.h": "libffi-dev",
    "openssl/ssl.h": "libssl-dev",
    "jpeglib.h": "libjpeg-dev",
    "zlib.h": "zlib1g-dev",
}
"""Header -> its package of Debian and Ubuntu. psycopg2, mysqlclient, lxml, cffi, cryptography and Pillow need them."""
BELOW = ("", "postgresql", "mysql", "mariadb", "libxml2")
"""Folders of the system's include folders that packages add to the compiler's path."""


def missing(include: Path = Path("/usr/include"), which: Callable[[str], str | None] = shutil.which) -> list[str]:
    """The packages that this machine lacks, in the order of the lists."""
    folders = [include, *include.glob("*-linux-gnu*"), include.parent / "local" / "include"]
    places = [folder / below for folder in folders for below in BELOW]
    lacking = [] if which(COMPILER[0]) else [COMPILER[1]]
    return lacking + [
        package for header, package in HEADERS.items() if not any((place / header).is_file() for place in places)
    ]
