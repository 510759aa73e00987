"""Concurrent changes by two users: one waits for the other, none deadlocks, and no number or name is assigned twice."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, transaction

from greenroom.accounts.actions import audit, create_account
from greenroom.accounts.models import AuditEntry
from greenroom.accounts.queries import actor_of
from greenroom.accounts.rules import PLATFORM
from greenroom.apps import actions
from greenroom.apps.models import App, AppTombstone
from greenroom.basics.database import judged
from greenroom.basics.errors import ConflictError
from tests.at_once import all_at_once
from tests.meeting import Aside

pytestmark = pytest.mark.django_db(transaction=True)


def person(email: str) -> Any:
    return actor_of(create_account(actor=PLATFORM, email=email, password="correct horse"))


def test_apps_made_and_renamed_at_once_get_numbers_of_their_own():
    people = [person(f"p{count}@example.com") for count in range(6)]
    assert (
        all_at_once(
            [
                lambda who=who, count=count: actions.create(actor=who, name=f"app-{count}")
                for count, who in enumerate(people)
            ]
        )
        == []
    )
    apps = list(App.objects.order_by("name"))
    assert len({app.number for app in apps}) == 6
    renames = [lambda app=app: actions.rename(actor=PLATFORM, app=app, name=f"{app.name}-new") for app in apps]
    assert all_at_once(renames) == []
    assert AppTombstone.objects.count() == 6
    assert all_at_once([lambda app=app: actions.destroy(actor=PLATFORM, app=app) for app in App.objects.all()]) == []
    assert not App.objects.exists()


def test_of_two_that_take_the_same_name_the_second_is_told_that_it_is_taken():
    people = [person(f"p{count}@example.com") for count in range(4)]
    raised = all_at_once([lambda who=who: actions.create(actor=who, name="shop") for who in people])
    assert [type(error) for error in raised] == [ConflictError] * 3
    assert {error.message for error in raised} == {"Name shop is already taken."}


def test_who_tells_the_audit_log_of_an_app_waits_for_its_row_before_the_log():
    app = actions.create(actor=person("alice@example.com"), name="shop")

    def other() -> None:
        with transaction.atomic():
            audit(actor=PLATFORM, action="second", app=app)
            App.objects.select_for_update(no_key=True).get(pk=app.pk)

    with transaction.atomic():
        App.objects.filter(pk=app.pk).update(maintenance=True)
        aside = Aside(other)
        assert aside.waits()
        audit(actor=PLATFORM, action="first", app=app)
    aside.end()
    assert list(AuditEntry.objects.order_by("-id").values_list("action", flat=True)[:2]) == ["second", "first"]


def test_a_row_that_refers_to_an_account_waits_for_no_change_of_the_account():
    """The foreign key is checked at commit. By then the transaction may hold locks that the other change waits for."""
    alice = person("alice@example.com")
    app = actions.create(actor=alice, name="shop")
    with transaction.atomic():
        actions.room_for_another(app.owner)
        assert (
            all_at_once(
                [
                    lambda: AuditEntry.objects.create(
                        at=app.created_at, actor="x", action="x", account_id=alice.account_id, hash="x"
                    )
                ]
            )
            == []
        )


def test_what_the_database_says_to_the_later_of_two_changes_is_a_conflict():
    alice = person("alice@example.com")
    actions.create(actor=alice, name="shop")
    with pytest.raises(IntegrityError) as caught:
        App.objects.create(number=7, name="shop", owner_id=alice.account_id)
    told = judged(caught.value)
    assert (told.status, told.id) == (409, "conflict")
    with pytest.raises(IntegrityError) as caught:
        App.objects.create(number=None, name="other", owner_id=alice.account_id)
    assert judged(caught.value) is None, "a fault of Greenroom's own"
