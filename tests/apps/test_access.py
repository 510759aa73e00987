"""The authorisation function: roles, scopes, and apps that are hidden from the user."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenroom.apps import actions
from greenroom.apps.queries import authorise, visible
from greenroom.apps.rules import PERMISSIONS, Standing, allows, name_problem, normal_hostname
from greenroom.basics.errors import ConflictError, ForbiddenError, NotFoundError, UnauthorizedError, UserError

pytestmark = pytest.mark.django_db


def test_a_stranger_cannot_tell_a_foreign_app_from_none(charlie, shop):
    for name in ("shop", str(shop.id), "no-such-app"):
        with pytest.raises(NotFoundError) as error:
            authorise(charlie, name, "view")
        assert str(error.value) == f"Couldn't find that app: {name}.\nhint: list your apps: heroku apps"


def test_a_viewer_reads_and_changes_nothing(vera, shop):
    assert authorise(vera, "shop", "view") == shop
    for permission in set(PERMISSIONS) - {"view", "logs", "pipelines:read"}:
        with pytest.raises(ForbiddenError):
            authorise(vera, "shop", permission)


def test_a_developer_pushes_and_does_not_override(bob, shop):
    assert authorise(bob, "shop", "push") == shop
    for permission in ("override", "settings", "access", "destroy", "domains"):
        with pytest.raises(ForbiddenError):
            authorise(bob, "shop", permission)


def test_only_the_owner_destroys(alice, shop):
    assert authorise(alice, "shop", "destroy") == shop


@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_a_refusal_names_a_remedy_that_exists(charlie, alice, shop, permission):
    """The hint names a role that can be granted. Permissions of the owner cannot be granted."""
    actions.add_collaborator(actor=alice, app=shop, email=charlie.email, role="viewer")
    if allows(Standing(role="viewer"), permission):
        return
    role = PERMISSIONS[permission][0]
    with pytest.raises(ForbiddenError) as error:
        authorise(charlie, "shop", permission)
    if role == "owner":
        assert error.value.hint == "ask its owner, alice@example.com, or an administrator"
        assert "--role" not in str(error.value)
        return
    assert f"`greenroom access:add {charlie.email} --role {role} -a shop`" in error.value.hint
    actions.remove_collaborator(actor=alice, app=shop, email=charlie.email)
    actions.add_collaborator(actor=alice, app=shop, email=charlie.email, role=role)
    assert authorise(charlie, "shop", permission) == shop


def test_what_nobody_may_do_is_not_offered_as_a_role(bob, shop):
    with pytest.raises(ForbiddenError) as error:
        authorise(bob, "shop", "fly")
    assert "access:add" not in str(error.value)


def test_a_narrow_token_limits_its_owner(alice, shop):
    reader = replace(alice, scopes=("read",))
    assert authorise(reader, "shop", "view") == shop
    for permission in ("config:read", "config:write", "push", "destroy"):
        with pytest.raises(ForbiddenError):
            authorise(reader, "shop", permission)


def test_nobody_may_do_what_is_not_listed(alice, shop):
    assert not allows(Standing(role="owner", is_admin=True), "fly")
    with pytest.raises(ForbiddenError):
        authorise(alice, "shop", "fly")


def test_without_a_credential_there_is_nothing(shop):
    with pytest.raises(UnauthorizedError):
        authorise(None, "shop", "view")


def test_the_list_shows_own_and_shared_apps_only(alice, bob, charlie, shop, cafe):
    assert [app.name for app in visible(bob)] == ["shop"]
    assert [app.name for app in visible(charlie)] == ["cafe"]


@pytest.mark.parametrize(
    "name", ["..", "-x", "a;b", "API", "api", "www", "git", "a" * 31, "ab", "näme", "x-", "a\n", "1ab", "a b", ""]
)
def test_bad_names_are_refused(name):
    assert name_problem(name)


def test_a_name_is_taken_once_and_held_for_its_owner_after_destruction(alice, charlie, shop):
    with pytest.raises(ConflictError):
        actions.create(actor=charlie, name="shop")
    actions.destroy(actor=alice, app=shop)
    with pytest.raises(ConflictError):
        actions.create(actor=charlie, name="shop")
    assert actions.create(actor=alice, name="shop").number > shop.number


def test_the_number_of_a_destroyed_app_is_never_given_again(alice, shop):
    actions.destroy(actor=alice, app=shop)
    assert actions.create(actor=alice, name="other-app").number != shop.number


@pytest.mark.parametrize(
    ("text", "normal"), [("WWW.Example.com.", "www.example.com"), ("bücher.example", "xn--bcher-kva.example")]
)
def test_host_names_are_normalised(text, normal):
    assert normal_hostname(text) == normal


@pytest.mark.parametrize(
    "text", ["x {", "x\nrespond", 'a"b.com', "a.com:80", "127.0.0.1", "[::1]", "localhost", "..", "-a.com", "*.*.com"]
)
def test_what_is_no_host_name_is_refused(text):
    with pytest.raises(ValueError, match="not a host name"):
        normal_hostname(text)


def test_a_domain_belongs_to_one_app(alice, charlie, shop, cafe):
    actions.add_domain(actor=alice, app=shop, hostname="www.example.com")
    with pytest.raises(ConflictError):
        actions.add_domain(actor=charlie, app=cafe, hostname="WWW.example.com.")


def test_names_of_the_installation_cannot_be_taken(alice, shop):
    with pytest.raises(UserError):
        actions.add_domain(actor=alice, app=shop, hostname="cafe.localhost.example", reserved=("localhost.example",))


def test_an_app_made_after_a_rename_has_the_next_number_of_an_app(alice, shop):
    """The number determines the system uid. With a tombstone's number, the app would have no dynos."""
    from greenroom.apps import actions

    actions.rename(actor=alice, app=shop, name="shop-renamed")
    assert actions.create(actor=alice, name="after").number == shop.number + 1


def test_a_host_name_is_had_once_and_the_refusal_says_by_whom(shop, cafe, alice, charlie):
    actions.add_domain(actor=alice, app=shop, hostname="www.example.com")
    with pytest.raises(ConflictError, match=r"www\.example\.com is already a domain of shop"):
        actions.add_domain(actor=alice, app=shop, hostname="WWW.example.com.")
    with pytest.raises(ConflictError, match=r"www\.example\.com is currently in use by another app"):
        actions.add_domain(actor=charlie, app=cafe, hostname="www.example.com")
