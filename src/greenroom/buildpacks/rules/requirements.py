"""The requirements of requirements.txt, normalised: without comments, order, spacing and spelling variants.

Includes its ``-r`` and ``-c`` files. Pure: the caller supplies a function that reads a file of the commit.
"""

from __future__ import annotations

import codecs
import hashlib
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules.storable import trouble

SEEDS = {
    "pip": "pip==26.2.1 --hash=sha256:71138adf1f4ca900cdb7d289c21b7494329f2332b6d85f0e1c42108c0384ed3e",
    "setuptools": "setuptools==70.3.0 --hash=sha256:fe384da74336c398e0d956d1cae0669bc02eed936cdb1d49b57de1990dc11ffc",
}
"""Packages that Heroku adds to every pip environment: pip itself, and setuptools up to Python 3.12."""
OLDER_PIP = {
    (3, 9): "pip==26.0.1 --hash=sha256:bdb1b08f4274833d62c1aa29e20907365a2ceb950410df15fc9521bad440122b",
    (3, 8): "pip==25.0.1 --hash=sha256:c46efd13b6aa8279f33f2864459c8ce587ea6a1a59ee20de055868d8f7688f7f",
}
"""The last pip version for Pythons that newer ones do not support."""
Read = Callable[[str], bytes | None]
COMMENT = re.compile(r"(^|\s+)#.*$")
NESTED = re.compile(r"(?:(?P<short>-[rc])\s*|(?P<long>--(?:requirement|constraint))[\s=]+)(?P<path>\S.*)\Z")
EDITABLE = re.compile(r"(?:-e\b|--editable\b)")
GLUED = re.compile(r"(?m)^[ \t]*-[rceif](?=[^\s=-])")
QUOTED = re.compile(r"(?m)^(?P<option>[ \t]*(?:-e|--editable)[ \t=]+)(?P<quote>[\"'])(?P<what>[^\"'\n]+)(?P=quote)")
SINGLE = re.compile(r"\s--(?:config-settings?|global-option|install-option|build-option)\b")
"""Options of one requirement that affect its build."""
NAME = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<rest>.*)\Z", re.DOTALL)
HASH = re.compile(r"\s--hash[=\s]+(sha(?:256|384|512):[0-9a-fA-F]+)")
CODING = re.compile(rb"#.*coding[:=]\s*([-\w.]+)")
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LINKS = re.compile(r"(?:-f\s*|--find-links[\s=]+)(?P<path>\S+)\Z")
REMOTE = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//|(?:git|hg|svn|bzr)\+")
MAX_FILES = 200
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Requirements:
    """The content of a requirements file.

    lines:    normalised, sorted, distinct; lines of constraint files begin with ``-c ``.
    files:    path -> content of every included file, the root file first.
    options:  lines such as ``--extra-index-url ...``, in order.
    hashed:   every requirement is pinned by ``==`` and has a hash: no resolution is needed.
    local:    something is built from the tree or from a repository (editable, path, VCS): only in the app's own
    sandbox.
    links:    an option names a directory of the tree that contains packages.
    moving:   something may change under the same name: a branch of a repository, a requirements file at a URL.
    """

    lines: tuple[str, ...]
    files: dict[str, str]
    options: tuple[str, ...] = ()
    hashed: bool = False
    local: tuple[str, ...] = ()
    links: bool = False
    moving: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the requirements; independent of comments, order and spacing."""
        return hashlib.sha256("\n".join([*self.options, "", *self.lines]).encode()).hexdigest()

    @property
    def text(self) -> str:
        """The normalised lines as a requirements file (for ``hashed`` ones)."""
        return "\n".join([*self.options, *self.lines]) + "\n"


class _Reader:
    """Collects the lines of a file and of the files that it includes."""

    def __init__(self, read: Read) -> None:
        self.read = read
        self.files: dict[str, str] = {}
        self.seen: set[tuple[str, bool]] = set()
        self.lines: set[str] = set()
        self.options: list[str] = []
        self.local: list[str] = []
        self.hashed = False
        self.unhashed: list[str] = []
        self.remote = False

    def take(self, path: str, *, constraint: bool, named_by: str) -> None:
        if (path, constraint) in self.seen:
            return
        self.seen.add((path, constraint))
        text = self._load(path, named_by)
        for number, line in _logical_lines(text):
            self._line(path, number, line, constraint)

    def _load(self, path: str, named_by: str) -> str:
        if path in self.files:
            return self.files[path]
        if path.startswith(("..", "/")):
            raise _bad(named_by, f"the file {path[:200]!r} lies outside the app", "move it into the folder of the app")
        data = self.read(path)
        if data is None:
            raise _bad(named_by, f"the file {path[:200]!r} is not in the commit", f"git add -f {path[:200]}")
        if len(data) > MAX_BYTES or len(self.files) >= MAX_FILES:
            raise _bad(
                named_by, f"{path[:200]!r} is too large, or there are too many files ({MAX_FILES} are allowed)", ""
            )
        self.files[path] = _spaced(_decoded(data, path))
        return self.files[path]

    def _line(self, path: str, number: int, line: str, constraint: bool) -> None:
        if SINGLE.search(line):
            hint = (
                "set them for the package in pyproject.toml ([tool.uv] config-settings-package) and use uv.lock, or use"
                " a wheel"
            )
            raise _bad(
                f"{path}, line {number}",
                f"options of a single requirement are not supported, found {line[:100]!r}",
                hint,
            )
        nested = NESTED.match(line)
        if nested:
            self._nested(path, number, nested, constraint)
        elif line.startswith("-") and not EDITABLE.match(line):
            if line not in self.options:
                self.options.append(line)
        elif EDITABLE.match(line) or _is_local(line):
            self.local.append(line)
            self.lines.add(line)
            self.unhashed.append(f"{path}, line {number}: {line[:100]}")
        else:
            self.lines.add(("-c " if constraint else "") + normal(line))
            if constraint:
                return
            self.hashed |= bool(HASH.search(line))
            if not (HASH.search(line) and _is_pinned(line)):
                self.unhashed.append(f"{path}, line {number}: {line[:100]}")

    def _nested(self, path: str, number: int, found: re.Match[str], constraint: bool) -> None:
        named = found["path"].strip().strip("'\"")
        constraint = constraint or (found["short"] or found["long"]) in ("-c", "--constraint")
        if REMOTE.match(named):
            self.remote = True
            self.lines.add(f"{'-c' if constraint else '-r'} {named}")
            return
        target = posixpath.normpath(posixpath.join(posixpath.dirname(path), named))
        self.take(target, constraint=constraint, named_by=f"{path}, line {number}")

    def checked(self) -> None:
        """Enforce pip's rule: if one requirement has a hash, all must be pinned and have one."""
        if self.unhashed and (self.hashed or "--require-hashes" in self.options):
            raise _bad(
                self.unhashed[0],
                "this requirement is not pinned by == with a --hash, though others are (or --require-hashes is given);"
                " pip then refuses all",
                "pip-compile --generate-hashes, or uv pip compile --generate-hashes",
            )


