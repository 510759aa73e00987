"""Tests of certificates, drains and cancelled test runs, with the fake Greenroom."""

from __future__ import annotations

import pytest

from tests.cli.rows import APP

PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"


@pytest.fixture
def files(tmp_path):
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_text(PEM)
    key.write_text(PEM.replace("CERTIFICATE", "PRIVATE KEY"))
    return str(chain), str(key)


def test_a_certificate_is_sent_as_its_two_files_and_named_for_undoing(at_server, greenroom, files):
    result = greenroom("certs:add", *files, "-a", APP)
    assert (result.exit_code, result.stdout) == (0, "stegosaurus-1\n")
    assert "greenroom certs:remove stegosaurus-1 -a" in result.stderr
    (request,) = at_server.asked("POST")
    assert request.body["certificate_chain"] == PEM
    assert "PRIVATE KEY" in request.body["private_key"]


def test_the_only_certificate_needs_no_name(at_server, greenroom, files):
    assert greenroom("certs:update", *files, "-a", APP).exit_code == 0
    assert at_server.asked("PATCH")[0].path.endswith("/sni-endpoints/stegosaurus-1")
    assert "self-signed" in greenroom("certs:info", "-a", APP).stdout
    refused = greenroom("certs:remove", "-a", APP)
    assert refused.exit_code == 1
    assert f"--confirm {APP}" in refused.stderr
    assert greenroom("certs:remove", "-a", APP, "--confirm", APP).exit_code == 0
    assert len(at_server.asked("DELETE")) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [(b"\x30\x82\x03", "is not a PEM file."), (b"hello", "has no -----BEGIN line"), (None, "Cannot read")],
)
def test_a_file_that_is_no_pem_is_not_sent(at_server, greenroom, files, tmp_path, text, says):
    path = tmp_path / "other"
    if text is not None:
        path.write_bytes(text)
    result = greenroom("certs:add", str(path), files[1], "-a", APP)
    assert result.exit_code == 1
    assert says in result.stderr
    assert "hint:" in result.stderr
    assert at_server.asked("POST") == []


@pytest.mark.parametrize(("switch", "method"), [("on", "POST"), ("refresh", "PATCH"), ("off", "DELETE")])
def test_certificates_of_the_own_ca_are_switched(at_server, greenroom, switch, method):
    assert greenroom("certs:auto", switch, "-a", APP).exit_code == 0
    assert [request.path for request in at_server.asked(method)] == [f"/apps/{APP}/acm"]


def test_drains_are_listed_added_and_removed(at_server, greenroom):
    assert "https://logs.example.com/x" in greenroom("drains", "-a", APP).stdout
    assert greenroom("drains:add", "https://logs.example.com/x", "-a", APP).stdout == "d.0a1b\n"
    assert greenroom("drains:remove", "https://logs.example.com/x", "-a", APP).exit_code == 0
    assert at_server.asked("DELETE")[0].path.endswith("/log-drains/https://logs.example.com/x")


def test_a_test_run_is_cancelled_by_its_number(at_server, greenroom):
    assert greenroom("ci:cancel", "12", "-a", APP).exit_code == 0
    (request,) = at_server.asked("PATCH")
    assert (request.path, request.body) == ("/test-runs/t12", {"status": "cancelled"})
