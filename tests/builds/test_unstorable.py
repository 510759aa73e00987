"""Text that PostgreSQL cannot store does not keep a build open, whether in its last message or in its results."""

from __future__ import annotations

import pytest
from django.db import DataError

from greenroom.buildpacks.errors import BuildError
from greenroom.builds import actions, steps
from greenroom.builds.steps import Steps
from greenroom.engine.memory import MemoryEngine

pytestmark = pytest.mark.django_db


@pytest.fixture
def advanced(shop, home, monkeypatch):
    """Advance a build with this function as its step."""

    def advance(take):
        monkeypatch.setattr(Steps, "take", take)
        build = actions.start(app=shop, commit="a" * 40, account=None)
        steps.advance(build=build, engine=MemoryEngine(), home=home, say=lambda _: None)
        build.refresh_from_db()
        return build

    return advance


def test_a_failure_that_quotes_nul_ends_the_build_with_its_text(advanced):
    def take(self):
        raise BuildError("hooks::post_compile", "the hook said \0 and \ud800", hint="a\0")

    build = advanced(take)
    assert (build.status, build.failure_message, build.failure_hint) == (
        "failed",
        "the hook said \u2400 and ?",
        "a\u2400",
    )


def test_facts_that_the_database_refuses_end_the_build_at_once(advanced):
    def take(self):
        self.facts["found"] = "a\0"
        raise DataError("unsupported Unicode escape sequence")

    build = advanced(take)
    assert (build.status, build.failure_reason, build.facts) == ("errored", "build::platform", {})
    assert str(build.id) in build.failure_hint
