"""A chat over a deployment: close codes, clean ends of event streams, no lost request; and a large upload."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.stories.team import Team
from tests.stories.test_without_loss import Clients
from tests.websocket import Websocket

CHAT = """import asyncio
VERSION = 'v1'
room = set()
async def application(scope, receive, send):
    await {'http': page, 'websocket': chat}.get(scope['type'], nothing)(scope, receive, send)
async def nothing(scope, receive, send): raise NotImplementedError
async def chat(scope, receive, send):
    await receive()
    await send({'type': 'websocket.accept'})
    await send({'type': 'websocket.send', 'text': VERSION})
    room.add(send)
    while (event := await receive())['type'] == 'websocket.receive':
        for one in list(room): await one({'type': 'websocket.send', 'text': VERSION + ' ' + event['text']})
    room.discard(send)
async def page(scope, receive, send):
    total, more = 0, True
    while more:
        event = await receive()
        total, more = total + len(event.get('body', b'')), event.get('more_body')
    kind = b'text/event-stream' if scope['path'] == '/events' else b'text/plain'
    await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'content-type', kind)]})
    number, ending = 0, asyncio.ensure_future(receive())
    while scope['path'] == '/events':
        number += 1
        text = f'id: {number}\\ndata: {VERSION}\\n\\n'
        await send({'type': 'http.response.body', 'body': text.encode(), 'more_body': True})
        if await asyncio.wait([ending], timeout=0.1) != (set(), {ending}): return
    await send({'type': 'http.response.body', 'body': str(total).encode()})
"""
APP = {
    "Procfile": "web: uvicorn --workers 1 --host 0.0.0.0 --port $PORT chat:application\n",
    "requirements.txt": "uvicorn\nwebsockets\n",
    ".python-version": "3.11\n",
    "app.json": json.dumps({"environments": {"test": {"scripts": {"test": "python -c pass"}}}}),
    "chat.py": CHAT,
}
MEGABYTES = 64


@pytest.fixture(scope="module")
def team(installation, tmp_path_factory):
    """A live chat."""
    sample = tmp_path_factory.mktemp("chat") / "sample"
    sample.mkdir()
    for path, text in APP.items():
        (sample / path).write_text(text)
    team = Team(installation, sample.parent / "work", "chat", sample=sample)
    team.push()
    team.assert_live()
    yield team
    team.destroy()


class Events:
    """An event stream. first: the data of its first event; end: how it ended, after ``wait``."""

    def __init__(self, team: Team) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", team.place.http_port, timeout=30)
        self.connection.request("GET", "/events", headers={"Host": f"{team.name}.localhost"})
        self.answer = self.connection.getresponse()
        assert self.answer.readline() == b"id: 1\n"
        self.first = self.answer.readline().decode().strip()
        self.end = ""
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def wait(self) -> str:
        self.thread.join(30)
        return self.end

    def leave(self) -> None:
        self.connection.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(30)

    def _read(self) -> None:
        try:
            self.end = "clean" if self.answer.read().endswith(b"\n\n") else "within an event"
        except (OSError, ValueError, http.client.HTTPException) as error:
            self.end = repr(error)


def serving(team: Team) -> list[int]:
    """The shims of the app's web dynos, those that are ending included."""
    app_id = team.place.api("GET", f"/apps/{team.name}")[1]["id"]
    return list(team.place.dyno_pids(app_id).values())


def test_a_chat_goes_on_over_a_deployment(team):
    place, host = team.place, f"{team.name}.localhost"

    def join(*, tls: bool) -> Websocket:
        return Websocket(place.http_port + 1 if tls else place.http_port, host, "/ws", tls=tls)

    with Clients(team, 2, pause=0.02) as clients:
        with join(tls=False) as one, join(tls=True) as two:
            assert (one.read(), two.read()) == ("v1", "v1")
            events = Events(team)
            one.say("hello")
            assert (one.read(), two.read()) == ("v1 hello", "v1 hello")
            team.write("chat.py", CHAT.replace("'v1'", "'v2'"))
            team.commit("A second version")
            team.push()
            pushed = time.monotonic()
            assert (one.read(), two.read()) == (None, None), "no message was lost or made up"
            assert (one.code, two.code) == (1012, 1012)
        with join(tls=False) as one, join(tls=True) as two:
            assert time.monotonic() - pushed < 20, "a drain of 30 seconds"
            assert (one.read(), two.read()) == ("v2", "v2"), "who connects again gets the new release"
            two.say("again")
            assert (one.read(), two.read()) == ("v2 again", "v2 again")
        assert (events.first, events.wait()) == ("data: v1", "clean")
        again = Events(team)
        assert again.first == "data: v2"
    again.leave()
    assert clients.bad == []
    assert clients.good > 50
    team.wait_for(lambda: serving(team), lambda pids: len(pids) == 1, seconds=20)
    assert not any("R12" in line for line in team.greenroom("logs", "-n", "200").stdout.splitlines())


def test_an_upload_is_kept_in_no_memory(team):
    def peak(pid: int) -> int:
        """Megabytes."""
        return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) // 1024

    pids = [team.place.pids()["caddy"], *serving(team)]
    before = [peak(pid) for pid in pids]
    connection = http.client.HTTPConnection("127.0.0.1", team.place.http_port, timeout=60)
    body = (bytes(1 << 20) for _ in range(MEGABYTES))
    headers = {"Host": f"{team.name}.localhost", "Content-Length": str(MEGABYTES << 20)}
    connection.request("POST", "/upload", body, headers)
    assert connection.getresponse().read() == str(MEGABYTES << 20).encode()
    connection.close()
    assert max(peak(pid) - was for pid, was in zip(pids, before, strict=True)) < MEGABYTES // 2
