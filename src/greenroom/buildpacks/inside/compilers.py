"""Explains why a package could not be built from source: the header, program or library that is missing, the Debian
package that has it, and the package of Python that needs none of it. Pure; standard library only.
"""

from __future__ import annotations

import re

WHEEL = "a version of the package that has a wheel"
POSTGRES = ("libpq-dev", "psycopg2-binary, or psycopg[binary], in the requirements")
MYSQL = ("default-libmysqlclient-dev", "pymysql in the requirements")
LXML = ("libxml2-dev libxslt1-dev", "a version of lxml that has a wheel")
PILLOW = ("libjpeg-dev zlib1g-dev", "a version of Pillow that has a wheel")
COMPILER = ("build-essential", WHEEL)
HEADERS = {
    "libpq-fe.h": POSTGRES,
    "postgres_fe.h": POSTGRES,
    "Python.h": ("python3-dev", WHEEL),
    "mysql.h": MYSQL,
    "libxml/xmlversion.h": LXML,
    "libxml/parser.h": LXML,
    "libxslt/xslt.h": LXML,
    "xmlsec/xmlsec.h": ("libxmlsec1-dev", WHEEL),
    "ffi.h": ("libffi-dev", WHEEL),
    "openssl/ssl.h": ("libssl-dev", WHEEL),
    "openssl/opensslv.h": ("libssl-dev", WHEEL),
    "openssl/aes.h": ("libssl-dev", WHEEL),
    "jpeglib.h": PILLOW,
    "zlib.h": ("zlib1g-dev", WHEEL),
    "lber.h": ("libldap2-dev libsasl2-dev", WHEEL),
    "ldap.h": ("libldap2-dev libsasl2-dev", WHEEL),
    "sasl/sasl.h": ("libsasl2-dev", WHEEL),
    "sqlite3.h": ("libsqlite3-dev", WHEEL),
    "gdal.h": ("libgdal-dev", "a package that ships GDAL in its wheels"),
    "geos_c.h": ("libgeos-dev", WHEEL),
    "cairo.h": ("libcairo2-dev", WHEEL),
    "curl/curl.h": ("libcurl4-openssl-dev", WHEEL),
    "cups/http.h": ("libcups2-dev", WHEEL),
    "snappy-c.h": ("libsnappy-dev", WHEEL),
    "gmp.h": ("libgmp-dev", WHEEL),
    "hdf5.h": ("libhdf5-dev", WHEEL),
    "libmemcached/memcached.h": ("libmemcached-dev", "pymemcache in the requirements"),
    "portaudio.h": ("portaudio19-dev", WHEEL),
    "magic.h": ("libmagic-dev", WHEEL),
    "yaml.h": ("libyaml-dev", WHEEL),
    "gssapi/gssapi.h": ("libkrb5-dev", WHEEL),
    "uuid/uuid.h": ("uuid-dev", WHEEL),
    "ft2build.h": ("libfreetype-dev", WHEEL),
    "sql.h": ("unixodbc-dev", WHEEL),
}
"""Header -> (Debian packages, the way without them)."""
PROGRAMS = {
    "pg_config": POSTGRES,
    "mysql_config": MYSQL,
    "mariadb_config": ("libmariadb-dev", WHEEL),
    "xml2-config": LXML,
    "xslt-config": LXML,
    "gdal-config": ("libgdal-dev", "a package that ships GDAL in its wheels"),
    "geos-config": ("libgeos-dev", WHEEL),
    "curl-config": ("libcurl4-openssl-dev", WHEEL),
    "krb5-config": ("libkrb5-dev", WHEEL),
    "pkg-config": ("pkg-config", WHEEL),
    "cmake": ("cmake", WHEEL),
    "swig": ("swig", WHEEL),
    "make": COMPILER,
    "gcc": COMPILER,
    "cc": COMPILER,
    "g++": COMPILER,
    "c++": COMPILER,
    "clang": COMPILER,
    "gfortran": ("gfortran", WHEEL),
    "cargo": ("cargo", WHEEL),
    "rustc": ("rustc cargo", WHEEL),
    "git": ("git", "a release of the package instead of its repository"),
}
LIBRARIES = {
    "pq": POSTGRES,
    "mysqlclient": MYSQL,
    "mariadb": MYSQL,
    "xml2": LXML,
    "xslt": LXML,
    "ssl": ("libssl-dev", WHEEL),
    "crypto": ("libssl-dev", WHEEL),
    "z": ("zlib1g-dev", WHEEL),
    "ffi": ("libffi-dev", WHEEL),
    "jpeg": PILLOW,
    "ldap": ("libldap2-dev", WHEEL),
    "lber": ("libldap2-dev", WHEEL),
    "sqlite3": ("libsqlite3-dev", WHEEL),
    "gdal": ("libgdal-dev", WHEEL),
    "odbc": ("unixodbc-dev", WHEEL),
}
SAID = (
    ("Can not find valid pkg-config name", "The client library of MySQL", MYSQL),
    ("make sure the libxml2 and libxslt development packages are installed", "libxml2 and libxslt", LXML),
    ("headers or library files could not be found for jpeg", "libjpeg", PILLOW),
    ("headers or library files could not be found for zlib", "zlib", PILLOW),
    ("you need a C compiler to build uWSGI", "A C compiler", COMPILER),
    ("Unknown compiler(s)", "A C compiler", COMPILER),
    ("Git executable not found", "The program git", PROGRAMS["git"]),
    ("can't find Rust compiler", "The Rust compiler", ("rustc cargo", WHEEL)),
)
"""Sentences of setup scripts: (sentence, what is missing, the ways out)."""
_TRIPLET = r"(?:[a-z0-9_]+-linux-gnu-)?"
_NAME = "|".join(re.escape(name) for name in sorted(PROGRAMS, key=len, reverse=True))
HEADER = re.compile(r"fatal error: '?([\w./+-]{1,100}\.h(?:pp)?)'?(?: file not found|: No such file or directory)")
PROGRAM = re.compile(
    rf"(?:command '{_TRIPLET}({_NAME})(?:-\d+)?' failed: No such file or directory"
    rf"|unable to execute '{_TRIPLET}({_NAME})(?:-\d+)?'"
    rf"|No such file or directory: '{_TRIPLET}({_NAME})(?:-\d+)?'"
    rf"|(?:^|[\s:'\"/])({_NAME})'?(?: executable)?:? (?:was )?(?:command )?not found"
    rf"|not found: ({_NAME})$)",
    re.MULTILINE,
)
LIBRARY = re.compile(r"cannot find -l([A-Za-z0-9_+.-]{1,60})")
BUILT = re.compile(
    r"Failed to (?:download and )?build [`'\"]?([A-Za-z0-9][A-Za-z0-9._-]{0,100}?)(?:==([\w.+!-]{1,40})|[`'\" @]|$)",
    re.M,
)
OLDER = "use a newer version of it, or an older Python: echo 3.10 > .python-version"
RENAMED = {
    "backports-zoneinfo": "remove backports.zoneinfo from the requirements: Python 3.9 and newer have zoneinfo",
    "sklearn": "replace sklearn in the requirements by scikit-learn, also where another package asks for it",
    "bs4": "replace bs4 in the requirements by beautifulsoup4",
}
"""Packages that cannot be built, and the way on."""


