"""A forge's webhook call: authenticated by a signature over the raw bytes, counted once, only a hint, and never a
reason to build a fork.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import shutil
import subprocess
import uuid
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.test import Client

from greenroom.basics import clock
from greenroom.git.models import Push
from greenroom.sources import actions, forges, rules
from greenroom.sources.models import HookCall, Source

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parent.parent.parent
PUSH = {"ref": "refs/heads/master", "before": "0" * 40, "after": "1" * 40}


def mac(secret, body):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


class Hook:
    """The shop's webhook, and a forge that knows its secret. Its source has been checked and is due in minutes."""

    def __init__(self, answer):
        self.path, self.secret = answer["webhook"]["path"], answer["secret"]
        Source.objects.update(next_at=clock.now() + timedelta(minutes=4), wanted_at=None)

    def raw(self, body, headers, content_type="application/json"):
        return Client().post(self.path, body, content_type=content_type, headers=headers)

    def github(self, payload=PUSH, event="push", delivery=None, secret=None, content_type="application/json", **more):
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        headers = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery or str(uuid.uuid4()),
            "X-Hub-Signature-256": f"sha256={mac(secret or self.secret, body)}",
        }
        return self.raw(body, headers | more, content_type)

    @property
    def asked(self):
        """Whether a check was requested; resets the request."""
        found = Source.objects.get().wanted_at is not None
        Source.objects.update(wanted_at=None, next_at=clock.now() + timedelta(minutes=4))
        return found


@pytest.fixture
def hook(api):
    return Hook(api.set("https://git.example.org/team/shop.git").json())


@pytest.fixture
def followed(api, repo):
    """The same for an existing repository."""
    return Hook(api.set(repo.url).json())


# ---- genuine or not --------------------------------------------------------------------------------------------------


def test_githubs_own_test_vector_holds():
    body = b"Hello, World!"
    given = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert forges.genuine({"x-hub-signature-256": given}, body, ["It's a Secret to Everybody"])


def bad_headers(secret, body):
    good = mac(secret, body)
    other = mac("another secret", body)
    sha1 = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
    return {
        "none": {},
        "of another secret": {"X-Hub-Signature-256": f"sha256={other}"},
        "SHA-1 alone": {"X-Hub-Signature": f"sha1={sha1}"},
        "SHA-1 in the place of SHA-256": {"X-Hub-Signature-256": f"sha1={sha1}"},
        "upper case": {"X-Hub-Signature-256": f"sha256={good.upper()}"},
        "upper-case name": {"X-Hub-Signature-256": f"SHA256={good}"},
        "truncated": {"X-Hub-Signature-256": f"sha256={good[:-1]}"},
        "of no length": {"X-Hub-Signature-256": "sha256="},
        "without its name": {"X-Hub-Signature-256": good},
        "with a blank": {"X-Hub-Signature-256": f" sha256={good} x"},
        "twice": {"X-Hub-Signature-256": f"sha256={good},sha256={good}"},
        "a bad one behind": {"X-Hub-Signature-256": f"sha256={good},sha256={other}"},
        "a bad one of another kind beside": {"X-Hub-Signature-256": f"sha256={good}", "X-Gitea-Signature": other},
        "no hex": {"X-Hub-Signature-256": "sha256=" + "g" * 64},
        "not ASCII": {"X-Hub-Signature-256": "sha256=" + "\xe9" * 64},
        "Gitea's of another secret": {"X-Gitea-Signature": other},
        "Gitea's in GitHub's form": {"X-Gitea-Signature": f"sha256={good}"},
        "GitLab's of another secret": {"X-Gitlab-Token": "another"},
        "GitLab's empty": {"X-Gitlab-Token": ""},
        "GitLab's truncated": {"X-Gitlab-Token": secret[:-1]},
        "the secret itself": {"X-Hub-Signature-256": secret},
    }


@pytest.mark.parametrize("name", bad_headers("x", b""))
def test_a_call_with_a_bad_signature_is_refused_and_not_read(hook, name, monkeypatch):
    body = json.dumps(PUSH).encode()
    monkeypatch.setattr("greenroom.entrypoints.api.views_sources._payload", lambda *_: pytest.fail("the body was read"))
    answer = hook.raw(body, {"X-GitHub-Event": "push", **bad_headers(hook.secret, body)[name]})
    assert answer.status_code == 401
    assert not hook.asked
    assert not HookCall.objects.exists()


