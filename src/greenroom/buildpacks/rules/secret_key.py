"""Finds the variable that a Django app's settings read SECRET_KEY from, by parsing the settings. Executes no app code.

For settings that cannot be followed (another configuration method, a computed name), no variable is found or required.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from greenroom.basics.ids import CONFIG_KEY

Read = Callable[[str], bytes | None]
"""The content of a file of the app, by its path relative to the app's root; None if it does not exist."""
Own = Callable[[ast.expr], bool]
MODULE = re.compile(rb"""DJANGO_SETTINGS_MODULE["']?[\s\],=]{1,10}["']([A-Za-z_][\w.]{0,200})["']""")
STARTERS = ("wsgi.py", "asgi.py")
LARGEST = 300_000
MOST_FILES = 30
TARGET = "SECRET_KEY"
READERS = frozenset(
    {
        "getenv",
        "get",
        "env",
        "str",
        "config",
        "get_value",
        "get_env",
        "get_env_variable",
        "get_env_value",
        "env_var",
        "environ",
        "pop",
    }
)
"""Names of functions that read a variable: of os, django-environ, environs, python-decouple, and common custom ones."""
SOURCES = frozenset({"environ", "env", "ENV", "config", "os", "decouple", "environs"})
"""Names that precede ``.get``, ``.str`` etc. when a variable is read."""


@dataclass(frozen=True)
class Found:
    """The variable that a value is read from. needed: the app does not start without it."""

    name: str = ""
    needed: bool = False


def settings_module(read: Read, files: list[str], chosen: str = "") -> str:
    """The dotted name of the app's settings: ``chosen`` (the config var), else from wsgi.py, asgi.py or manage.py; or
    empty.
    """
    if chosen:
        return chosen
    starters = sorted(
        (name for name in files if name.rpartition("/")[2] in STARTERS and name.count("/") < 4),
        key=lambda name: (name.count("/"), name),
    )
    for name in [*starters, "manage.py"]:
        data = read(name) or b""
        match = MODULE.search(data) if len(data) <= LARGEST else None
        if match:
            return match[1].decode()
    return ""


def needed(read: Read, module: str) -> str:
    """The variable that these settings need for SECRET_KEY; empty if they need none or it cannot be found."""
    found = _Settings(read).value(module, TARGET)
    return found.name if found and found.needed and CONFIG_KEY.match(found.name) and len(found.name) <= 100 else ""


@dataclass
class _Settings:
    """Follows the settings' modules through their star imports; each file is read once."""

    read: Read
    seen: set[str] = field(default_factory=set)

    def value(self, module: str, target: str) -> Found | None:
        """The variable in the module's last assignment of ``target``; None if it does not assign it."""
        tree, path = self._tree(module)
        if tree is None:
            return None
        found: Found | None = None
        for statement in tree.body:
            found = self._one(statement, target, module, path, tree) or found
        return found

    def _tree(self, module: str) -> tuple[ast.Module | None, str]:
        place = module.replace(".", "/")
        for path in (f"{place}.py", f"{place}/__init__.py"):
            data = self.read(path) if path not in self.seen and len(self.seen) < MOST_FILES else None
            if data is None or len(data) > LARGEST:
                continue
            self.seen.add(path)
            try:
                return ast.parse(data), path
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                return None, path
        return None, ""

    def _one(self, statement: ast.stmt, target: str, module: str, path: str, tree: ast.Module) -> Found | None:
        """The variable that one statement of the module assigns to the target."""
        if isinstance(statement, ast.ImportFrom):
            names = {alias.asname or alias.name: alias.name for alias in statement.names}
            wanted = target if "*" in names else names.get(target)
            return self.value(absolute(statement, module, path), wanted) if wanted else None
        if isinstance(statement, ast.Try):
            return self._try(statement, target, module, path, tree)
        if isinstance(statement, ast.If | ast.With):
            inner = [*statement.body, *(statement.orelse if isinstance(statement, ast.If) else [])]
            found = [one for one in (self._one(part, target, module, path, tree) for part in inner) if one]
            return next((one for one in found if one.needed), found[-1] if found else None)
        value = _assigned(statement, target)
        return _follow(value, tree, partial(self._own_reader, module, path, tree)) if value is not None else None

    def _own_reader(self, module: str, path: str, tree: ast.Module, function: ast.expr) -> bool:
        """Whether the function is the app's own, in this module or an imported one, and reads the environment."""
        name = _last(function)
        base = _last(function.value) if isinstance(function, ast.Attribute) else ""
        wanted = base or name
        for node in ast.walk(tree):
            if not base and isinstance(node, ast.FunctionDef) and node.name == name:
                return _mentions_environment(node)
            if isinstance(node, ast.ImportFrom) and (
                known := {alias.asname or alias.name: alias.name for alias in node.names}.get(wanted)
            ):
                place = absolute(node, module, path)
                return self._defines(f"{place}.{known}".lstrip("."), name) if base else self._defines(place, known)
            if (
                isinstance(node, ast.Import)
                and base
                and any((alias.asname or alias.name.rpartition(".")[2]) == base for alias in node.names)
            ):
                return self._defines(
                    next(alias.name for alias in node.names if (alias.asname or alias.name.rpartition(".")[2]) == base),
                    name,
                )
        return False

    def _defines(self, module: str, name: str) -> bool:
        tree, _ = self._tree(module)
        return tree is not None and any(
            isinstance(node, ast.FunctionDef) and node.name == name and _mentions_environment(node)
            for node in ast.walk(tree)
        )

    def _try(self, statement: ast.Try, target: str, module: str, path: str, tree: ast.Module) -> Found | None:
        """An exception handler that continues supplies its own value for a missing variable."""
        parts = [self._one(part, target, module, path, tree) for part in statement.body]
        found = next((one for one in reversed(parts) if one), None)
        raises = all(
            any(isinstance(node, ast.Raise) or _exits(node) for node in ast.walk(handler))
            for handler in statement.handlers
        )
        return found if found is None or raises else Found(found.name, needed=False)


