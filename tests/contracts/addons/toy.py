"""A toy kind of add-on, ``parrot``, made of the files that CONTRIBUTING.md names; it is not ready at once."""

from __future__ import annotations

FILES = {
    "__init__.py": '"""Parrots: a kind of add-on for tests."""\n',
    "rules.py": '''"""The service. Pure."""

from greenroom.addons.rules.services import Plan, Service

SERVICE = Service(
    kind="parrot",
    id="00000000-0000-4000-8000-0000000000f0",
    name="parrot-cage",
    human_name="Parrot",
    noun="parrot",
    words=("parrot",),
    plans=(
        Plan(id="00000000-0000-4000-8000-0000000000f1", name="small", human_name="Small", description="A parrot"),
        Plan(id="00000000-0000-4000-8000-0000000000f2", name="large", human_name="Large", description="A large one"),
    ),
    attachment="PARROT",
    further="PARROT",
    variables=("_URL", "_WORD"),
)
''',
    "kind.py": '''"""Parrots as a kind of add-on: a file each."""

import hashlib

from greenroom.addons.contract import Double, Draft
from greenroom.addons.parrot.rules import SERVICE
from greenroom.addons.queries import secret_of
from greenroom.basics import ids
from greenroom.basics.errors import ConflictError
from greenroom.engine import names
from greenroom.engine.contract import Forward

PORT = 7007
SERVICE_NAME = names.service("parrots")
DOUBLES = {}


class ParrotDoubles:
    def make(self, *, label, app):
        name = self._name(label)
        DOUBLES[name] = {"_URL": f"parrot://127.0.0.1:{PORT}/{name}", "_WORD": ids.new_secret(8)}
        return Double(name=name, values=DOUBLES[name], forwards=(Forward(port=PORT, service=SERVICE_NAME),))

    def drop(self, *, label):
        DOUBLES.pop(self._name(label), None)

    def present(self):
        return set(DOUBLES)

    def drop_others(self, *, there, labels):
        left = sorted(there - {self._name(label) for label in labels})
        for name in left:
            DOUBLES.pop(name, None)
        return left

    def _name(self, label):
        return "p" + hashlib.sha256(label.encode()).hexdigest()[:8]


class Parrot:
    service = SERVICE
    doubles = ParrotDoubles()
    snapshots = None
    restores = None
    backups = None
    schema = None
    mounts = None
    options = None

    def refuse_if_full(self, owner):
        pass

    def draft(self, app):
        return Draft(name=f"parrot-{ids.new_secret(4)}", data={"talks": False}, secret={"word": ids.new_secret(8)})

    def provision(self, *, addon, home):
        egg, bird = self._files(addon, home)
        egg.parent.mkdir(exist_ok=True)
        if egg.exists():
            bird.touch()
        egg.touch()

    def finish(self, *, addon, home):
        return self._files(addon, home)[1].exists()

    def deprovision(self, *, addon, home):
        for file in self._files(addon, home):
            file.unlink(missing_ok=True)

    def values(self, addon, home):
        return {"_URL": f"parrot://127.0.0.1:{PORT}/{addon.pk.hex}", "_WORD": secret_of(addon, home)["word"]}

    def rotate(self, *, actor, addon, home):
        raise ConflictError("Parrots keep their words.")

    def words(self, addon, home, access):
        word = secret_of(addon, home)["word"]
        return [(word, hashlib.sha256(f"{word}/{access}".encode()).hexdigest()[:16])]

    def forwards(self, addons):
        return (Forward(port=PORT, service=SERVICE_NAME),) if addons else ()

    def info(self, addon):
        return {"name": addon.name, "state": addon.state, "plan": addon.plan}

    def sweeps(self, home):
        return {}

    def loops(self, home, platform):
        return {}

    def catch_up(self, home):
        pass

    def _files(self, addon, home):
        return home / "parrots" / f"{addon.pk.hex}.egg", home / "parrots" / addon.pk.hex


KIND = Parrot()
''',
}
"""The content of each file of a kind's folder."""
