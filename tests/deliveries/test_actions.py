"""Opening a delivery: once per push, also when web and worker do it at the same moment."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from greenroom.deliveries import actions
from greenroom.deliveries.models import Delivery
from greenroom.git.models import Push


@pytest.mark.django_db(transaction=True)
def test_a_push_that_web_and_worker_open_at_once_has_one_delivery(alice, shop):
    pushes = [Push.objects.create(app=shop, seq=n, ref="refs/heads/master", before="0" * 40, after=f"{n:040x}", state="recorded") for n in range(1, 6)]
    errors: list[Exception] = []
    start = threading.Barrier(4)

    def work():
        try:
            start.wait()
            for push in pushes:
                actions.open_for_push(push=push)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Delivery.objects.filter(app=shop).count() == 5