def _mentions_environment(function: ast.FunctionDef) -> bool:
    return any(
        _last(node) in ("environ", "getenv")
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute | ast.Name)
    )


def _exits(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and _last(node.func) in ("exit", "_exit")


def absolute(statement: ast.ImportFrom, module: str, path: str) -> str:
    """The absolute dotted name of the module that an import statement imports from."""
    if not statement.level:
        return statement.module or ""
    package = module.split(".") if path.endswith("/__init__.py") else module.split(".")[:-1]
    base = package[: len(package) - statement.level + 1]
    return ".".join([*base, *([statement.module] if statement.module else [])])


def _assigned(statement: ast.stmt, target: str) -> ast.expr | None:
    if isinstance(statement, ast.Assign) and any(
        isinstance(one, ast.Name) and one.id == target for one in statement.targets
    ):
        return statement.value
    if (
        isinstance(statement, ast.AnnAssign)
        and isinstance(statement.target, ast.Name)
        and statement.target.id == target
    ):
        return statement.value
    return None


def _follow(value: ast.expr, tree: ast.Module, own: Own, depth: int = 0) -> Found:
    """The variable that an expression reads. Names resolve to the module's assignments.

    ``own``: whether a function is the app's own and reads the environment.
    """
    if depth > 5:
        return Found()
    if isinstance(value, ast.Name):
        given = [one for one in (_assigned(statement, value.id) for statement in tree.body) if one is not None]
        return _follow(given[-1], tree, own, depth + 1) if given else Found()
    if isinstance(value, ast.BoolOp):
        parts = [_follow(part, tree, own, depth + 1) for part in value.values]
        return Found(parts[0].name) if parts else Found()  # each is a fallback for another: none is required
    if isinstance(value, ast.IfExp):
        parts = [_follow(part, tree, own, depth + 1) for part in (value.body, value.orelse)]
        return next((part for part in parts if part.needed), Found())
    direct = _read_by(value, own)
    if direct is not None:
        return direct
    found = [_follow(part, tree, own, depth + 1) for part in _parts(value)]
    return next((one for one in found if one.needed), next((one for one in found if one.name), Found()))


def _parts(value: ast.expr) -> Iterator[ast.expr]:
    """Subexpressions whose value the expression passes on: ``str(x)``, ``x.strip()``, ``x + y``, f-strings."""
    if isinstance(value, ast.Call):
        yield from value.args
        if isinstance(value.func, ast.Attribute):
            yield value.func.value
    elif isinstance(value, ast.BinOp):
        yield from (value.left, value.right)
    elif isinstance(value, ast.JoinedStr):
        yield from (part.value for part in value.values if isinstance(part, ast.FormattedValue))


def _read_by(value: ast.expr, own: Own) -> Found | None:
    """The variable that the expression itself reads; None if it reads none."""
    if isinstance(value, ast.Subscript):
        name = _text(value.slice)
        return Found(name, needed=True) if name and _last(value.value) in SOURCES else None
    if not isinstance(value, ast.Call) or not value.args:
        return None
    name = _text(value.args[0])
    if not name or not (_reads(value.func) or own(value.func)):
        return None
    return Found(name, needed=not _has_default(value))


def _reads(function: ast.expr) -> bool:
    last = _last(function)
    if isinstance(function, ast.Name):
        return last in READERS - {"get", "str", "pop"} or "env" in last.lower()
    base = _last(function.value) if isinstance(function, ast.Attribute) else ""
    return last in READERS and base in SOURCES


def _has_default(call: ast.Call) -> bool:
    """Whether the call has a default for an unset variable. django-environ's second argument is a type, not a
    default.
    """
    given = [keyword.value for keyword in call.keywords if keyword.arg == "default"]
    given += [part for part in call.args[1:2] if not (isinstance(part, ast.Name) and part.id in ("str", "bool", "int"))]
    return any(not (isinstance(part, ast.Constant) and part.value in (None, "")) for part in given)


def _last(node: ast.expr) -> str:
    """``environ`` of ``os.environ``."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
