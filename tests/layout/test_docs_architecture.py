"""ARCHITECTURE.md describes the code: rooms and their layers, loops of the worker, thread pools, kinds of dynos."""

from __future__ import annotations

import ast
import configparser
import re
from typing import get_args

from greenroom.engine import contract
from greenroom.project import worker
from tests.layout.pages import ROOT, pages, table
from tests.source_trees import nodes

PAGE = pages()["ARCHITECTURE.md"]
SOURCES = sorted((ROOT / "src" / "greenroom").rglob("*.py"))


def test_the_rooms_are_the_layers_of_import_linter():
    config = configparser.ConfigParser()
    config.read(ROOT / ".importlinter")
    layers = config["importlinter:contract:rooms"]["layers"].split("\n")
    block = next(
        block for block in re.findall(r"^```\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL) if "entrypoints" in block
    )
    assert [re.split(r"\s{2,}", line)[0] for line in block.splitlines()] == [layer for layer in layers if layer]


def test_every_loop_of_the_worker_is_listed(tmp_path):
    rows = {name: float(cells[0]) for name, cells in table("ARCHITECTURE.md", "Loops of the worker").items()}
    assert rows == {runner.name: runner.idle for runner in worker.build(tmp_path)}


def test_every_pool_of_threads_is_listed():
    rows = table("ARCHITECTURE.md", "Pools of threads")
    named = set()
    for path in SOURCES:
        for node in nodes(path):
            if isinstance(node, ast.Call):
                named |= {
                    word.value.value
                    for word in node.keywords
                    if word.arg == "thread_name_prefix" and isinstance(word.value, ast.Constant)
                }
    assert named <= set(rows)
    assert set(rows) - named == {"health", "trial"}  # two pools of one class, which gets the name


def test_every_kind_of_dyno_is_named():
    kinds = get_args(contract.Kind)
    assert not [kind for kind in kinds if not re.search(rf"\b{kind}\b", PAGE)]


def test_every_verb_of_an_engine_is_listed():
    first = re.findall(r"^\| (`[^|]+?) \|", PAGE.split("## The engine's contract")[1].split("\n## ")[0], re.MULTILINE)
    listed = {name for cell in first for name in re.findall(r"`(\w+)`", cell)}
    assert {name for name in vars(contract.Engine) if not name.startswith("_")} <= listed
