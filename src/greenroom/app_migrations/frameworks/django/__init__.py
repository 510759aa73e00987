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
        """Whether it is a Django project; other packages do not matter."""
        return is_django

    def words(self, command: str) -> list[str]:
        """The arguments after manage.py, django-admin or ``python -m django``."""
        words = plain_words(command)
        for number, word in enumerate(words):
            if word.endswith("manage.py") or word.endswith("django-admin"):
                return words[number + 1 :]
            if word == "-m" and words[number + 1 : number + 2] == ["django"] and is_python(words[number - 1]):
                return words[number + 2 :]
        return []

    def is_migrate(self, words: Sequence[str]) -> bool:
        """Whether it is ``migrate`` without a read-only option."""
        return list(words[:1]) == ["migrate"] and not LOOKS_ONLY & set(words)

    def runs_pending(self, words: Sequence[str]) -> bool:
        """Whether it is ``migrate`` without arguments; with an app label it may migrate backwards."""
        return [word for word in words if word not in ("--noinput", "--no-input")] == ["migrate"]

    def is_about(self, words: Sequence[str]) -> bool:
        """Whether it is one of the commands that read migrations."""
        return words[0] in ABOUT

    def undo(self, plan: Iterable[Mapping[str, Any]]) -> list[str]:
        """Arguments for ``migrate``, last app first: ``shop 0002_price`` or ``shop zero``."""
        found: dict[str, str] = {}
        for step in plan:
            app, _, _ = str(step.get("name")).partition(".")
            if step.get("reversible") is False or "parent" not in step:
                return []
            before = found.pop(app, str(step["parent"]) or "zero")
            found[app] = before
        return [f"{app} {before}" for app, before in reversed(found.items())]


FRAMEWORK = Django()
