"""Caddy's access log becomes ``heroku[router]`` lines of the right app, once each, for any content and any crash."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.basics import logfile
from greenroom.logs.drivers import router_log
from greenroom.logs.drivers.router_log import RouterLogTail, line_of

SHOP, CAFE = "logs/apps/" + "a" * 32, "logs/apps/" + "b" * 32
HOSTS = {"shop.localhost": SHOP, "cafe.localhost": CAFE}
NUMBERS = itertools.count(1)


def entry(uri="/", host="shop.localhost", status=200, headers=None, **more):
    """One entry as Caddy 2.11 writes it."""
    request = {
        "remote_ip": "10.0.0.9",
        "client_ip": "10.0.0.9",
        "proto": "HTTP/1.1",
        "method": "GET",
        "host": host,
        "uri": uri,
    }
    request |= {key: more.pop(key) for key in ("method", "tls") if key in more}
    return {
        "level": "info",
        "ts": 1795447904 + next(NUMBERS) / 1000,
        "logger": "http.log.access.router",
        "msg": "handled request",
        "request": request,
        "bytes_read": 0,
        "user_id": "",
        "duration": 0.0123,
        "size": 3,
        "status": status,
        "resp_headers": headers or {},
        "uuid": f"b60b-{next(NUMBERS)}",
        **more,
    }


def text_of(*words, **more):
    return line_of(entry(*words, **more))[2]


# -- one line ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["shop.localhost:8080", "shop.localhost:", "shop.localhost"])
def test_the_host_of_a_line_has_no_port(host):
    assert "host=shop.localhost request_id" in line_of(entry(host=host))[2]


def test_a_request_is_one_line_in_herokus_words():
    when, host, text = line_of({**entry("/x?a=1"), "uuid": "b60b", "ts": 1795447904.5})
    assert (when, host) == (1795447904.5, "shop.localhost")
    assert (
        text
        == 'at=info method=GET path="/x?a=1" host=shop.localhost request_id=b60b fwd="10.0.0.9" dyno=web connect=0ms'
        " service=12ms status=200 bytes=3 protocol=http"
    )


def test_tls_is_named():
    assert "protocol=https" in text_of(tls={"version": 772})


@pytest.mark.parametrize(
    ("code", "description"),
    [("H14", "No web processes running"), ("H80", "Maintenance mode"), ("H81", "Blank app"), ("H10", "App crashed")],
)
def test_an_error_page_is_named_by_its_code_and_no_dyno_is_blamed(code, description):
    text = text_of(status=503, headers={"Greenroom-Error": [code]})
    assert text.startswith(f'at=error code={code} desc="{description}"')
    assert " dyno= " in text


@pytest.mark.parametrize("duration", [0.2, 30.001])
def test_the_code_of_a_line_is_the_one_that_the_visitor_got(duration):
    assert "code=H13" in text_of(status=503, headers={"Greenroom-Error": ["H13"]}, duration=duration)
    assert 'code=H12 desc="Request timeout"' in text_of(
        status=503, headers={"Greenroom-Error": ["H12"]}, duration=duration
    )


def test_a_client_that_left_is_h27():
    assert text_of(status=499).startswith('at=error code=H27 desc="Client Request Interrupted"')


@pytest.mark.parametrize("code", ["H14 status=200", "x\ny", "", "H1", {"a": 1}])
def test_an_apps_own_header_cannot_invent_fields(code):
    assert text_of(headers={"Greenroom-Error": [code]}).startswith("at=info ")


def test_a_hostile_path_cannot_forge_a_line_or_a_field():
    text = text_of('/"\n2026 heroku[router]: at=info status=200\\')
    assert "\n" not in text
    assert 'path="/\\x22\\x0a2026 heroku[router]: at=info status=200\\x5c"' in text


@given(st.text(), st.text(), st.text())
def test_whatever_a_client_sends_a_line_has_each_field_once(uri, host, method):
    text = text_of(uri, host=host, method=method)
    assert text.isprintable()
    outside = "".join(text.split('"')[::2])
    fields = [word.partition("=")[0] for word in outside.split(" ") if word]
    assert fields == [
        "at",
        "method",
        "path",
        "host",
        "request_id",
        "fwd",
        "dyno",
        "connect",
        "service",
        "status",
        "bytes",
        "protocol",
    ]


def test_a_very_long_path_is_cut():
    assert len(text_of("/" + "x" * 60_000)) < 2_500


# -- the tail ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path):
    for folder in ("logs/router", SHOP, CAFE):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def tail(home, hosts=HOSTS.get):
    return RouterLogTail(home, hosts)


def drain(it):
    turns = 0
    while it.turn():
        turns += 1
        assert turns < 10_000
    return turns


def texts(home, app=SHOP, count=100_000):
    return [line.text for line in logfile.read_last(str(home / app), count)[0]]


def paths(home, app=SHOP):
    return [text.split('path="')[1].split('"')[0] for text in texts(home, app)]


def write(home, *uris, host="shop.localhost", **more):
    with (home / "logs/router/access.log").open("a") as stream:
        stream.writelines(json.dumps(entry(uri, host=host, **more)) + "\n" for uri in uris)


def roll(home, number):
    path = home / "logs/router/access.log"
    path.rename(path.with_name(f"access-2026-11-23T17-41-{number:02d}.782-size.log"))


def test_each_app_gets_its_own_requests(home):
    write(home, "/1")
    write(home, "/2", host="cafe.localhost")
    write(home, "/3", host="nobody.localhost")
    drain(tail(home))
    assert (paths(home), paths(home, CAFE)) == (["/1"], ["/2"])


def test_each_request_is_copied_once_across_restarts(home):
    write(home, "/1", "/2")
    drain(tail(home))
    drain(tail(home))
    write(home, "/3")
    drain(tail(home))
    assert paths(home) == ["/1", "/2", "/3"]


def test_each_request_is_copied_once_across_rolled_files(home):
    one = tail(home)
    for number in range(5):
        write(home, f"/{number}a", f"/{number}b")
        if number % 2:
            drain(one)
        roll(home, number)
    write(home, "/end")
    drain(one)
    drain(tail(home))
    assert paths(home) == [f"/{n}{x}" for n in range(5) for x in "ab"] + ["/end"]


def test_files_that_rolled_while_the_worker_was_away_are_read_in_order(home):
    write(home, "/1")
    drain(tail(home))
    for number in range(3):
        write(home, f"/away{number}")
        roll(home, number)
    write(home, "/now")
    drain(tail(home))
    assert paths(home) == ["/1", "/away0", "/away1", "/away2", "/now"]


def test_a_place_that_was_rolled_out_of_existence_goes_on_with_the_oldest_file(home):
    write(home, "/1")
    drain(tail(home))
    (home / "logs/router/access.log").unlink()
    write(home, "/2")
    roll(home, 1)
    write(home, "/3")
    drain(tail(home))
    assert paths(home) == ["/1", "/2", "/3"]


@pytest.mark.parametrize("killed_at", ["_remember", "folder"])
def test_a_worker_killed_between_the_lines_and_its_note_repeats_nothing(home, killed_at, monkeypatch):
    write(home, "/1")
    drain(tail(home))
    write(home, "/2", "/3")
    write(home, "/4", host="cafe.localhost")

    class Killed(BaseException):
        pass

    victim = tail(home)
    append = logfile.append

    def once(folder, records):
        if folder.endswith(CAFE):
            raise Killed
        append(folder, records)

    def die(place):
        raise Killed

    if killed_at == "folder":
        monkeypatch.setattr(router_log.logfile, "append", once)
    else:
        victim._remember = die
    with pytest.raises(Killed):
        drain(victim)
    monkeypatch.undo()
    assert paths(home) == ["/1", "/2", "/3"]
    write(home, "/5")
    logfile.append(str(home / SHOP), [(1.0, "app", "web.1", "said meanwhile")])
    drain(tail(home))
    assert [path for path in (text.split('path="')[-1].split('"')[0] for text in texts(home)) if path[0] == "/"] == [
        "/1",
        "/2",
        "/3",
        "/5",
    ]
    assert paths(home, CAFE) == ["/4"]


def test_a_turn_that_failed_and_is_tried_again_repeats_nothing(home):
    write(home, "/1", "/2")
    one = tail(home)
    good = one._remember

    def fail(place):
        one._remember = good
        raise OSError("disk full")

    one._remember = fail
    with pytest.raises(OSError, match="disk full"):
        one.turn()
    drain(one)
    assert paths(home) == ["/1", "/2"]


def test_a_half_written_entry_waits_for_its_end(home):
    text = json.dumps(entry("/half"))
    with (home / "logs/router/access.log").open("a") as stream:
        stream.write(text[:200])
        stream.flush()
        drain(tail(home))
        assert texts(home) == []
        stream.write(text[200:] + "\n")
    drain(tail(home))
    assert paths(home) == ["/half"]


@pytest.mark.parametrize(
    "garbage", ["not json", "[]", "3", '{"request": 1}', '{"request": {"method": []}, "status": "x"}', "\udcff"]
)
def test_an_entry_that_is_none_is_passed_over(home, garbage):
    write(home, "/1")
    with (home / "logs/router/access.log").open("ab") as stream:
        stream.write(garbage.encode("utf-8", "surrogateescape") + b"\n")
    write(home, "/2")
    drain(tail(home))
    assert paths(home) == ["/1", "/2"]


def test_a_flood_is_copied_in_pieces(home):
    uris = [f"/{number}" for number in range(5_000)]
    write(home, *uris)
    assert drain(tail(home)) >= 5
    assert paths(home) == uris


def test_requests_for_no_app_ask_the_database_nothing(home):
    asked = []
    write(home, "/", host="scanner.example", status=404, headers={"Greenroom-Error": ["H01"]})
    write(home, *["/"] * 50)
    drain(tail(home, lambda host: asked.append(host) or HOSTS.get(host)))
    assert asked == ["shop.localhost"]


def test_a_destroyed_apps_log_is_not_made_anew(home):
    (home / CAFE).rmdir()
    write(home, "/", host="cafe.localhost")
    drain(tail(home))
    assert not (home / CAFE).exists()


def slots(home, *sockets):
    folder = home / "run/router" / ("a" * 32)
    folder.mkdir(parents=True)
    for number, socket in enumerate(sockets):
        (folder / str(number)).symlink_to(f"../../sockets/{socket}")


def test_the_only_web_dyno_is_named(home):
    slots(home, "a1-v4-web.1-603f9927", "a1-v4-web.1-603f9927")
    write(home, "/")
    drain(tail(home))
    assert " dyno=web.1 " in texts(home)[0]


def test_of_several_web_dynos_the_one_that_answered_is_named(home):
    slots(home, "a1-v4-web.1-603f9927", "a1-v4-web.2-0a0b0c0d")
    write(home, "/known", upstream=f"run/router/{'a' * 32}/1")
    write(home, "/unknown")
    write(home, "/hostile", upstream="../../keys/master.key")
    drain(tail(home))
    assert [text.split(" dyno=")[1].split()[0] for text in texts(home)] == ["web.2", "web", "web"]
