"""The installation's own certificate contains the names under which it is reached, and is renewed when they change."""

from __future__ import annotations

import os
import ssl
import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from greenroom.engine import artefacts
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


def test_the_forwards_have_a_key_of_their_own_for_loopback_alone_that_no_other_user_reads(tmp_path):
    (tmp_path / "keys").mkdir()
    keys.make_all(tmp_path, None, host="greenroom-localhost.example.com")
    path = tmp_path / artefacts.CERTIFICATE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (tmp_path / "keys" / "tls.key").read_bytes() not in path.read_bytes()
    found = x509.load_pem_x509_certificate(path.read_bytes())
    subjects = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in subjects] == ["localhost", "127.0.0.1", "::1"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    found.verify_directly_issued_by(x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes()))


@pytest.mark.parametrize(("days", "renewed"), [(keys.RENEW_FORWARDS_DAYS + 2, False), (keys.RENEW_FORWARDS_DAYS, True)])
def test_the_certificate_of_the_forwards_is_renewed_long_before_its_end(tmp_path, monkeypatch, days, renewed):
    (tmp_path / "keys").mkdir()
    monkeypatch.setattr(keys, "LEAF_DAYS", days)
    keys.make_all(tmp_path, None)
    before = (tmp_path / artefacts.CERTIFICATE).read_bytes()
    left = x509.load_pem_x509_certificate(before).not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=days - 1) < left <= timedelta(days=days)
    keys.make_all(tmp_path, None)
    assert ((tmp_path / artefacts.CERTIFICATE).read_bytes() != before) is renewed


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_the_key_of_the_forwards_belongs_to_the_control_plane(tmp_path):
    (tmp_path / "keys").mkdir()
    keys.make_all(tmp_path, (64321, 64321))
    assert (tmp_path / artefacts.CERTIFICATE).stat().st_uid == 64321


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
