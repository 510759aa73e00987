"""Django's migrations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from greenroom.app_migrations.frameworks.kind import Rehearsal, is_python, plain_words

ABOUT = ("migrate", "showmigrations", "sqlmigrate")
LOOKS_ONLY = {"--plan", "--check", "--help"}


class Django:
    """manage.py, django-admin and ``python -m django``."""

    name, title, rank = "django", "Django", 10
    migrate = "python manage.py migrate"
    probe = "inside/probe.py"
    rehearsal = Rehearsal(
        recorder=("inside/recorder/catalogue.py", "inside/recorder/watch.py", "inside/recorder/recorder.py"),
        tests="inside/tests_on_schema.py",
    )
    ledger = "django_migrations"
    applied = (
        "SELECT id::bigint, app || '.' || name, extract(epoch FROM applied)::float8 FROM public.django_migrations ORDER"
        " BY id"
    )
    keeps_dates = True

    def is_used(self, *, is_django: bool, packages: frozenset[str]) -> bool:
        """A Django project, whatever else is installed."""
        return is_django

    def words(self, command: str) -> list[str]:
        """The words after manage.py, django-admin or ``python -m django``."""
        words = plain_words(command)
        for number, word in enumerate(words):
            if word.endswith("manage.py") or word.endswith("django-admin"):
                return words[number + 1 :]
            if word == "-m" and words[number + 1 : number + 2] == ["django"] and is_python(words[number - 1]):
                return words[number + 2 :]
        return []

    def is_migrate(self, words: Sequence[str]) -> bool:
        """``migrate`` without an option that only looks."""
        return list(words[:1]) == ["migrate"] and not LOOKS_ONLY & set(words)

    def runs_pending(self, words: Sequence[str]) -> bool:
        """``migrate`` alone; with the name of an app it may go backwards."""
        return [word for word in words if word not in ("--noinput", "--no-input")] == ["migrate"]

    def is_about(self, words: Sequence[str]) -> bool:
        """One of the commands that read migrations."""
        return words[0] in ABOUT

    def undo(self, plan: Iterable[Mapping[str, Any]]) -> list[str]:
        """Words for ``migrate``, the last app first: ``shop 0002_price`` or ``shop zero``."""
        found: dict[str, str] = {}
        for step in plan:
            app, _, _ = str(step.get("name")).partition(".")
            if step.get("reversible") is False or "parent" not in step:
                return []
            before = found.pop(app, str(step["parent"]) or "zero")
            found[app] = before
        return [f"{app} {before}" for app, before in reversed(found.items())]


FRAMEWORK = Django()