def _decoded(data: bytes, path: str) -> str:
    """The text of a requirements file in pip's encoding: by byte order mark, or coding line in the first two, else
    UTF-8.
    """
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), "")
    named = next(
        (found[1].decode("ascii", "replace") for line in data.split(b"\n")[:2] if (found := CODING.match(line))),
        "utf-8",
    )
    try:
        text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding or named)
    except (
        ValueError,
        LookupError,
    ) as error:  # some codecs (undefined) raise a UnicodeError that is not a UnicodeDecodeError
        raise _bad(path, f"this is not {encoding or named} text", f"save {path} as UTF-8") from error
    if problem := trouble(text):
        raise _bad(
            path,
            f"this is not {encoding or named} text: {problem}; UTF-16 needs its byte order mark",
            f"save {path} as UTF-8",
        )
    return text


def _spaced(text: str) -> str:
    """The text with a space after short options (``-rbase.txt``, ``-e.``) and without quotes around editables.

    pip accepts both, uv neither.
    """
    return QUOTED.sub(r"\g<option>\g<what>", GLUED.sub(r"\g<0> ", _joined(text)))


def _joined(text: str) -> str:
    """The text with continued lines joined as pip does and uv partly does not; empty lines preserve the line
    numbers.
    """
    found: list[str] = []
    parts: list[str] = []
    for raw in text.splitlines():
        if raw.endswith("\\") and not raw.lstrip().startswith("#"):
            parts.append(raw[:-1])
            continue
        found += [" ".join([*parts, raw]), *("" for _ in parts)]
        parts = []
    return "\n".join([*found, *([" ".join(parts)] if parts else []), ""])


