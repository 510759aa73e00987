"""A failed delivery is reported with the reason, the probable remedy, and the command to retry."""

from __future__ import annotations

import pytest

from tests.cli.fake import APP, SHA, Reply, delivery

REMEDY = 'Django rejects the host name: ALLOWED_HOSTS = ["a.localhost"] in the settings'
RETRY = f"greenroom deliveries:retry {SHA[:8]} -a {APP}"


@pytest.mark.parametrize(("word", "code"), [("deliveries:wait", 1), ("deliveries:info", 0)])
@pytest.mark.parametrize("remedy", [REMEDY, None])
def test_a_failed_delivery_names_the_remedy_where_one_is_known(at_server, greenroom, word, code, remedy):
    row = {**delivery("failed"), "reason": "web.1 is not healthy", "hint": RETRY, "remedy": remedy}
    at_server.on("GET", "A/deliveries", Reply([row]))
    at_server.on("GET", "A/deliveries/[^/]+", Reply(row))
    result = greenroom(word, SHA, "-a", APP)
    assert result.exit_code == code
    said = result.stdout + result.stderr
    assert "web.1 is not healthy" in said
    assert RETRY in said
    assert (f"hint: {REMEDY}" in said) == bool(remedy)
    assert ("hint: greenroom logs" in said) == (not remedy and word == "deliveries:wait")
