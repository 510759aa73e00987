"""The config vars that an installer sees, who may choose them, and no secrets in the output of a build."""

from __future__ import annotations

import pytest
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account, AuditEntry
from greenroom.basics.errors import UserError
from greenroom.builds import actions
from greenroom.builds.drivers.dyno_specs import installer_vars
from greenroom.builds.rules import masked, visible_config
from tests.builds.hosting import BASE, SIX, pip_files

SPY = (
    'import os, setuptools\nprint("saw", sorted(k for k in os.environ if k.endswith("_OURS")),'
    ' os.environ.get("TOKEN_OURS"))\nsetuptools.setup(name="spy", version="1")\n'
)
CONFIG = {
    "TOKEN_OURS": "t0ken-of-ours",
    "OTHER_OURS": "other",
    "PLAIN": "plain",
    "SECRET_KEY": "k3y-of-django",
    "DATABASE_URL": "postgres://u:p4ss-word@h/d",
}


def test_secrets_are_known_by_their_names_and_urls_by_their_form():
    hidden = visible_config.hidden(
        {**CONFIG, "DEBUG_KEY": "true", "MONKEY": "banana", "CERT_PRIVATE": "-----BEGIN-----\nabcdefghijkl\n--"},
        ["PLAIN"],
    )
    assert set(hidden) == {
        "t0ken-of-ours",
        "plain",
        "k3y-of-django",
        "u:p4ss-word",
        "p4ss-word",
        "-----BEGIN-----",
        "abcdefghijkl",
    }


def test_pip_settings_on_the_list_are_uvs_too():
    config = {"PIP_INDEX_URL": "https://a.example/simple", "PIP_PRE": "1", "PIP_NO_INDEX": "1"}
    assert installer_vars(config, "pip") == {}
    assert installer_vars(config, "pip", ["PIP_INDEX_URL", "PIP_PRE"]) == {
        "PIP_INDEX_URL": "https://a.example/simple",
        "PIP_PRE": "1",
        "UV_DEFAULT_INDEX": "https://a.example/simple",
        "UV_PRERELEASE": "allow",
    }
    assert installer_vars(config, "poetry", ["PIP_PRE"]) == {"PIP_PRE": "1"}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["PATH"], "would break the installer"),
        (["no good"], "is not a valid config var name"),
        ([f"V{n}" for n in range(101)], "At most 100"),
    ],
)
def test_what_cannot_be_on_the_list(bob, shop, names, word):
    with pytest.raises(UserError, match=word):
        actions.change_visible(actor=bob, app=shop, add=names)


@pytest.mark.django_db
def test_the_list_is_changed_by_who_may_set_config_vars_and_is_audited(bob, vera, shop, all_views):

    def client(actor):
        _, token = accounts.create_token(
            actor=actor, account=Account.objects.get(pk=actor.account_id), scopes=("global",)
        )
        return Client(headers={"Authorization": f"Bearer {token}"})

    assert (
        client(vera).patch("/apps/shop/build-vars", '{"add": ["TOKEN"]}', content_type="application/json").status_code
        == 403
    )
    answer = client(bob).patch(
        "/apps/shop/build-vars", '{"add": ["TOKEN", "OTHER"], "remove": ["OTHER"]}', content_type="application/json"
    )
    assert (answer.status_code, answer.json()["names"]) == (200, ["TOKEN"])
    assert client(vera).get("/apps/shop/build-vars").json()["names"] == ["TOKEN"]
    assert AuditEntry.objects.get(action="build_vars.change").detail == {
        "added": ["OTHER", "TOKEN"],
        "removed": ["OTHER"],
    }
    assert (
        client(bob).patch("/apps/shop/build-vars", '{"add": "TOKEN"}', content_type="application/json").status_code
        == 422
    )


@pytest.mark.django_db(transaction=True)
@pytest.mark.rule("5.9", "5.10")
def test_an_installer_sees_what_is_on_the_list_and_its_value_is_masked(workshop, bob):
    workshop.config = CONFIG
    failing = SPY.replace("setuptools.setup(", "raise SystemExit(1)\n# (")
    build = workshop.build({**BASE, "requirements.txt": "./spy\n", "spy/setup.py": failing})
    assert "saw [] None" in workshop.text + build.failure_message
    actions.change_visible(actor=bob, app=workshop.app, add=["TOKEN_OURS"])
    build = workshop.build({**BASE, "requirements.txt": "./spy\n", "spy/setup.py": failing})
    said = workshop.text + build.failure_message
    assert "saw ['TOKEN_OURS'] ***" in said
    assert "t0ken-of-ours" not in said


@pytest.mark.django_db(transaction=True)
@pytest.mark.rule("5.18")
def test_a_requirement_may_hold_the_name_of_a_listed_config_var(workshop, bob):
    workshop.config = {"WHERE_OURS": "lib"}
    actions.change_visible(actor=bob, app=workshop.app, add=["WHERE_OURS"])
    files = {
        **BASE,
        "requirements.txt": "lib @ file:///app/${WHERE_OURS}\n",
        "lib/setup.py": "import setuptools\nsetuptools.setup(name='lib', version='1')\n",
    }
    assert "lib" in workshop.packages(workshop.built(files))


@pytest.mark.django_db(transaction=True)
@pytest.mark.rule("5.10")
def test_what_a_hook_prints_is_shown_without_secrets(workshop):
    workshop.config = {**CONFIG, "NAME": "shown"}
    workshop.built(
        {**BASE, **pip_files(SIX), "bin/pre_compile": "#!/bin/sh\necho $SECRET_KEY $NAME $DATABASE_URL $TOKEN_OURS\n"}
    )
    assert "       *** shown postgres://***@h/d ***" in workshop.text


@pytest.mark.parametrize("words", [("token", "token-of-ours"), ("token-of-ours", "token")])
def test_of_a_secret_within_another_one_nothing_is_left_in_either_order(words):
    assert masked("it said token-of-ours and token", words) == "it said *** and ***"
