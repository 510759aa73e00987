"""The contract of every migration framework, and CONTRIBUTING's recipe for a new one.

tests/app_migrations/test_probe_contract.py tests the probes, with real apps and a real PostgreSQL.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from greenroom.app_migrations import frameworks, rules
from greenroom.app_migrations.drivers import probes, recorder
from greenroom.app_migrations.models import MigrationState
from tests.contracts.kinds.recipes import ROOT, added, recipe

TOY = '''"""A toy framework: a command of one word."""

from greenroom.app_migrations.frameworks.kind import plain_words


class Toy:
    name, title, rank = "toy", "Toy", 30
    migrate = "toy up"
    probe = "inside/probe.py"
    rehearsal = None
    ledger = "toys"
    applied = "SELECT 0::bigint, name::text, extract(epoch FROM clock_timestamp())::float8 FROM public.toys ORDER BY 2"
    keeps_dates = False

    def is_used(self, *, is_django, packages):
        return "toy" in packages

    def words(self, command):
        words = plain_words(command)
        return words[1:] if words[:1] == ["toy"] else []

    def is_migrate(self, words):
        return words[0] in ("up", "down")

    def runs_pending(self, words):
        return list(words) == ["up"]

    def is_about(self, words):
        return words[0] in ("up", "down", "list")

    def undo(self, plan):
        return ["down"] * len(list(plan))


FRAMEWORK = Toy()
'''
PROBE = """import json, sys
with open(sys.argv[1] + "/probe.json", "w") as file:
    json.dump({"framework": "toy", "status": "ok", "pending": ["toy.1"]}, file)
"""


@pytest.fixture(params=frameworks.names())
def framework(request):
    return frameworks.find(request.param)


def holds(framework):
    """The part of the contract that needs no app of the framework."""
    assert 0 < len(framework.name) <= MigrationState._meta.get_field("framework").max_length
    words = framework.words(framework.migrate)
    assert words
    assert framework.is_migrate(words)
    assert framework.runs_pending(words)
    assert framework.is_about(words)
    assert frameworks.recognised(framework.migrate) == (framework, words)
    for other in ("", "sh -c 'x", "python app.py", f"true && {framework.migrate}", f"{framework.migrate} | cat"):
        assert framework.words(other) == []
    assert not framework.is_used(is_django=False, packages=frozenset())
    assert framework.undo([]) == []
    assert framework.ledger in framework.applied
    assert framework.applied.startswith("SELECT ")
    script = probes.probe_spec_parts(framework.name).stdin.decode()
    assert script == probes.program(framework, framework.probe).read_text()
    compile(script, framework.probe, "exec")


def test_a_framework_knows_its_own_command_and_no_other(framework):
    holds(framework)
    assert type(framework).__module__.rpartition(".")[2] == framework.name
    for other in frameworks.every():
        assert other is framework or other.words(framework.migrate) == []


def test_the_programs_of_a_framework_use_the_standard_library_and_the_apps_own_packages_alone(framework):
    folder = probes.program(framework, "inside")
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not [name for name in names if name.split(".")[0] == "greenroom"], path


def test_a_framework_is_rehearsed_by_programs_of_its_own_or_refused(framework):
    job = {"job": "forward"}
    if framework.rehearsal is None:
        with pytest.raises(ValueError, match="cannot be rehearsed"):
            recorder.script(framework.name, job)
        return
    assert framework.title in rules.not_rehearsed()
    for text in (recorder.script(framework.name, job), recorder.tests_script(framework.name, job)):
        compile(text.decode(), "<stdin>", "exec")


def test_the_first_framework_has_code_that_uses_several_and_stands_for_an_unknown_one():
    assert frameworks.find("") is frameworks.every()[0]
    assert len({framework.rank for framework in frameworks.every()}) == len(frameworks.names())
    assert rules.no_framework() == "Its code has neither Django's migrations nor Alembic's."
    assert rules.not_rehearsed() == "Only Django's migrations are rehearsed."


@pytest.mark.neighbours
def test_a_framework_made_by_the_recipe_is_recognised_asked_and_named(tmp_path):
    steps = recipe("Add a migration framework")
    assert "app_migrations/frameworks/<name>/__init__.py" in steps
    assert "`FRAMEWORK`" in steps
    files = {"__init__.py": TOY, "inside/probe.py": PROBE}
    with added(frameworks, tmp_path, "toy", files):
        holds(frameworks.find("toy"))
        assert rules.framework_of(is_django=False, packages=["toy"]) == "toy"
        assert rules.framework_of(is_django=True, packages=["toy"]) == "django"
        assert rules.is_migrate("toy down")
        assert rules.is_about_migrations("toy list")
        assert not rules.may_change("toy up", [])
        assert rules.may_change("toy down", [])
        assert rules.guards("toy up", [])["PGOPTIONS"]
        assert rules.migrate_command("toy") == "toy up"
        assert rules.undo("toy", [{"name": "1"}]) == ["down"]
        assert rules.no_framework().endswith("nor Toy's.")
        parts = probes.probe_spec_parts("toy")
        out = tmp_path / "out"
        out.mkdir()
        subprocess.run([sys.executable, *parts.command[1:-1], str(out)], input=parts.stdin, check=True)
        assert json.loads((out / "probe.json").read_text())["pending"] == ["toy.1"]
    assert not rules.is_migrate("toy up")


def test_no_code_outside_the_folders_names_a_framework_as_a_kind():
    words = "|".join(f"[\"']{name}[\"']" for name in frameworks.names())
    command = ["grep", "-rnE", words, "--include=*.py", "src/greenroom/app_migrations", "src/greenroom/entrypoints"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False).stdout.splitlines()
    assert not [line for line in found if "/app_migrations/frameworks/" not in line]
