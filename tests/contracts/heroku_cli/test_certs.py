"""Tests of the unmodified Heroku CLI's certificates, domains and drains, with a TLS client and a log receiver."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import ssl

import pytest

from tests.contracts.heroku_cli.conftest import plain
from tests.logs.test_drains import collecting, texts, unframed
from tests.router.certificates import Authority, pem
from tests.webhooks.receiver import receiving

pytestmark = pytest.mark.story
CA = Authority()
CHOOSE = " \n"
"""The keys that choose the first domain when the CLI asks which ones the certificate is for."""


def served(app, name: str) -> str:
    """The issuer of the router's certificate for this host name, verified against the test's CA and the installation's;
    or the error.
    """
    trust = ssl.create_default_context(cafile=str(app.place.home / "keys" / "ca.pem"))
    trust.load_verify_locations(cadata=pem(CA.root))
    try:
        with (
            socket.create_connection(("127.0.0.1", app.place.api_port + 7), timeout=10) as plain,
            trust.wrap_socket(plain, server_hostname=name) as sock,
        ):
            return dict(row[0] for row in sock.getpeercert()["issuer"])["commonName"]
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:
        return f"nobody answers: {error}"


def files(folder, *names: str) -> str:
    """The arguments for a certificate and its key: their paths."""
    chain, key = CA.leaf(*names)
    (folder / "server.crt").write_text(chain)
    (folder / "server.key").write_text(key)
    return shlex.join([str(folder / "server.crt"), str(folder / "server.key")])


def test_a_certificate_is_added_served_replaced_and_removed(app, tmp_path):
    assert "has no SSL certificates" in app("certs")
    app("domains:add www.example.org --wait")
    assert app.until(lambda: served(app, "www.example.org"), bool).startswith("Hostname mismatch")
    said = app(f"certs:add {files(tmp_path, 'www.example.org')}", stdin=CHOOSE)
    assert "www.example.org" in said
    (row,) = app.get("/sni-endpoints")
    assert "PRIVATE" not in json.dumps(row)
    app.until(lambda: served(app, "www.example.org"), lambda issuer: issuer == "Test Intermediate")
    assert app.team.get("/", host="www.example.org")[:2] == (200, "here")
    assert row["name"] in app("certs")
    assert row["name"] in app("domains")
    assert "www.example.org" in app(f"certs:info --name {row['name']} --show-domains")
    said = app(f"certs:update {files(tmp_path, 'else.example.org')} --confirm {app.name}", code=2)
    assert "does not cover www.example.org" in plain(said)
    app(f"certs:update {files(tmp_path, 'www.example.org', 'api.example.org')} --confirm {app.name}")
    assert app.get("/sni-endpoints")[0]["ssl_cert"]["cert_domains"] == ["www.example.org", "api.example.org"]
    app(f"domains:add api.example.org --cert {row['name']}")
    app.until(lambda: served(app, "api.example.org"), lambda issuer: issuer == "Test Intermediate")
    app(f"certs:remove --name {row['name']} --confirm {app.name}")
    app.until(lambda: served(app, "www.example.org"), lambda issuer: issuer.startswith("Hostname mismatch"))
    app("domains:clear")
    assert [row["kind"] for row in app.get("/domains")] == ["heroku"]


def test_a_certificate_that_cannot_serve_is_refused_with_its_reason(app, tmp_path):
    certificate, key = shlex.split(files(tmp_path, "www.example.org"))
    assert "contains a private key" in plain(app(f"certs:add {key} {certificate}", code=2))
    (tmp_path / "server.key").write_text(CA.leaf("www.example.org")[1])
    assert "does not belong to the certificate" in plain(app(f"certs:add {certificate} {key}", code=2))
    assert app.get("/sni-endpoints") == []


def test_a_domain_moves_from_one_certificate_to_another(app, tmp_path):
    app("domains:add www.example.org")
    app(f"certs:add {files(tmp_path, 'www.example.org')}", stdin=CHOOSE)
    app(f"certs:add {files(tmp_path, '*.example.org')}", stdin="\n")
    first, second = [row["name"] for row in app.get("/sni-endpoints")]
    app(f"domains:update www.example.org --cert {second}")
    assert app.get("/domains/www.example.org")["sni_endpoint"]["name"] == second
    assert "has no certificate nosuch" in app("domains:update www.example.org --cert nosuch", code=2)
    for name in (first, second):
        app(f"certs:remove --name {name} --confirm {app.name}")
    app("domains:remove www.example.org")


def test_the_installations_own_ca_certifies_every_domain_by_itself(app):
    app("domains:add www.example.org")
    said = plain(app("certs:auto:enable --wait"))
    assert "signed by this installation's own CA" in said
    assert app.get("")["acm"] is True
    app.until(lambda: served(app, "www.example.org"), lambda issuer: issuer == "Greenroom local CA")
    caddy = app.place.pids()["caddy"]
    os.kill(caddy, signal.SIGKILL)  # its keys were only in memory
    app.until(lambda: app.place.pids().get("caddy"), lambda pid: pid not in (None, 0, caddy))
    app.until(lambda: served(app, "www.example.org"), lambda issuer: issuer == "Greenroom local CA")
    before = app.get("/sni-endpoints")[0]["ssl_cert"]
    app("certs:auto:refresh")
    assert app.get("/sni-endpoints")[0]["id"] != before["id"]
    said = app("certs:auto --wait")
    assert "enabled" in said
    assert re.search(r"www\.example\.org +Cert Issued", said, re.IGNORECASE)
    app("certs:auto:disable --confirm " + app.name)
    assert app.get("/sni-endpoints") == []
    assert "disabled" in app("certs:auto")
    app("domains:clear")


def test_the_log_is_drained_to_https_and_syslog_receivers(app):
    with receiving() as receiver, collecting() as collector:
        app(f"drains:add {receiver.url}")
        said = app(f"drains:add syslog://127.0.0.1:{collector.port}")
        assert "Successfully added drain" in said
        app("run --no-tty -- echo through-the-drain")
        app.team.get("/seen-by-the-drain")
        app.until(lambda: collector.data, lambda data: b"seen-by-the-drain" in data)
        app.until(lambda: b"".join(body for _, body in receiver.got), lambda data: b"seen-by-the-drain" in data)
        headers, body = receiver.got[0]
        assert headers["Content-Type"] == "application/logplex-1"
        assert len(unframed(body)) == int(headers["Logplex-Msg-Count"])
        assert any("seen-by-the-drain" in text for text in texts(unframed(collector.data)))
        http, syslog = app.get("/log-drains")
        assert http["token"] in app("drains")
        assert [row["url"] for row in json.loads(app("drains --json"))] == [http["url"], syslog["url"]]
        app(f"drains:remove {receiver.url}")
        app(f"drains:remove {syslog['token']}")
        assert app.get("/log-drains") == []
    assert "not a public address" in plain(app("drains:add http://169.254.169.254/", code=2))
