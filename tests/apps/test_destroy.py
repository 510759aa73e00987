"""Destroying an app during concurrent writes, over real connections."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connection, transaction

from greenroom.apps import actions
from greenroom.apps.models import App, Domain
from greenroom.basics.errors import NotFoundError

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_app_goes_although_somebody_is_about_to_commit_a_row_of_it(alice, shop):
    """The writer inserts its row before the app is deleted. Its commit waits for the deletion and fails."""
    written, go, ended = threading.Event(), threading.Event(), []

    def write():
        try:
            with transaction.atomic():
                Domain.objects.create(app_id=shop.pk, hostname="late.example.org")
                written.set()
                go.wait(20)
            ended.append("committed")
        except IntegrityError as error:
            ended.append(error)
        finally:
            connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    assert written.wait(20)
    gather = App.delete

    def delete(self, *words):
        go.set()
        writer.join(1)  # it cannot commit as long as the app's row is locked
        return gather(self, *words)

    App.delete = delete
    try:
        actions.destroy(actor=alice, app=shop)
    finally:
        App.delete = gather
    writer.join(20)
    assert isinstance(ended[0], IntegrityError)
    assert not App.objects.filter(pk=shop.pk).exists()


def test_of_two_who_destroy_an_app_the_second_is_told_that_there_is_none(alice, shop):
    twin = App.objects.get(pk=shop.pk)
    actions.destroy(actor=alice, app=shop)
    with pytest.raises(NotFoundError):
        actions.destroy(actor=alice, app=twin)


def test_whoever_locks_an_app_that_was_destroyed_meanwhile_hears_that_it_is_gone(alice, shop):
    actions.destroy(actor=alice, app=App.objects.get(pk=shop.pk))
    with pytest.raises(NotFoundError) as caught, transaction.atomic():
        actions.lock_app(shop.pk)
    assert (caught.value.status, caught.value.resource) == (404, "app")
