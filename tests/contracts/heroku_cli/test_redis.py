"""Key-value stores with the Heroku CLI."""

from __future__ import annotations

import json
import re

import pytest

from tests.contracts.heroku_cli.conftest import APP, plain

pytestmark = pytest.mark.story
NAME = "contract-sessions"


@pytest.fixture(scope="module")
def store(app):
    """A store of the app; destroyed at the end."""
    app(f"addons:create heroku-redis:mini --name {NAME}")
    yield NAME
    app(f"addons:destroy {NAME} --confirm {APP}")


def test_a_store_is_shown_configured_and_given_a_new_password(app, store):
    app(f"redis:wait {store}")
    said = app(f"redis:info {store}")
    assert f"{store} (REDIS_TLS_URL, REDIS_URL)" in said
    assert re.search(r"Connections:\s+\d+/20", said), said
    (row,) = json.loads(app("redis:info --json"))
    assert row["plan"] == "mini"
    assert "allkeys-lru evict less recently used keys first." in app(f"redis:maxmemory {store} --policy allkeys-lru")
    assert "idle indefinitely" in app(f"redis:timeout {store} --seconds 0")
    assert "set to 'AKE'" in app(f"redis:keyspace-notifications {store} --config AKE")
    app(f"redis:stats-reset {store} --confirm {APP}")
    before = app(f"redis:credentials {store}").strip()
    assert f"Resetting credentials for {store}" in app(f"redis:credentials {store} --reset")
    assert app(f"redis:credentials {store}").strip() != before
    refused = app(f"redis:upgrade {store} --version 9.0 --confirm {APP}", code=None)
    assert "cannot be upgraded by itself" in plain(refused)


def test_the_app_uses_its_store_from_a_dyno(app, store):
    script = (
        "import os, socket, time, urllib.parse as u; it = u.urlsplit(os.environ['REDIS_URL']);"
        " s = socket.create_connection((it.hostname, it.port)); s.settimeout(5);"
        " s.sendall(('AUTH ' + it.password + chr(10) + 'INCR a' + chr(10)).encode());"
        " time.sleep(0.5); print(s.recv(99))"
    )
    assert "b'+OK" in app(f'run --exit-code -- python -c "{script}"')


def test_another_store_is_promoted(app, store):
    other = "contract-cache"
    app(f"addons:create heroku-redis:mini --name {other}")
    try:
        assert f"Promoting {other} to REDIS_URL" in app(f"redis:promote {other}")
        url = app(f"redis:credentials {other}").strip()
        assert app("config:get REDIS_TLS_URL").strip() == url
        app(f"redis:promote {store}")
    finally:
        app(f"addons:destroy {other} --confirm {APP}")


def test_a_prompt_is_opened(app, store):
    said = app(f"redis:cli {store}", stdin="SET greeting hello\nGET greeting\n")
    assert "hello" in said
