"""Measures the scan on generated Django trees of 50, 100 and 250 thousand lines, by tool, beside ruff alone; medians of
3.

Usual push: one file in fifty differs by a line between the deployed and the pushed tree. Large push: in addition, one
line in ten is in a new file. The scan reads both trees, as for a push; ruff alone reads the pushed one.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import detect_secrets
from ruff import find_ruff_bin

from greenroom.checks.inside import ruff_rules, run_scan, run_secrets, trees

SIZES = (50_000, 100_000, 250_000)
TIMES = 3
VIEW = '''
def view_{n}(request, pk):
    """Show number {n}."""
    form = Form_{n}(request.POST or None, instance=get_object_or_404(Thing, pk=pk))
    if request.method == "POST" and form.is_valid():
        saved = form.save(commit=False)
        saved.changed_by = request.user
        saved.save()
        return redirect("thing-detail", pk=saved.pk)
    rows = [row for row in Thing.objects.filter(kind={n}).select_related("owner") if row.visible_to(request.user)]
    total = sum((row.amount for row in rows), start=Decimal("0.00"))
    context = {{"form": form, "rows": rows, "total": total, "limit": {n}}}
    return render(request, "things/view_{n}.html", context)

'''
HEAD = (
    "from decimal import Decimal\n\nfrom django.shortcuts import get_object_or_404, redirect, render\n\nfrom .forms"
    " import *\nfrom .models import Thing\n\n"
)
KNOWN = "def known_{n}(cursor, name):\n    cursor.execute(\"SELECT * FROM t WHERE n = '%s'\" % name)\n"


def source(number: int, changed: bool) -> str:
    """One module of about 250 lines; every tenth has a finding that is already deployed."""
    text = HEAD + "".join(VIEW.format(n=number * 100 + part) for part in range(17))
    text += KNOWN.format(n=number) if number % 10 == 0 else ""
    return text + (f"\nCHANGED_{number} = True\n" if changed else "")


def tree(path: Path, lines: int, *, pushed: bool, large: bool = False) -> int:
    """Write the archive in git's format; returns the number of lines."""
    total, number = 0, 0
    folder = path.with_suffix("")
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        while total < lines:
            name = "fresh" if large and number % 10 == 5 else "views"
            file = folder / f"app{number % 40}" / f"{name}_{number}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            text = source(number, pushed and number % 50 == 0)
            if not large or pushed or name == "views":
                file.write_text(text)
                tar.add(file, str(file.relative_to(folder)))
            total, number = total + text.count("\n"), number + 1
    return total


def took(work) -> tuple[float, object]:
    """Seconds of a call, and its result."""
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def ruff_command(folder: Path) -> list[str]:
    """ruff alone, with the rules of the scan."""
    argv = [find_ruff_bin(), "check", "--isolated", "--no-cache", "--exit-zero", "-q"]
    return [*argv, "--select", ruff_rules.SELECT, "--ignore", ruff_rules.IGNORE, str(folder)]


def measure(lines: int, *, large: bool) -> dict[str, float]:
    """The medians for one size."""
    runs: list[dict[str, float]] = []
    packages = str(Path(detect_secrets.__file__).parents[1])
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        count = tree(place / "new.tar", lines, pushed=True, large=large)
        tree(place / "old.tar", lines, pushed=False, large=large)
        wish = {
            "ruff": find_ruff_bin(),
            "new": str(place / "new.tar"),
            "old": str(place / "old.tar"),
            "secrets": packages,
        }
        for turn in range(TIMES):
            work = place / f"work{turn}"
            bare, _ = took(lambda: subprocess.run(ruff_command(place / "new"), capture_output=True, check=True))
            whole, result = took(lambda work=work: run_scan.run_all({**wish, "work": str(work)}, str(place)))
            assert result["outcome"] == "success", result
            assert result["total"] > lines / 5000, result["total"]
            unpacked, new = took(lambda work=work: trees.unpack(wish["new"], str(work / "a"), plain=True))
            old = trees.unpack(wish["old"], str(work / "b"), plain=True)
            both, _ = took(lambda pair=(old, new): [run_scan.ruff(wish["ruff"], one) for one in pair])
            secrets, _ = took(lambda pair=(old, new), work=work: run_secrets.look(*pair, packages, str(work / "c")))
            runs.append({"ruff alone": bare, "scan": whole, "unpack": 2 * unpacked, "ruff": both, "secrets": secrets})
    return {
        "push": "large" if large else "usual",
        "lines": count,
        **{key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]},
    }


def main() -> int:
    """Measure all sizes, print a table and one JSON line."""
    rows = [measure(lines, large=large) for large in (False, True) for lines in SIZES]
    names = ("ruff alone", "scan", "unpack", "ruff", "secrets")
    print(
        f"{'push':<6} {'lines':>9} "
        + " ".join(f"{name:>10}" for name in names)
        + f"   (seconds, medians of {TIMES}; the parts of a scan run side by side)"
    )
    for row in rows:
        print(f"{row['push']:<6} {row['lines']:>9,} " + " ".join(f"{row[name]:>10.2f}" for name in names))
    print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