def test_the_signature_is_over_the_bytes_as_they_came(hook):
    for body in (
        b'{ "ref" : "refs/heads/master" }',
        b'{"ref":"refs/heads/master","x":"\\u00e9"}',
        b'{"a": {}, "ref": "refs/heads/master"}\n',
    ):
        assert hook.github(body).status_code == 202
        headers = {
            "X-GitHub-Event": "push",
            "X-Hub-Signature-256": f"sha256={mac(hook.secret, json.dumps(json.loads(body)).encode())}",
        }
        assert hook.raw(body, headers).status_code == 401


def test_a_form_is_as_good_as_json(hook):
    form = urlencode({"payload": json.dumps(PUSH)}).encode()
    assert hook.github(form, content_type="application/x-www-form-urlencoded").status_code == 202
    assert hook.asked
    assert hook.github(b"other=1", content_type="application/x-www-form-urlencoded").status_code == 400


def test_gitea_and_gitlab_are_understood(hook):
    body = json.dumps(PUSH).encode()
    signed = {
        "X-Gitea-Signature": mac(hook.secret, body),
        "X-Hub-Signature-256": f"sha256={mac(hook.secret, body)}",
        "X-Hub-Signature": "sha1=old",
    }
    gitea = {"X-Gitea-Event": "push", "X-GitHub-Event": "push", "X-Gitea-Delivery": "g-1", **signed}
    assert hook.raw(body, gitea).status_code == 202
    assert hook.asked
    gitlab = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Event-UUID": "l-1", "X-Gitlab-Token": hook.secret}
    assert hook.raw(body, gitlab).status_code == 202
    assert hook.asked
    tag = json.dumps({"ref": "refs/tags/v1", "object_kind": "tag_push"}).encode()
    assert (
        hook.raw(tag, {**gitlab, "X-Gitlab-Event": "Tag Push Hook", "X-Gitlab-Event-UUID": "l-2"})
        .json()["message"]
        .startswith("ignored: tag")
    )
    assert sorted(HookCall.objects.values_list("delivery", "event")) == [
        ("g-1", "push"),
        ("l-1", "push"),
        ("l-2", "tag"),
    ]


# ---- once, bounded, and only a hint ----------------------------------------------------------------------------------


def test_a_call_that_comes_again_is_answered_and_does_nothing(hook):
    assert hook.github(delivery="d-1").status_code == 202
    assert hook.asked
    again = hook.github(delivery="d-1")
    assert (again.status_code, again.json()) == (200, {"message": "already seen"})
    assert not hook.asked
    HookCall.objects.update(at=clock.now() - timedelta(days=30))
    actions.tidy()
    assert hook.github(delivery="d-1").json() == {"message": "already seen"}
    assert hook.github(delivery="d-2").status_code == 202  # the same body with another id: only a hint
    HookCall.objects.update(at=clock.now() - timedelta(days=36))
    actions.tidy()
    assert not HookCall.objects.exists()


def test_a_replayed_call_of_an_old_commit_deploys_nothing_over_a_newer_one(followed, look, repo, shop, home):
    from greenroom.git import queries as git

    old = repo.commit("old")
    look()
    new = repo.commit("new")
    look()
    assert followed.github({**PUSH, "after": old}, delivery="replayed").status_code == 202
    assert look().taken == new
    assert git.head(shop, home) == new
    assert Push.objects.count() == 2


def test_a_call_says_only_when_to_look(followed, look, repo, shop, home):
    """Claims in the payload are ignored: the commit comes from the branch of the source."""
    commit = repo.commit()
    liar = {
        **PUSH,
        "after": "f" * 40,
        "forced": True,
        "repository": {"clone_url": "http://169.254.169.254/x.git", "full_name": "evil/x"},
    }
    assert followed.github(liar).status_code == 202
    assert look(due=True).taken == commit


@pytest.mark.parametrize(
    "payload",
    [
        {"ref": "refs/heads/topic"},
        {"ref": "refs/tags/master"},
        {"ref": "refs/heads/master2"},
        {"ref": None},
        {},
        [],
        "x",
        3,
        None,
    ],
)
def test_what_is_not_about_the_branch_is_ignored_politely(hook, payload):
    answer = hook.github(payload)
    assert answer.status_code == 200
    assert answer.json()["message"].startswith("ignored")
    assert not hook.asked


