"""Backup sets and their record: sealed keys, damaged files, retention, refusals and what doctor says."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from greenroom.basics import backup_record, handover
from greenroom.basics.errors import PlatformError, UserError
from greenroom.project.backups import archives, make, manifest, sealed
from greenroom_cli.host import backup, backup_check, restore, up
from greenroom_cli.host import home as homes
from greenroom_cli.host.errors import HostError

SECRET = "a passphrase of a test"


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch):
    """A cheaper key derivation."""
    monkeypatch.setattr(sealed, "COST", 2**4)


def a_set(folder, name="20260101T000000Z", **facts):
    """A complete set with one file."""
    path = folder / name
    (path / "repos").mkdir(parents=True)
    (path / "repos" / "one.bundle").write_bytes(b"content")
    data = {
        "format": 1,
        "greenroom": "0.1.0",
        "created_at": "2026-01-01T00:00:00Z",
        "apps": [],
        "settings": {},
        **facts,
    }
    data["files"] = {"repos/one.bundle": manifest.facts(path / "repos" / "one.bundle")}
    content = archives.pack_keys(folder, ())
    (path / manifest.KEYS).write_bytes(sealed.seal(content, passphrase=SECRET, bound_to=manifest.bound(data)))
    manifest.write(path, {**data, "keys": manifest.facts(path / manifest.KEYS)})
    return path


def file_of(folder, text=SECRET):
    path = folder / "passphrase"
    path.write_text(text + "\n")
    return path


def test_only_the_right_passphrase_opens_the_keys():
    data = sealed.seal(b"keys", passphrase=SECRET, bound_to=b"set")
    assert sealed.unseal(data, passphrase=SECRET, bound_to=b"set") == b"keys"
    assert b"keys" not in data
    with pytest.raises(UserError, match="passphrase is wrong"):
        sealed.unseal(data, passphrase=SECRET + "!", bound_to=b"set")


@pytest.mark.parametrize("change", [lambda data: data[:-1] + b"!", lambda data: b"{}\n" + data])
def test_changed_keys_are_damaged_and_not_a_wrong_passphrase(change):
    data = sealed.seal(b"keys", passphrase=SECRET, bound_to=b"set")
    with pytest.raises(PlatformError, match=r"damaged|was changed"):
        sealed.unseal(change(data), passphrase=SECRET, bound_to=b"set")


def test_a_changed_manifest_does_not_open_the_keys(tmp_path):
    it = manifest.read(a_set(tmp_path))
    it.data["apps"] = ["another"]
    data = (it.folder / manifest.KEYS).read_bytes()
    with pytest.raises(PlatformError, match=r"manifest\.json was changed"):
        sealed.unseal(data, passphrase=SECRET, bound_to=manifest.bound(it.data))


def test_a_header_that_asks_for_much_memory_is_refused():
    line, _, rest = sealed.seal(b"", passphrase=SECRET, bound_to=b"").partition(b"\n")
    head = json.dumps({**json.loads(line), "cost": 2**30}).encode()
    with pytest.raises(PlatformError, match="header"):
        sealed.unseal(head + b"\n" + rest, passphrase=SECRET, bound_to=b"")


def test_a_missing_and_a_changed_file_are_named(tmp_path):
    it = manifest.read(a_set(tmp_path))
    manifest.verify(it)
    path = it.folder / "repos" / "one.bundle"
    path.write_bytes(b"Content")
    with pytest.raises(PlatformError, match=r"repos/one\.bundle: it has 7 bytes and another SHA-256"):
        manifest.verify(it)
    path.unlink()
    with pytest.raises(PlatformError, match=r"repos/one\.bundle: it cannot be read"):
        manifest.verify(it)


def test_a_manifest_that_names_a_file_outside_of_the_set_is_refused(tmp_path):
    path = a_set(tmp_path)
    data = json.loads((path / manifest.NAME).read_text())
    manifest.write(path, {**data, "files": {"../keys": {}}})
    with pytest.raises(PlatformError, match="damaged"):
        manifest.read(path)


def test_the_newest_complete_set_is_chosen_and_unfinished_ones_are_not(tmp_path):
    folder = tmp_path / "greenroom-12345678"
    for name in ("20260101T000000Z", "20260103T000000Z", "20260102T000000Z"):
        a_set(folder, name)
    (folder / "20260104T000000Z.part").mkdir()
    (folder / "20260105T000000Z").mkdir()
    assert manifest.chosen(tmp_path).folder.name == "20260103T000000Z"
    with pytest.raises(UserError, match="no backup set"):
        manifest.chosen(tmp_path / "nothing")


def test_only_the_newest_sets_are_kept(tmp_path):
    for day in "1234":
        a_set(tmp_path, f"2026010{day}T000000Z")
    (tmp_path / "of another tool").mkdir()
    assert make.retain(tmp_path, keep=2) == ["20260101T000000Z", "20260102T000000Z"]
    assert sorted(os.listdir(tmp_path)) == ["20260103T000000Z", "20260104T000000Z", "of another tool"]


def test_a_set_of_a_newer_format_is_refused(tmp_path):
    with pytest.raises(UserError, match="newer than this one"):
        manifest.read(a_set(tmp_path, format=manifest.FORMAT + 1))


def test_a_home_with_files_is_not_restored_into_and_stays_as_it_is(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "mine").write_text("")
    with pytest.raises(HostError, match="is not empty"):
        restore.restore(
            a_set(tmp_path), home, passphrase_file=file_of(tmp_path), ports=restore.Ports(), say=lambda text: None
        )
    assert os.listdir(home) == ["mine"]


@pytest.mark.parametrize(("text", "said"), [("another passphrase", "is wrong"), ("short", "too short")])
def test_a_wrong_passphrase_makes_no_home(tmp_path, text, said):
    home = tmp_path / "home"
    with pytest.raises(HostError, match=said):
        restore.restore(
            a_set(tmp_path), home, passphrase_file=file_of(tmp_path, text), ports=restore.Ports(), say=lambda text: None
        )
    assert not home.exists()


def test_up_refuses_a_home_whose_restore_has_not_ended(tmp_path):
    (tmp_path / homes.UNFINISHED).write_text("")
    with pytest.raises(HostError, match="has not ended"):
        up.up(tmp_path, homes.Installation(), detached=True)


def test_a_generated_passphrase_is_kept_until_the_operator_gives_one(tmp_path):
    (tmp_path / "keys").mkdir()
    first = backup.passphrase(tmp_path, None, None)
    assert first.origin == "generated"
    assert backup.passphrase(tmp_path, None, None) == first
    copy = file_of(tmp_path, first.text)
    assert backup.passphrase(tmp_path, copy, None).origin == "given"
    assert backup.passphrase(tmp_path, None, None) == backup.Passphrase(first.text, "given")
    assert (tmp_path / "keys" / backup.PASSPHRASE).stat().st_mode & 0o777 == 0o600


def level(home):
    return backup_check.look(home)[:2]


def test_doctor_says_how_the_last_backup_ended(tmp_path):
    (tmp_path / "backups").mkdir()
    assert level(tmp_path)[0] == "warn"
    assert "master.key" in level(tmp_path)[1]
    begun = backup_record.begin(tmp_path, origin="given")
    assert backup_record.read(tmp_path).last.state == "running"
    good = a_set(tmp_path)
    backup_record.end(tmp_path, begun, path=str(good), size=5)
    assert level(tmp_path)[0] == "ok"
    backup_record.end(tmp_path, backup_record.begin(tmp_path, origin="given"), error="the disk is full")
    assert level(tmp_path)[0] == "fail"
    assert "the disk is full; the last good one is 0.0 hours old" in level(tmp_path)[1]


def test_a_killed_backup_is_interrupted(tmp_path):
    (tmp_path / "backups").mkdir()
    backup_record.begin(tmp_path, origin="given")
    data = json.loads((tmp_path / backup_record.FILE).read_text())
    data["last"]["pid_start"] += 1  # another process has the number now
    (tmp_path / backup_record.FILE).write_text(json.dumps(data))
    assert backup_record.read(tmp_path).last.state == "interrupted"
    assert level(tmp_path)[0] == "fail"


@pytest.mark.parametrize(("age", "origin", "wanted"), [(0, "generated", "warn"), (3 * 86400, "given", "warn")])
def test_doctor_warns_about_an_old_backup_and_a_passphrase_that_is_nowhere_else(
    tmp_path, age, origin, wanted, monkeypatch
):
    (tmp_path / "backups").mkdir()
    begun = backup_record.begin(tmp_path, origin=origin)
    backup_record.end(tmp_path, begun, path=str(a_set(tmp_path)), size=5)
    now = time.time()
    monkeypatch.setattr(backup_check.time, "time", lambda: now + age)
    assert level(tmp_path)[0] == wanted


def test_names_and_certificates_are_those_of_the_set_and_ports_those_of_the_operator(tmp_path):
    old = homes.Installation(
        domain="staging.example.org",
        certificates="acme",
        email="ops@example.org",
        acme_ca="https://ca.example.org/directory",
        acme_root=True,
        trusted_proxies=("10.2.0.7/32",),
        bind="0.0.0.0",
        api_bind="127.0.0.1",
        host="box.example.org",
        http_port=80,
        https_port=443,
    )
    it = SimpleNamespace(data={"settings": json.loads(json.dumps(asdict(old)))})
    assert set(asdict(old)) - set(restore.KEPT) == {
        "mode",
        "created_at",
        "api_port",
        "tls_port",
        "rendezvous_port",
        "pg_port",
        "http_port",
        "https_port",
        "proxy_port",
        "postgres",
        "postgres_bin",
        "engine",
        "version",
        "control_user",
        "control_uid",
        "control_gid",
    }
    found = restore._installation(tmp_path, it, restore.Ports(api=6000))
    for name in restore.KEPT:
        assert getattr(found, name) == getattr(old, name)
    assert (found.api_port, found.http_port, found.https_port) == (6000, 80, 443)


def test_keys_come_back_with_their_modes(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    (old / "keys").mkdir(parents=True)
    new.mkdir()
    (old / "keys" / "master.key").write_text("key")
    (old / "keys" / "master.key").chmod(0o600)
    (old / "keys" / "link").symlink_to("/etc/passwd")
    archives.unpack_keys(archives.pack_keys(old, ("keys", "caddy")), new, None)
    assert os.listdir(new / "keys") == ["master.key"]
    assert (new / "keys" / "master.key").stat().st_mode & 0o777 == 0o600


def test_a_port_is_handed_over_and_connections_wait_in_it(tmp_path):
    (tmp_path / "run").mkdir()
    old = socket.create_server(("127.0.0.1", 0))
    port = old.getsockname()[1]
    copies = handover.of_process(os.getpid(), [port])
    old.close()
    with handover.offered(tmp_path, copies):
        assert handover.is_offered(tmp_path)
        waiting = socket.create_connection(("127.0.0.1", port), timeout=5)
        taken = handover.take(tmp_path)
        accepted, _ = taken[port].accept()
        accepted.sendall(b"here")
        assert waiting.recv(4) == b"here"
    assert not handover.is_offered(tmp_path)
    assert handover.take(tmp_path) == {}
    for sock in (accepted, waiting):
        sock.close()
    handover.close([*copies, *taken.values()])


def test_two_restores_into_one_home_do_not_meet(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    mark = restore._mark(home)
    with pytest.raises(HostError, match="Another process restores"):
        restore.restore(
            a_set(tmp_path), home, passphrase_file=file_of(tmp_path), ports=restore.Ports(), say=lambda text: None
        )
    os.close(mark)


def test_a_set_of_a_newer_postgresql_is_refused(tmp_path):
    it = manifest.read(a_set(tmp_path, server_major=99))
    with pytest.raises(HostError, match=r"of PostgreSQL 99, and this installation would use PostgreSQL \d+"):
        restore._check_server(it, tmp_path / "home", homes.Installation())
