"""Tests of the log file, which several processes write, rotate and read at once."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.basics import logfile
from tests.engine.machine import IS_ROOT, SOURCE

WRITER = """
import sys
sys.path.insert(0, {source!r})
from greenroom.basics import logfile
log = logfile.Log({folder!r}, segment_bytes={segment}, keep=1000)
for number in range({count}):
    log.append([(number, 'app', 'web.{who}', '{who}-%d' % number + 'x' * (number % 200)) for number in [number]])
"""


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "log")


def _append(folder: str, *texts: str, **values: int) -> None:
    logfile.append(folder, [(1.5, "app", "web.1", text) for text in texts], **values)


def _texts(folder: str, count: int = 10_000) -> list[str]:
    return [line.text for line in logfile.read_last(folder, count)[0]]


def test_a_line_has_time_source_process_and_text(folder: str) -> None:
    logfile.append(folder, [(1795425060.123456, "heroku", "router", "at=info method=GET")])
    line = logfile.read_last(folder, 1)[0][0]
    assert str(line) == "2026-11-23T09:11:00.123456+00:00 heroku[router]: at=info method=GET"
    assert (line.source, line.process, line.text) == ("heroku", "router", "at=info method=GET")


def test_each_physical_line_gets_its_own_prefix(folder: str) -> None:
    _append(folder, "a\r\nb\n\nc\n")
    assert _texts(folder) == ["a", "b", "", "c"]


@given(st.text() | st.binary())
def test_no_text_can_forge_or_break_a_line(text: str | bytes) -> None:
    data = logfile.render((0.0, "app", "web.1", text))
    assert data.endswith(b"\n")
    for line in data.decode().removesuffix("\n").split("\n"):
        assert line.startswith("1970-01-01T00:00:00.000000+00:00 app[web.1]: ")
        assert line.splitlines() in ([line], [line.rstrip()])
        assert not any(ord(mark) < 32 and mark not in "\t\x1b" for mark in line)


def test_a_line_longer_than_ten_thousand_bytes_is_continued_without_cutting_a_character(folder: str) -> None:
    _append(folder, "ä" * 12_000)
    texts = _texts(folder)
    assert "".join(texts) == "ä" * 12_000
    assert all(len(text.encode()) <= logfile.LONGEST for text in texts)


def test_old_segments_go_and_the_newest_stay(folder: str) -> None:
    for number in range(100):
        _append(folder, f"{number:03d}" + "x" * 100, segment_bytes=1000, keep=3)
    assert len(logfile.segments(folder)) == 3
    texts = _texts(folder)
    assert [text[:3] for text in texts] == [f"{number:03d}" for number in range(100 - len(texts), 100)]


def test_several_processes_write_and_rotate_without_losing_or_mixing_a_line(folder: str) -> None:
    count, writers = 2000, 4
    scripts = [
        WRITER.format(source=str(SOURCE), folder=folder, segment=20_000, count=count, who=who) for who in range(writers)
    ]
    processes = [subprocess.Popen([sys.executable, "-I", "-c", script]) for script in scripts]
    seen: list[str] = []
    over = threading.Event()
    reader = threading.Thread(
        target=lambda: seen.extend(
            line.text for line in logfile.follow(folder, logfile.START, pause=0.001, stop=over.is_set)
        )
    )
    reader.start()
    assert [process.wait(60) for process in processes] == [0] * writers
    over.set()
    reader.join()
    assert len(logfile.segments(folder)) > 20
    for texts in (seen, _texts(folder, 100_000)):
        assert len(texts) == count * writers
        for who in range(writers):
            mine = [text for text in texts if text.startswith(f"{who}-")]
            assert mine == [f"{who}-{number}" + "x" * (number % 200) for number in range(count)]


def test_following_from_a_line_goes_on_behind_it(folder: str) -> None:
    _append(folder, *[str(number) for number in range(50)], segment_bytes=1)
    _append(folder, *[str(number) for number in range(50, 100)], segment_bytes=1)
    lines, _ = logfile.read_last(folder, 1000)
    position = random.choice(lines)
    rest = list(logfile.follow(folder, position.after, stop=lambda: True))
    assert [line.text for line in rest] == [str(number) for number in range(int(position.text) + 1, 100)]


def test_the_end_of_reading_back_is_where_following_begins(folder: str) -> None:
    _append(folder, "a", "b")
    lines, position = logfile.read_last(folder, 1)
    _append(folder, "c")
    assert [line.text for line in lines] == ["b"]
    assert [line.text for line in logfile.read_from(folder, position)[0]] == ["c"]


def test_reading_back_filters_across_segments_and_blocks(folder: str) -> None:
    for number in range(300):
        logfile.append(folder, [(0, "app", f"web.{number % 3}", f"{number} " + "y" * 50)], segment_bytes=4000)
    lines, _ = logfile.read_last(folder, 20, lambda line: line.process == "web.2", block=100)
    assert [int(line.text.split()[0]) for line in lines] == list(range(242, 300, 3))


def test_who_follows_too_slowly_goes_on_at_the_oldest_line(folder: str) -> None:
    _append(folder, "first")
    _, position = logfile.read_last(folder, 1)
    for number in range(50):
        _append(folder, str(number), segment_bytes=1, keep=4)
    texts = [line.text for line in logfile.follow(folder, position, stop=lambda: True)]
    assert texts == [str(number) for number in range(50 - len(texts), 50)]


def test_an_unfinished_line_is_not_read(folder: str) -> None:
    _append(folder, "whole")
    with open(os.path.join(folder, "00000001.log"), "ab") as file:
        file.write(b"half")
    lines, position = logfile.read_last(folder, 5)
    assert [line.text for line in lines] == ["whole"]
    assert logfile.read_from(folder, position) == ([], position)


def test_a_folder_without_a_log_is_empty(folder: str) -> None:
    assert logfile.read_last(folder, 5) == ([], logfile.START)
    assert logfile.read_from(folder, logfile.START) == ([], logfile.START)


def test_a_writer_goes_on_after_the_folder_has_been_replaced(folder: str) -> None:
    log = logfile.Log(folder)
    log.append([(0, "app", "web.1", "old")])
    os.rename(folder, folder + ".gone")
    log.append([(0, "app", "web.1", "lost with the folder")])
    for name in os.listdir(folder + ".gone"):
        os.unlink(os.path.join(folder + ".gone", name))
    log.append([(0, "app", "web.1", "new")])
    assert _texts(folder) == ["new"]


@pytest.mark.skipif(not IS_ROOT, reason="needs a small disk")
def test_a_full_disk_costs_lines_and_the_log_stays_whole(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], check=True)
    try:
        folder = str(disk / "log")
        log = logfile.Log(folder)
        failed = 0
        for number in range(200):
            try:
                log.append([(0, "app", "web.1", f"{number} " + "z" * 1000)])
            except OSError:
                failed += 1
        assert failed > 0
        with open(os.path.join(folder, "00000001.log"), "r+b") as file:
            file.truncate(2000)
        log.append([(0, "app", "web.1", "there is space again")])
        assert _texts(folder)[-1] == "there is space again"
        log.close()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(not IS_ROOT, reason="needs several uids")
def test_the_apps_uid_and_the_platforms_write_the_same_log_and_others_cannot(tmp_path: Path) -> None:
    top = Path("/tmp", f"gr-log-{os.getpid()}")
    folder = top / "alice"
    folder.mkdir(parents=True)
    try:
        os.chown(folder, 200_007, 4242)
        os.chmod(folder, 0o770)
        script = WRITER.format(source=str(SOURCE), folder=str(folder), segment=5_000, count=200, who="{who}")
        running = []
        for uid, gid in ((200_007, 200_007), (4242, 4242), (200_007, 200_007), (4242, 4242)):
            argv = [
                "setpriv",
                "--reuid",
                str(uid),
                "--regid",
                str(gid),
                "--clear-groups",
                "/usr/bin/python3",
                "-I",
                "-c",
            ]
            running.append(subprocess.Popen([*argv, script.replace("{who}", str(len(running)))]))
        assert [process.wait(60) for process in running] == [0, 0, 0, 0]
        assert len(_texts(str(folder))) == 800
        argv = ["setpriv", "--reuid", "200008", "--regid", "200008", "--clear-groups", "cat", str(folder / "lock")]
        assert subprocess.run(argv, capture_output=True).returncode != 0
    finally:
        subprocess.run(["rm", "-r", str(top)], check=True)


def test_appending_opens_the_files_once_and_writes_once_a_line(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: dict[str, int] = {"open": 0, "write": 0}

    def counted(name: str) -> None:
        real = getattr(os, name)

        def call(*words: object, **options: object) -> object:
            calls[name] += 1
            return real(*words, **options)

        monkeypatch.setattr(logfile.os, name, call)

    counted("open")
    counted("write")
    log = logfile.Log(folder)
    log.append([(0, "app", "web.1", "the first line")])
    opened = calls["open"]
    for _ in range(100):
        log.append([(0, "app", "web.1", "a usual line of a usual length, seventy bytes or so")])
    assert calls == {"open": opened, "write": 101}
