"""Invitations and their page, on a real PostgreSQL."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta

import pytest
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.actions import authentication, leavers
from greenroom.accounts.models import Account, AuditEntry
from greenroom.accounts.queries import actor_of
from greenroom.accounts.rules import PLATFORM
from greenroom.apps.actions import invitations
from greenroom.apps.models import Collaborator, Invitation
from greenroom.apps.queries import pending_invitations
from greenroom.apps.rules import invitation_problem
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from tests.at_once import at_once

pytestmark = pytest.mark.django_db
WORDS = "four random words"


@pytest.fixture
def ada(db):
    return actor_of(accounts.create_account(actor=PLATFORM, email="ada@example.com", is_admin=True))


def accept(secret, **more):
    return invitations.accept(secret=secret, name="Dora", **{"password": WORDS, **more})


def test_an_invited_person_has_the_account_the_role_and_the_password(ada, shop):
    row, secret = invitations.invite(actor=ada, email="Dora@Example.com", app=shop, role="operator")
    account, token = accept(secret, wants_token=True)
    assert (account.email, account.name, account.is_admin) == ("dora@example.com", "Dora", False)
    assert Collaborator.objects.get(app=shop, account=account).role == "operator"
    assert authentication.by_password("dora@example.com", WORDS).email == account.email
    assert authentication.by_token(token).email == account.email
    assert secret not in str(Invitation.objects.filter(pk=row.pk).values().get())
    done = AuditEntry.objects.filter(action__in=["account.create", "access.add"], detail__email=account.email)
    assert {entry.actor for entry in done} == {ada.email}


def test_a_link_works_once_also_for_two_at_once(transactional_db):
    ada = actor_of(accounts.create_account(actor=PLATFORM, email="ada@example.com", is_admin=True))
    _, secret = invitations.invite(actor=ada, email="dora@example.com")
    raised = at_once(lambda: accept(secret), 3)
    assert [type(error) for error in raised] == [NotFoundError] * 2
    assert Account.objects.filter(email="dora@example.com").count() == 1


def test_an_expired_or_revoked_or_replaced_link_and_one_of_a_former_administrator_are_over(ada, bob):
    _, old = invitations.invite(actor=ada, email="dora@example.com")
    second, new = invitations.invite(actor=ada, email="dora@example.com")
    with pytest.raises(NotFoundError):
        accept(old)
    invitations.revoke(actor=ada, id=str(second.pk))
    with pytest.raises(NotFoundError):
        accept(new)
    third, late = invitations.invite(actor=ada, email="dora@example.com")
    Invitation.objects.filter(pk=third.pk).update(expires_at=clock.now() - timedelta(seconds=1))
    with pytest.raises(NotFoundError):
        accept(late)
    _, left = invitations.invite(actor=ada, email="dora@example.com")
    leavers.promote(actor=ada, email=bob.email)
    leavers.disable(actor=bob, email=ada.email)
    with pytest.raises(NotFoundError):
        accept(left)
    assert not pending_invitations().exists()
    assert not Account.objects.filter(email="dora@example.com").exists()


def test_nobody_is_invited_twice_over(ada, bob):
    with pytest.raises(ConflictError, match="already exists"):
        invitations.invite(actor=ada, email="BOB@example.com")
    with pytest.raises(UserError, match="e-mail"):
        invitations.invite(actor=ada, email="dora")


def test_a_role_needs_an_app_and_days_have_an_end():
    assert "add --app" in invitation_problem("viewer", has_app=False, days=7)
    assert "viewer, developer, operator" in invitation_problem("boss", has_app=True, days=7)
    assert "1 to 30" in invitation_problem("", has_app=False, days=31)
    assert invitation_problem("viewer", has_app=True, days=30) == ""


def test_the_page_makes_the_account_without_a_script_and_shows_the_token_once(ada, shop):
    _, secret = invitations.invite(actor=ada, email="dora@example.com", app=shop)
    client, path = Client(enforce_csrf_checks=True), f"/invitations/accept/{secret}"
    shown = client.get(path)
    text = shown.content.decode()
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in shown["Content-Security-Policy"]
    assert "default-src 'none'" in shown["Content-Security-Policy"]
    assert "<script" not in text
    assert "role developer in the app shop" in text
    form = {"name": "Dora", "password": WORDS, "again": WORDS, "token": "on"}
    assert client.post(path, form).status_code == 403, "a form of another site"
    form["csrfmiddlewaretoken"] = re.search('name="csrfmiddlewaretoken" value="([^"]+)"', text)[1]
    assert client.post(path, {**form, "again": "other"}).status_code == 422
    short = client.post(path, {**form, "password": "short", "again": "short"})
    assert short.status_code == 422
    assert "12 to 500 characters" in short.content.decode()
    done = client.post(path, form)
    token = re.search(r"grm_[\w-]+", done.content.decode())[0]
    assert authentication.by_token(token).email == "dora@example.com"
    assert "no-store" in done["Cache-Control"]
    assert client.get(path).status_code == 404
    assert client.post(path, form).status_code == 404


def test_neither_a_password_nor_a_token_is_refused_on_the_page(ada):
    _, secret = invitations.invite(actor=ada, email="dora@example.com")
    answer = Client().post(f"/invitations/accept/{secret}", {"name": "Dora"})
    assert answer.status_code == 422
    assert "Set a password, or create a token." in answer.content.decode()
    assert pending_invitations().exists()
