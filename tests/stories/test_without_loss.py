"""A deployment drops no request, and no delivery is lost when the control plane is killed in the middle of it."""

from __future__ import annotations

import http.client
import os
import signal
import threading
import time

import pytest

from tests.stories.test_host import small_team

CONNECTIONS = 20
DEPLOYMENTS = 10
AT_LEAST = 5000


class Clients:
    """Connections that send requests repeatedly, with ``pause`` seconds between, and count all responses."""

    def __init__(self, team, count: int, pause: float = 0.2) -> None:
        self.team, self.pause = team, pause
        self.good = 0
        self.bad: list[str] = []
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]

    def _run(self, number: int) -> None:
        connection = None
        while not self.stop.is_set():
            try:
                if connection is None or number % 2:
                    connection = http.client.HTTPConnection("127.0.0.1", self.team.place.http_port, timeout=30)
                connection.request("GET", "/healthz", headers={"Host": f"{self.team.name}.localhost"})
                answer = connection.getresponse()
                answer.read()
                problem = (
                    "" if answer.status == 200 else f"status {answer.status} {answer.getheader('greenroom-error')}"
                )
            except (OSError, http.client.HTTPException) as error:
                connection, problem = None, repr(error)
            with self.lock:
                self.good += not problem
                self.bad += [f"{time.time():.3f} {problem}"] if problem else []
            time.sleep(self.pause)

    def __enter__(self) -> Clients:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        for thread in self.threads:
            thread.join(40)


@pytest.fixture(scope="module")
def team(installation, tmp_path_factory):
    """A small live app with a server that has no graceful shutdown."""
    team = small_team(installation, tmp_path_factory.mktemp("lossless"), "lossless")
    team.push()
    team.assert_live()
    yield team
    team.destroy()


def test_ten_deployments_scalings_restarts_and_another_app_drop_no_request(team):
    with Clients(team, CONNECTIONS) as clients:
        for number in range(DEPLOYMENTS):
            team.write("static/story.txt", f"{number}\n")
            team.commit(f"Deployment {number}")
            team.push()
            team.assert_live()
        for words in (
            ["ps:scale", "web=2"],
            ["ps:restart", "web.1"],
            ["config:set", "STORY=1"],
            ["ps:scale", "web=1"],
            ["ps:restart"],
        ):
            team.greenroom(*words)
            team.wait_for(
                lambda: {row["state"] for row in team.dynos() if row["type"] == "web"}, lambda states: states == {"up"}
            )
        other = f"{team.name}-other"
        team.place.run("create", other)
        team.place.run("destroy", other, "--confirm", other)
        deadline = time.monotonic() + 120
        while clients.good < AT_LEAST and time.monotonic() < deadline:
            time.sleep(0.2)
    assert clients.bad == []
    assert clients.good >= AT_LEAST
    print(f"\n{clients.good} requests over {DEPLOYMENTS} deployments, {len(clients.bad)} failed")


STATES = ["building", "checking", "releasing", "rolling_out"]
"""The states of a delivery under way, in their order."""


@pytest.mark.parametrize("state", ["building", "checking", "rolling_out"])
def test_killing_the_control_plane_during_a_delivery_loses_nothing(team, state):
    app_id = team.place.api("GET", f"/apps/{team.name}")[1]["id"]
    team.write("static/story.txt", f"killed while {state}\n")
    sha = team.commit("Killed in the middle")
    push = team.push_in_background()
    reached = STATES[STATES.index(state) :]
    row = team.wait_for(team.delivery, lambda row: row and (row["state"] in reached or row["finished_at"]), 120)
    assert not row["finished_at"], "killed after the end"
    killed = {name: pid for name, pid in team.place.pids().items() if name in ("web", "worker", "supervisor")}
    serving = team.place.dyno_pids(app_id)
    assert serving
    for pid in killed.values():
        os.kill(pid, signal.SIGKILL)
    assert team.get("/healthz")[0] == 200
    assert team.place.dyno_pids(app_id).items() >= serving.items()
    push.wait(120)
    team.place.wait_until_up()
    row = team.wait_until_ended(sha)
    assert row["state"] == "live", row
    rows = team.place.api("GET", f"/apps/{team.name}/deliveries?sha={sha}")[1]
    assert len(rows) == 1
    releases = team.place.api("GET", f"/apps/{team.name}/releases")[1]
    assert [release["slug"]["commit"] for release in releases if release["kind"] == "deploy"].count(sha) == 1
    after = team.place.pids()
    assert all(after[name] != pid for name, pid in killed.items())
