"""The sketch of a second engine runs an app: push, build, tests, release, live, a ``run`` and a rehearsal.

No code outside its folder refers to it: the loops get it from the engine setting.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from greenroom.addons import actions as addons
from greenroom.app_migrations.actions import rehearsals
from greenroom.app_migrations.loop import Loop as MigrationTurn
from greenroom.app_migrations.loop.rehearsals import Loop as RehearsalTurn
from greenroom.app_migrations.models import MigrationState, Rehearsal
from greenroom.apps import actions as apps
from greenroom.basics import unixsock
from greenroom.config_vars.actions import write
from greenroom.deliveries.loop import Loop as DeliveryLoop
from greenroom.deliveries.models import Delivery
from greenroom.dynos import actions as dynos
from greenroom.dynos.loop import Loop as DynoLoop
from greenroom.dynos.rules import StartOptions
from greenroom.engine.errors import NotReadyError
from greenroom.git.models import Push
from greenroom.project import drivers
from greenroom.router.actions import reroute
from tests.builds.hosting import PYTHON
from tests.checks import hosting
from tests.checks.dyno_side import DJANGO
from tests.checks.hosting import SETTINGS, TESTS, server  # noqa: F401 -- a fixture
from tests.engine.machine import IS_ROOT
from tests.engine.toy.engine import ToyEngine

WEB = """import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"hello from " + os.environ["DYNO"].encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
FILES = {
    **DJANGO,
    "conf/settings.py": SETTINGS,
    "shop/tests.py": TESTS,
    "web.py": WEB,
    "Procfile": "web: python web.py\n",
    ".python-version": f"{PYTHON}\n",
    "requirements.txt": "Django==5.2.7\npsycopg[binary]==3.2.10\n",
}
NOTE = """from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [migrations.AddField("item", "note", models.CharField(max_length=9, default="", db_default=""))]
"""
CHANGED = {
    "shop/migrations/0002_note.py": NOTE,
    "shop/models.py": DJANGO["shop/models.py"]
    + '    note = models.CharField(max_length=9, default="", db_default="")\n',
}

pytestmark = [
    pytest.mark.neighbours,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not IS_ROOT, reason="the sketch needs namespaces, which root may make"),
    pytest.mark.timeout(600),
]


@pytest.fixture(name="engine_home")
def a_home():
    home = Path(tempfile.mkdtemp(prefix="gr-toy-", dir="/tmp"))
    (home / "keys").mkdir(mode=0o700)
    (home / "keys" / "master.key").write_text(base64.b64encode(os.urandom(32)).decode())
    for name in ("slugs", "envs", "cache", "cache/wheels", "cache/apps", "sources", "run", "logs"):
        (home / name).mkdir()
    yield home
    engine = ToyEngine(home)
    for state in engine.list():
        engine.forget(state.id)
    shutil.rmtree(home, ignore_errors=True)


class World:
    """The worker's loops for one app, driven by the test."""

    def __init__(self, alice, home: Path, installation: dict) -> None:
        self.alice, self.home = alice, home
        self.engine = drivers.make_engine(home)
        self.app = apps.create(actor=alice, name="toyshop")
        dyno_loop = DynoLoop(self.engine, home, lambda app: reroute(app=app, home=home))
        loops = (dyno_loop, MigrationTurn(self.engine, home), DeliveryLoop(self.engine, home, installation))
        self.turns = [loop.turn for loop in loops]
        self.journey = hosting.Journey(self.app, home, self.engine)
        self.seq = 0

    def push(self, files: dict[str, str]) -> Delivery:
        before = self.journey.sha if self.seq else "0" * 40
        sha, self.seq = self.journey.commit(files), self.seq + 1
        push = Push.objects.create(
            app=self.app,
            seq=self.seq,
            ref=f"refs/heads/{self.app.protected_branch}",
            before=before,
            after=sha,
            state="recorded",
            account_id=self.alice.account_id,
        )
        return self.until(lambda: Delivery.objects.filter(push=push).exclude(finished_at=None).first())

    def until(self, found, seconds: float = 300):
        end = time.monotonic() + seconds
        while not (it := found()):
            for turn in self.turns:
                turn()
            assert time.monotonic() < end, self.trouble()
            time.sleep(0.02)
        return it

    def trouble(self) -> str:
        rows = [(row.state, row.reason) for row in Delivery.objects.filter(app=self.app)]
        said = [path.read_text()[-3000:] for path in self.home.glob("logs/deliveries/*.log")]
        return f"{rows}\n{self.engine.list()}\n" + "\n".join(said)

    def get(self) -> bytes:
        """The response to a visitor, through the route on disk."""
        with unixsock.connect(self.home / "run" / "router" / self.app.id.hex / "0", timeout=10) as sock:
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: sock.recv(65536), b""))

    def run(self, release, command: str) -> tuple[int, str]:
        """Run an attached one-off dyno: its exit code and output."""
        dyno = dynos.make_one_off(actor=self.alice, app=self.app, release=release, command=command, size="standard-1x")
        dynos.start(dyno=dyno, engine=self.engine, home=self.home, options=StartOptions(attach=True))
        end = time.monotonic() + 20
        while True:
            try:
                found = self.engine.attach(dyno.engine_id)
                break
            except NotReadyError:
                assert time.monotonic() < end
                time.sleep(0.02)
        with found.sock as sock:
            sock.settimeout(60)
            said = b"".join(iter(lambda: sock.recv(65536), b""))
        self.engine.detach(dyno.engine_id, complete=True)
        state = self.until(lambda: (it := self.engine.describe(dyno.engine_id)) and it.ended and it)
        return state.exit_code, said.decode()


@pytest.fixture
def world(alice, engine_home, server, settings, monkeypatch):
    monkeypatch.setenv(drivers.SETTING, "tests.engine.toy.engine")
    monkeypatch.setenv("GREENROOM_WATCH_SECONDS", "0")
    monkeypatch.setattr("greenroom.router.actions.render", lambda **_: False)
    world = World(alice, engine_home, settings.INSTALLATION)
    assert isinstance(world.engine, ToyEngine)
    addon, values = addons.provision(actor=alice, app=world.app, home=engine_home, kind="postgres")
    write(app=world.app, home=engine_home, values={"SECRET_KEY": "x" * 50, **values}, actor=alice)
    yield world
    addons.deprovision(addon=addon, home=engine_home)


def test_the_second_engine_carries_a_delivery_a_run_and_a_rehearsal(world):
    first = world.push(FILES)
    assert first.state == "live", world.trouble()
    assert world.get().endswith(b"hello from web.1")
    code, said = world.run(first.release, "python manage.py migrate")
    assert (code, "Applying shop.0001_initial... OK" in said) == (0, True), said

    second = world.push(CHANGED)
    assert second.state == "held", "its code needs a column that a human has to add"
    pending = MigrationState.objects.filter(release=second.release, status="ok")
    assert world.until(pending.first).pending == ["shop.0002_note"]
    row = Rehearsal.objects.filter(release=second.release).first() or rehearsals.ask(
        actor=world.alice, release=second.release
    )
    world.turns.append(RehearsalTurn(world.engine, world.home).turn)
    row = world.until(lambda: Rehearsal.objects.filter(pk=row.pk, state__in=("done", "failed")).first())
    assert (row.state, row.failure) == ("done", ""), row.document
    states = {name: cell["state"] for name, cell in row.document["cells"].items()}
    assert states == dict.fromkeys(("old_old", "new_old", "new_new", "old_new"), "ok")
