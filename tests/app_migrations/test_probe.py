"""The migration probe distinguishes pending from unknown, with real Django apps and a real PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings as greenroom_settings

from greenroom.addons.postgres.actions import throwaways
from greenroom.addons.postgres.queries import forward
from greenroom.app_migrations.drivers.probes import answer, probe_spec_parts
from greenroom.app_migrations.frameworks.django.inside.probe import settings_module
from greenroom.buildpacks.rules.dyno_environment import runtime_env
from greenroom.engine.contract import DynoSpec, DynoState
from greenroom.engine.memory import MemoryEngine
from greenroom.slugs.queries import mounts
from tests.checks.dyno_side import DJANGO, environment, write
from tests.checks.hosting import FILES, a_journey, engine, engine_home, same_minor, server  # noqa: F401 - fixtures

SECOND = """from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.AddField("item", "price", models.IntegerField(null=True)),
        migrations.RunPython(lambda apps, editor: None),
    ]
"""
WITH_AUTH = DJANGO["conf/settings.py"].replace(
    '["shop"]', '["shop", "django.contrib.contenttypes", "django.contrib.auth"]'
)


@pytest.fixture
def app(tmp_path):
    return write(tmp_path / "app", DJANGO)


@pytest.fixture
def database(tmp_path):
    return str(tmp_path / "db.sqlite3")


def probe(folder: Path, asked: tuple[str, ...] = (), **env: str) -> dict:
    parts = probe_spec_parts("django", asked)
    out = folder.parent / "out"
    out.mkdir(exist_ok=True)
    argv = [sys.executable, "-", str(out), *parts.command[3:]]
    done = subprocess.run(argv, input=parts.stdin, cwd=folder, env=environment(**env), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((out / "probe.json").read_text())


def migrate(folder: Path, *args: str, **env: str) -> None:
    argv = [sys.executable, "manage.py", "migrate", "--verbosity", "0", *args]
    subprocess.run(argv, cwd=folder, env=environment(**env), check=True, capture_output=True)


def test_an_empty_database_has_all_migrations_pending(app, database):
    found = probe(app, DB=database)
    assert (found["framework"], found["status"]) == ("django", "ok")
    assert (found["pending"], found["missing"], found["conflicts"]) == (["shop.0001_initial"], [], {})


def test_asking_changes_nothing_in_the_database(app, database):
    probe(app, DB=database)
    assert os.path.getsize(database) == 0


def test_a_migrated_database_has_nothing_pending(app, database):
    migrate(app, DB=database)
    assert probe(app, DB=database)["pending"] == []


def test_pending_migrations_come_in_order_and_say_what_they_do(app, database):
    migrate(app, DB=database)
    write(app, {"shop/migrations/0002_price.py": SECOND})
    found = probe(app, DB=database)
    assert found["pending"] == ["shop.0002_price"]
    step = found["plan"][0]
    assert step["operations"][0] == "Add field price to item"
    assert (step["reversible"], step["atomic"]) == (False, True)


URLS = """from django.http import HttpResponse
from django.urls import path
from shop.models import Item

def page(request):
    {body}

