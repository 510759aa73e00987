"""Lists the app's Django apps in the repository, and installed apps with missing migrations. Runs in the app's Python.

``python apps_of.py MANAGE OUT`` writes ``{"own": [labels], "foreign": [labels]}`` to OUT. Uses the standard library and
the app's Django only, and no database.
"""

from __future__ import annotations

import importlib.util
import json
import os
import runpy
import sys

INSTALLED = ("site-packages", "dist-packages", ".heroku", ".venv", "venv", "node_modules")


def in_repository(path, root):
    """Whether a path belongs to the repository: below the root, and not in an installed package."""
    place = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
    return not place.startswith("..") and not set(place.split(os.sep)) & set(INSTALLED)


def migrations_of(loader, label):
    """The app's migrations folder, or None."""
    name, _ = loader.migrations_module(label)
    try:
        spec = importlib.util.find_spec(name) if name else None
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or []) if spec else []
    return places[0] if places else None


def collect(root):
    """The labels of own and foreign apps."""
    import django

    django.setup()
    from django.apps import apps
    from django.db.migrations.loader import MigrationLoader

    loader = MigrationLoader(None, ignore_no_migrations=True)
    own: list[str] = []
    others: list[str] = []
    for config in apps.get_app_configs():
        if config.label not in loader.migrated_apps:
            continue
        places = [migrations_of(loader, config.label) or config.path]
        (own if any(in_repository(place, root) for place in places) else others).append(config.label)
    return {"own": sorted(own), "foreign": sorted(set(changed(loader)) & set(others))}


def changed(loader):
    """The labels of apps whose models differ from their migrations; empty if makemigrations would ask a question."""
    from django.apps import apps
    from django.db.migrations.autodetector import MigrationAutodetector
    from django.db.migrations.questioner import MigrationQuestioner
    from django.db.migrations.state import ProjectState

    try:
        detector = MigrationAutodetector(
            loader.project_state(), ProjectState.from_apps(apps), MigrationQuestioner(dry_run=True)
        )
        return list(detector.changes(graph=loader.graph))
    except (Exception, SystemExit):  # third-party models may raise anything
        return []


def main(argv):
    """Run ``collect`` in place of a manage.py command."""
    from django.core import management

    manage, out, root = argv[0], argv[1], os.getcwd()

    def work(_=None):
        with open(f"{out}.new", "w", encoding="utf-8") as file:
            json.dump(collect(root), file)
        os.rename(f"{out}.new", out)

    management.execute_from_command_line = work
    sys.argv = [manage, "makemigrations"]
    sys.path.insert(0, os.path.dirname(os.path.abspath(manage)))
    runpy.run_path(manage, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
