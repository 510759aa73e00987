"""A team's installation is saved while its app is used, restored into an empty home, and upgraded under requests."""

from __future__ import annotations

import http.client
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.stories.team import Installation
from tests.stories.test_host import own_installation, ports, small_team

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Installation, Path, Path, dict]]:
    """An installation with a live app whose table grew during the backup; the set's folder, the passphrase's file and
    facts of the old installation.
    """
    folder = tmp_path_factory.mktemp("backup")
    secret = folder / "passphrase"
    secret.write_text(PASSPHRASE + "\n")
    with own_installation() as place:
        place.run("up", "--home", place.home, "--detach", *ports(place), timeout=240)
        team = small_team(place, folder, "kept-app")
        team.push()
        place.run("config:set", "WORD=kept", "-a", "kept-app")
        url = place.run("config:get", "DATABASE_URL", "-a", "kept-app").stdout.strip()
        stop, written = threading.Event(), [0]
        writer = threading.Thread(target=_write, args=(url, stop, written))
        writer.start()
        before = written[0]
        said = place.run("backup", "--to", folder / "sets", "--passphrase-file", secret, "--json")
        stop.set()
        writer.join()
        facts = {"releases": _releases(place), "token": place.token, "rows": before, "last": written[0]}
        facts |= {"made": json.loads(said.stdout), "app": place.api("GET", "/apps/kept-app")[1]["id"]}
        facts["status"] = json.loads(place.run("status", "--json").stdout)["backup"]
        place.down()
        yield place, folder / "sets", secret, facts


def _write(url: str, stop: threading.Event, written: list[int]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE line (id bigint PRIMARY KEY)")
        while not stop.wait(0.02):
            connection.execute("INSERT INTO line VALUES (%s)", [written[0] + 1])
            written[0] += 1


def _releases(place: Installation) -> list[tuple[int, str]]:
    return [(row["version"], row["description"]) for row in place.api("GET", "/apps/kept-app/releases")[1]]


@pytest.fixture(scope="module")
def restored(saved) -> Iterator[Installation]:
    """The set in another home with other ports, started; the release with the new ports is live."""
    _, sets, secret, _ = saved
    with own_installation() as place:
        words = ["--home", place.home, "--passphrase-file", secret, *ports(place)]
        place.run("restore", sets, *words, timeout=300)
        place.run("up", "--home", place.home, "--detach", timeout=240)
        _await(lambda: _page(place) == "here" and _newest(place) == ("succeeded", True))
        yield place


def _page(place: Installation) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", place.http_port, timeout=30)
    try:
        connection.request("GET", "/", headers={"Host": "kept-app.localhost"})
        return connection.getresponse().read().decode()
    except OSError:
        return ""
    finally:
        connection.close()


def _newest(place: Installation) -> tuple[str, bool]:
    row = max(place.api("GET", "/apps/kept-app/releases")[1], key=lambda row: row["version"])
    return row["status"], row["current"]


def _await(holds: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.timeout(900)
def test_everything_of_an_app_is_the_same_in_another_home(saved, restored):
    _, _, _, facts = saved
    place = restored
    assert facts["status"]["state"] == "succeeded"
    assert facts["status"]["bytes"] == facts["made"]["bytes"] > 0
    assert place.token == facts["token"]
    assert set(facts["releases"]) <= set(_releases(place))
    assert place.run("config:get", "WORD", "-a", "kept-app").stdout.strip() == "kept"
    url = place.run("config:get", "DATABASE_URL", "-a", "kept-app").stdout.strip()
    with psycopg.connect(url) as connection:
        count, last = connection.execute("SELECT count(*), max(id) FROM line").fetchone() or (0, 0)
    assert count == last, "a prefix of the writes, without a gap"
    assert facts["rows"] <= last <= facts["last"]


@pytest.mark.timeout(900)
def test_an_upgrade_keeps_the_dynos_and_every_request(saved, restored):
    place = restored
    before, dynos = place.pids(), place.dyno_pids(saved[3]["app"])
    stop, failed = threading.Event(), []
    asker = threading.Thread(target=_ask, args=(place, stop, failed))
    asker.start()
    said = place.run("upgrade", "--home", place.home, "--yes", timeout=300)
    stop.set()
    asker.join()
    after = place.pids()
    assert failed == []
    assert dynos
    assert place.dyno_pids(saved[3]["app"]) == dynos
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"host", "supervisor", "web", "worker"}, said.stderr
    assert list((place.home / "backups" / "upgrades").glob("*.dump"))


def _ask(place: Installation, stop: threading.Event, failed: list[object]) -> None:
    """Requests to the API, one after the other: none may fail, however long it waits."""
    while not stop.is_set():
        try:
            code = place.api("GET", "/apps/kept-app")[0]
        except OSError as error:
            code = repr(error)
        if code != 200:
            failed.append(code)


def test_a_used_home_a_wrong_passphrase_and_a_damaged_file_are_refused(saved, tmp_path):
    place, sets, secret, facts = saved
    used = place.run("restore", sets, "--home", place.home, "--passphrase-file", secret, check=False)
    assert used.returncode == 1
    assert "is not empty" in used.stderr
    other = tmp_path / "other"
    other.write_text("not the passphrase of it\n")
    wrong = place.run("restore", sets, "--home", tmp_path / "new", "--passphrase-file", other, check=False)
    assert "The passphrase is wrong" in wrong.stderr
    copy = tmp_path / "copy"
    shutil.copytree(facts["made"]["path"], copy)
    dump = next((copy / "addons").glob("*/data"))
    dump.write_bytes(dump.read_bytes()[:-1] + b"x")
    bad = place.run("restore", copy, "--home", tmp_path / "new", "--passphrase-file", secret, check=False)
    assert str(dump) in bad.stderr
    assert not (tmp_path / "new").exists()
