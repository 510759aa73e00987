"""The count of a volume's space: its limits, and what its owner may do to it."""

from __future__ import annotations

import os

from greenroom.engine.contract import Usage
from greenroom.engine.local import volume_usage


def test_a_folder_that_does_not_exist_has_nothing(tmp_path):
    assert volume_usage.measure(str(tmp_path / "none")) == Usage()


def test_a_file_with_two_names_counts_once(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 40_960)
    os.link(tmp_path / "a", tmp_path / "b")
    assert 40_960 <= volume_usage.measure(str(tmp_path)).bytes < 80_000


def test_a_sparse_file_counts_what_it_occupies(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1_000_000_000)
    assert volume_usage.measure(str(tmp_path)).bytes < 1_000_000


def test_more_files_than_are_counted_are_said_to_be_more(tmp_path, monkeypatch):
    monkeypatch.setattr(volume_usage, "FILES", 10)
    for number in range(12):
        (tmp_path / str(number)).touch()
    found = volume_usage.measure(str(tmp_path))
    assert (found.files, found.complete) == (10, False)


def test_deeper_folders_than_are_counted_are_said_to_be_deeper_and_cost_no_descriptors(tmp_path):
    before, folder = len(os.listdir("/proc/self/fd")), os.open(tmp_path, os.O_RDONLY)
    for _ in range(100):
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    assert not volume_usage.measure(str(tmp_path)).complete
    assert len(os.listdir("/proc/self/fd")) == before
