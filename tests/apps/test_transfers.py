"""An app is transferred only when the recipient accepts."""

from __future__ import annotations

import pytest

from greenroom.accounts.models import AuditEntry
from greenroom.apps.actions import transfers
from greenroom.apps.models import Collaborator
from greenroom.basics.errors import GreenroomError

pytestmark = pytest.mark.django_db


def test_an_accepted_app_is_the_recipients_and_its_owner_stays_an_operator(shop, alice, bob):
    row = transfers.offer(actor=alice, app=shop, recipient="BOB@example.com")
    assert transfers.find(bob, "shop") == row
    transfers.answer(actor=bob, transfer=row, state="accepted")
    shop.refresh_from_db()
    assert shop.owner.email == "bob@example.com"
    roles = dict(Collaborator.objects.filter(app=shop).values_list("account__email", "role"))
    assert roles == {"alice@example.com": "operator", "vera@example.com": "viewer"}
    assert {"app.transfer.offer", "app.transfer.accepted"} <= set(AuditEntry.objects.values_list("action", flat=True))
    with pytest.raises(GreenroomError, match="already accepted"):
        transfers.answer(actor=bob, transfer=row, state="declined")


def test_only_the_recipient_answers_and_only_the_owner_withdraws(shop, alice, bob, charlie):
    row = transfers.offer(actor=alice, app=shop, recipient="bob@example.com")
    with pytest.raises(GreenroomError, match="Only the recipient"):
        transfers.answer(actor=alice, transfer=row, state="accepted")
    with pytest.raises(GreenroomError, match="Only the sender"):
        transfers.withdraw(actor=bob, transfer=row)
    with pytest.raises(GreenroomError, match="Couldn't find"):
        transfers.find(charlie, str(row.id))
    with pytest.raises(GreenroomError, match="already has a pending transfer"):
        transfers.offer(actor=alice, app=shop, recipient="charlie@example.com")
    transfers.withdraw(actor=alice, transfer=row)
    other = transfers.offer(actor=alice, app=shop, recipient="charlie@example.com")
    transfers.answer(actor=charlie, transfer=other, state="declined")
    shop.refresh_from_db()
    assert shop.owner.email == "alice@example.com"


def test_nobody_gets_an_app_who_cannot_have_it(shop, alice):
    with pytest.raises(GreenroomError, match="already owns shop"):
        transfers.offer(actor=alice, app=shop, recipient="alice@example.com")
    with pytest.raises(GreenroomError, match="No account"):
        transfers.offer(actor=alice, app=shop, recipient="nobody@example.com")