def _bad(where: str, problem: str, hint: str) -> BuildError:
    return BuildError("install-dependencies::pip", f"{where}: {problem}.", hint=hint)


def _logical_lines(text: str) -> list[tuple[int, str]]:
    """(line number, line) of joined text, without comments and with single spaces."""
    lines = ((number, " ".join(COMMENT.sub("", raw).split())) for number, raw in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in lines if line]


def _is_local(line: str) -> bool:
    """Whether the line names a path, an archive or a repository instead of a package of the index."""
    head = line.split(";")[0].split(" --")[0].strip()
    if REMOTE.match(head) or head.startswith((".", "/", "~")):
        return True
    if "@" in head and re.search(r"@\s*(?:[a-z][a-z0-9+.-]*:|[./])", head):
        return not re.search(r"@\s*https?://\S+\.whl(?:[#?]\S*)?\Z", head)
    return head.endswith((".whl", ".tar.gz", ".zip", ".tgz")) or ("/" in head and "@" not in head)


PINNED = re.compile(r"[A-Za-z0-9._-]+\s*(\[[^]]*\])?\s*(===?\s*[^*,;\s]+\s*(;|--hash|\Z)|@\s*https?://)")


def _is_pinned(line: str) -> bool:
    return bool(PINNED.match(line.strip()))


def normal(line: str) -> str:
    """One requirement in canonical form: the name in lower case with dashes, hashes sorted, minimal spaces."""
    hashes = sorted({found.lower() for found in HASH.findall(line)})
    bare = HASH.sub("", line)
    head, _, marker = bare.partition(";")
    match = NAME.match(head.strip())
    if match:
        name = canonicalize_name(match["name"])
        rest = match["rest"].strip()
        head = name + (
            f" {rest}" if rest.startswith("@") else re.sub(r"\s+", "", rest) if " --" not in rest else f" {rest}"
        )
    text = head.strip() + (f" ; {' '.join(marker.split())}" if marker.strip() else "")
    return " ".join([text, *(f"--hash={found}" for found in hashes)])


def read_requirements(read: Read, path: str = "requirements.txt", *, strict: bool = False) -> Requirements:
    """The requirements of ``path`` and all included files. BuildError for a missing or invalid file.

    strict: also if only some of them have hashes.
    """
    reader = _Reader(read)
    reader.take(path, constraint=False, named_by=path)
    if strict:
        reader.checked()
    plain = not (reader.unhashed or reader.local or reader.remote or any(x.startswith("-c ") for x in reader.lines))
    return Requirements(
        lines=tuple(sorted(reader.lines)),
        files=reader.files,
        options=tuple(reader.options),
        hashed=bool(reader.lines) and plain,
        local=tuple(reader.local),
        links=any(found and not REMOTE.match(found["path"]) for found in map(LINKS.match, reader.options)),
        moving=reader.remote or any(_moves(line) for line in reader.local),
    )


def _moves(line: str) -> bool:
    """Whether a requirement is a repository without a full commit id."""
    return "git+" in line and not re.search(r"\.git@[0-9a-f]{40}\b|@[0-9a-f]{40}(?:[#\s;]|\Z)", line)


def seeds(python: tuple[int, int]) -> str:
    """The requirements file of packages added for compatibility; the installer omits those in the lock. Empty before
    Python 3.8.
    """
    if python < min(OLDER_PIP):
        return ""
    lines = [OLDER_PIP.get(python, SEEDS["pip"]), *([SEEDS["setuptools"]] if python <= (3, 12) else [])]
    return "".join(f"{line}\n" for line in lines)