urlpatterns = [path("", page)]
"""


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (
            "return HttpResponse(Item.objects.count())",
            {"schema": True, "error": "OperationalError: no such table: shop_item"},
        ),
        (
            "raise ValueError('Missing staticfiles manifest entry')",
            {"schema": False, "error": "ValueError: Missing staticfiles manifest entry"},
        ),
        ("return HttpResponse('ok')", {"status": 200}),
        ("return HttpResponse(request.META['HTTP_HOST'], status=404)", {"status": 404}),
    ],
)
def test_while_migrations_are_pending_the_page_says_whether_the_schema_is_why_it_fails(app, database, body, seen):
    write(app, {"conf/urls.py": URLS.format(body=body)})
    more = (
        "ROOT_URLCONF = 'conf.urls'\nALLOWED_HOSTS = ['shop.localhost']\nWSGI_APPLICATION = 'conf.wsgi.application'\n"
    )
    settings = f"{(app / 'conf/settings.py').read_text()}\n{more}"
    write(app, {"conf/settings.py": settings})
    about = probe(app, ("/", "shop.localhost"), DB=database)["about"]
    assert about["page"] == seen
    assert (about["vendor"], about["wsgi"]) == ("sqlite", "conf.wsgi")
    migrate(app, DB=database)
    assert "page" not in probe(app, ("/", "shop.localhost"), DB=database)["about"], "nothing is pending: nobody asks"
    first = probe(app, ("/", "shop.localhost", "first"), DB=database)["about"]["page"]
    assert first == (seen if not seen.get("schema") else {"status": 200}), "it explains a first release that fails"


GO = "from django.http import HttpResponseRedirect as Go; seen = request.path_info; "


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        (
            "return Go('/items/?page=1') if seen == '/' else HttpResponse(Item.objects.count())",
            {"schema": True, "error": "OperationalError: no such table: shop_item"},
        ),
        ("return Go('/items/') if seen == '/' else HttpResponse('', status=500)", {"status": 500}),
        ("return Go('https://www.shop.localhost:8443/a#b') if seen == '/' else HttpResponse(seen)", {"status": 200}),
        ("return Go('https://elsewhere.example/')", {"status": 302}),
        ("return HttpResponse(status=302, headers={'Location': 'https://[shop/'})", {"status": 302}),
        ("return Go(seen + 'x/')", {"status": 302}),
        ("return Go(seen)", {"status": 302}),
    ],
)
def test_redirects_within_the_app_are_followed_because_the_health_check_follows_them(app, database, body, seen):
    urls = URLS.format(body=GO + body).replace('path("", page)', 'path("", page), path("<path:more>", page)')
    write(app, {"conf/urls.py": urls.replace("def page(request)", "def page(request, more='')")})
    hosts = "ALLOWED_HOSTS = ['shop.localhost', 'www.shop.localhost']\nROOT_URLCONF = 'conf.urls'\n"
    write(app, {"conf/settings.py": f"{(app / 'conf/settings.py').read_text()}\n{hosts}"})
    assert probe(app, ("/", "shop.localhost"), DB=database)["about"]["page"] == seen


def test_what_the_settings_give_away_is_noticed(app, database):
    text = (app / "conf/settings.py").read_text() + "\nDEBUG = True\nSECRET_KEY = 'django-insecure-x'\n"
    about = probe(write(app, {"conf/settings.py": text}), DB=database)["about"]
    assert (about["debug"], about["insecure_key"]) == (True, True)


def test_columns_that_the_code_needs_and_its_tables_lack_are_named(app, database):
    migrate(app, DB=database)
    models = (app / "shop/models.py").read_text()
    field = "    price = models.IntegerField(null=True)\n"
    new = "\n\nclass Offer(models.Model):\n    text = models.TextField()\n"
    write(app, {"shop/models.py": models.rstrip() + "\n" + field + new, "shop/migrations/0002_price.py": SECOND})
    assert probe(app, DB=database)["lacking"] == ["shop_item.price"]
    migrate(app, DB=database)
    assert probe(app, DB=database)["lacking"] == []


def test_older_code_on_a_newer_database_sees_what_it_lacks(app, database):
    write(app, {"shop/migrations/0002_price.py": SECOND})
    migrate(app, DB=database)
    (app / "shop/migrations/0002_price.py").unlink()
    found = probe(app, DB=database)
    assert (found["status"], found["pending"], found["missing"]) == ("ok", [], ["shop.0002_price"])


def test_dependencies_are_probed_like_the_app_s_own_migrations(app, database):
    write(app, {"conf/settings.py": WITH_AUTH})
    found = probe(app, DB=database)
    assert found["pending"].index("contenttypes.0001_initial") < found["pending"].index("auth.0001_initial")
    assert len(found["pending"]) > 10


def test_migrations_without_a_common_successor_are_reported(app, database):
    write(app, {"shop/migrations/0002_a.py": SECOND, "shop/migrations/0002_b.py": SECOND})
    assert probe(app, DB=database)["conflicts"] == {"shop": ["0002_a", "0002_b"]}


def test_a_squashed_migration_that_replaces_applied_ones_is_not_pending(app, database):
    write(app, {"shop/migrations/0002_price.py": SECOND})
    migrate(app, DB=database)
    squashed = DJANGO["shop/migrations/0001_initial.py"].replace(
        "initial = True", 'initial = True\n    replaces = [("shop", "0001_initial"), ("shop", "0002_price")]'
    )
    for name in ("0001_initial", "0002_price"):
        (app / f"shop/migrations/{name}.py").unlink()
    write(app, {"shop/migrations/0001_squashed.py": squashed})
    found = probe(app, DB=database)
    assert (found["pending"], found["missing"]) == ([], [])


POSTGRES = """
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": %(NAME)r, "USER": %(USER)r,
    "PASSWORD": %(PASSWORD)r, "HOST": %(HOST)r, "PORT": %(PORT)r}}
