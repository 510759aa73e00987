"""Rules of the mail trap: who is allowed, which relays, the config vars of each attachment."""

from __future__ import annotations

import pytest

from greenroom.addons.mail import rules
from greenroom.addons.rules import services
from greenroom.basics.errors import UserError
from greenroom.builds import rules as builds


@pytest.mark.parametrize("address", ["qa@example.com", "QA@Example.COM", "anybody+x@staff.example"])
def test_an_address_of_the_list_or_of_an_allowed_domain_is_allowed(address):
    assert rules.is_allowed(address, ["qa@example.com", "@staff.example"])


@pytest.mark.parametrize(
    "address",
    [
        "other@example.com",
        "qa@example.com.evil.example",
        "qa@sub.staff.example",
        "staff.example",
        "@staff.example",
        "customer%bank.example@staff.example",
        "bank.example!customer@staff.example",
        "@bank.example:customer@staff.example",
        "customer@bank.example,x@staff.example",
        '"customer@bank.example"@staff.example',
        "customer@bank.example@staff.example",
        "customer@staff.example\r\nRCPT",
        "",
    ],
)
def test_nobody_else_is(address):
    assert not rules.is_allowed(address, ["qa@example.com", "@staff.example"])


@pytest.mark.parametrize(
    "entry", ["", "@", "qa", "qa@localhost", "@example", "*@example.com", "a b@example.com", "@*.com"]
)
def test_entries_that_match_nothing_or_everything_are_refused(entry):
    with pytest.raises(UserError, match="cannot be allowed"):
        rules.entry(entry)
    assert rules.entry(" QA@Example.com ") == "qa@example.com"


def test_a_relay_is_an_smtp_server_without_a_password_in_its_url():
    assert rules.relay("smtp://u%40x@smtp.example.com").facts() == {
        "host": "smtp.example.com",
        "port": 587,
        "tls": False,
        "user": "u@x",
    }
    assert rules.relay("smtps://smtp.example.com").port == 465
    assert rules.relay("smtps://u@smtp.example.com:2465").url == "smtps://u@smtp.example.com:2465"
    for url in ("https://x.example", "smtp://", "smtp://x:0", "smtp://x:99999", "smtp://x/path", "smtp://x y", "x"):
        with pytest.raises(UserError):
            rules.relay(url)
    with pytest.raises(UserError, match="must not contain the password"):
        rules.relay("smtp://u:secret@smtp.example.com")


def test_an_attachment_has_the_names_of_djangos_settings_or_of_the_providers_add_on():
    values = rules.values("pw", 21_000)
    own = services.config_vars(rules.SERVICE, "EMAIL", values)
    assert own["EMAIL_URL"] == "smtp://mail:pw@127.0.0.1:21000"
    assert (own["EMAIL_PORT"], own["EMAIL_USE_TLS"]) == ("21000", "False")
    assert services.config_vars(rules.SERVICE, "MAILGUN", values) == {
        "MAILGUN_SMTP_SERVER": "127.0.0.1",
        "MAILGUN_SMTP_PORT": "21000",
        "MAILGUN_SMTP_LOGIN": "mail",
        "MAILGUN_SMTP_PASSWORD": "pw",
    }
    assert rules.SERVICE.dialect_of("mailgun:starter") == "MAILGUN"
    assert rules.SERVICE.dialect_of("mail") == ""
    for dialect in rules.SERVICE.dialects.values():
        assert set(dialect.values()) <= set(rules.SERVICE.variables)
    assert {name.lower() for name in rules.SERVICE.dialects} <= set(rules.SERVICE.aliases)


def test_a_service_that_hard_codes_its_host_is_no_alias_but_leads_to_the_trap():
    for name in ("sendgrid", "postmark", "sparkpost", "mailtrap"):
        assert services.named(name) is None
        assert services.substitute(name) == rules.SERVICE


def test_ports_are_given_once():
    assert rules.free_port([]) == rules.PORTS.start
    assert rules.free_port([rules.PORTS.start + 5]) == rules.PORTS.start + 6
    assert rules.free_port([rules.PORTS.stop - 1]) == rules.PORTS.start
    assert rules.free_port(rules.PORTS) is None


def test_an_error_for_want_of_starttls_has_a_remedy():
    assert rules.SERVICE.diagnosis
    assert "EMAIL_USE_TLS" in rules.SERVICE.diagnosis.remedy("x STARTTLS extension not supported by server. y")
    assert rules.SERVICE.diagnosis.remedy("x") == ""


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("EMAIL_HOST", "heroku addons:create mail"),
        ("EMAIL_URL", "heroku addons:create mail"),
        ("MAILGUN_SMTP_PORT", "heroku addons:create mailgun"),
        ("REDIS_URL", "heroku addons:create heroku-redis"),
        ("DATABASE_URL", ""),
        ("STRIPE_KEY", ""),
    ],
)
def test_a_config_var_that_an_add_on_sets_leads_to_the_add_on(key, command):
    assert services.creating(key) == command
    hint = f"greenroom config:set {key}=..."
    result = {"ok": False, "reason": "collectstatic-key", "message": "x", "hint": hint}
    facts = {"phase": "exited", "reason": "exit", "detail": "", "memory_mb": 512, "minutes": 15}
    ended = builds.ended(exit_code=builds.FAILED, result=result, **facts)
    assert ended.hint == (f"{command}, or {hint}" if command else hint)
