"""Tests of streams through their ASGI function: signed, without a database, resumable, and closed when the client
leaves.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from greenroom.basics import logfile
from greenroom.basics.errors import PlatformError
from greenroom.entrypoints.streams import app as streams
from greenroom.entrypoints.streams import link_holders as holders
from greenroom.entrypoints.streams.app import make_app
from greenroom.entrypoints.streams.link_holders import Holders, everybody
from tests.streams.conftest import KEY, WHO, path

APP = "0" * 32


def line(text, process="web.1", source="app"):
    return (time.time(), source, process, text)


@pytest.fixture
def log(tmp_path):
    folder = tmp_path / "logs" / "apps" / APP
    folder.mkdir(parents=True)
    return folder


class Client:
    """A client that collects the data sent, and leaves when ``enough`` is true."""

    def __init__(self, home, path, headers=(), enough=lambda text: False, during=None, ask=everybody):
        self.scope = {"type": "http", "method": "GET", "path": path, "headers": list(headers)}
        self.app = make_app(home, KEY, Holders(ask))
        self.enough, self.during = enough, during
        self.status, self.text = 0, ""
        self.leave = asyncio.Event()

    async def receive(self):
        await self.leave.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        self.status = message.get("status", self.status)
        self.text += message.get("body", b"").decode()
        if self.enough(self.text):
            self.leave.set()

    async def run(self):
        task = asyncio.create_task(self.app(self.scope, self.receive, self.send))
        if self.during:
            await self.during()
        await asyncio.wait_for(task, 10)
        return self


def get(home, where, **more):
    return asyncio.run(Client(home, where, **more).run())


def test_the_last_lines_come_as_text_and_the_stream_ends(tmp_path, log):
    logfile.append(str(log), [line(f"line {number}") for number in range(5)])
    client = get(tmp_path, path("logs", {"app": APP, "lines": 2}))
    assert client.status == 200
    assert [part.split("]: ")[1] for part in client.text.splitlines()] == ["line 3", "line 4"]


def test_one_account_does_not_take_all_streams(tmp_path, log, monkeypatch):
    monkeypatch.setattr(streams, "EACH", 2)
    logfile.append(str(log), [line("there")])

    async def main():
        clients = [Client(tmp_path, link(account), enough=lambda text: False) for account in ("a", "a", "a", "b")]
        app = clients[0].app
        for client in clients:
            client.app = app
        tasks = [asyncio.create_task(client.run()) for client in clients]
        await asyncio.sleep(0.3)
        for client in clients:
            client.leave.set()
        await asyncio.gather(*tasks)
        last = Client(tmp_path, path("logs", {"app": APP, "lines": 1}))
        last.app = app
        return [*clients, await last.run()]

    def link(account):
        return path("logs", {"app": APP, "tail": True, "who": {**WHO, "account": account}})

    *clients, last = asyncio.run(main())
    assert [client.status for client in clients] == [200, 200, 429, 200]
    assert clients[2].text == "Your account has 2 streams open already.\nhint: close some of them, then try again\n"
    assert last.status == 200, "those that have ended do not count"


def test_lines_are_filtered_by_dyno_and_source(tmp_path, log):
    logfile.append(str(log), [line("a"), line("b", "worker.1"), line("c", "web.1", "heroku"), line("d", "web.2")])
    client = get(tmp_path, path("logs", {"app": APP, "lines": 9, "dyno": "web", "source": "app"}))
    assert [part[-1] for part in client.text.splitlines()] == ["a", "d"]


def test_a_tail_goes_on_and_ends_when_the_client_leaves(tmp_path, log):
    logfile.append(str(log), [line("before")])

    async def later():
        await asyncio.sleep(0.3)
        logfile.append(str(log), [line("after")])

    client = get(
        tmp_path,
        path("logs", {"app": APP, "lines": 9, "tail": True}),
        enough=lambda text: "after" in text,
        during=later,
    )
    assert client.text.index("before") < client.text.index("after")


def test_a_reconnecting_client_misses_nothing_and_sees_nothing_twice(tmp_path, log):
    events = [(b"accept", b"text/event-stream")]
    logfile.append(str(log), [line("one"), line("two"), line("three")])
    first = get(tmp_path, path("logs", {"app": APP, "lines": 9}), headers=events)
    ids = [part.removeprefix("id: ") for part in first.text.splitlines() if part.startswith("id: ")]
    again = [*events, (b"last-event-id", ids[0].encode())]
    second = get(
        tmp_path,
        path("logs", {"app": APP, "lines": 9, "tail": True}),
        headers=again,
        enough=lambda text: "three" in text,
    )
    assert "one" not in second.text
    assert second.text.count("two") == 1


@pytest.mark.parametrize("where", ["/streams/logs/x", "/streams/nothing/x", "/streams/logs/a.b", "/streams/logs/"])
def test_a_forged_reference_opens_nothing(tmp_path, where):
    assert get(tmp_path, where).status == 404


def test_a_reference_for_one_purpose_opens_no_other(tmp_path, log):
    assert get(tmp_path, path("logs", {"app": APP}, purpose="attach")).status == 404


def test_an_expired_reference_opens_nothing(tmp_path, log):
    assert get(tmp_path, path("logs", {"app": APP}, seconds=-100)).status == 404


@pytest.mark.parametrize(
    "file", ["../../etc/passwd", "keys/master.key", "logs/deliveries/../x.log", "/etc/passwd", "run/dynos/x/output", ""]
)
def test_even_a_signed_reference_leads_to_transcripts_alone(tmp_path, file):
    assert get(tmp_path, path("output", {"file": file})).status == 404


def test_a_transcript_is_followed_until_it_is_closed(tmp_path):
    name = f"logs/deliveries/{APP}.log"
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_text("first\n")

    async def later():
        await asyncio.sleep(0.3)
        with file.open("a") as stream:
            stream.write("last\n")
        file.with_name(f"{file.name}.done").touch()

    assert get(tmp_path, path("output", {"file": name}), during=later).text == "first\nlast\n"


def test_an_empty_stream_of_an_app_that_was_destroyed_is_not_found(tmp_path):
    assert get(tmp_path, path("logs", {"app": APP})).status == 404


@pytest.mark.parametrize("app", ["../../keys", "", None, 3, "0" * 31, "A" * 32])
def test_even_a_signed_reference_leads_to_apps_logs_alone(tmp_path, log, app):
    assert get(tmp_path, path("logs", {"app": app})).status == 404


def test_events_begin_with_a_short_retry_and_carry_their_places(tmp_path, log):
    logfile.append(str(log), [line("one")])
    client = get(tmp_path, path("logs", {"app": APP}), headers=[(b"accept", b"text/event-stream")])
    parts = client.text.split("\n\n")
    assert parts[0] == "retry: 1"
    assert parts[1].startswith("id: 1-")
    assert parts[1].splitlines()[1].endswith("app[web.1]: one")


def test_a_silent_tail_shows_signs_of_life(tmp_path, log, monkeypatch):
    monkeypatch.setattr(streams, "KEEP_ALIVE", 0.2)
    events = [(b"accept", b"text/event-stream")]
    client = get(
        tmp_path,
        path("logs", {"app": APP, "tail": True}),
        headers=events,
        enough=lambda text: text.count(": still here") == 2,
    )
    assert client.text == "retry: 1\n\n" + ": still here\n\n" * 2


def test_a_tail_begins_before_the_app_has_said_anything(tmp_path, log):
    async def later():
        await asyncio.sleep(0.2)
        logfile.append(str(log), [line("first words")])

    client = get(
        tmp_path, path("logs", {"app": APP, "tail": True}), enough=lambda text: "first words" in text, during=later
    )
    assert client.text.count("first words") == 1


def test_a_tail_ends_when_the_app_is_destroyed(tmp_path, log):
    async def later():
        await asyncio.sleep(0.2)
        log.rmdir()

    assert get(tmp_path, path("logs", {"app": APP, "tail": True}), during=later).status == 200


def test_a_place_in_the_middle_of_a_line_shows_no_half_line(tmp_path, log):
    logfile.append(str(log), [line("one"), line("two")])
    events = [(b"accept", b"text/event-stream"), (b"last-event-id", b"1-17")]
    client = get(tmp_path, path("logs", {"app": APP, "lines": 1}), headers=events)
    assert client.text.count("data: ") == 1
    assert client.text.rstrip().endswith("app[web.1]: two")


def test_tails_across_rotations_miss_nothing(tmp_path, log):
    async def later():
        for number in range(300):
            logfile.append(str(log), [line(f"<{number}> {'x' * 100}")], segment_bytes=5_000, keep=50)
            await asyncio.sleep(0.002)

    client = get(tmp_path, path("logs", {"app": APP, "tail": True}), enough=lambda text: "<299>" in text, during=later)
    assert [part.split("<")[1].split(">")[0] for part in client.text.splitlines()] == [str(n) for n in range(300)]


def test_more_streams_than_are_served_are_told_to_come_again(tmp_path, log, monkeypatch):
    monkeypatch.setattr(streams, "MOST", 0)
    assert get(tmp_path, path("logs", {"app": APP})).status == 503


def test_a_long_transcript_comes_whole(tmp_path):
    name = f"logs/deliveries/{APP}.log"
    (tmp_path / "logs/deliveries").mkdir(parents=True)
    (tmp_path / name).write_text("x" * 500_000)
    (tmp_path / f"{name}.done").touch()
    assert len(get(tmp_path, path("output", {"file": name})).text) == 500_000


def test_a_transcript_that_is_removed_ends_its_stream(tmp_path):
    name = f"logs/deliveries/{APP}.log"
    (tmp_path / "logs/deliveries").mkdir(parents=True)
    (tmp_path / name).write_text("x")

    async def later():
        await asyncio.sleep(0.2)
        (tmp_path / name).unlink()

    assert get(tmp_path, path("output", {"file": name}), during=later).text == "x"


@pytest.mark.parametrize("who", [None, {}, {"account": "a"}, {**WHO, "more": "x"}])
def test_a_link_that_is_bound_to_nobody_opens_nothing(tmp_path, log, who):
    assert get(tmp_path, path("logs", {"app": APP, "who": who})).status == 404


def test_a_link_of_somebody_who_was_removed_opens_nothing(tmp_path, log):
    async def nobody(holders):
        return set()

    logfile.append(str(log), [line("secret")])
    found = get(tmp_path, path("logs", {"app": APP}), ask=nobody)
    assert (found.status, "secret" in found.text) == (404, False)


@pytest.mark.parametrize("kind", ["logs", "output"])
def test_an_open_stream_ends_when_its_holder_is_removed_and_others_go_on(tmp_path, log, monkeypatch, kind):
    monkeypatch.setattr(holders, "SECONDS", 0.01)
    (tmp_path / "logs" / "deliveries").mkdir()
    file = tmp_path / "logs" / "deliveries" / f"{APP}.log"
    file.write_text("a line\n")
    payload = (
        {"app": APP, "tail": True}
        if kind == "logs"
        else {"file": f"logs/deliveries/{file.name}", "done": f"logs/deliveries/{file.name}.done"}
    )
    removed, asked = set(), []

    async def ask(open_now):
        asked.append(set(open_now))
        return {it for it in open_now if it.token not in removed}

    async def both():
        app = Holders(ask)
        first, other = (
            Client(tmp_path, path(kind, {**payload, "who": {**WHO, "token": name}})) for name in ("first", "other")
        )
        first.app = other.app = make_app(tmp_path, KEY, app)
        one, two = asyncio.create_task(first.run()), asyncio.create_task(other.run())
        while not any(len(it) == 2 for it in asked):
            await asyncio.sleep(0.01)
        removed.add("first")
        await one
        assert not two.done()
        other.leave.set()
        await two

    asyncio.run(asyncio.wait_for(both(), 20))


def test_while_nobody_can_be_asked_open_streams_go_on_and_new_ones_are_told_to_come_again(tmp_path, log, monkeypatch):
    monkeypatch.setattr(holders, "SECONDS", 0.01)
    away = []

    async def ask(open_now):
        if away:
            away.append(1)
            raise PlatformError("PostgreSQL does not answer.")
        return set(open_now)

    async def story():
        client = Client(tmp_path, path("logs", {"app": APP, "tail": True}), ask=ask)
        running = asyncio.create_task(client.run())
        while not client.status:
            await asyncio.sleep(0.01)
        away.append(1)
        while len(away) < 4:
            await asyncio.sleep(0.01)
        late = await Client(tmp_path, path("logs", {"app": APP}), ask=ask).run()
        assert (late.status, running.done()) == (503, False)
        client.leave.set()
        await running

    asyncio.run(asyncio.wait_for(story(), 20))


def test_a_notification_ends_the_stream_of_a_leaver_without_a_poll(tmp_path, log, monkeypatch):
    monkeypatch.setattr(holders, "SECONDS", 600)
    removed = set()

    async def ask(open_now):
        return {it for it in open_now if it.token not in removed}

    async def story():
        everybody_here = Holders(ask)
        client = Client(tmp_path, path("logs", {"app": APP, "tail": True, "who": {**WHO, "token": "first"}}))
        client.app = make_app(tmp_path, KEY, everybody_here)
        running = asyncio.create_task(client.run())
        while not client.status:
            await asyncio.sleep(0.01)
        removed.add("first")
        everybody_here.check()
        await running

    asyncio.run(asyncio.wait_for(story(), 20))