def explain(text):
    """(message, hint) if the output names a missing header, program or library; None if it does not."""
    found = _header(text) or _program(text) or _said(text) or _library(text)
    if found is None:
        return None
    missing, ways = found
    built = BUILT.search(text)
    what = "%s is built from source" % built.group(1) if built else "a package is built from source"
    message = "%s is missing on this host: %s." % (missing, what)
    if ways is None:
        return message, "use %s, or add the Debian package that has it to Aptfile" % WHEEL
    packages, instead = ways
    return message, (
        "use %s; or: echo %s >> Aptfile && git add Aptfile, and heroku buildpacks:add --index 1"
        " heroku-community/apt" % (instead, packages)
    )


def not_built(text):
    """(message, hint) if a package failed to build, without a reason that ``explain`` knows; None if none did."""
    found = BUILT.search(text)
    if found is None:
        return None
    name, version = found.groups()
    message = "%s%s has no wheel for this Python and cannot be built from source." % (
        name,
        " " + version if version else "",
    )
    last = [line.strip() for line in text.splitlines() if re.match(r"\s*(?:\w+\.)*\w*(?:Error|Exception)\b", line)]
    hint = RENAMED.get(re.sub(r"[-_.]+", "-", name).lower(), OLDER)
    return "\n".join([message, *(line[:300] for line in last[-1:])]), hint


def _header(text):
    found = HEADER.search(text)
    if not found:
        return None
    name = found.group(1)
    return "The header " + name, HEADERS.get(name)


def _program(text):
    found = PROGRAM.search(text)
    if not found:
        return None
    name = next(group for group in found.groups() if group)
    return "The program " + name, PROGRAMS[name]


def _said(text):
    return next(((missing, ways) for sentence, missing, ways in SAID if sentence in text), None)


def _library(text):
    found = LIBRARY.search(text)
    if not found:
        return None
    return "The library lib" + found.group(1), LIBRARIES.get(found.group(1))
