"""An app with a closed egress policy reaches what its rules allow, and the log says what they refuse."""

from __future__ import annotations

import os

import pytest

from greenroom.engine.local import gateway
from tests.engine.neighbour import started
from tests.stories.test_host import small_team

APP = """
import http.server, os, socket
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        host, _, port = self.path[1:].partition(":")
        try:
            s = socket.create_connection((host, int(port)), timeout=10)
            s.sendall(b"x"); text = s.recv(1).decode()
        except (OSError, ValueError) as error: text = str(error)
        self.send_response(200); self.end_headers(); self.wfile.write(text.encode())
http.server.HTTPServer(("", int(os.environ["PORT"])), Page).serve_forever()
"""


@pytest.fixture
def team(installation, tmp_path):
    if os.geteuid() or gateway.lacking(root=True):
        pytest.skip("needs root, for a neighbour, and a gateway")
    team = small_team(installation, tmp_path, "s-egress")
    yield team
    team.destroy()


def test_a_closed_app_reaches_what_its_rules_allow(team):
    team.write("web.py", APP)
    team.write("Procfile", "web: python web.py\n")
    team.commit("A page that connects out")
    team.push()
    team.assert_live()
    with started() as neighbour:
        page = f"/{neighbour.address}:7"
        assert team.get(page)[1] == "x"
        team.greenroom("egress:close")
        assert "No route to host" in team.get(page)[1]
        log = team.greenroom("logs", "--num", "50").stdout
        assert f"greenroom egress:allow {neighbour.address}:7" in log
        team.greenroom("egress:allow", f"{neighbour.address}:7")
        assert team.get(page)[1] == "x"
        assert "No route to host" in team.get(f"/{neighbour.address}:80")[1]
    assert team.read("egress")["former_dynos"] == 0
