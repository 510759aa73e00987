"""Tests of commands that wait for a sign-in in the browser."""

from __future__ import annotations

import asyncio

from greenroom.basics.waiting_limits import Crowd
from greenroom.entrypoints.streams import sign_in


async def wait(address, collect):
    """(status, end of the command's request on the loop's clock)."""
    sent = []

    async def receive():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {"path": "/auth/cli/x", "headers": [(b"authorization", b"Bearer s")], "client": (address, 1)}
    await sign_in.respond(scope, receive, send, collect, pause=0.01)
    return sent[0]["status"]


def test_a_crowd_of_waiting_commands_keeps_nobody_out(monkeypatch):
    crowd = Crowd(each=3, most=5)
    monkeypatch.setattr(sign_in, "_crowd", crowd)

    async def main():
        said_yes = asyncio.Event()

        async def collect(id, secret):
            return "token" if said_yes.is_set() else None

        flood = [asyncio.create_task(wait("10.0.0.1", collect)) for _ in range(20)]
        mine = asyncio.create_task(wait("10.0.0.2", collect))
        while len([task for task in flood if task.done()]) < 17:
            await asyncio.sleep(0.01)
        assert not mine.done()
        assert len(crowd) == 4
        said_yes.set()
        return [await task for task in flood], await mine

    flood, mine = asyncio.run(asyncio.wait_for(main(), 30))
    assert sorted(flood) == [200] * 3 + [503] * 17
    assert mine == 200
    assert len(crowd) == 0
