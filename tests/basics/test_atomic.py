"""Files and folders that are complete or absent."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from greenroom.basics import atomic


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755])
def test_a_file_has_its_mode_whatever_the_umask(tmp_path, mode):
    old = os.umask(0o077)
    try:
        atomic.write(tmp_path / "file", "text", mode=mode, sync=True)
    finally:
        os.umask(old)
    assert (tmp_path / "file").read_text() == "text"
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    atomic.write(tmp_path / "file", b"old")
    with pytest.raises(ZeroDivisionError), atomic.writing(tmp_path / "file") as file:
        file.write(b"half")
        1 / 0  # noqa: B018 (an error in the middle of the content)
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_reader_meets_only_whole_files(tmp_path):
    path, contents = tmp_path / "file", ("a" * 100_000, "b" * 100_000)
    atomic.write(path, contents[0])
    over = threading.Event()

    def replace():
        for turn in range(200):
            atomic.write(path, contents[turn % 2])
        over.set()

    writers = [threading.Thread(target=replace) for _ in range(2)]
    for writer in writers:
        writer.start()
    while not over.is_set():
        assert path.read_text() in contents
    for writer in writers:
        writer.join()
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_at_the_place_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "other").write_text("untouched")
    (tmp_path / "file").symlink_to(tmp_path / "other")
    atomic.write(tmp_path / "file", "new")
    assert (tmp_path / "other").read_text() == "untouched"
    assert not (tmp_path / "file").is_symlink()


def test_the_second_maker_of_a_folder_discards_its_copy(tmp_path):
    target = tmp_path / "made" / "tool"

    def fill(draft):
        (draft / "name").write_text("second")
        atomic.folder(target, lambda other: (other / "name").write_text("first"))

    atomic.folder(target, fill)
    assert (target / "name").read_text() == "first"
    assert os.listdir(target.parent) == ["tool"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o755


def test_a_folder_that_could_not_be_filled_is_not_there(tmp_path):
    def fail(draft):
        raise OSError(28, "the disk is full")

    with pytest.raises(OSError, match="full"):
        atomic.folder(tmp_path / "tool", fail)
    assert os.listdir(tmp_path) == []
