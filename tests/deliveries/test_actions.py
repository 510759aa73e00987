"""A delivery is opened once per push, even if web and worker do it at the same moment."""

from __future__ import annotations

import pytest

from greenroom.deliveries import actions
from greenroom.deliveries.models import Delivery
from greenroom.git.models import Push
from tests.at_once import at_once


@pytest.mark.django_db(transaction=True)
def test_a_push_that_web_and_worker_open_at_once_has_one_delivery(alice, shop):
    pushes = [
        Push.objects.create(
            app=shop, seq=n, ref="refs/heads/master", before="0" * 40, after=f"{n:040x}", state="recorded"
        )
        for n in range(1, 6)
    ]

    def work():
        for push in pushes:
            actions.open_for_push(push=push)

    assert at_once(work, 4) == []
    assert Delivery.objects.filter(app=shop).count() == 5