def test_a_deleted_branch_is_looked_at(followed, look, repo):
    repo.commit()
    look()
    subprocess.run(["git", "-C", str(repo.bare), "update-ref", "-d", "refs/heads/master"], check=True)
    assert followed.github({**PUSH, "after": "0" * 40, "deleted": True}).status_code == 202
    row = look()
    assert (row.state, row.problem) == ("failing", "The repository has no branch master, nor any other.")


def test_a_ping_is_answered(hook):
    assert hook.github({"zen": "x", "hook_id": 1}, event="ping").json() == {"message": "pong"}


def test_a_genuine_call_that_is_no_json_is_a_bad_request(hook):
    for body in (b"", b"{", b"\xff\xfe", b"[" * 200_000):
        assert hook.github(body).status_code == 400, body[:5]


def test_more_than_25_megabytes_are_not_read(hook):
    body = b"x" * (rules.MAX_BODY + 1)
    assert hook.github(body).status_code == 413
    assert hook.raw(b"{}", {"Content-Length": str(10**12)}).status_code == 413


def test_a_large_call_within_the_limit_is_taken(hook):
    assert hook.github({**PUSH, "commits": ["x" * 1000] * 10_000}).status_code == 202


def test_an_unknown_path_is_not_found(hook):
    for name in ("x", "0" * 48, hook.path[7:].upper()):
        assert Client().post(f"/hooks/{name}", b"{}", content_type="application/json").status_code == 404
    assert Client().get(hook.path).status_code == 405


# ---- the secret ------------------------------------------------------------------------------------------------------


def test_both_secrets_hold_during_a_rotation_and_then_the_new_one_alone(api, hook):
    new = api("POST", "/actions/rotate-secret").json()["secret"]
    assert new != hook.secret
    assert [hook.github(secret=secret).status_code for secret in (hook.secret, new)] == [202, 202]
    Source.objects.update(previous_until=clock.now())
    assert [hook.github(secret=secret).status_code for secret in (hook.secret, new)] == [401, 202]
    assert api("POST", "/actions/rotate-secret", {"overlap_hours": 0}).status_code == 200
    assert hook.github(secret=new).status_code == 401
    for bad in ("x", -1, 721, True):
        assert api("POST", "/actions/rotate-secret", {"overlap_hours": bad}).status_code == 422


def test_the_secret_is_kept_sealed_and_shown_once(api, hook):
    row = Source.objects.get()
    assert hook.secret.encode() not in bytes(row.secret)
    assert hook.secret not in api("GET").content.decode()
    assert api.set(row.url).json()["secret"] is None


# ---- GitHub's own examples -------------------------------------------------------------------------------------------


def examples():
    """(event, payload) of each example that GitHub publishes; they are installed by npm, pinned beside the script."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not here: GitHub's examples of webhooks cannot be installed")
    subprocess.run([str(ROOT / "tests/contracts/github/install.sh")], check=True, timeout=300)
    folder = ROOT / ".tools/github/node_modules/@octokit/webhooks-examples/api.github.com"
    return [
        (row["name"], example) for row in json.loads((folder / "index.json").read_text()) for example in row["examples"]
    ]


def test_each_of_githubs_examples_has_a_sensible_answer(followed, look, repo, shop, home):
    from greenroom.builds.models import Build

    asked, seen = [], set()
    repo.commit()
    look()
    Push.objects.all().delete()
    for event, payload in examples():
        answer = followed.github(payload, event=event)
        assert answer.status_code in (200, 202), (event, answer.content)
        seen.add(event)
        if followed.asked:
            asked.append((event, payload["ref"]))
        assert (answer.status_code == 202) == (event == "push" and payload["ref"] == "refs/heads/master"), event
        assert (answer.json()["message"] == "pong") == (event == "ping")
    assert len(seen) >= 58
    assert asked == [("push", "refs/heads/master")] * 2
    # pull requests, including those of forks, lead to no push and so to no build: their code never sees a config
    # var
    assert {"pull_request", "fork", "check_run", "status", "merge_group", "workflow_run"} <= seen
    assert not Push.objects.exists()
    assert not Build.objects.exists()
