"""The options of `up` about names: what is stored, and which errors name the remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom_cli.host import home as homes
from greenroom_cli.host import keys, names
from greenroom_cli.host.commands import up
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.names import Asked


def stored(home: Path, **options) -> homes.Installation:
    install = homes.settle(home, None, None, None, asked=Asked(**options))
    home.mkdir(exist_ok=True)
    homes.write(home, install)
    return install


@pytest.mark.parametrize(
    ("text", "name"),
    [("Staging.Example.org.", "staging.example.org"), ("*.staging.example.org", "staging.example.org")],
)
def test_a_domain_is_normalized(text, name):
    assert names.domain_of(text) == name


@pytest.mark.parametrize("text", ["staging", "10.0.0.7", "-a.example.org", "a b.org", "x_y.org", "a" * 64 + ".org"])
def test_a_wrong_domain_is_refused_with_an_example(text):
    with pytest.raises(HostError) as caught:
        names.domain_of(text)
    assert "staging.example.org" in caught.value.hint


def test_the_options_are_kept_for_the_next_start_and_can_be_cleared(tmp_path):
    stored(tmp_path, domain="staging.example.org", certificates="acme", email="ops@example.org")
    stored(tmp_path, acme_ca="https://ca.example.org/directory", trusted_proxies=("10.0.0.0/8",))
    again = homes.read(tmp_path)
    assert (again.domain, again.certificates, again.email) == ("staging.example.org", "acme", "ops@example.org")
    assert (again.acme_ca, again.trusted_proxies) == ("https://ca.example.org/directory", ("10.0.0.0/8",))
    cleared = stored(tmp_path, acme_ca="none", trusted_proxies=("none",), email="none")
    assert (cleared.acme_ca, cleared.trusted_proxies, cleared.email) == ("", (), "")


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"certificates": "acme"}, "needs a domain"),
        ({"email": "nobody"}, "e-mail address"),
        ({"acme_ca": "http://ca.example.org/"}, "https URL"),
        ({"acme_ca": "https://{env.HOME}/"}, "https URL"),
        ({"trusted_proxies": ("10.0.0.1/8",)}, "--trusted-proxy"),
    ],
)
def test_a_wrong_option_is_refused(tmp_path, options, part):
    with pytest.raises(HostError, match=part):
        homes.settle(tmp_path, None, None, None, asked=Asked(**options))


def test_the_certificate_of_the_ca_is_copied_for_the_router_and_checked(tmp_path):
    keys.make_all(_with_keys(tmp_path / "other"), None)
    names.take_root(tmp_path, Asked(acme_root=tmp_path / "other/ca.pem"))
    assert (tmp_path / names.ROOT).read_bytes() == (tmp_path / names.PUBLIC_ROOT).read_bytes()
    (tmp_path / "text").write_text("no certificate")
    for wrong in (tmp_path / "text", tmp_path / "missing"):
        with pytest.raises(HostError, match="--acme-root"):
            names.take_root(tmp_path, Asked(acme_root=wrong))


def test_the_own_ca_certifies_the_domain_and_an_acme_ca_leaves_it_to_the_router(tmp_path):
    home = _with_keys(tmp_path)
    keys.make_all(home, None, domain="staging.example.org")
    own = keys.names_of(home / "keys/tls.pem")
    assert {"staging.example.org", "*.staging.example.org", "localhost.staging.example.org"} < own
    keys.make_all(home, None, domain="staging.example.org", own=False)
    assert keys.names_of(home / "keys/tls.pem") == {"localhost", "*.localhost"}


def test_every_option_of_up_that_is_stored_is_on_the_page_of_settings():
    page = (Path(__file__).parents[2] / "docs/reference/settings.md").read_text()
    given = {option for parameter in up.params for option in parameter.opts} - {"--home", "--detach", "--server"}
    assert [option for option in sorted(given) if f"`{option}`" not in page] == []


def _with_keys(home: Path) -> Path:
    (home / "keys").mkdir(parents=True)
    return home
