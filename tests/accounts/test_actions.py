"""Tokens, passwords and the audit log, on a real PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest

from greenroom.accounts import actions, queries
from greenroom.accounts.actions import authentication
from greenroom.accounts.models import Account, AuditEntry, Token
from greenroom.accounts.rules import PLATFORM, scope_grants
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, NotFoundError, UserError

pytestmark = pytest.mark.django_db


def token_of(actor, **more):
    return actions.create_token(actor=actor, account=Account.objects.get(pk=actor.account_id), **more)


def test_a_token_opens_the_account_and_is_kept_as_a_hash_only(alice):
    row, plain = token_of(alice)
    assert authentication.by_token(plain).email == "alice@example.com"
    assert plain not in str(Token.objects.filter(pk=row.pk).values().get())


def test_a_revoked_or_expired_token_opens_nothing(alice):
    row, plain = token_of(alice)
    actions.revoke_token(actor=alice, account=row.account, token_id=str(row.id))
    assert authentication.by_token(plain) is None
    row, plain = token_of(alice, seconds=60)
    Token.objects.filter(pk=row.pk).update(expires_at=clock.now() - timedelta(seconds=1))
    assert authentication.by_token(plain) is None


def test_nobody_can_revoke_somebody_elses_token(alice, bob):
    row, plain = token_of(alice)
    with pytest.raises(NotFoundError):
        actions.revoke_token(actor=bob, account=Account.objects.get(pk=bob.account_id), token_id=str(row.id))
    assert authentication.by_token(plain)


def test_unknown_scopes_are_refused(alice):
    with pytest.raises(UserError):
        token_of(alice, scopes=("everything",))


def test_a_token_for_checks_can_do_nothing_else():
    assert scope_grants(("checks:write",), "checks")
    for other in ("read", "write", "read-protected", "write-protected", "identity"):
        assert not scope_grants(("checks:write",), other)


def test_a_password_opens_the_account_whatever_the_emails_case(alice):
    assert authentication.by_password("ALICE@example.com", "correct horse").email == "alice@example.com"
    assert authentication.by_password("alice@example.com", "wrong") is None
    assert authentication.by_password("nobody@example.com", "wrong") is None


def test_an_email_is_used_once(alice):
    with pytest.raises(ConflictError):
        actions.create_account(actor=alice, email="Alice@Example.com")


def test_the_audit_log_notices_a_changed_row(alice):
    actions.audit(actor=alice, action="one")
    actions.audit(actor=alice, action="two", detail={"n": 1})
    assert queries.audit_is_intact()
    AuditEntry.objects.filter(action="one").update(actor="mallory@example.com")
    assert not queries.audit_is_intact()


def test_the_audit_log_notices_a_removed_row(alice):
    for number in range(3):
        actions.audit(actor=alice, action=f"act.{number}")
    AuditEntry.objects.filter(action="act.1").delete()
    assert not queries.audit_is_intact()


def test_the_first_administrator_of_an_older_installation_gets_an_address_that_clients_take_for_one(db):
    made = actions.create_account(actor=PLATFORM, email="someone@example.com", password="correct horse", is_admin=True)
    Account.objects.filter(pk=made.pk).update(email="admin@localhost")
    actions.follow_renames()
    actions.follow_renames()
    assert Account.objects.get(pk=made.pk).email == "admin@greenroom.localhost"
    for written in ("admin@localhost", "Admin@Localhost", "admin@greenroom.localhost"):
        assert queries.by_email(written).pk == made.pk
        assert authentication.by_password(written, "correct horse").account_id == made.pk
    with pytest.raises(ConflictError):
        actions.create_account(actor=PLATFORM, email="admin@localhost", password="another horse")
