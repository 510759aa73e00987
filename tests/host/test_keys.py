"""The installation's own certificate contains the names under which it is reached, and is renewed when they change."""

from __future__ import annotations

import pytest
from cryptography import x509

from greenroom_cli.host import home as homes
from greenroom_cli.host import keys
from greenroom_cli.host.errors import HostError


def names(home):
    certificate = x509.load_pem_x509_certificate((home / "keys" / "tls.pem").read_bytes())
    return set(
        certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
            x509.DNSName
        )
    )


def test_the_certificate_follows_the_installations_name_and_the_ca_stays(tmp_path):
    (tmp_path / "keys").mkdir()
    keys.make_all(tmp_path, None)
    assert names(tmp_path) == {"localhost", "*.localhost"}
    ca = (tmp_path / "ca.pem").read_bytes()
    keys.make_all(tmp_path, None, host="greenroom-localhost.example.com")
    assert names(tmp_path) == {"localhost", "*.localhost", "greenroom-localhost.example.com"}
    assert (tmp_path / "ca.pem").read_bytes() == ca


@pytest.mark.parametrize("host", ["no spaces", "a/b", "-x.example", "*.example.com", "x" * 300, "http://x.example"])
def test_what_is_no_host_name_is_refused_with_an_example(tmp_path, host):
    with pytest.raises(HostError) as caught:
        homes.settle(tmp_path, None, None, None, host=host)
    assert "example.com" in caught.value.hint


def test_the_name_is_kept(tmp_path, monkeypatch):
    monkeypatch.delenv("DATABASE_URL", raising=False)
    homes.write(tmp_path, homes.settle(tmp_path, None, None, None, host="Greenroom-localhost.example.com"))
    assert homes.settle(tmp_path, None, None, None).host == "greenroom-localhost.example.com"
    assert homes.settle(tmp_path, None, None, None, host="localhost").host == "localhost"
