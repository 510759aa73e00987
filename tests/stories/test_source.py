"""An app follows an external repository: a webhook call deploys, statuses are reported, and without a webhook the
branch is polled.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import subprocess

import pytest

from tests.sources.forge import ENV, forging
from tests.stories.test_host import small_team


@pytest.fixture
def team(installation, tmp_path):
    team = small_team(installation, tmp_path, "s-source")
    yield team
    team.destroy()


def call(team, path: str, secret: str, payload: dict) -> int:
    """The forge calls the webhook."""
    body = json.dumps(payload).encode()
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    connection = http.client.HTTPConnection("127.0.0.1", team.place.api_port, timeout=30)
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": payload["after"],
        "X-Hub-Signature-256": f"sha256={mac}",
    }
    connection.request("POST", path, body, headers)
    status = connection.getresponse().status
    connection.close()
    return status


def states(forge, context: str) -> list[str]:
    return [body["state"] for _, path, body in forge.api() if "/statuses/" in path and body.get("context") == context]


def deployments(forge) -> list[str]:
    return [body["state"] for _, path, body in forge.api() if path.endswith("/deployments/1/statuses")]


def test_a_webhook_deploys_statuses_go_back_and_polling_is_enough(team, tmp_path):
    with forging(tmp_path / "forge") as forge:
        forge.password = "forge-token"
        bare = forge.root / "team" / "shop.git"
        subprocess.run(["git", "init", "-q", "--bare", "-b", "master", str(bare)], check=True, env=ENV)
        url = f"{forge.url}/team/shop.git"
        words = [
            url,
            "--branch",
            "master",
            "--kind",
            "github",
            "--api",
            f"{forge.url}/api",
            "--interval",
            "0",
            "--token-file",
            "-",
        ]
        said = team.greenroom("source:set", *words, stdin="forge-token", check=False)
        assert said.returncode == 1
        assert "The repository has no branch master, nor any other." in said.stderr
        secret = said.stdout.split()[-1]

        team.git("push", "-q", str(bare), "HEAD:master")
        path = team.read("source:info")["webhook"]["path"]
        payload = {"ref": "refs/heads/master", "before": "0" * 40, "after": team.sha}
        assert call(team, path, "not the secret", payload) == 401
        assert call(team, path, secret, payload) == 202
        team.wait_for(team.delivery, lambda row: row and row["state"] == "live", 120)
        assert team.get("/")[:2] == (200, "here")
        team.wait_for(lambda: states(forge, "greenroom/s-source"), lambda seen: seen and seen[-1] == "success")
        team.wait_for(lambda: states(forge, "greenroom/s-source/tests"), lambda seen: seen and seen[-1] == "success")
        team.wait_for(lambda: deployments(forge), lambda seen: seen and seen[-1] == "success")

        team.git("commit", "-q", "--allow-empty", "-m", "past the source")
        refused = team.git("push", "greenroom", "HEAD:master", check=False)
        assert refused.returncode != 0
        assert f"follows master of {url}" in refused.stderr
        assert f"git push {url} HEAD:master" in refused.stderr

        team.greenroom("source:set", url, "--interval", "10")
        team.git("push", "-q", str(bare), "HEAD:master")
        team.wait_for(team.delivery, lambda row: row and row["state"] == "live", 120)
        shown = team.read("source:info")
        assert (shown["state"], shown["taken"], shown["problem"]) == ("synced", team.sha, None)
        assert {report["status"] for report in shown["reports"]} <= {"sent", "pending"}
        assert "forge-token" not in json.dumps(shown) + said.stdout + said.stderr
        for log in (team.place.home / "logs").glob("*.log"):
            assert "forge-token" not in log.read_text(errors="replace")
            assert secret not in log.read_text(errors="replace")
