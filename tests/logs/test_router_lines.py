"""Caddy's access log becomes ``heroku[router]`` lines of the right app, once each."""

from __future__ import annotations

import json

from greenroom.basics import logfile
from greenroom.logs.router_lines import RouterLogTail, line_of
from greenroom.logs.rules import Wanted

ENTRY = {
    "ts": 1795447904.5, "duration": 0.0123, "size": 3, "status": 200, "uuid": "b60b", "resp_headers": {},
    "request": {"client_ip": "10.0.0.9", "method": "GET", "host": "shop.localhost", "uri": "/x?a=1"},
}  # fmt: skip


def test_a_request_is_one_line_in_herokus_words():
    _, host, text = line_of(ENTRY)
    assert host == "shop.localhost"
    assert text.startswith('at=info method=GET path="/x?a=1" host=shop.localhost request_id=b60b fwd="10.0.0.9"')
    assert "service=12ms status=200 bytes=3 protocol=http" in text


def test_an_error_page_is_named_by_its_code():
    _, _, text = line_of({**ENTRY, "status": 503, "resp_headers": {"Greenroom-Error": ["H14"]}})
    assert text.startswith('at=error code=H14 desc="No web processes running"')


def test_a_hostile_path_cannot_forge_a_line_or_a_field():
    entry = {**ENTRY, "request": {**ENTRY["request"], "uri": '/"\n2026 heroku[router]: at=info status=200'}}
    _, _, text = line_of(entry)
    assert "\n" not in text
    assert '\\x22\\x0a' in text


def tail(home):
    return RouterLogTail(home, lambda host: "logs/apps/shop" if host == "shop.localhost" else None)


def lines(home):
    found, _ = logfile.read_last(str(home / "logs/apps/shop"), 100)
    return [line.text for line in found]


def write(home, *uris, name="access.log"):
    with (home / "logs/router" / name).open("a") as stream:
        for uri in uris:
            stream.write(json.dumps({**ENTRY, "request": {**ENTRY["request"], "uri": uri}}) + "\n")


def test_each_request_is_copied_once_across_restarts_and_rolled_files(tmp_path):
    for folder in ("logs/router", "logs/apps/shop"):
        (tmp_path / folder).mkdir(parents=True)
    write(tmp_path, "/1", "/2")
    tail(tmp_path).turn()
    write(tmp_path, "/3")
    (tmp_path / "logs/router/access.log").rename(tmp_path / "logs/router/access-2026.log")
    write(tmp_path, "/4")
    tail(tmp_path).turn()
    tail(tmp_path).turn()
    assert [text.split('path="')[1].split('"')[0] for text in lines(tmp_path)] == ["/1", "/2", "/3", "/4"]


def test_a_half_written_entry_waits_for_its_end(tmp_path):
    for folder in ("logs/router", "logs/apps/shop"):
        (tmp_path / folder).mkdir(parents=True)
    with (tmp_path / "logs/router/access.log").open("a") as stream:
        stream.write(json.dumps(ENTRY)[:40])
    tail(tmp_path).turn()
    assert lines(tmp_path) == []


def test_a_filter_knows_names_and_types():
    assert Wanted(dyno="web").accepts("app", "web.1")
    assert Wanted(dyno="web.1").accepts("app", "web.1")
    assert not Wanted(dyno="web.1").accepts("app", "web.2")
    assert not Wanted(source="heroku").accepts("app", "web.1")
