"""Commands for builds and slugs: list, show, cancel, build output, build cache, slug contents."""

from __future__ import annotations

from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError

COLOURS = {"succeeded": "green", "failed": "red", "pending": "yellow"}


@command("builds", example="greenroom builds -a ach-payslip-staging", json=True)
@click.option("-n", "--num", default=15, show_default=True, type=click.IntRange(1, 1000), help="Number of builds.")
def builds(cx: Context, num: int) -> int | None:
    """List builds, newest first."""
    rows = cx.api.get(cx.path("builds"), limit=num)[:num]
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"{cx.app} has no builds.")
        output.hint("git push greenroom HEAD:master")
        return None
    output.heading(f"{cx.app} Builds")
    output.table([_line(row) for row in rows], header=("ID", "Commit", "Status", "Took", "By", "When"))
    return None


def _line(row: dict[str, Any]) -> list[str]:
    took = output.lasted(row["created_at"], row.get("finished_at"))
    status = output.style(row["status"], COLOURS.get(row["status"], "dim"))
    user = (row.get("user") or {}).get("email", "")
    return [row["id"][:8], _commit(row)[:8], status, took, user, output.when(row["created_at"])]


def _commit(row: dict[str, Any]) -> str:
    return (row.get("source_blob") or {}).get("version") or ""


def one(cx: Context, build: str) -> dict[str, Any]:
    """The build with that id, id prefix or commit prefix; '' for the newest. CliError when none or several match."""
    if len(build) == 36:
        return cx.api.get(cx.path("builds", build))
    rows = cx.api.everything(cx.path("builds"))
    found = [
        row
        for row in rows
        if not build or row["id"].startswith(build) or (len(build) >= 7 and _commit(row).startswith(build))
    ]
    exact = [row for row in found if row["id"].startswith(build)]
    if not found:
        text = f"Couldn't find build {build}." if build else f"{cx.app} has no builds."
        raise CliError(text, hint=f"greenroom builds{cx.flags()}")
    if build and len(exact) > 1:
        raise CliError(f"{len(exact)} builds begin with {build}.", hint=f"greenroom builds{cx.flags()}")
    return found[0]


@command("builds:info", example="greenroom builds:info -a ach-payslip-staging", json=True)
@click.argument("build", required=False, default="")
def info(cx: Context, build: str) -> int | None:
    """Show details of a build (default: the newest).

    BUILD is an id, or a prefix of an id or of a commit SHA.
    """
    row = one(cx, build)
    if cx.as_json:
        output.print_json(row)
        return None
    failure = row.get("failure") or {}
    output.heading(f"Build {row['id']}")
    output.fields(
        [
            ("Status", output.style(row["status"], COLOURS.get(row["status"], "dim"))),
            ("Commit", _commit(row)),
            ("Failure", failure.get("reason")),
            ("Message", failure.get("message")),
            ("By", (row.get("user") or {}).get("email")),
            ("Slug", (row.get("slug") or {}).get("id")),
            ("When", output.when(row["created_at"])),
            ("Took", output.lasted(row["created_at"], row.get("finished_at"))),
        ]
    )
    if failure.get("hint"):
        output.hint(failure["hint"])
    return None


@command("builds:output", example="greenroom builds:output -a ach-payslip-staging", json=True)
@click.argument("build", required=False, default="")
def output_of(cx: Context, build: str) -> int | None:
    """Print the build output; follows the output of a running build.

    With --json: the build, with its complete output as `output`.
    """
    row = one(cx, build)
    if not row.get("output_stream_url"):
        raise CliError(
            f"Build {row['id'][:8]} has no output.", hint=f"greenroom builds:info {row['id'][:8]}{cx.flags()}"
        )
    lines = cx.api.stream(row["output_stream_url"])
    if cx.as_json:
        output.print_json({**row, "output": "\n".join(lines)})
        return None
    import sys

    for line in lines:
        print(output.clean(line, keep_colours=output.colours(sys.stdout)), flush=True)
    return None


@command("builds:cancel", example="greenroom builds:cancel 01234567 -a ach-payslip-staging")
@click.argument("build", required=False, default="")
def cancel(cx: Context, build: str) -> int | None:
    """Cancel a running build (default: the newest). The live release keeps running."""
    row = one(cx, build)
    cx.api.post(cx.path("builds", row["id"], "actions", "cancel"))
    output.say(f"Cancelled build {row['id'][:8]} of {cx.app}.")
    output.hint(f"to build {_commit(row)[:8]} again: git commit --allow-empty, then git push")
    return None


@command("builds:cache", example="greenroom builds:cache -a ach-payslip-staging", json=True)
def cache(cx: Context) -> int | None:
    """Show the size of the build cache and its limit."""
    row = cx.api.get(cx.path("build-cache"))
    if cx.as_json:
        output.print_json(row)
        return None
    output.heading(f"{cx.app} Build cache")
    output.fields(
        [
            ("This app", f"{row['size'] / 1e6:.1f} MB"),
            ("Shared", f"{row['shared_size'] / 1e6:.1f} MB (wheels, for all apps)"),
            ("Total", f"{row['total_size'] / 1e6:.1f} of {row['budget'] / 1e6:.0f} MB"),
            ("Purged", output.when(row["purged_at"]) if row["purged_at"] else "never"),
        ]
    )
    return None


@command("builds:cache:purge", example="greenroom builds:cache:purge -a ach-payslip-staging")
def cache_purge(cx: Context) -> int | None:
    """Purge the build cache of an app. The next build resolves, downloads and installs all packages again."""
    cx.api.delete(cx.path("build-cache"))
    output.say(f"Build cache of {cx.app} purged. The next build starts without a cache.")
    output.hint("git commit --allow-empty -m rebuild && git push greenroom HEAD:master")
    return None


@command("slugs:info", example="greenroom slugs:info v12 -a ach-payslip-staging", json=True)
@click.argument("release", required=False, default="current")
def slug_info(cx: Context, release: str) -> int | None:
    """Show the contents of a slug, the largest packages first.

    RELEASE is vN or a slug id (default: the current release).
    """
    row = cx.api.get(cx.path("slugs", release))
    if cx.as_json:
        output.print_json(row)
        return None
    manifest = row["manifest"]
    packages = sorted(manifest.get("packages", {}).items(), key=lambda item: -item[1]["size"])
    output.heading(f"Slug {row['id']}")
    output.fields(
        [
            ("Commit", row["commit"]),
            ("Digest", row["checksum"]),
            ("Python", manifest.get("python_version")),
            ("Manager", manifest.get("package_manager")),
            ("Files", f"{len(manifest.get('files', {}))}, {row['size'] / 1e6:.1f} MB"),
            ("Packages", f"{len(packages)}, {sum(entry['size'] for _, entry in packages) / 1e6:.1f} MB"),
        ]
    )
    if packages:
        output.table(
            [[name, entry["version"], f"{entry['size'] / 1e6:.1f} MB"] for name, entry in packages],
            header=("Package", "Version", "Size"),
        )
    return None


@command("slugs:sbom", example="greenroom slugs:sbom v12 -a ach-payslip-staging > sbom.json", json=True)
@click.argument("release", required=False, default="current")
def sbom(cx: Context, release: str) -> int | None:
    """Print the software bill of materials (SBOM) of a slug, as CycloneDX 1.6 JSON.

    RELEASE is vN or a slug id (default: the current release).
    """
    output.print_json(cx.api.get(cx.path("slugs", release, "sbom")))
    return None
