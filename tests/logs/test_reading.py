"""Tests of positions in an app's log: the last lines, a returning reader's position, and the lines it has missed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.basics import logfile
from greenroom.logs.drivers import positions
from greenroom.logs.rules import Wanted, read_place, session, write_place


def record(text, process="web.1", source="app"):
    return (1795447904.5, source, process, text)


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "log")


def fill(folder, numbers, process="web.1", **more):
    logfile.append(folder, [record(f"line {number}", process) for number in numbers], **more)


def texts(lines):
    return [line.text for line in lines]


def everything(folder, position):
    found = []
    while True:
        lines, position = positions.read_on(folder, position)
        if not lines:
            return found
        found += lines


def last(folder, count, wanted=None):
    keep = (wanted or Wanted()).keeps
    start, stop = positions.start_of_last(folder, count, keep)
    return [line.text for piece in positions.between(folder, start, stop) for line in piece if keep(line)]


@pytest.mark.parametrize("count", [0, 1, 2, 9, 10, 11, 1000])
def test_the_last_lines_are_found(folder, count):
    fill(folder, range(10))
    assert last(folder, count) == [f"line {n}" for n in range(10)][max(0, 10 - count) :]


def test_the_last_lines_are_found_across_segments(folder):
    for number in range(60):
        fill(folder, [number], segment_bytes=500)
    left = texts(everything(folder, logfile.START))
    assert 10 < len(left) < 60
    for count in range(len(left) + 5):
        assert last(folder, count) == left[max(0, len(left) - count) :]


def test_the_last_lines_of_one_dyno_are_found_among_others(folder):
    for number in range(50):
        fill(folder, [number], process=f"web.{1 + number % 3}")
    assert last(folder, 2, Wanted(dyno="web.2")) == ["line 46", "line 49"]


def test_an_app_that_has_said_nothing_has_no_last_lines(folder):
    assert last(folder, 100) == []


def test_lines_that_come_during_the_search_are_not_among_the_last(folder):
    fill(folder, range(3))

    def busy(line):
        fill(folder, ["late"])
        return True

    start, stop = positions.start_of_last(folder, 2, busy)
    assert [text for piece in positions.between(folder, start, stop) for text in texts(piece)] == ["line 1", "line 2"]


def test_a_reader_who_comes_again_goes_on_where_it_was(folder):
    fill(folder, range(5))
    for number, line in enumerate(everything(folder, logfile.START)):
        place = positions.resume(folder, write_place(line.after))
        assert place == line.after
        assert texts(everything(folder, place)) == [f"line {n}" for n in range(number + 1, 5)]


@pytest.mark.parametrize("text", ["", "0-0", "1-5", "1-99999999", "7-0", "1", "x-y", "-1--1", "1-1 ", "1-²"])
def test_a_place_that_is_none_is_not_gone_to(folder, text):
    fill(folder, range(5))
    assert positions.resume(folder, text) is None


@given(st.text())
def test_any_text_may_be_sent_as_a_place(text):
    place = read_place(text)
    assert place is None or write_place(place) == text or text.partition("-")[2].startswith("0")


def test_a_reader_whose_place_was_rotated_away_is_told_and_goes_on(folder):
    fill(folder, [0], segment_bytes=500)
    first = everything(folder, logfile.START)[0].after
    for number in range(1, 60):
        fill(folder, [number], segment_bytes=500)
    assert positions.resume(folder, write_place(first)) == first
    found = everything(folder, first)
    assert (found[0].source, found[0].process) == ("heroku", "logplex")
    assert "Error L10" in found[0].text
    assert found[-1].text == "line 59"
    assert [line for line in found if line.process == "logplex"] == found[:1]


def test_a_reader_who_keeps_up_across_rotations_misses_nothing(folder):
    position, seen = logfile.START, []
    for number in range(60):
        fill(folder, [number], segment_bytes=500)
        lines, position = positions.read_on(folder, position)
        seen += texts(lines)
    assert seen == [f"line {n}" for n in range(60)]


def test_following_ends_when_it_is_told_to(folder):
    fill(folder, range(3))
    stops = iter([False, True])
    found = positions.follow(folder, logfile.START, Wanted(), pause=0.01, stop=lambda: next(stops))
    assert texts(found) == ["line 0", "line 1", "line 2"]


def test_a_filter_knows_names_types_and_sources():
    assert Wanted(dyno="web").accepts("app", "web.1")
    assert Wanted(dyno="web.1").accepts("app", "web.1")
    assert not Wanted(dyno="web.1").accepts("app", "web.2")
    assert not Wanted(dyno="web.1").accepts("app", "web.11")
    assert not Wanted(dyno="web").accepts("app", "webby.1")
    assert not Wanted(source="heroku").accepts("app", "web.1")
    assert Wanted(source="app", dyno="web.1").accepts("heroku", "logplex"), "what is missing is everybody's business"


def test_a_session_without_wishes_has_herokus():
    asked = session({})
    assert (asked.lines, asked.tail, asked.wanted) == (100, False, Wanted())
    assert session({"lines": 10**9}).lines == 100_000
    assert session({"lines": 0, "tail": True, "dyno": "web", "source": None}).wanted == Wanted(dyno="web")
