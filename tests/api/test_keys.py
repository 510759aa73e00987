"""SSH keys over the API: stored with their fingerprint or refused with a reason. Private keys are never stored or
repeated.
"""

from __future__ import annotations

import subprocess

import pytest
from django.test import Client

from greenroom.accounts import actions
from greenroom.accounts.models import Account, AuditEntry, SSHKey

pytestmark = pytest.mark.django_db
JSON = "application/json"


def client_of(actor, *scopes):
    account = Account.objects.get(pk=actor.account_id)
    plain = actions.create_token(actor=actor, account=account, scopes=scopes or ("global",))[1]
    return Client(headers={"Authorization": f"Bearer {plain}"})


@pytest.fixture
def make(tmp_path):
    """Makes a key pair with ssh-keygen: (public line, private text, fingerprint)."""

    def pair(*options, comment="anton@laptop"):
        path = tmp_path / f"key{len(list(tmp_path.iterdir()))}"
        words = ["ssh-keygen", "-q", "-N", "", "-C", comment, "-f", str(path), *(options or ("-t", "ed25519"))]
        subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        line = path.with_name(path.name + ".pub").read_text()
        shown = subprocess.run(["ssh-keygen", "-lf", f"{path}.pub"], check=True, capture_output=True, text=True).stdout
        return line, path.read_text(), shown.split()[1]

    return pair


def add(client, text):
    return client.post("/account/keys", {"public_key": text}, JSON)


@pytest.mark.parametrize(
    "options", [("-t", "ed25519"), ("-t", "ecdsa", "-b", "521"), ("-t", "rsa", "-b", "2048")], ids=lambda it: it[1]
)
def test_a_key_is_kept_with_the_fingerprint_that_ssh_keygen_shows(alice, make, options):
    line, _, fingerprint = make(*options)
    mine = client_of(alice)
    answer = add(mine, line)
    assert answer.status_code == 201
    assert "HTTPS" in answer["X-Heroku-Warning"]
    assert answer.json()["fingerprint"] == fingerprint
    assert [row["public_key"] for row in mine.get("/account/keys").json()] == [line.strip()]
    assert mine.get(f"/account/keys/{answer.json()['id']}").json() == answer.json()
    assert AuditEntry.objects.filter(action="key.add", detail__fingerprint=fingerprint).count() == 1


def test_the_words_behind_a_key_are_its_comment_and_the_e_mail_is_one_where_there_are_none(alice, make):
    mine = client_of(alice)
    assert add(mine, make(comment="the old laptop")[0]).json()["comment"] == "the old laptop"
    bare = " ".join(make()[0].split()[:2])
    assert add(mine, bare).json()["comment"] == alice.email


def test_a_key_is_kept_once_on_the_whole_installation(alice, charlie, make):
    line = make()[0]
    assert add(client_of(alice), line).status_code == 201
    for other in (client_of(alice), client_of(charlie)):
        answer = add(other, " ".join(line.split()[:2]) + " another comment")
        assert answer.status_code == 422
        assert answer.json()["message"].startswith("Fingerprint already exists")
    assert SSHKey.objects.count() == 1


@pytest.mark.parametrize(
    "options", [("-t", "ed25519"), ("-t", "rsa", "-b", "2048", "-m", "PEM")], ids=["openssh", "pem"]
)
def test_a_private_key_is_neither_kept_nor_repeated(alice, make, caplog, options):
    private = make(*options)[1]
    answer = add(client_of(alice), private)
    assert answer.status_code == 422
    assert answer.json()["message"].startswith("This is a private key")
    middle = private.splitlines()[2]
    assert middle not in answer.content.decode()
    assert middle not in caplog.text
    assert not SSHKey.objects.exists()
    assert not AuditEntry.objects.filter(action="key.add").exists()


def test_what_is_no_good_key_is_refused_with_the_reason(alice, make):
    mine, line = client_of(alice), make()[0]
    kind, body, _ = line.split()
    cases = {
        "": "public_key must be",
        "hello": "begin with its type",
        body: "begin with its type",
        kind: "its data is not a key of this type",
        f"{kind} {body[:-8]}": "its data is not a key of this type",
        f"{kind} ////": "its data is not a key of this type",
        f"ssh-rsa {body}": "its data is not a key of this type",
        f"ssh-dss {body}": "begin with its type",
        line + line: "one line",
        f"{kind} {body} a\x1b[31mb": "one line",
        f"{kind} {body} {'x' * 20_000}": "one line",
        make("-t", "rsa", "-b", "1024")[0]: "1024 bits",
    }
    for text, reason in cases.items():
        answer = add(mine, text)
        assert answer.status_code == 422, text
        assert reason in answer.json()["message"], text
    assert mine.post("/account/keys", {}, JSON).status_code == 422
    assert mine.post("/account/keys", {"public_key": [line]}, JSON).status_code == 422
    assert not SSHKey.objects.exists()


def test_a_key_is_removed_by_its_owner_alone(alice, charlie, make):
    mine = client_of(alice)
    first, second = (add(mine, make()[0]).json() for _ in range(2))
    assert client_of(charlie).delete(f"/account/keys/{first['id']}").status_code == 404
    assert client_of(alice, "read").delete(f"/account/keys/{first['id']}").status_code == 403
    assert mine.delete(f"/account/keys/{first['id']}").json() == first
    assert mine.get("/account/keys").json() == [second]
    gone = mine.delete(f"/account/keys/{first['id']}")
    assert (gone.status_code, gone.json()["resource"]) == (404, "key")
    assert AuditEntry.objects.filter(action="key.remove").count() == 1
