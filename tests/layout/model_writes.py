"""Finds the writes of Django rows in source text: which model each ``.save()``, ``.update()`` ... writes.

The type of a receiver is inferred from imports, annotations, assignments, fields and related names. A receiver that
cannot be inferred counts as a row only for methods that nothing but rows and querysets have.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from django.apps import apps
from django.db.models import Model, QuerySet

SRC = Path(__file__).parent.parent.parent / "src"
WRITES = {"save", "create", "bulk_create", "get_or_create", "update_or_create", "update", "delete", "bulk_update"}
ONLY_ROWS = {"save", "bulk_create", "get_or_create", "update_or_create", "bulk_update"}
"""Methods that exist only on rows and querysets in this code base, so an unknown receiver counts as a row."""
UNKNOWN = "?"
BINDS = (ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.For, ast.AsyncFor, ast.comprehension, ast.withitem)
"""Nodes that bind names."""
KEEPS = {name for name in dir(QuerySet) if not name.startswith("_")} | {"locked", "set"}
WRAPPERS = {"list", "sorted", "next", "iter", "reversed", "tuple", "set", "get_object_or_404"}
CONTAINER_METHODS = {"get", "pop", "values", "setdefault", "items", "result"}


@dataclass(frozen=True, order=True)
class Write:
    """One write: the file below src, the line, the method, and the model's label (``deliveries.Delivery``)."""

    path: str
    line: int
    method: str
    model: str

    @property
    def room(self) -> str:
        return self.model.partition(".")[0]


@dataclass
class Module:
    """The relevant names of one source file: models, functions with their return annotations, classes, modules."""

    name: str
    tree: ast.Module
    models: dict[str, str] = field(default_factory=dict)
    functions: dict[str, ast.expr | None] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    imported: dict[str, tuple[str, str]] = field(default_factory=dict)


@cache
def model_labels() -> dict[tuple[str, str], str]:
    """(module, class) -> label of each model of the project."""
    return {
        (model.__module__, model.__name__): model._meta.label
        for model in apps.get_models()
        if model.__module__.startswith("greenroom.")
    }


@cache
def relations() -> dict[str, dict[str, str]]:
    """Label -> {foreign key or related name: label of the other model}."""
    found: dict[str, dict[str, str]] = {}
    for model in apps.get_models():
        for each in model._meta.get_fields():
            other = each.related_model
            if not isinstance(other, type) or not issubclass(other, Model):
                continue
            name = each.get_accessor_name() if each.auto_created and not each.concrete else each.name
            if name and not name.endswith("+"):
                found.setdefault(model._meta.label, {})[name] = other._meta.label
    return found


@cache
def by_name() -> dict[str, str]:
    """Relation's name -> label, where all relations of that name lead to one model."""
    names: dict[str, set[str]] = {}
    for table in relations().values():
        for name, label in table.items():
            names.setdefault(name, set()).add(label)
    return {name: labels.pop() for name, labels in names.items() if len(labels) == 1}


def read(name: str, text: str) -> Module:
    """The module ``name`` with this source text."""
    module = Module(name, ast.parse(text))
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                label = model_labels().get((node.module, alias.name))
                local = alias.asname or alias.name
                if label:
                    module.models[local] = label
                else:
                    module.imported[local] = (node.module, alias.name)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            module.functions.setdefault(node.name, node.returns)
        elif isinstance(node, ast.ClassDef):
            module.classes[node.name] = node
            if label := model_labels().get((name, node.name)):
                module.models[node.name] = label
    return module


@cache
def project() -> dict[str, Module]:
    """Dotted name -> module, of all files of the control plane."""
    found = {}
    for path in sorted((SRC / "greenroom").rglob("*.py")):
        name = ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")
        found[name] = read(name, path.read_text())
    return found


def writes(module: Module, path: str) -> list[Write]:
    """All writes of rows in the module."""
    return sorted(set(Finder(module, path).found()))


