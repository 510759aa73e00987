"""``greenroom env`` prints no variable that makes the Heroku CLI talk to another server."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from greenroom_cli.host.environment import variables
from greenroom_cli.host.errors import HostError

INSTALL = SimpleNamespace(
    api_port=5000,
    tls_port=5001,
    https_port=443,
    postgres="embedded",
    host="localhost",
    domain="localhost",
    certificates="own",
    acme_root=False,
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    for name in ("NODE_EXTRA_CA_CERTS", "GIT_CONFIG_COUNT"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "admin.token").write_text("grm_x\n")
    (tmp_path / "keys" / "ca.pem").write_text("")
    return tmp_path


@pytest.mark.parametrize(
    "host", ["greenroom.example.com", "10.0.0.7", "staging", "heroku.com.example.org", "notheroku.com.evil", "::1"]
)
def test_a_host_that_the_cli_would_not_accept_is_refused_with_what_to_use(place, host):
    with pytest.raises(HostError) as caught:
        variables(place, INSTALL, host)
    assert "api.heroku.com" in caught.value.message
    assert "ssh -L" in caught.value.hint
    assert "localhost" in caught.value.hint


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_this_machine_is_accepted_as_it_is(place, host):
    found = variables(place, INSTALL, host)
    assert found["GREENROOM_URL"] == found["HEROKU_BUILDPACK_REGISTRY_URL"] == f"http://{host}:5000"
    assert "HEROKU_HEADERS" not in found


def test_a_name_that_contains_localhost_needs_the_token_in_a_header(place):
    found = variables(place, INSTALL, "greenroom-localhost.example.com")
    assert json.loads(found["HEROKU_HEADERS"]) == {"Authorization": "Bearer grm_x"}


def test_another_computer_gets_the_installations_name_and_tls(place):
    found = variables(place, SimpleNamespace(**{**vars(INSTALL), "host": "greenroom-localhost.example.com"}))
    assert found["HEROKU_HOST"] == found["GREENROOM_URL"] == "https://greenroom-localhost.example.com:5001"
    assert found["HEROKU_GIT_HOST"] == "greenroom-localhost.example.com:5001"
    assert (
        variables(place, SimpleNamespace(**{**vars(INSTALL), "host": "greenroom-localhost.example.com"}), "localhost")[
            "GREENROOM_URL"
        ]
        == "http://localhost:5000"
    )


def test_the_heroku_cli_speaks_tls_so_that_no_fixed_host_gets_the_token_in_clear(place):
    for host in ("localhost", "127.0.0.1", "greenroom-localhost.example.com"):
        found = variables(place, INSTALL, host)
        assert found["HEROKU_HOST"] == f"https://{host}:5001"
        assert found["NODE_EXTRA_CA_CERTS"]


def test_the_authorities_that_the_shell_trusts_stay_trusted(place, tmp_path, monkeypatch):
    (place / "keys" / "ca.pem").write_text("OWN\n")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NODE_EXTRA_CA_CERTS", raising=False)
    assert variables(place, INSTALL)["NODE_EXTRA_CA_CERTS"] == str(place / "keys" / "ca.pem")
    (tmp_path / "company.pem").write_text("COMPANY\n")
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(tmp_path / "company.pem"))
    joined = variables(place, INSTALL)["NODE_EXTRA_CA_CERTS"]
    assert Path(joined).read_text() == "COMPANY\nOWN\n"
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", joined)
    assert variables(place, INSTALL)["NODE_EXTRA_CA_CERTS"] == joined, "in the same shell again"
    assert Path(joined).read_text() == "COMPANY\nOWN\n"
    (place / "keys" / "ca.pem").write_text("OTHER\n")
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(tmp_path / "company.pem"))
    assert variables(place, INSTALL)["NODE_EXTRA_CA_CERTS"] != joined, "another installation changes nothing in a shell"
    assert Path(joined).read_text() == "COMPANY\nOWN\n"
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(tmp_path / "gone.pem"))
    assert variables(place, INSTALL)["NODE_EXTRA_CA_CERTS"] == str(place / "keys" / "ca.pem")


def test_git_trusts_the_installation_for_its_own_url_only(place, monkeypatch):
    for name in ("GIT_CONFIG_COUNT", "GIT_SSL_CAINFO"):
        monkeypatch.delenv(name, raising=False)
    found = variables(place, INSTALL)
    assert "GIT_SSL_CAINFO" not in found, "it would replace the authorities of every other server"
    assert (found["GIT_CONFIG_COUNT"], found["GIT_CONFIG_KEY_0"]) == ("1", "http.https://localhost:5001/.sslCAInfo")
    for name in ("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0"):
        monkeypatch.setenv(name, found[name])
    assert variables(place, INSTALL)["GIT_CONFIG_COUNT"] == "1", "in the same shell again"
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    found = variables(place, INSTALL)
    assert (found["GIT_CONFIG_COUNT"], found["GIT_CONFIG_KEY_1"]) == ("2", "http.https://localhost:5001/.sslCAInfo")
    assert "GIT_CONFIG_KEY_0" not in found, "the shell's own settings stay"


def test_hosts_that_are_reached_without_a_proxy_stay_so(place, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "intranet.example.com")
    found = variables(place, SimpleNamespace(**{**vars(INSTALL), "proxy_port": 5053}), proxy=True)
    assert found["HTTPS_PROXY"] == "http://localhost:5053"
    assert found["NO_PROXY"].split(",")[:2] == ["intranet.example.com", "localhost"]


@pytest.mark.parametrize(
    "text", [b"", b"two words", b"caf\xe9", "caf\u00e9".encode(), b"grm_x\ngrm_y", b"\xff\xfe\x00"]
)
def test_a_file_that_holds_no_token_is_named_with_who_makes_one(place, tmp_path, text):
    file = tmp_path / "mine"
    file.write_bytes(text)
    with pytest.raises(HostError) as caught:
        variables(place, INSTALL, token_file=file)
    assert str(file) in caught.value.message
    assert "greenroom accounts:token EMAIL" in caught.value.hint


def test_a_token_file_that_is_not_there_names_who_makes_one_also_for_an_account_that_exists(place, tmp_path):
    with pytest.raises(HostError) as caught:
        variables(place, INSTALL, token_file=tmp_path / "none")
    assert caught.value.hint.startswith(
        "use your own token with greenroom env --token-file FILE; an administrator creates a token with: greenroom"
        " accounts:token EMAIL"
    )


def test_a_base_domain_is_reached_at_the_router_by_the_name_that_the_heroku_cli_accepts(place):
    install = SimpleNamespace(**{**vars(INSTALL), "domain": "staging.example.org"})
    found = variables(place, install)
    assert found["HEROKU_HOST"] == found["GREENROOM_URL"] == "https://localhost.staging.example.org"
    assert found["HEROKU_GIT_HOST"] == "localhost.staging.example.org"
    assert variables(place, install, "localhost")["GREENROOM_URL"] == "http://localhost:5000"


@pytest.mark.parametrize(("root", "name"), [(False, ""), (True, "acme-root.pem")])
def test_a_public_ca_needs_no_file_and_an_own_acme_ca_its_root(place, root, name):
    changed = {"domain": "staging.example.org", "certificates": "acme", "acme_root": root}
    found = variables(place, SimpleNamespace(**{**vars(INSTALL), **changed}))
    assert found.get("NODE_EXTRA_CA_CERTS", "") == (str(place / name) if root else "")
    assert found.get("GIT_CONFIG_VALUE_0", "") == (str(place / name) if root else "")
