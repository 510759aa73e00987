"""The API of mail traps: lists, one mail, attachments, the allow list, the relay, and who may use them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json

import pytest
from django.core.mail import EmailMultiAlternatives
from django.test import override_settings
from django.urls import get_resolver

from greenroom.accounts.models import AuditEntry
from greenroom.addons import queries as addons
from greenroom.addons.mail.drivers import clients
from greenroom.addons.mail.inside import letters, server
from greenroom.addons.mail.inside.store import MissingError
from greenroom.addons.models import Addon, RelayedMail
from greenroom.addons.queries import secret_of
from greenroom.basics import outgoing
from greenroom.basics.errors import PlatformError
from greenroom.config_vars import queries as config
from tests.api.test_data import client_of, send

pytestmark = pytest.mark.django_db
PATH, TRAP = "/apps/shop/mail", "/apps/shop/mail-trap"


class Trap:
    """The trap's program in this process, behind the platform's client."""

    def __init__(self, monkeypatch, folder) -> None:
        limits = {"message_bytes": 10**7, "bytes": 10**8, "count": 100, "seconds": 10**6}
        word = hashlib.sha256(b"x").hexdigest()
        own = {"user": "mail", "passwords": [], "platform": word, "limits": limits}
        self.program, self.answers = server.Trap(own, str(folder)), True
        monkeypatch.setattr(clients, "connect", self.connect)

    @contextlib.contextmanager
    def connect(self, home, key, password, *, app):
        if not self.answers:
            raise PlatformError("The mail trap does not answer.")
        yield self

    def ask(self, op, **wish):
        try:
            return self.program.request({"op": op, **wish})
        except MissingError:
            clients._refuse(b"missing", wish, "shop")

    def facts(self, op, **wish):
        return json.loads(self.ask(op, **wish))

    def keep(self, **values) -> None:
        """Keep a mail that Django made."""
        message = EmailMultiAlternatives(**{"subject": "Hello", "body": "Text", "to": ["qa@example.com"], **values})
        message.attach_alternative("<script>alert(1)</script>", "text/html")
        message.attach("a.html", b"<b>\xff</b>", "text/html")
        data = message.message().as_bytes(linesep="\r\n")
        draft = self.program.store.draft()
        draft.write(data)
        self.program.store.keep(draft, message.from_email, message.recipients(), letters.facts(data))


@pytest.fixture
def trap(monkeypatch, home, tmp_path) -> Trap:
    get_resolver().url_patterns  # noqa: B018 - loads the URLconf
    for module in ("views_addons", "views_mail"):
        monkeypatch.setattr(f"greenroom.entrypoints.api.{module}.HOME", home)
    (tmp_path / "trap").mkdir()
    return Trap(monkeypatch, tmp_path / "trap")


@pytest.fixture
def addon(alice, shop, trap) -> Addon:
    answer = send(client_of(alice), "POST", "/apps/shop/addons", {"plan": "mail"})
    assert answer.status_code == 201, answer.content
    return Addon.objects.get(kind="mail")


def test_a_new_trap_is_in_the_config_vars_under_the_names_of_djangos_settings(addon, shop, home):
    values = config.values(config.latest(shop), home)
    own = {key: value for key, value in values.items() if key.startswith("EMAIL_")}
    assert set(own) == {
        f"EMAIL_{word}" for word in ("URL", "HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL")
    }
    assert own["EMAIL_URL"] == f"smtp://mail:{own['EMAIL_HOST_PASSWORD']}@127.0.0.1:{own['EMAIL_PORT']}"


def test_mailgun_has_the_names_of_herokus_add_on_and_can_have_djangos_too(alice, shop, trap, home):
    answer = send(client_of(alice), "POST", "/apps/shop/addons", {"plan": "mailgun"})
    own = [f"MAILGUN_SMTP_{word}" for word in ("LOGIN", "PASSWORD", "PORT", "SERVER")]
    assert (answer.status_code, answer.json()["config_vars"]) == (201, own)
    values = config.values(config.latest(shop), home)
    assert {key for key in values if key.startswith(("MAIL", "EMAIL"))} == set(own)
    body = {"addon": answer.json()["name"], "app": "shop", "name": "EMAIL"}
    assert send(client_of(alice), "POST", "/addon-attachments", body).status_code == 201
    assert config.values(config.latest(shop), home)["EMAIL_HOST_PASSWORD"] == values["MAILGUN_SMTP_PASSWORD"]
    assert {"MAILGUN_SMTP_PORT", "EMAIL_PORT"} <= set(addons.owned(shop)), "nobody else may set them"
    assert send(client_of(alice), "DELETE", f"/apps/shop/addons/{answer.json()['name']}").status_code == 200
    assert not [key for key in config.values(config.latest(shop), home) if key.startswith(("MAIL", "EMAIL"))]


def test_an_app_without_a_trap_is_told_how_to_get_one(alice, bob, shop, trap):
    answer = client_of(alice).get(PATH)
    assert answer.status_code == 404
    assert "heroku addons:create mail -a shop" in answer.json()["message"]


def test_mail_is_listed_newest_first_filtered_and_in_pages(alice, addon, trap):
    for number in range(3):
        trap.keep(subject=f"No {number}")
    get = client_of(alice).get
    assert [row["subject"] for row in get(PATH).json()] == ["No 2", "No 1", "No 0"]
    assert [row["number"] for row in get(PATH, {"limit": 2}).json()] == [3, 2]
    assert [row["number"] for row in get(PATH, {"limit": 2, "before": 2}).json()] == [1]
    assert [row["number"] for row in get(PATH, {"subject": "no 1"}).json()] == [2]
    for query in ({"limit": "0"}, {"limit": "201"}, {"limit": "x"}, {"before": "-1"}):
        assert get(PATH, query).status_code == 422


def test_a_mail_is_shown_with_its_parts_and_what_became_of_it(alice, addon, trap):
    trap.keep(to=["qa@example.com", "customer@example.org"])
    RelayedMail.objects.create(addon=addon, number=1, recipient="qa@example.com", state="sent")
    row = client_of(alice).get(f"{PATH}/latest").json()
    assert (row["number"], row["text"].strip(), row["relayed"]) == (1, "Text", 1)
    assert [(one["address"], one["state"]) for one in row["to"]] == [
        ("qa@example.com", "sent"),
        ("customer@example.org", "trapped"),
    ]
    part = row["attachments"][0]["number"]
    content = client_of(alice).get(f"{PATH}/1/attachments/{part}").json()
    assert base64.b64decode(content["content"]) == b"<b>\xff</b>"
    assert b"Subject: Hello" in base64.b64decode(client_of(alice).get(f"{PATH}/1/raw").json()["content"])
    for path, status in ((f"{PATH}/2", 404), (f"{PATH}/1/attachments/99", 404), (f"{PATH}/x", 422), (f"{PATH}/0", 422)):
        assert client_of(alice).get(path).status_code == status


def test_no_route_serves_a_mail_as_a_page(alice, addon, trap):
    trap.keep()
    for path in (PATH, f"{PATH}/1", f"{PATH}/1/raw", f"{PATH}/1/attachments/3"):
        answer = client_of(alice).get(path, headers={"Accept": "text/html"})
        assert answer["Content-Type"].startswith("application/json"), path


def test_all_mail_is_deleted_on_request(alice, addon, trap):
    trap.keep()
    assert send(client_of(alice), "DELETE", PATH).json() == {"cleared": 1}
    assert client_of(alice).get(PATH).json() == []
    assert AuditEntry.objects.filter(action="mail.clear", app_name="shop").exists()


def test_developers_read_mail_viewers_and_strangers_do_not(bob, vera, charlie, addon, trap):
    trap.keep()
    for path in (PATH, f"{PATH}/1", f"{PATH}/1/raw", TRAP):
        assert client_of(bob).get(path).status_code == 200
        assert client_of(vera).get(path).status_code == 403
        assert client_of(charlie).get(path).status_code == 404
        assert client_of(bob, "read").get(path).status_code == 403
    for method, path in (("DELETE", PATH), ("POST", f"{TRAP}/allowed"), ("PUT", f"{TRAP}/relay")):
        assert send(client_of(vera), method, path, {}).status_code == 403


@override_settings(PRIVATE_TARGETS=outgoing.networks(["127.0.0.0/8"]))
def test_allow_list_and_relay_are_set_shown_and_removed(alice, addon, trap, home):
    client = client_of(alice)
    assert send(client, "POST", f"{TRAP}/allowed", {"entry": "QA@example.com"}).json()["allowed"] == ["qa@example.com"]
    assert send(client, "POST", f"{TRAP}/allowed", {"entry": "@x.example"}).json()["relay"] is None
    trap.keep()
    body = {"url": "smtp://me@127.0.0.1:2525", "password": "pass word"}
    row = send(client, "PUT", f"{TRAP}/relay", body).json()
    assert (row["relay"], row["allowed"]) == ("smtp://me@127.0.0.1:2525", ["@x.example", "qa@example.com"])
    addon.refresh_from_db()
    assert addon.data["relayed"] == 1, "what the trap has already is not sent"
    assert secret_of(addon, home)["relay"] == "pass word"
    assert "pass word" not in client.get(TRAP).content.decode() + str(addon.data)
    assert "pass word" not in str(list(AuditEntry.objects.values()))
    assert client.delete(f"{TRAP}/allowed/@x.example").json()["allowed"] == ["qa@example.com"]
    assert client.delete(f"{TRAP}/relay").json()["relay"] is None
    addon.refresh_from_db()
    assert "relay" not in secret_of(addon, home)


@pytest.mark.parametrize(
    ("method", "path", "body", "says"),
    [
        ("POST", "allowed", {"entry": "nobody"}, "greenroom mail:allow you@example.com"),
        ("DELETE", "allowed/@y.example", {}, "greenroom mail:info -a shop"),
        ("PUT", "relay", {"url": "smtp://me:secret@smtp.example.com"}, "must not contain the password"),
        ("PUT", "relay", {"url": "smtp://me@smtp.example.com"}, "has a user but no password"),
        ("PUT", "relay", {"url": "smtp://10.0.0.1"}, "GREENROOM_PRIVATE_TARGETS"),
        ("PUT", "relay", {"url": "http://smtp.example.com"}, "smtp://HOST (STARTTLS)"),
    ],
)
def test_wrong_moves_are_refused_with_the_way(alice, addon, trap, method, path, body, says):
    answer = send(client_of(alice), method, f"{TRAP}/{path}", body)
    assert answer.status_code == 422
    assert says in answer.json()["message"]
    addon.refresh_from_db()
    assert "relay" not in addon.data


def test_a_trap_that_does_not_answer_is_said_and_its_facts_are_shown(alice, addon, trap):
    trap.answers = False
    assert client_of(alice).get(PATH).status_code == 503
    row = client_of(alice).get(TRAP).json()
    assert (row["answers"], row["count"], row["limit_count"]) == (False, None, 500)
