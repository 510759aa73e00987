"""A dyno's output is passed on in chunks of limited size and up to a total limit."""

from __future__ import annotations

import io
import sys

import pytest

from greenroom.buildpacks.inside import common
from greenroom.builds.drivers import dyno_output
from greenroom.builds.rules import ended, masked, masked_result
from greenroom.engine.memory import MemoryEngine


@pytest.fixture
def printed():
    """A function that makes an engine with output of the dyno ``x``. Read it as a build does."""

    def write(data: bytes):
        engine = MemoryEngine()
        engine.print("x", data)
        return engine

    return write


def whole(engine, *, over=True):
    texts, offset = [], 0
    while True:
        text, place = dyno_output.new_lines(engine, "x", offset, over)
        assert len(text) <= 2 * dyno_output.CHUNK
        if place == offset:
            return texts
        texts.append(text)
        offset = place


def test_lines_are_passed_on_whole_and_the_last_one_only_when_the_dyno_has_ended(printed):
    engine = printed(b"one\n\ntw\nthr")
    assert dyno_output.new_lines(engine, "x", 0, False) == ("one\n \ntw", 8)
    assert dyno_output.new_lines(engine, "x", 8, False) == ("", 8)
    assert dyno_output.new_lines(engine, "x", 8, True) == ("thr", 11)
    assert dyno_output.new_lines(engine, "y", 0, True) == ("", 0)


@pytest.mark.parametrize("line", [b"a" * 99 + b"\n", b"a" * 30_000_000])
def test_of_300_mb_ten_are_passed_on_and_one_line_says_that_the_rest_is_missing(printed, line):
    engine = printed(line * (300_000_000 // len(line)))
    texts = whole(engine)
    assert sum(map(len, texts)) <= dyno_output.MOST + 1000
    assert "\n".join(texts).count("truncated after 10 MB") == 1
    assert texts[-1].endswith(dyno_output.TRUNCATED)
    assert max(len(row) for text in texts for row in text.split("\n")) <= dyno_output.LONGEST + 4


def test_what_is_just_as_long_as_allowed_is_shown_whole(printed):
    texts = whole(printed((b"a" * 1023 + b"\n") * (dyno_output.MOST // 1024)))
    assert not any("truncated" in text for text in texts)


def test_the_end_of_a_long_output_is_read_without_the_rest(printed):
    assert dyno_output.tail(printed(b"x" * 1_000_000 + b"\nlast\n"), "x").endswith("\nlast")


SECRET = "s3cret-" + "of-ours" * 20


def hide(text):
    return masked(text, (SECRET,))


@pytest.mark.parametrize(
    "before", [dyno_output.LONGEST - 70, dyno_output.CHUNK - 70, dyno_output.CHUNK - 1, dyno_output.MOST - 70]
)
@pytest.mark.parametrize("around", [b"a", b"abc\n", SECRET.encode()])
def test_a_secret_across_a_cut_shows_no_part(printed, before, around):
    some, rest = divmod(before, len(around))
    engine = printed(b"r" * rest + around * some + SECRET.encode() + b"b" * 400_000 + b"\nlast\n")
    texts, offset = [], 0
    while (found := dyno_output.new_lines(engine, "x", offset, True, mask=hide))[1] != offset:
        texts.append(found[0])
        offset = found[1]
    parts("\n".join(texts))
    parts(dyno_output.tail(engine, "x", hide))


def parts(text):
    for size in (8, 70):
        assert SECRET[:size] not in text
        assert SECRET[-size:] not in text


@pytest.mark.parametrize("after", [dyno_output.TAIL - 70, dyno_output.TAIL - 1, 10])
def test_the_end_of_an_output_shows_no_part_of_a_secret(printed, after):
    parts(dyno_output.tail(printed(b"a" * 200_000 + SECRET.encode() + b"b" * (after - 1) + b"\n"), "x", hide))
    assert dyno_output.tail(printed(b"a" * 200_000 + SECRET.encode() + b"\nlast\n"), "x", hide).endswith("last")


def test_a_line_longer_than_a_chunk_shows_its_beginning_once(printed):
    texts = whole(printed(b"a" * (3 * dyno_output.CHUNK + 5) + b"\nnext\n"))
    assert "\n".join(text for text in texts if text) == "a" * dyno_output.LONGEST + " ...\nnext"


def test_the_message_of_a_result_is_masked_before_it_is_cut():
    result = {
        "ok": False,
        "reason": "build::failed",
        "message": "m" * 3950 + SECRET,
        "hint": "h" * 490 + SECRET,
        "seconds": {"a": 1},
    }
    found = ended(
        phase="exited", exit_code=10, reason="", detail="", result=masked_result(result, hide), memory_mb=1, minutes=1
    )
    parts(found.message + found.hint)
    assert (found.reason, found.message[-3:]) == ("build::failed", "***")


def test_a_childs_long_line_stays_one_line_and_its_end_is_a_line_end(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(common.sys, "stdout", shown)
    code = f"print('hidden' * 9000)\nprint('a' * {common.LONGEST - 10} + '{SECRET}')\nprint('no end' * 9000, end='')"
    common.run([sys.executable, "-c", code], {}, "/", hide=("hidden",))
    common.say("-----> next")
    lines = shown.getvalue().split("\n")
    assert [line[:9] for line in lines] == ["       aa", "       no", "-----> ne", ""]
    assert lines[0].endswith("a" + SECRET)


def test_a_childs_endless_output_is_cut_where_it_is_printed_and_what_follows_is_still_seen(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(common.sys, "stdout", shown)
    code, tail = common.run(
        [sys.executable, "-c", "print('a' * 30_000_000)\nprint('end')\nraise SystemExit(3)"], {}, "/"
    )
    common.say("-----> next")
    text = shown.getvalue()
    assert (code, tail[-1]) == (3, "end")
    assert len(text) < dyno_output.MOST
    assert text.count("was truncated: it is longer than 9 MB") == 1
    assert text.endswith("-----> next\n")
