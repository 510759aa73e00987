"""A dyno's ways to a server, plain and with TLS, beside a bare process: medians of rounds, and ratios."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Callable, Iterator

from tests.engine.machine import PYTHON

BARE, PLAIN, TLS = "bare process", "dyno, plain", "dyno, TLS"
Figures = dict[str, dict[str, float]]


def compare(code_of: Callable[[str], str], in_dyno: Callable[[str], str], rounds: int) -> Figures:
    """Way -> the medians of its rounds, in seconds. code_of: way -> a program that prints a JSON object of numbers;
    in_dyno: runs a program in a dyno and returns its output.
    """
    found: dict[str, list[dict[str, float]]] = {BARE: [], PLAIN: [], TLS: []}
    for _ in range(rounds):
        for way, rows in found.items():
            code = code_of(way)
            rows.append(json.loads(bare(code) if way == BARE else in_dyno(code)))
    return {
        way: {name: statistics.median(row[name] for row in rows) for name in rows[0]} for way, rows in found.items()
    }


def bare(code: str) -> str:
    """The output of a program outside of dynos."""
    return subprocess.run([PYTHON, "-c", code], check=True, capture_output=True, text=True).stdout


def rows(found: Figures) -> Iterator[tuple[str, dict[str, float], dict[str, float]]]:
    """(way, its figures, their ratios to the bare process)."""
    for way, row in found.items():
        yield way, row, {name: value / found[BARE][name] for name, value in row.items()}
