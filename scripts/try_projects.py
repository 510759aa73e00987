"""Pushes each checkout of a folder to a fresh installation and prints a table: docs/howto/try-projects.md.

Exit code 0: each project ended as its .changes file expects; 1: one did not; 2: the script could not run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from trying import changes, report
from trying.installation import Installation, TryError, say
from trying.look import resolve_localhost
from trying.project import Project

BIN = Path(sys.executable).parent


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description="Push each checkout of a folder to a fresh installation.")
    parser.add_argument("folder", type=Path, help="a folder with one checkout per project, and NAME.changes files")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="this project only (repeatable)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all results to a JSON file")
    parser.add_argument("--home", type=Path, metavar="DIR", help="an empty home to use (default: a temporary one)")
    parser.add_argument(
        "--api-port", type=int, metavar="N", help="the API's port; +6 is HTTP, +7 HTTPS (default: free ones)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the installation, its apps and the copies in place")
    parser.add_argument(
        "--greenroom",
        type=Path,
        default=BIN / "greenroom",
        metavar="PATH",
        help="the command (default: of this Python)",
    )
    return parser.parse_args(argv)


def projects(folder: Path, only: Sequence[str]) -> list[tuple[Path, changes.Changes]]:
    """The checkouts of the folder, with their changes; all files are read before anything starts."""
    found = []
    for path in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        if only and path.name not in only:
            continue
        file = folder / f"{path.name}.changes"
        try:
            found.append((path, changes.read(file.read_text() if file.exists() else "")))
        except changes.ChangesError as error:
            raise TryError(f"{file.name}: {error}") from error
    missing = sorted(set(only) - {path.name for path, _ in found})
    if missing or not found:
        raise TryError(f"no checkout {missing[0]} in {folder}" if missing else f"no checkouts in {folder}")
    return found


@contextmanager
def installation(args: argparse.Namespace) -> Iterator[tuple[Installation, Path]]:
    """A running installation and a folder for copies; both are removed at the end unless --keep is given."""
    top = Path(tempfile.mkdtemp(prefix="greenroom-try-"))
    top.chmod(0o755)
    home = (args.home or top / "home").resolve()
    if home.exists() and any(home.iterdir()):
        raise TryError(f"{home} is not empty; a fresh installation is needed")
    place = Installation(home, args.greenroom.absolute(), *([args.api_port] if args.api_port else []))
    try:
        say(f"Greenroom starts in {home}")
        place.up()
        yield place, top / "copies"
    finally:
        if args.keep:
            say(f"kept: GREENROOM_HOME={home}; the copies are in {top / 'copies'}; stop it with: greenroom down")
        else:
            place.down()
            shutil.rmtree(home, ignore_errors=True)
            shutil.rmtree(top, ignore_errors=True)


def attempt_all(args: argparse.Namespace) -> list[report.Result]:
    """Try one project after the other and print the table. The JSON file is written after each, so that an
    interruption loses nothing.
    """
    wanted = projects(args.folder.resolve(), args.only)
    results: list[report.Result] = []
    with installation(args) as (place, work):
        for source, changed in wanted:
            project = Project(place, source, changed, work)
            results.append(project.attempt())
            if args.json:
                args.json.write_text(json.dumps(report.as_json(results), indent=2) + "\n")
            if not args.keep:
                place.run("destroy", project.name, "--confirm", project.name, limit=180)
        print(report.table(results), flush=True)  # before the home is removed, which may take minutes
    return results


def main() -> int:
    args = arguments()
    resolve_localhost()
    try:
        results = attempt_all(args)
    except (TryError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 2
    return 0 if all(result.as_expected for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