"""


def test_a_database_that_is_down_is_an_error_and_never_pending(app):
    gone = {"NAME": "x", "USER": "x", "PASSWORD": "x", "HOST": "127.0.0.1", "PORT": "1"}
    write(app, {"conf/settings.py": DJANGO["conf/settings.py"] + POSTGRES % gone})
    found = probe(app)
    assert (found["status"], found["kind"], found["pending"]) == ("error", "database", [])
    assert "OperationalError" in found["detail"]


def test_a_database_of_postgresql_is_asked(app):
    own = {key: greenroom_settings.DATABASES["default"][key] for key in ("NAME", "USER", "PASSWORD", "HOST", "PORT")}
    write(app, {"conf/settings.py": DJANGO["conf/settings.py"] + POSTGRES % {**own, "NAME": "postgres"}})
    found = probe(app)
    assert (found["status"], found["pending"]) == ("ok", ["shop.0001_initial"]), found["detail"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"conf/settings.py": "import nothing_x\n"}, "nothing_x"),
        ({"conf/settings.py": "import sys\nsys.exit('no SECRET_KEY')\n"}, "no SECRET_KEY"),
        ({"shop/migrations/0001_initial.py": "class Nothing: pass\n"}, "no Migration class"),
        ({"manage.py": "print('hello')\n"}, "DJANGO_SETTINGS_MODULE"),
    ],
)
def test_an_app_that_cannot_be_loaded_is_an_error_with_its_reason(app, database, files, words):
    write(app, files)
    found = probe(app, DB=database)
    assert (found["status"], found["pending"]) == ("error", [])
    assert words in found["detail"]


@pytest.mark.neighbours
def test_an_app_without_manage_py_has_no_framework(tmp_path):
    found = probe(write(tmp_path / "app", {"app.py": ""}))
    assert (found["framework"], found["status"]) == ("none", "none")


def test_a_project_in_a_folder_of_its_own_is_found(tmp_path, database):
    app = write(tmp_path / "app", {f"backend/{name}": text for name, text in DJANGO.items()})
    assert probe(app, DB=database)["pending"] == ["shop.0001_initial"]


def test_the_app_s_own_choice_of_settings_wins(app, database):
    write(app, {"conf/other.py": WITH_AUTH})
    assert len(probe(app, DB=database, DJANGO_SETTINGS_MODULE="conf.other")["pending"]) > 10


def test_prints_and_threads_of_the_app_do_not_matter(app, database):
    noisy = (
        DJANGO["conf/settings.py"]
        + "import threading, time\nprint('{')\nthreading.Thread(target=time.sleep, args=(60,)).start()\n"
    )
    write(app, {"conf/settings.py": noisy})
    assert probe(app, DB=database)["status"] == "ok"


@pytest.mark.parametrize(
    ("source", "module"),
    [
        ('os.environ.setdefault("DJANGO_SETTINGS_MODULE", "a.settings")', "a.settings"),
        ("os.environ['DJANGO_SETTINGS_MODULE'] = 'a.settings'", "a.settings"),
        (
            (
                'def main():\n    os.environ.setdefault(\n        "DJANGO_SETTINGS_MODULE",\n        "a.b.settings",\n '
                "   )\n"
            ),
            "a.b.settings",
        ),
        ("print 'Python 2'\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'old.settings')", "old.settings"),
        ('os.environ.setdefault("DJANGO_SETTINGS_MODULE", choose())', None),
        ("", None),
    ],
)
def test_the_settings_module_is_read_from_manage_py_without_running_it(source, module):
    assert settings_module(source) == module


def state(**facts) -> DynoState:
    return DynoState(id="probe-1", kind="probe", owner="x", process="probe.1", **{"phase": "exited", **facts})


def answered(text: str, **facts):
    engine = MemoryEngine()
    write(engine.scratch("probe-1", "out"), {"probe.json": text})
    return answer(engine=engine, state=state(**facts))


def test_the_answer_is_read_from_the_dyno_s_folder():
    text = json.dumps({"framework": "django", "status": "ok", "pending": ["a.0002_x"], "missing": [], "conflicts": {}})
    found = answered(text)
    assert (found.status, found.pending, found.missing) == ("ok", ("a.0002_x",), ()), found.detail


@pytest.mark.parametrize("text", ["", "[]", '{"status": "great"}', "{" * 5000])
def test_an_unreadable_answer_is_an_error(text):
    assert answered(text).status == "error"


def test_a_probe_that_was_killed_is_an_error_with_the_reason():
    found = answer(engine=MemoryEngine(), state=state(reason="oom", exit_code=137))
    assert (found.status, found.detail) == ("error", "the probe did not finish: it ran out of memory")


def test_an_answer_that_is_a_link_or_a_pipe_is_not_read(tmp_path):
    engine = MemoryEngine()
    folder = engine.scratch("probe-1", "out")
    secret = write(tmp_path, {"secret.json": '{"status": "ok"}'}) / "secret.json"
    (folder / "probe.json").symlink_to(secret)
    assert answer(engine=engine, state=state()).status == "error"
    (folder / "probe.json").unlink()
    os.mkfifo(folder / "probe.json")
    assert answer(engine=engine, state=state()).status == "error"


@pytest.mark.neighbours
@pytest.mark.skipif(
    not same_minor(), reason="the suite's Django is copied for the system's Python of the same minor version"
)
@pytest.mark.django_db(transaction=True)
def test_the_probe_runs_in_a_dyno_of_the_release(journey):
    journey.commit(FILES)
    journey.build(FILES)
    parts = probe_spec_parts()
    database = throwaways.make(label="probe-test")
    spec = DynoSpec(
        id="probe-1",
        kind="probe",
        owner=journey.app.id.hex,
        uid=journey.app.number,
        process="probe.1",
        command=parts.command,
        stdin=parts.stdin,
        mounts=(*mounts(journey.slug), *parts.mounts),
        forwards=(forward(),),
        env=runtime_env(config={"DATABASE_URL": database.values["_URL"], "SECRET_KEY": "x"}, process="probe.1"),
        output=True,
    )
    journey.engine.start(spec)
    end = time.monotonic() + 30
    while (seen := journey.engine.describe("probe-1")).phase in ("starting", "running") and time.monotonic() < end:
        time.sleep(0.02)
    found = answer(engine=journey.engine, state=seen)
    throwaways.drop(label="probe-test")
    assert (found.framework, found.status, found.pending) == ("django", "ok", ("shop.0001_initial",)), found.detail
