"""Only a room's own actions write its tables."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.layout import model_writes
from tests.layout.model_writes import UNKNOWN, Write

DJANGO_FREE = ("basics/", "engine/")
"""Code below Django has no tables (``.importlinter`` checks that), and may call its own methods freely."""


def _is_at_home(write: Write) -> bool:
    """Whether the write is in <room>/actions or <room>/<kind>/actions of the model's own room."""
    room, *inner = write.path.removesuffix(".py").split("/")
    return room == write.room and ("actions" in inner[:2])


@cache
def _all_writes() -> list[Write]:
    found = []
    for name, module in model_writes.project().items():
        path = f"{name.removeprefix('greenroom.').replace('.', '/')}.py"
        if "/migrations/" not in path and "/inside/" not in path and not path.startswith(DJANGO_FREE):
            found += model_writes.writes(module, path)
    return found


def test_only_a_rooms_own_actions_write_its_tables():
    assert [w for w in _all_writes() if not _is_at_home(w)] == []


def test_the_writes_of_the_rooms_are_seen():
    """A checker that no longer understands the code would find nothing, and always pass."""
    seen = {write.model for write in _all_writes()}
    assert UNKNOWN not in seen
    never_written_by_name = set(model_writes.model_labels().values()) - seen
    assert never_written_by_name == set()


PLANTED = {
    "from greenroom.deliveries.models import Delivery\n\n"
    "def f():\n    Delivery.objects.filter(pk=1).update(state='')\n": (
        "update",
        "deliveries.Delivery",
    ),
    "from greenroom.apps import models\n\ndef f():\n    models.App.objects.create(name='x')\n": ("create", "apps.App"),
    "from greenroom.apps.models import App\n\ndef f(app: App):\n    app.sni_endpoints.filter(issued=True).delete()\n": (
        "delete",
        "router.SniEndpoint",
    ),
    "from greenroom.builds.models import Build\n\n\nclass Part:\n    def __init__(self, build: Build):\n"
    "        self.build = build\n\n    def go(self):\n        rows = self.build.slug\n        rows.save()\n": (
        "save",
        "slugs.Slug",
    ),
    "from greenroom.deliveries import queries\n\ndef f(app):\n    for row in queries.of_app(app):\n"
    "        row.delete()\n": ("delete", "deliveries.Delivery"),
    "from greenroom.git.models import Push\n\ndef f():\n    row, made = Push.objects.get_or_create(seq=1)\n": (
        "get_or_create",
        "git.Push",
    ),
    "def f(thing):\n    thing.save()\n": ("save", UNKNOWN),
}


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_write_is_found(text):
    (write,) = model_writes.writes(model_writes.read("greenroom.planted", text), "entrypoints/planted.py")
    assert (write.method, write.model) == PLANTED[text]
    assert not _is_at_home(write)


@pytest.mark.parametrize(
    "text",
    [
        "import hashlib\n\ndef f():\n    total = hashlib.sha256()\n    total.update(b'x')\n",
        "from greenroom.addons.actions import snapshots\n\ndef f(row):\n    snapshots.delete(snapshot=row)\n",
        "def f(values: dict[str, str]):\n    values.update(a='b')\n",
    ],
)
def test_other_methods_of_these_names_are_no_writes(text):
    assert model_writes.writes(model_writes.read("greenroom.planted", text), "entrypoints/planted.py") == []


def test_a_write_is_at_home_only_in_the_actions_of_its_own_room():
    def at(path: str, model: str) -> bool:
        return _is_at_home(Write(path, 1, "save", model))

    assert at("deliveries/actions.py", "deliveries.Delivery")
    assert at("deliveries/actions/held.py", "deliveries.Delivery")
    assert at("addons/postgres/actions/snapshots.py", "addons.Snapshot")
    assert not at("deliveries/queries.py", "deliveries.Delivery")
    assert not at("pipelines/actions.py", "deliveries.Delivery")
    assert not at("entrypoints/api/actions.py", "apps.App")


def test_one_function_locks_an_app():
    """``apps.actions.lock_app``, or ``lock_apps`` for several: they use the right order, and report a missing app."""
    raw = re.compile(r"\bApp\.objects\s*\.\s*select_for_update")
    found = [
        str(path.relative_to(model_writes.SRC))
        for path in sorted((model_writes.SRC / "greenroom").rglob("*.py"))
        if raw.search(path.read_text())
    ]
    assert found == ["greenroom/apps/actions/__init__.py"]
