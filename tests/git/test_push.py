"""Tests of clone, fetch and push with plain git over HTTP, and of the pusher's output."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
import time

import httpx

from greenroom.accounts.models import AuditEntry
from greenroom.builds.models import BuildCache
from greenroom.entrypoints.git_http import service
from greenroom.git import actions, queries
from greenroom.git.drivers import repository
from greenroom.git.models import Push

from .conftest import Checkout, token_of


def test_a_push_to_master_is_recorded_and_can_be_cloned(alices, shop, home, tmp_path, server):
    code, said = alices.push()
    assert code == 0, said
    sha = alices.git("rev-parse", "HEAD")
    assert queries.head(shop, home) == sha
    push = Push.objects.get()
    assert (push.ref, push.before, push.after, push.state, push.seq) == (
        "refs/heads/master",
        "0" * 40,
        sha,
        "recorded",
        1,
    )
    assert push.account.email == "alice@example.com"
    assert push.address == "127.0.0.1"
    assert [row.after for row in server.followed] == [sha]
    alices.git("clone", "-q", alices.url, str(tmp_path / "clone"))
    assert (tmp_path / "clone" / "app.py").read_text() == (alices.folder / "app.py").read_text()


def test_a_push_stands_in_the_audit_log_once(alices):
    alices.push()
    entry = AuditEntry.objects.get(action="git.push")
    assert (entry.actor, entry.app_name, entry.address) == ("alice@example.com", "shop", "127.0.0.1")
    assert entry.detail["after"] == alices.git("rev-parse", "HEAD")


def test_a_push_to_main_is_a_push_to_master(alices, shop, home, server):
    first = alices.git("rev-parse", "HEAD")
    code, said = alices.push("HEAD:main")
    assert code == 0, said
    assert queries.head(shop, home, "main") == queries.head(shop, home, "master") == first
    second = alices.commit()
    assert alices.push("HEAD:master")[0] == 0
    third = alices.commit()
    assert alices.push("HEAD:main")[0] == 0
    assert queries.head(shop, home, "main") == queries.head(shop, home, "master") == third
    assert [(push.ref, push.after) for push in server.followed] == [
        ("refs/heads/master", sha) for sha in (first, second, third)
    ]


def test_a_push_to_both_names_at_once_is_one_push(alices, shop, server):
    assert alices.push("HEAD:main", "HEAD:master")[0] == 0
    assert len(server.followed) == Push.objects.count() == 1
    alices.commit()
    code, said = alices.push("HEAD:main", "HEAD~1:master")
    assert code == 0, said  # master is up to date, so git sends main alone
    alices.commit()
    alices.commit()
    code, said = alices.push("HEAD:main", "HEAD~1:master")
    assert code
    assert "master (also called main) is a single branch, but this push updates it to two different commits." in said


def test_fetch_and_shallow_clone_work_with_every_protocol(alices, tmp_path):
    for _ in range(5):
        alices.commit()
    alices.push()
    for protocol in "012":
        shallow, whole = str(tmp_path / f"shallow{protocol}"), str(tmp_path / f"whole{protocol}")
        version = ("-c", f"protocol.version={protocol}")
        alices.git(*version, "clone", "-q", "--depth", "2", alices.url, shallow)
        assert alices.git("-C", shallow, "rev-list", "--count", "HEAD") == "2"
        alices.git(*version, "clone", "-q", alices.url, whole)
        newest = alices.commit()
        alices.push()
        alices.git(*version, "-C", whole, "fetch", "-q")
        assert alices.git("-C", whole, "rev-parse", "origin/master", "origin/main").split() == [newest, newest]


def test_version_2_of_the_protocol_is_spoken(alices):
    alices.push()
    heard = alices.call("ls-remote", alices.url, GIT_TRACE_PACKET="1").stderr.decode()
    assert "git< version 2" in heard


def test_requests_that_git_compresses_are_understood(alices, tmp_path):
    for number in range(120):
        alices.git("commit", "-q", "--allow-empty", "-m", f"change {number}")
    alices.push()
    alices.git("clone", "-q", alices.url, str(tmp_path / "clone"))
    alices.commit()
    alices.push()
    other = Checkout(tmp_path / "other", alices.url)
    other.git("fetch", "-q", str(tmp_path / "clone"))
    other.git("reset", "-q", "--hard", "FETCH_HEAD")
    for number in range(60):
        other.git("commit", "-q", "--allow-empty", "-m", f"elsewhere {number}")
    result = other.call("-c", "protocol.version=0", "fetch", alices.url, GIT_TRACE_CURL="1")
    assert result.returncode == 0
    assert b"Content-Encoding: gzip" in result.stderr


def test_a_push_in_chunks_works(alices):
    (alices.folder / "noise").write_bytes(os.urandom(300_000))
    alices.commit()
    result = alices.call("-c", "http.postBuffer=1000", "push", alices.url, "HEAD:master", GIT_TRACE_CURL="1")
    assert result.returncode == 0
    assert b"Transfer-Encoding: chunked" in result.stderr


def test_the_pusher_reads_each_line_while_the_server_still_works(alices, server):
    go_on = threading.Event()

    async def follow(push):
        yield "-----> Building"
        await asyncio.to_thread(go_on.wait, 30)
        yield "-----> \x1b[32mDone\x1b[0m \x1b]0;title\x07\x1b[2J"

    server.follow = follow
    argv = ["git", "push", alices.url, "HEAD:master"]
    child = subprocess.Popen(argv, cwd=alices.folder, env=alices.env, stderr=subprocess.PIPE)
    line = b""
    while b"Building" not in line:
        line = child.stderr.readline()
        assert line
    assert child.poll() is None
    assert Push.objects.get().state == "recorded"
    go_on.set()
    rest = child.stderr.read()
    assert child.wait(20) == 0
    assert b"\x1b[32mDone\x1b[0m ??" in rest


def test_a_push_is_not_kept_waiting_by_one_that_is_still_being_deployed(alices, server, shop, home):
    go_on = threading.Event()

    async def follow(push):
        yield "-----> Working"
        if push.seq == 1:
            await asyncio.to_thread(go_on.wait, 30)

    server.follow = follow
    argv = ["git", "push", alices.url, "HEAD:master"]
    first = subprocess.Popen(argv, cwd=alices.folder, env=alices.env, stderr=subprocess.PIPE)
    while b"Working" not in first.stderr.readline():
        assert first.poll() is None
    newer = alices.commit()
    begun = time.monotonic()
    code, said = alices.push()
    assert code == 0, said
    assert time.monotonic() - begun < 5
    assert queries.head(shop, home) == newer
    assert first.poll() is None
    go_on.set()
    first.stderr.read()
    assert first.wait(20) == 0


def test_the_push_is_recorded_although_the_pusher_goes_away(alices, server, shop, home, monkeypatch):
    monkeypatch.setattr(service, "AFTERWARDS", 0.5)
    ended = threading.Event()

    async def follow(push):
        try:
            yield "-----> Working"
            await asyncio.sleep(60)
        finally:
            ended.set()

    server.follow = follow
    argv = ["git", "push", alices.url, "HEAD:master"]
    child = subprocess.Popen(argv, cwd=alices.folder, env=alices.env, stderr=subprocess.PIPE, start_new_session=True)
    while b"Working" not in child.stderr.readline():
        pass
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    child.stderr.close()
    assert ended.wait(20)
    assert Push.objects.get().state == "recorded"
    with repository.locked(home / shop.repo_folder) as free:
        assert free


def test_a_failing_report_does_not_spoil_the_push(alices, server):
    async def follow(push):
        yield "-----> Working"
        raise RuntimeError("the follower has a fault")

    server.follow = follow
    code, said = alices.push()
    assert code == 0
    assert "Push recorded, but its progress cannot be shown. hint: greenroom deliveries -a shop" in said


def test_other_branches_and_tags_are_stored_and_not_deployed(alices, server, shop, home):
    alices.push()
    server.followed.clear()
    alices.git("tag", "-a", "v1", "-m", "one")
    sha = alices.commit()
    code, said = alices.push("HEAD:refs/heads/feature/x", "v1")
    assert code == 0
    assert "remote: -----> feature/x was stored, v1 was stored; only master (also called main) is deployed." in said
    assert "remote:        To deploy it: git push greenroom feature/x:master" in said
    assert server.followed == []
    assert queries.head(shop, home, "feature/x") == sha
    assert set(Push.objects.filter(seq__gt=1).values_list("ref", "state")) == {
        ("refs/heads/feature/x", "recorded"),
        ("refs/tags/v1", "recorded"),
    }
    alices.git("commit", "-q", "--amend", "-m", "other")
    assert alices.push("+HEAD:feature/x")[0] == 0
    code, said = alices.push(":feature/x")
    assert code == 0
    assert "feature/x was deleted" in said
    assert queries.head(shop, home, "feature/x") is None


def test_a_force_push_to_the_protected_branch_is_refused(alices, shop, home, server):
    alices.push()
    before = alices.git("rev-parse", "HEAD")
    for branch in ("master", "main"):
        alices.git("commit", "-q", "--amend", "-m", f"rewritten {branch}")
        code, said = alices.push(f"+HEAD:{branch}")
        assert code
        assert "master (also called main) is protected" in said
        assert "Force pushes to it are refused. Nothing was changed." in said
        assert "hint: git pull --rebase, then push again. To undo a commit: git revert." in said
    assert queries.head(shop, home) == before
    assert Push.objects.count() == 1


def test_the_protected_branch_cannot_be_deleted(alices, shop, home):
    alices.push()
    for branch in ("master", "main"):
        code, said = alices.push(f":{branch}")
        assert code
        assert "master (also called main) is the deployed branch and cannot be deleted." in said
    assert queries.head(shop, home)


def test_one_bad_ref_keeps_all_refs_of_a_push_from_moving(alices, shop, home):
    alices.push()
    alices.git("commit", "-q", "--amend", "-m", "rewritten")
    code, _ = alices.push("HEAD:good", "+HEAD:master")
    assert code
    assert queries.head(shop, home, "good") is None
    assert not Push.objects.filter(state="intent").exists()


# -- who may -----------------------------------------------------------------------------------------------------------


def get(server, app, token, service="git-upload-pack", **options):
    auth = ("any", token) if token else None
    return httpx.get(f"http://127.0.0.1:{server.port}/{app}.git/info/refs?service={service}", auth=auth, **options)


def test_without_a_token_that_holds_git_is_asked_for_one(alices, server):
    for token in ("", "grm_wrong"):
        answer = get(server, "shop", token)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith('Basic realm="Greenroom"')
    assert "API token" in answer.text


def test_a_token_may_come_as_bearer(alices, server, alice):
    answer = get(server, "shop", "", headers={"Authorization": f"Bearer {token_of(alice)}"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/x-git-upload-pack-advertisement"


def test_an_app_of_others_looks_like_none_at_all(alices, server, charlie):
    token = token_of(charlie)
    foreign, none = get(server, "shop", token), get(server, "none", token)
    assert foreign.status_code == none.status_code == 404
    assert foreign.text.replace("shop", "none") == none.text
    assert dict(foreign.headers) == {**dict(none.headers), "date": foreign.headers["date"]}


def test_a_viewer_fetches_but_does_not_push(alices, server, vera, tmp_path):
    alices.push()
    url = server.url("shop", token_of(vera))
    alices.git("clone", "-q", url, str(tmp_path / "veras"))
    alices.commit()
    code, said = alices.push(url=url)
    assert code
    assert "403" in said
    assert "it requires the role developer" in said
    assert post(server, "shop", token_of(vera), "git-receive-pack", b"0000").status_code == 403


def test_a_developer_pushes(alices, server, bob):
    assert alices.push(url=server.url("shop", token_of(bob)))[0] == 0
    assert Push.objects.get().account.email == "bob@example.com"


def post(server, app, token, service, body, **headers):
    url = f"http://127.0.0.1:{server.port}/{app}.git/{service}"
    kinds = {"content-type": f"application/x-{service}-request", **headers}
    return httpx.post(url, auth=("any", token), content=body, headers=kinds)


def test_the_dumb_protocol_and_other_addresses_are_not_served(alices, server, alice):
    alices.push()
    token = token_of(alice)
    base = f"http://127.0.0.1:{server.port}/shop.git"
    for path in (
        "/HEAD",
        "/info/refs",
        "/info/refs?service=git-upload-archive",
        "/objects/info/packs",
        "/config",
        "/../../keys",
    ):
        assert httpx.get(base + path, auth=("any", token)).status_code in (403, 404), path
    assert httpx.get(base + "/git-receive-pack", auth=("any", token)).status_code == 405
    assert httpx.post(base + "/git-receive-pack", auth=("any", token), content=b"0000").status_code == 415


def test_broken_requests_are_refused_without_a_fault(alices, server, alice):
    alices.push()
    token = token_of(alice)
    gzip = {"content-encoding": "gzip"}
    assert post(server, "shop", token, "git-upload-pack", b"not gzip", **gzip).status_code == 400
    assert post(server, "shop", token, "git-upload-pack", b"x", **{"content-encoding": "br"}).status_code == 415
    assert post(server, "shop", token, "git-receive-pack", b"zzzz").status_code == 400
    assert get(server, "shop", token, headers={"Git-Protocol": "version=2; rm -rf /"}).status_code == 200


def test_a_repository_that_is_not_ready_says_so(server, alice, shop):
    answer = get(server, "shop", token_of(alice))
    assert answer.status_code == 503
    assert "The repository of shop is not ready." in answer.text


def test_a_removed_repository_is_gone(alices, server, shop, home, stored):
    alices.push()
    actions.delete_repository(app=shop, home=home)
    actions.delete_repository(app=shop, home=home)
    assert not stored.exists()
    assert alices.push()[0]


def test_a_push_may_ask_for_a_build_without_cache_and_no_other_option_is_known(alices, shop, server):
    code, said = alices.push(options=("-o", "no-cache"))
    assert code == 0, said
    assert "do not use the previous build cache" in said
    assert BuildCache.objects.get(app=shop).generation == 1
    assert AuditEntry.objects.get(action="build_cache.purge").actor == "alice@example.com"
    alices.commit()
    code, said = alices.push(options=("-o", "ci.skip"))
    assert code != 0
    assert "Unknown push option 'ci.skip'" in said
    assert "git push -o no-cache" in said
    assert alices.push("HEAD:master")[0] == 0
    assert BuildCache.objects.get(app=shop).generation == 1


def test_a_push_from_a_shallow_clone_is_refused_with_the_command_that_helps_and_then_taken(alices, tmp_path):
    """A shallow clone of another repository, as CI creates it: this repository lacks its older commits."""
    for _ in range(4):
        alices.commit()
    elsewhere, shallow = f"file://{alices.folder}", str(tmp_path / "shallow")
    alices.git("clone", "-q", "--depth", "1", elsewhere, shallow)
    pushed = alices.call("-C", shallow, "push", alices.url, "HEAD:master")
    said = pushed.stderr.decode()
    assert pushed.returncode
    assert "This is a shallow clone" in said
    assert "git fetch --unshallow" in said
    assert "stored" not in said
    assert not Push.objects.exists()
    alices.git("-C", shallow, "fetch", "-q", "--unshallow")
    assert alices.call("-C", shallow, "push", alices.url, "HEAD:master").returncode == 0


def test_a_shallow_clone_of_the_app_itself_may_push(alices, tmp_path):
    for _ in range(4):
        alices.commit()
    alices.push()
    shallow = str(tmp_path / "shallow")
    alices.git("clone", "-q", "--depth", "1", alices.url, shallow)
    alices.git(
        "-C", shallow, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "--allow-empty", "-m", "on top"
    )
    assert alices.call("-C", shallow, "push", alices.url, "HEAD:master").returncode == 0
