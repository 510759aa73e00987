"""An app follows an external repository: set, fetched, accepted like a push, refused with a reason; addresses and
credentials are restricted.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from datetime import timedelta

import pytest

from greenroom.accounts.models import AuditEntry
from greenroom.basics import clock
from greenroom.deliveries import queries as deliveries
from greenroom.git import queries as git
from greenroom.git.models import Push
from greenroom.git.rules import Update
from greenroom.sources import actions, forges, rules
from greenroom.sources.drivers.connection import opening
from greenroom.sources.loop import Loop
from greenroom.sources.models import Source
from greenroom.sources.queries import push_refusals
from tests.sources.conftest import HERE

pytestmark = pytest.mark.django_db


def master(shop, home):
    return git.head(shop, home)


# ---- following -------------------------------------------------------------------------------------------------------


def test_a_source_is_followed_from_the_first_commit_on(api, look, repo, shop, home):
    first = repo.commit("one")
    answer = api.set(repo.url)
    assert (answer.status_code, answer.json()["state"], answer.json()["kind"]) == (201, "new", "git")
    assert len(answer.json()["secret"]) == 48
    row = look()
    assert (row.state, row.taken, master(shop, home)) == ("synced", first, first)
    second = repo.commit("two")
    assert look(due=False).taken == first  # not before it is due
    assert look().taken == second
    pushes = list(Push.objects.order_by("seq"))
    assert [(push.after, push.origin, push.account) for push in pushes] == [
        (first, repo.url, None),
        (second, repo.url, None),
    ]
    assert [push.pk for push in deliveries.pushes_without_delivery()] == [push.pk for push in pushes]
    shown = api.info()
    assert (shown["state"], shown["seen"], shown["branch"], shown["problem"]) == ("synced", second, "master", None)
    assert "secret" not in shown


def test_a_branch_of_another_name_is_deployed_as_master(api, look, repo, shop, home):
    commit = repo.commit(push="stable")
    api.set(repo.url, branch="stable")
    assert look().state == "synced"
    assert master(shop, home) == commit


def test_a_branch_that_is_not_there_is_named_with_those_that_are(api, look, repo):
    repo.commit(push="trunk")
    api.set(repo.url)
    row = look()
    assert (row.state, row.problem) == ("failing", "The repository has no branch master; it has trunk.")
    assert row.hint == f"greenroom source:set {repo.url} --branch trunk -a shop"


def test_a_failure_is_shown_and_looked_at_again_later_and_later(api, look, forge):
    api.set(f"{forge.url}/team/none.git")
    for failures in (1, 2, 3):
        row = look()
        assert (row.state, row.failures, row.problem) == (
            "failing",
            failures,
            "The repository was not found, or the credentials have no access to it.",
        )
    assert [rules.pause(300, failures) for failures in (0, 1, 4, 5, 9, 99)] == [300, 300, 480, 960, 3600, 3600]
    assert [rules.pause(10, failures) for failures in (1, 2, 3)] == [10, 20, 40]
    assert rules.pause(0, 1) == 10


def test_a_rewritten_branch_waits_for_a_decision_and_is_not_fetched_over_and_over(api, look, forge, repo, shop, home):
    first = repo.commit("one")
    api.set(repo.url)
    row = look()
    assert (row.state, row.problem, row.taken) == ("synced", "", first)
    repo.git("commit", "-q", "--amend", "-m", "one, otherwise")
    other = repo.push()
    row = look()
    assert (row.state, row.seen, master(shop, home)) == ("rewritten", other, first)
    assert f"{other[:8]} does not contain {first[:8]}" in row.problem
    assert row.hint.endswith(f"greenroom source:accept {other[:8]} -a shop")
    asked = len(forge.asked)
    assert look().state == "rewritten"
    assert len(forge.asked) - asked <= 2  # the branch's commit was queried, nothing was fetched
    assert api("POST", "/actions/accept", {"commit": first}).status_code == 404
    assert api("POST", "/actions/accept", {"commit": other[:8]}).status_code == 202
    assert look().state == "synced"
    push = Push.objects.get(after=other)
    assert (push.forced, push.account.email, master(shop, home)) == (True, "alice@example.com", other)
    assert deliveries.was_rewritten(Push.objects.get(after=first))
    assert not deliveries.was_rewritten(push)
    assert AuditEntry.objects.filter(action="source.accept").count() == 1
    assert api("POST", "/actions/accept", {"commit": other}).status_code == 409


def test_a_branch_that_is_rewritten_again_before_it_is_taken_waits_again(api, look, repo, shop, home):
    repo.commit("one")
    api.set(repo.url)
    look()
    repo.git("commit", "-q", "--amend", "-m", "second try")
    second = repo.push()
    look()
    api("POST", "/actions/accept", {"commit": second})
    repo.git("commit", "-q", "--amend", "-m", "third try")
    repo.push()
    assert look().state == "rewritten"


def test_pushes_to_the_branch_are_refused_with_where_to_push(api, repo, shop):
    api.set(repo.url)
    move = Update(ref="refs/heads/main", before="1" * 40, after="2" * 40)
    (refusal,) = push_refusals(shop, [move])
    assert (
        refusal.message == f"master (also called main) of shop follows master of {repo.url}; it is not pushed to here."
    )
    assert f"git push {repo.url} HEAD:master" in refusal.hint
    assert push_refusals(shop, [Update(ref="refs/heads/topic", before="1" * 40, after="2" * 40)]) == []
    assert api("DELETE").status_code == 200
    assert push_refusals(shop, [move]) == []
    assert api("GET").status_code == 404


def test_a_look_that_was_killed_is_begun_again_by_the_next_worker(api, repo, home):
    commit = repo.commit()
    api.set(repo.url)
    assert actions.claim(5)
    assert actions.claim(5) == []  # the lease is active, and the process is killed here
    Loop(home, HERE, hands=0).turn()
    assert Source.objects.get().taken == commit


def test_what_is_asked_for_during_a_look_is_looked_at_again_soon(api, repo, look):
    repo.commit()
    api.set(repo.url)
    (row,) = actions.claim(5)
    began = clock.now() - timedelta(seconds=1)
    actions.ask(source=row)
    actions.note(source=row, began=began, state="synced")
    assert Source.objects.get().next_at < clock.now() + timedelta(seconds=5)


def test_a_source_is_looked_at_by_one_at_a_time_however_often_it_is_asked_for(api, repo):
    repo.commit()
    api.set(repo.url)
    (row,) = actions.claim(5)
    actions.ask(source=row)
    assert actions.claim(5, busy=[row.pk]) == []
    assert actions.claim(5) == [row]


def test_a_source_that_was_changed_during_a_look_is_not_told_of_the_old_one(api, repo):
    api.set(repo.url)
    (row,) = actions.claim(5)
    api.set(repo.url, branch="other")
    actions.note(source=row, began=clock.now(), state="synced", taken="1" * 40)
    assert (Source.objects.get().state, Source.objects.get().taken) == ("new", "")


# ---- addresses -------------------------------------------------------------------------------------------------------

BAD = [
    "file:///etc/passwd",
    "/etc/passwd",
    "gopher://example.com/x",
    "git://example.com/x.git",
    "ext::sh -c id",
    "-u:x",
    "https://u:p@example.com/x.git",
    "https://example.com/x.git?token=1",
    "https://example.com/x.git#x",
    "https://exa mple.com/x",
    "https://example.com\\@10.0.0.1/x",
    "https://example.com./x",
    "https://example.com",
    "ssh://-oProxyCommand=id/x",
    "ssh://git@-oProxyCommand=id/x",
    "git@-oProxyCommand=id:x",
    "git@host:-x",
    "x",
    "",
    "https://[::1/x",
]
PRIVATE = [
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f.1",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "0.0.0.0",
    "[::]",
    "169.254.169.254",
    "10.1.2.3",
    "localhost",
    "a.localhost",
]


@pytest.mark.parametrize("url", BAD)
def test_what_is_no_repository_is_refused(api, url):
    assert api.set(url).status_code == 422
    assert not Source.objects.exists()


@pytest.mark.parametrize("host", PRIVATE)
def test_addresses_that_are_not_public_are_refused(api, settings, host):
    settings.PRIVATE_TARGETS = ()
    for url in (f"https://{host}/x.git", f"ssh://git@{host}/x.git", f"http://{host}/x.git"):
        assert api.set(url).status_code == 422, url
    assert api.set("https://example.com/x.git", api=f"http://{host}/api", kind="github").status_code == 422


def test_plain_http_goes_only_where_the_operator_said(api, settings, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: [(2, 1, 6, "", ("93.184.216.34", port))])
    answer = api.set("http://example.com/x.git")
    assert answer.status_code == 422
    assert "in clear" in answer.json()["message"]


def test_the_connection_goes_to_the_judged_address_and_the_name_is_not_asked_again(api, look, repo, monkeypatch):
    """The name exists only in this process: git, which runs in another one, uses the checked address."""
    commit = repo.commit()
    real = socket.getaddrinfo
    answers = [[(2, 1, 6, "", ("127.0.0.1", 0))]]
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: answers[-1] if "forge.example.test" in host else real(host, *rest, **more),
    )
    api.set(repo.url.replace("127.0.0.1", "forge.example.test"))
    assert look().taken == commit
    answers.append([(2, 1, 6, "", ("10.0.0.1", 0))])
    row = look()
    assert (row.state, row.problem) == (
        "failing",
        "The host forge.example.test leads to 10.0.0.1, which is not a public address.",
    )


def test_a_redirect_is_a_failure(api, look, forge, repo):
    repo.commit()
    forge.mode = "redirect"
    api.set(repo.url)
    row = look()
    assert (row.state, row.problem) == ("failing", "The server sent a redirect, which is not followed.")


@pytest.mark.parametrize(
    "branch", ["refs/pull/1/head", "refs/heads/master", "-x", "a..b", "HEAD^", "tags/../x", "a b", "x" * 201]
)
def test_nothing_but_a_branch_is_followed(api, repo, branch):
    assert api.set(repo.url, branch=branch).status_code == 422


def test_pull_requests_are_never_fetched(api, look, forge, repo, shop, home):
    """A forge keeps pull requests, including those of forks, at refs/pull: only the one branch is requested and
    received.
    """
    commit = repo.commit("ours")
    repo.git("commit", "-q", "--allow-empty", "-m", "theirs")
    theirs = repo.git("rev-parse", "HEAD")
    repo.git("push", "-q", str(repo.bare), "HEAD:refs/pull/7/head")
    api.set(repo.url)
    assert look().taken == commit
    assert git.resolve(shop, home, theirs) is None
    assert list(Push.objects.values_list("ref", "after")) == [("refs/heads/master", commit)]


# ---- credentials -----------------------------------------------------------------------------------------------------

CANARY = "canary-0123456789abcdef"


def test_a_token_opens_the_repository_and_is_seen_nowhere(api, look, forge, repo, home, monkeypatch):
    forge.password = CANARY
    commit = repo.commit()
    api.set(repo.url)
    row = look()
    assert row.problem.startswith("Access to the repository was denied")
    started = []
    popen = subprocess.Popen

    def watched(argv, **options):
        started.append(json.dumps([list(argv), options.get("env") or {}]))
        return popen(argv, **options)

    monkeypatch.setattr(subprocess, "Popen", watched)
    answer = api.set(repo.url, token=f"{CANARY}\n")
    assert look().taken == commit
    assert started
    rows = [json.dumps(list(AuditEntry.objects.values_list("detail", flat=True))), str(Source.objects.values())]
    texts = [*started, *rows, answer.content.decode(), api("GET").content.decode()]
    assert not [text for text in texts if CANARY in text]
    assert CANARY.encode() not in bytes(Source.objects.get().token)
    found = [path for path in home.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]
    assert not found
    assert api.info()["credentials"]["token"] is True


def test_another_host_does_not_get_the_credentials_of_the_one_before(api, repo):
    api.set(repo.url, token=CANARY)
    assert api.set(repo.url, branch="other").json()["credentials"]["token"] is True
    changed = api.set("https://example.com/x.git")
    assert (changed.status_code, changed.json()["credentials"]["token"], changed.json()["secret"]) == (200, False, None)


def test_a_deploy_key_is_made_here_and_its_private_half_stays(api, home):
    answer = api.set("git@github.com:team/shop.git", deploy_key="new")
    key = answer.json()["credentials"]["deploy_key"]
    assert key.startswith("ssh-ed25519 AAAA")
    assert answer.json()["credentials"]["fingerprint"].startswith("SHA256:")
    assert (answer.json()["kind"], answer.json()["api"]) == ("github", "https://api.github.com")
    assert "PRIVATE" not in answer.content.decode() + api("GET").content.decode()
    row = Source.objects.get()
    assert actions.opened(row, "key", home).startswith("-----BEGIN OPENSSH PRIVATE KEY-----")
    assert api.set("https://github.com/team/shop.git", deploy_key="new").status_code == 422
    for bad in ("ssh-ed25519 AAAA", "-----BEGIN OPENSSH PRIVATE KEY-----\nx\n-----END OPENSSH PRIVATE KEY-----"):
        assert api.set("git@github.com:team/shop.git", deploy_key=bad).status_code == 422


@pytest.mark.neighbours
def test_ssh_is_told_the_judged_address_the_pinned_keys_and_nothing_of_the_users_own(api, home, monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, port, **_: [(2, 1, 6, "", ("140.82.121.4", port))])
    api.set("git@github.com:team/shop.git", deploy_key="new")
    row = Source.objects.get()
    with opening(row, home) as ready:
        config = open(ready.remote.env["GREENROOM_SSH_CONFIG"]).read()
        file = next(line.split()[1] for line in config.splitlines() if "IdentityFile" in line)
        words = ["ssh", "-F", ready.remote.env["GREENROOM_SSH_CONFIG"], "-G", "git@github.com"]
        said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
        read = subprocess.run(["ssh-keygen", "-y", "-f", file], capture_output=True, text=True, check=True).stdout
        assert read.split()[1] == row.public_key.split()[1]
    for line in (
        "hostname 140.82.121.4",
        "hostkeyalias github.com",
        "stricthostkeychecking true",
        "batchmode yes",
        "identityagent none",
        "forwardagent no",
    ):
        assert line in said, line
    assert rules.fingerprint(forges.host_key("github.com")) == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
    assert not os.path.exists(file)


def test_known_hosts_are_read_for_the_host_of_the_url(api):
    line = forges.host_key("gitlab.com").split(" ", 1)[1]
    answer = api.set("git@gitlab.example.org:team/shop.git", known_hosts=f"# comment\nsomething {line}\n")
    assert answer.json()["known_hosts"] == [
        {"key": f"gitlab.example.org {line}", "fingerprint": "SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8"}
    ]
    for bad in ("", "x", "host ssh-ed25519 !!!", f"host {line.split()[1]}"):
        assert api.set("git@gitlab.example.org:team/shop.git", known_hosts=bad).status_code == 422, bad


# ---- the API ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": 3},
        {"interval": 5},
        {"interval": "often"},
        {"interval": 90_000},
        {"interval": True},
        {"kind": "svn"},
        {"token": "a\nb"},
        {"branch": []},
    ],
)
def test_a_bad_wish_is_refused(api, body):
    assert api("PUT", "", {"url": "https://example.com/x.git", **body} if body else {}).status_code == 422
    assert not Source.objects.exists()


def test_operators_set_developers_sync_viewers_look(api, bob, vera, repo):
    from tests.sources.conftest import Api

    api.set(repo.url)
    bobs, veras = Api(bob), Api(vera)
    assert [bobs("POST", "/actions/sync").status_code, veras("POST", "/actions/sync").status_code] == [202, 403]
    assert [one.set(repo.url).status_code for one in (bobs, veras)] == [403, 403]
    assert [one("DELETE").status_code for one in (bobs, veras)] == [403, 403]
    assert veras("GET").json()["webhook"] is None  # a call needs its path and its secret
    assert api.info()["webhook"]["path"].startswith("/hooks/")


@pytest.mark.parametrize(
    ("url", "kind", "api_root"),
    [
        ("https://github.com/team/shop.git", "github", "https://api.github.com"),
        ("git@github.example.org:team/shop", "github", "https://github.example.org/api/v3"),
        ("ssh://git@gitlab.example.org:2222/team/sub/shop.git", "gitlab", "https://gitlab.example.org/api/v4"),
        ("https://codeberg.org/team/shop", "gitea", "https://codeberg.org/api/v1"),
        ("https://gitea.example.org:3000/t/s.git", "gitea", "https://gitea.example.org:3000/api/v1"),
        ("https://git.example.org/team/shop.git", "git", ""),
    ],
)
def test_a_forge_is_known_by_its_name(url, kind, api_root):
    place = rules.place_of(url)
    forge = forges.guess(place.host)
    assert (forge.name, forge.api.root(place) if forge.api else "") == (kind, api_root)
    assert place.path.startswith("t")


@pytest.mark.django_db(transaction=True)
def test_looks_have_threads_of_their_own_and_take_a_commit_once(api, repo, home, shop):
    commit = repo.commit()
    api.set(repo.url)
    worker = Loop(home, HERE, hands=2)
    worker.turn()
    (look,) = worker.looks.values()
    actions.ask(source=Source.objects.get())
    worker.turn()
    assert len(worker.looks) <= 1
    look.result(60)
    worker.pool.shutdown()
    assert Source.objects.get().taken == commit
    assert Push.objects.count() == 1
