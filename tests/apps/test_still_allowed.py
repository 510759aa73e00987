"""Whether links are still valid, for many accounts, tokens and apps at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account, Token
from greenroom.accounts.rules import MARK
from greenroom.apps import actions as apps
from greenroom.apps.queries import still_allowed
from greenroom.apps.rules import Holder
from greenroom.basics import clock, signing
from greenroom.git.drivers import source_archives

pytestmark = pytest.mark.django_db


def held(actor, app, *, scopes=("global",), permission="logs"):
    token, _ = accounts.create_token(
        actor=actor, account=Account.objects.get(pk=actor.account), description="t", scopes=scopes
    )
    return Holder(
        account=str(actor.account), token=f"{token.pk}.{token.digest[:MARK]}", app=str(app.pk), permission=permission
    ), token


def test_one_question_answers_for_all_and_only_who_lost_something_is_left_out(
    alice, bob, vera, charlie, shop, cafe, django_assert_num_queries
):
    (owner, _), (viewer, _), (other, _) = held(alice, shop), held(vera, shop), held(charlie, cafe)
    foreign, _ = held(charlie, shop)
    protected, _ = held(bob, shop, scopes=("read",), permission="data:read")
    with django_assert_num_queries(4):
        assert still_allowed({owner, viewer, other, foreign, protected}) == {owner, viewer, other}
    apps.remove_collaborator(actor=alice, app=shop, email=vera.email)
    assert still_allowed({owner, viewer, other}) == {owner, other}


def test_a_token_that_was_revoked_or_is_over_or_of_a_disabled_account_holds_no_link(alice, bob, shop):
    (first, one), (second, two), (third, _) = held(alice, shop), held(alice, shop), held(bob, shop)
    accounts.revoke_token(actor=alice, account=one.account, token_id=str(one.pk))
    Token.objects.filter(pk=two.pk).update(expires_at=clock.now() - timedelta(seconds=1))
    assert still_allowed({first, second, third}) == {third}
    Account.objects.filter(email=bob.email).update(is_active=False)
    assert still_allowed({third}) == set()


def test_a_token_that_was_rotated_holds_no_link_of_its_old_text(alice, shop):
    link, token = held(alice, shop)
    accounts.rotate_token(actor=alice, account=token.account, token_id=str(token.pk))
    assert still_allowed({link}) == set()


def test_a_role_that_became_smaller_ends_links_that_needed_more(alice, bob, shop):
    attached, _ = held(bob, shop, permission="run")
    assert still_allowed({attached}) == {attached}
    apps.add_collaborator(actor=alice, app=shop, email=bob.email, role="viewer")
    assert still_allowed({attached}) == set()


def test_a_link_of_nonsense_is_nobodys(shop):
    assert (
        still_allowed({Holder(account="x", token="", app=str(shop.pk), permission="logs"), Holder("", "", "", "none")})
        == set()
    )


def test_a_link_of_an_account_alone_holds_while_its_token_does(alice, bob, shop):
    link, token = held(alice, shop, permission="account:write")
    mine, reader = (
        replace(link, app=""),
        replace(held(bob, shop, scopes=("read",), permission="account:write")[0], app=""),
    )
    assert still_allowed({mine, reader, replace(mine, permission="logs"), link}) == {mine}
    accounts.revoke_token(actor=alice, account=token.account, token_id=str(token.pk))
    assert still_allowed({mine}) == set()


@pytest.mark.parametrize("path", ["/sources", "/apps/shop/sources"])
def test_the_links_of_a_source_belong_to_the_token_that_asked_for_them(alice, shop, path, settings):
    token, plain = accounts.create_token(actor=alice, account=Account.objects.get(pk=alice.account), description="t")
    client = Client(headers={"Authorization": f"Bearer {plain}"})
    links = client.post(path.replace("shop", shop.name), {}, content_type="application/json").json()["source_blob"]
    for name, purpose in (("put_url", source_archives.PUT), ("get_url", source_archives.GET)):
        payload = signing.unsign(links[name].rpartition("/")[2], key=settings.SECRET_KEY, purpose=purpose)
        holder = Holder(**payload["who"])
        assert holder.token == f"{token.pk}.{token.digest[:MARK]}"
        assert still_allowed({holder}) == {holder}
    accounts.revoke_token(actor=alice, account=token.account, token_id=str(token.pk))
    assert still_allowed({holder}) == set()
