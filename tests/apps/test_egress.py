"""The egress of an app: its policy, its rules, and when dynos notice a change."""

from __future__ import annotations

import pytest

from greenroom.accounts.models import AuditEntry
from greenroom.apps import queries, rules
from greenroom.apps.actions import egress
from greenroom.basics.errors import UserError
from greenroom.basics.targets import MOST, Target

A, B = Target("a.org", 443), Target("10.2.0.0/16", 0)


@pytest.mark.parametrize(
    ("policy", "wish", "described", "noticed"),
    [
        ("open", {"wanted": "closed"}, "Close egress", True),
        ("closed", {"wanted": "open"}, "Open egress", True),
        ("closed", {"wanted": "closed"}, "", False),
        ("open", {"allow": [B]}, "Allow egress to 10.2.0.0/16", False),
        ("closed", {"allow": [B, B]}, "Allow egress to 10.2.0.0/16", True),
        ("closed", {"allow": [A]}, "", False),
        ("closed", {"remove": [A]}, "No longer allow egress to a.org:443", True),
        ("open", {"wanted": "closed", "allow": [B]}, "Close egress; Allow egress to 10.2.0.0/16", True),
        (
            "closed",
            {"allow": [Target(f"{n}.a.org", 0) for n in range(5)]},
            "Allow egress to 0.a.org, 1.a.org, 2.a.org and 2 more",
            True,
        ),
    ],
)
def test_a_change_says_what_it_does_and_whether_dynos_notice_it(policy, wish, described, noticed):
    found = rules.change_egress(policy, [A], **{"wanted": None, "allow": [], "remove": [], **wish})
    assert (found.describes, found.reaches_dynos, found.nothing) == (described, noticed, not described)


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"wanted": "shut"}, "does not exist"),
        ({"remove": [B]}, "10.2.0.0/16 is not among the rules"),
        ({"remove": [Target("a.org", 0)]}, "a.org is not among the rules"),
        ({"allow": [A], "remove": [A]}, "at once"),
        ({"allow": [Target(f"{n}.a.org", 0) for n in range(MOST)]}, f"There would be {MOST + 1} egress rules"),
    ],
)
def test_an_impossible_change_is_refused(wish, why):
    with pytest.raises(ValueError, match=why):
        rules.change_egress("open", [A], **{"wanted": None, "allow": [], "remove": [], **wish})


@pytest.mark.django_db
def test_dynos_get_the_rules_of_a_closed_app_and_of_no_other(alice, shop, cafe):
    egress.change(actor=alice, app=shop, allow=["A.org:443", "[2001:db8::1]:25"])
    assert queries.allowed_targets(shop) is None, "the policy is open"
    egress.change(actor=alice, app=shop, policy="closed")
    assert queries.allowed_targets(shop) == (("2001:db8::1", 25), ("a.org", 443))
    assert queries.allowed_targets(cafe) is None
    egress.change(actor=alice, app=cafe, policy="closed")
    assert queries.allowed_targets(cafe) == (), "no rule is not every rule"


@pytest.mark.django_db
def test_each_change_is_audited_and_a_repeated_one_is_none(alice, shop):
    egress.change(actor=alice, app=shop, policy="closed", allow=["a.org:443"])
    egress.change(actor=alice, app=shop, policy="closed", allow=["a.org.:443"])
    egress.change(actor=alice, app=shop, remove=["a.org:443"])
    details = [row.detail for row in AuditEntry.objects.filter(action="egress.change").order_by("pk")]
    assert details == [
        {"added": ["a.org:443"], "removed": [], "policy": "closed"},
        {"added": [], "removed": ["a.org:443"], "policy": "closed"},
    ]
    assert queries.egress_targets(shop) == []


@pytest.mark.django_db
def test_one_wrong_target_changes_nothing(alice, shop):
    with pytest.raises(UserError, match="is a URL") as caught:
        egress.change(actor=alice, app=shop, policy="closed", allow=["a.org", "https://b.org"])
    assert "greenroom egress:allow api.example.org:443 -a shop" in caught.value.hint
    assert queries.allowed_targets(shop) is None
    assert queries.egress_targets(shop) == []


@pytest.mark.django_db
def test_only_changes_that_dynos_notice_have_a_time(alice, shop):
    egress.change(actor=alice, app=shop, allow=["a.org"])
    assert shop.egress_at is None
    egress.change(actor=alice, app=shop, policy="closed")
    closed_at = shop.egress_at
    egress.change(actor=alice, app=shop, allow=["a.org"])
    assert shop.egress_at == closed_at
    egress.change(actor=alice, app=shop, remove=["a.org"])
    assert shop.egress_at > closed_at
