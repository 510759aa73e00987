"""Disabled, enabled, deleted, promoted and demoted accounts, on a real PostgreSQL."""

from __future__ import annotations

import pytest

from greenroom.accounts import actions, queries
from greenroom.accounts.actions import authentication, leavers, sign_ins
from greenroom.accounts.models import Account, AuditEntry, Token
from greenroom.accounts.queries import actor_of
from greenroom.accounts.rules import PLATFORM
from greenroom.apps import actions as apps
from greenroom.apps.actions import transfers
from greenroom.apps.models import App, Collaborator
from greenroom.basics.errors import ConflictError, ForbiddenError, NotFoundError
from tests.at_once import all_at_once

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse"


def person(email, *, admin=False):
    return actor_of(actions.create_account(actor=PLATFORM, email=email, password=PASSWORD, is_admin=admin))


def account(actor):
    return Account.objects.get(pk=actor.account_id)


@pytest.fixture
def ada(db):
    return person("ada@example.com", admin=True)


def test_a_disabled_account_has_no_tokens_no_password_and_no_pending_sign_in(ada, bob):
    row, _, command = sign_ins.begin(description="a laptop", address="10.0.0.1")
    sign_ins.approve(row=row, actor=bob)
    _, plain = actions.create_token(actor=bob, account=account(bob))
    leavers.disable(actor=ada, email="BOB@example.com")
    assert authentication.by_token(plain) is None
    assert authentication.by_password(bob.email, PASSWORD) is None
    with pytest.raises(NotFoundError):
        sign_ins.collect(id=str(row.id), secret=command)
    entry = AuditEntry.objects.latest("id")
    assert (entry.actor, entry.action, entry.detail) == (
        ada.email,
        "account.disable",
        {"email": bob.email, "tokens": 1},
    )


def test_an_enabled_account_has_its_password_again_and_not_its_old_tokens(ada, bob):
    _, plain = actions.create_token(actor=bob, account=account(bob))
    leavers.disable(actor=ada, email=bob.email)
    leavers.enable(actor=ada, email=bob.email)
    assert authentication.by_token(plain) is None
    assert authentication.by_password(bob.email, PASSWORD).email == bob.email


@pytest.mark.parametrize("act", [leavers.disable, leavers.demote, leavers.delete])
def test_the_last_active_administrator_stays(ada, bob, act):
    Account.objects.filter(is_admin=True).exclude(pk=ada.account_id).update(is_active=False)
    with pytest.raises(ConflictError) as caught:
        act(actor=ada, email=ada.email)
    assert "greenroom accounts:promote" in caught.value.hint
    leavers.promote(actor=ada, email=bob.email)
    assert not act(actor=bob, email=ada.email).is_admin or not account(ada).is_active


def test_a_disabled_account_cannot_become_an_administrator(ada, bob):
    leavers.disable(actor=ada, email=bob.email)
    with pytest.raises(ConflictError, match="disabled"):
        leavers.promote(actor=ada, email=bob.email)


def test_an_owner_is_deleted_only_after_its_apps_have_another_owner(ada, alice, bob, shop):
    apps.add_collaborator(actor=alice, app=shop, email=bob.email, role="viewer")
    with pytest.raises(ConflictError, match="still owns apps: shop") as caught:
        leavers.delete(actor=ada, email=alice.email)
    assert "greenroom transfers:offer NEW-OWNER -a shop" in caught.value.hint
    offer = transfers.offer(actor=ada, app=shop, recipient=bob.email)
    transfers.answer(actor=bob, transfer=offer, state="accepted")
    leavers.delete(actor=ada, email=alice.email)
    assert App.objects.get(pk=shop.pk).owner.email == bob.email
    assert not Collaborator.objects.filter(account=account(alice)).exists()
    assert not Token.objects.filter(account=account(alice)).exists()


def test_a_deleted_account_is_nowhere_but_in_the_history(ada, bob):
    actions.create_token(actor=bob, account=account(bob))
    leavers.delete(actor=ada, email=bob.email)
    assert queries.by_email(bob.email) is None
    assert bob.email not in queries.listed().values_list("email", flat=True)
    assert AuditEntry.objects.filter(account_id=bob.account_id, actor=bob.email).exists()
    assert queries.audit_is_intact()
    with pytest.raises(NotFoundError):
        leavers.enable(actor=ada, email=bob.email)


def test_the_address_of_a_deleted_account_starts_again_with_nothing(ada, bob, shop, alice):
    leavers.delete(actor=ada, email=bob.email)
    again = actions.create_account(actor=ada, email=bob.email, name="Bob")
    assert (again.pk, again.is_active, again.deleted_at, again.has_usable_password()) == (
        bob.account_id,
        True,
        None,
        False,
    )
    assert not Collaborator.objects.filter(account=again).exists()


def test_a_disabled_account_gets_no_app(ada, alice, bob, shop):
    offer = transfers.offer(actor=alice, app=shop, recipient=bob.email)
    leavers.disable(actor=ada, email=bob.email)
    with pytest.raises(ConflictError, match="disabled"):
        transfers.answer(actor=bob, transfer=offer, state="accepted")


def test_a_sign_in_that_was_approved_before_gives_no_token_afterwards(ada, bob):
    row, _, command = sign_ins.begin(description="a laptop", address="10.0.0.1")
    sign_ins.approve(row=row, actor=bob)
    Account.objects.filter(pk=bob.account_id).update(is_active=False)
    with pytest.raises(ForbiddenError, match="disabled"):
        sign_ins.collect(id=str(row.id), secret=command)


@pytest.mark.django_db(transaction=True)
def test_two_administrators_cannot_remove_each_other_at_once():
    people = [person(f"admin{number}@example.com", admin=True) for number in range(2)]
    others = list(reversed(people))
    raised = all_at_once(
        [
            lambda me=me, you=you: leavers.disable(actor=me, email=you.email)
            for me, you in zip(people, others, strict=True)
        ]
    )
    assert [type(error) for error in raised] == [ConflictError]
    assert Account.objects.filter(is_admin=True, is_active=True).count() == 1