class Finder:
    """Walks one module, function by function, with the types of the names in each."""

    def __init__(self, module: Module, path: str) -> None:
        self.module, self.path = module, path
        self.of_self: dict[str, str] = {}

    def found(self) -> Iterator[Write]:
        yield from self._block(self.module.tree, {})

    def _block(self, owner: ast.AST, outer: dict[str, str]) -> Iterator[Write]:
        names = dict(outer)
        if isinstance(owner, ast.ClassDef):
            self.of_self = self._attributes(owner, self.module)
        if isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            self._parameters(owner.args, names)
        own = list(_own(owner))
        binding = [node for node in own if isinstance(node, BINDS)]
        for _ in range(3):  # a name may be used, in a loop, above the line that binds it
            for node in binding:
                self._bind(node, names)
        for node in own:
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITES:
                yield from self._write(node, node.func, names)
        for node in own:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
                yield from self._block(node, names)

    def _write(self, node: ast.Call, called: ast.Attribute, names: dict[str, str]) -> Iterator[Write]:
        if ast.unparse(called.value) == "super()":
            return
        label = self.type_of(called.value, names)
        if label is None and called.attr in ONLY_ROWS:
            label = UNKNOWN
        if label and not self._is_module(called.value):
            yield Write(self.path, node.lineno, called.attr, label)

    def _is_module(self, value: ast.expr) -> bool:
        return isinstance(value, ast.Name) and ".".join(self.module.imported.get(value.id, ("",))) in project()

    def _parameters(self, args: ast.arguments, names: dict[str, str]) -> None:
        for arg in [*args.posonlyargs, *args.args, *args.kwonlyargs]:
            names.pop(arg.arg, None)
            if label := self.annotated(arg.annotation, self.module):
                names[arg.arg] = label

    def _bind(self, node: ast.AST, names: dict[str, str]) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value, names)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            if label := self.annotated(node.annotation, self.module):
                names[node.target.id] = label
        elif isinstance(node, ast.NamedExpr):
            self._assign(node.target, node.value, names)
        elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
            self._assign(node.target, node.iter, names)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._assign(node.optional_vars, node.context_expr, names)

    def _assign(self, target: ast.expr, value: ast.expr, names: dict[str, str]) -> None:
        if isinstance(target, ast.Name):
            if label := self.type_of(value, names):
                names[target.id] = label
        elif isinstance(target, ast.Tuple):
            for place, each in enumerate(target.elts):
                if isinstance(value, ast.Tuple) and place < len(value.elts):
                    self._assign(each, value.elts[place], names)
                elif isinstance(each, ast.Name) and (label := self._element(value, place, names)):
                    names[each.id] = label

    def _element(self, value: ast.expr, place: int, names: dict[str, str]) -> str | None:
        """The type of one unpacked element: from the annotation of the function, else the same for all elements."""
        if isinstance(value, ast.Call):
            found = self._function(value.func)
            if found is not None:
                returns, module = found
                for node in ast.walk(returns) if returns else ():
                    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "tuple":
                        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
                        return self.annotated(parts[min(place, len(parts) - 1)], module)
        return self.type_of(value, names)

    def annotated(self, annotation: ast.expr | None, module: Module) -> str | None:
        """The first model that an annotation names."""
        if annotation is None:
            return None
        for node in ast.walk(annotation):
            if isinstance(node, ast.Name) and node.id in module.models:
                return module.models[node.id]
        return None

    def _attributes(self, owner: ast.ClassDef, module: Module) -> dict[str, str]:
        """Types of ``self.x`` of a class and its bases."""
        found: dict[str, str] = {}
        for base in owner.bases:
            if isinstance(base, ast.Name):
                place, name = module.imported.get(base.id, (module.name, base.id))
                other = project().get(place)
                if other and name in other.classes:
                    found |= self._attributes(other.classes[name], other)
        for method in [node for node in owner.body if isinstance(node, ast.FunctionDef)]:
            typed = {
                arg.arg: label
                for arg in [*method.args.args, *method.args.kwonlyargs]
                if (label := self.annotated(arg.annotation, module))
            }
            for node in ast.walk(method):
                pairs = []
                if isinstance(node, ast.Assign):
                    for target in node.targets:
                        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                            pairs += zip(target.elts, node.value.elts, strict=False)
                        else:
                            pairs.append((target, node.value))
                for target, value in pairs:
                    of_self = isinstance(target, ast.Attribute) and ast.unparse(target.value) == "self"
                    if of_self and isinstance(value, ast.Name) and value.id in typed:
                        found[target.attr] = typed[value.id]
        return found

    def type_of(self, node: ast.expr, names: dict[str, str]) -> str | None:
        """The model of a row, queryset, class or list of rows; None if it is something else or unknown."""
        match node:
            case ast.Name(id=name):
                return names.get(name) or self.module.models.get(name)
            case ast.Attribute(value=ast.Name(id="self"), attr=attr):
                return self.of_self.get(attr) or by_name().get(attr)
            case ast.Attribute(value=value, attr=attr):
                return self._attribute(value, attr, names)
            case ast.Call():
                return self._call(node, names)
            case ast.Subscript(value=value) | ast.Starred(value=value) | ast.NamedExpr(value=value):
                return self.type_of(value, names)
            case ast.ListComp() | ast.GeneratorExp() | ast.SetComp():
                inner = dict(names)
                for each in node.generators:
                    self._bind(each, inner)
                return self.type_of(node.elt, inner)
            case ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.BoolOp(values=parts):
                return next((label for part in parts if (label := self.type_of(part, names))), None)
            case ast.IfExp(body=body, orelse=other):
                return self.type_of(body, names) or self.type_of(other, names)
            case ast.BinOp(left=left, right=right):
                return self.type_of(left, names) or self.type_of(right, names)
        return None

    def _attribute(self, value: ast.expr, attr: str, names: dict[str, str]) -> str | None:
        owner = self.type_of(value, names)
        if owner:
            return owner if attr in ("objects", "_base_manager") else relations().get(owner, {}).get(attr)
        if isinstance(value, ast.Name) and value.id in self.module.imported:
            other = project().get(".".join(self.module.imported[value.id]))
            return other.models.get(attr) if other else None
        return by_name().get(attr)

    def _call(self, node: ast.Call, names: dict[str, str]) -> str | None:
        func = node.func
        if isinstance(func, ast.Name) and func.id in WRAPPERS and node.args:
            return self.type_of(node.args[0], names)
        if isinstance(func, ast.Name) and func.id in self.module.models:
            return self.module.models[func.id]
        found = self._function(func)
        if found is not None:
            return self.annotated(*found)
        if isinstance(func, ast.Attribute) and func.attr in KEEPS | CONTAINER_METHODS:
            return self.type_of(func.value, names)
        return None

    def _function(self, func: ast.expr) -> tuple[ast.expr | None, Module] | None:
        """The return annotation of a called function of the project, and the module that contains it."""
        if isinstance(func, ast.Name):
            if func.id in self.module.imported:
                place, name = self.module.imported[func.id]
                other = project().get(place)
                return (other.functions[name], other) if other and name in other.functions else None
            return (self.module.functions[func.id], self.module) if func.id in self.module.functions else None
        if isinstance(func, ast.Attribute) and isinstance(func.value, ast.Name):
            if func.value.id == "self" and func.attr in self.module.functions:
                return self.module.functions[func.attr], self.module
            if func.value.id in self.module.imported:
                other = project().get(".".join(self.module.imported[func.value.id]))
                return (other.functions[func.attr], other) if other and func.attr in other.functions else None
        return None


def _own(owner: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a block but those of the functions and classes in it."""
    body = [owner.body] if isinstance(owner, ast.Lambda) else list(ast.iter_child_nodes(owner))
    waiting: list[ast.AST] = [node for node in body if not isinstance(node, ast.arguments)]
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            waiting += ast.iter_child_nodes(node)
