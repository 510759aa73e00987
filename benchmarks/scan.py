"""Seconds of the scan over generated Django trees of 50, 100 and 250 thousand lines, beside ruff alone on the same files; medians of 3.

One file in fifty differs between the deployed and the pushed tree. The scan reads both, as it does for a push; ruff alone reads the pushed one.
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

from greenroom.checks.runner import run_scan, run_secrets

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
HEAD = "from decimal import Decimal\n\nfrom django.shortcuts import get_object_or_404, redirect, render\n\nfrom .forms import *\nfrom .models import Thing\n\n"
KNOWN = 'def known_{n}(cursor, name):\n    cursor.execute("SELECT * FROM t WHERE n = \'%s\'" % name)\n'


def source(number: int, changed: bool) -> str:
    """One module of about 250 lines; each tenth has a finding that is deployed already."""
    text = HEAD + "".join(VIEW.format(n=number * 100 + part) for part in range(17))
    text += KNOWN.format(n=number) if number % 10 == 0 else ""
    return text + (f"\nCHANGED_{number} = True\n" if changed else "")


def tree(path: Path, lines: int, *, pushed: bool) -> int:
    """Write the archive; how many lines it has."""
    total, number = 0, 0
    folder = path.with_suffix("")
    with tarfile.open(path, "w") as tar:
        while total < lines:
            file = folder / f"app{number % 40}" / f"views_{number}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text := source(number, pushed and number % 50 == 0))
            tar.add(file, str(file.relative_to(folder)))
            total, number = total + text.count("\n"), number + 1
    return total


def took(work) -> tuple[float, object]:
    """Seconds of a call, and what it answered."""
    began = time.perf_counter()
    answer = work()
    return time.perf_counter() - began, answer


def measure(lines: int) -> dict[str, float]:
    """The medians for one size."""
    runs: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        count = tree(place / "new.tar", lines, pushed=True)
        tree(place / "old.tar", lines, pushed=False)
        wish = {"ruff": find_ruff_bin(), "new": str(place / "new.tar"), "old": str(place / "old.tar"), "secrets": str(Path(detect_secrets.__file__).parents[1])}
        argv = [find_ruff_bin(), "check", "--isolated", "--no-cache", "--exit-zero", "-q", "--select", run_scan.SELECT, "--ignore", run_scan.IGNORE]
        for turn in range(TIMES):
            work = {**wish, "work": str(place / f"work{turn}")}
            bare, _ = took(lambda: subprocess.run([*argv, str(place / "new")], capture_output=True, check=True))
            whole, result = took(lambda work=work: run_scan.run_all(work, str(place)))
            assert result["outcome"] == "success", result
            assert result["total"] > lines / 5000, result["total"]
            secrets, _ = took(lambda work=work: run_secrets.look(work, []))
            runs.append({"ruff alone": bare, "scan": whole, "of it secrets": secrets})
    return {"lines": count, **{key: round(statistics.median(run[key] for run in runs), 2) for key in runs[0]}}


def main() -> int:
    """Measure all sizes, print a table and one JSON line."""
    rows = [measure(lines) for lines in SIZES]
    print(f"{'lines':>9} {'ruff alone':>11} {'scan':>7} {'of it secrets':>14} {'scan / ruff':>12}   (seconds, medians of {TIMES})")
    for row in rows:
        ratio = row["scan"] / row["ruff alone"]
        print(f"{row['lines']:>9,} {row['ruff alone']:>11.2f} {row['scan']:>7.2f} {row['of it secrets']:>14.2f} {ratio:>12.2f}")
    print(json.dumps(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
