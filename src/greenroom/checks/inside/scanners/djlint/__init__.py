"""djlint: Django templates. Its findings are hints (severity 3 for template rules, 4 for HTML) and never make a scan
red.
"""

from __future__ import annotations

import re

from ..kind import Raw, Report, ScanError, Scanner, Sources, call, python, read_json, relative

SILENCED = re.compile(r"\{#\s*djlint:\s*off|<!--\s*djlint:\s*off")


def look(tool: str, sources: Sources) -> Report:
    """Scan all templates of the tree with djlint's rules for Django."""
    if not sources.files:
        return Report()
    argv = [
        python(tool),
        "-m",
        "djlint",
        "--lint",
        "--sarif",
        "--profile",
        "django",
        "--allow-empty-input",
        "--no-github-output",
        ".",
    ]
    runs = read_json(call(argv, cwd=sources.folder)).get("runs")
    if not isinstance(runs, list) or not runs:
        raise ScanError("its report has no runs")
    found = []
    for row in runs[0].get("results") or []:
        place = row["locations"][0]["physicalLocation"]
        region = place.get("region") or {}
        rule = str(row["ruleId"])
        found.append(
            Raw(
                rule=rule,
                path=relative(place["artifactLocation"]["uri"], sources),
                line=int(region.get("startLine", 1)),
                message=str(row["message"]["text"]),
                severity=3 if rule.startswith("T") else 4,
                column=int(region.get("startColumn", 0)),
            )
        )
    return Report(found, sum(len(SILENCED.findall(text)) for text in sources.files.values()))


SCANNER = Scanner(name="djlint", requirement="djlint==1.49.10", wanted=lambda path: path.endswith(".html"), look=look)
