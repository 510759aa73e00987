"""Rules of volumes: paths, sizes, names, and the levels of their use."""

from __future__ import annotations

import pytest

from greenroom.addons.volume import rules
from greenroom.basics.errors import ConflictError, UserError


@pytest.mark.parametrize("path", ["/app/media", "/app/media/", "/app/a/b-c_d.e", "/data", "/srv/files", "/mnt/x"])
def test_a_volume_may_lie_below_the_app_or_in_a_folder_for_data(path):
    assert rules.checked_path(path) == path.rstrip("/")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "media",
        "/",
        "/app",
        "/app/",
        "/etc/x",
        "/usr/local",
        "/tmp/x",
        "/greenroom/x",
        "/app/.heroku/python",
        "/app/../etc",
        "/app/./x",
        "/app//x",
        "/app/a b",
        "/app/$HOME",
        "/app/x\0y",
        "/app/x\n",
        "/app/" + "x" * 300,
        7,
        None,
    ],
)
def test_other_paths_are_refused_with_what_is_allowed(path):
    with pytest.raises(UserError) as caught:
        rules.checked_path(path)
    assert "/app/media" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "size"), [("5G", 5 * 10**9), ("500 MB", 5 * 10**8), ("1.5g", 15 * 10**8), (2_000_000, 2_000_000)]
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert rules.bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "G", "-5G", "5X", "5.G.", "1K", 0, True, None, "9" * 30, [1]])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UserError):
        rules.bytes_of(text)


@pytest.mark.parametrize("path", ["/app/media", "/app/media/images", "/app"])
def test_volumes_do_not_meet(path):
    with pytest.raises(ConflictError, match="not free"):
        rules.refuse_meeting(path, [{"path": "/app/media"}])


def test_volumes_lie_beside_each_other_up_to_their_number():
    there = [{"path": f"/app/v{number}"} for number in range(rules.MOST - 1)]
    rules.refuse_meeting("/app/v0-too", there)
    with pytest.raises(ConflictError, match=f"can have {rules.MOST}"):
        rules.refuse_meeting("/app/media", [*there, {"path": "/data"}])


def test_an_unknown_option_is_refused_with_the_known_ones():
    with pytest.raises(UserError) as caught:
        rules.options({"fork": "x"}, [])
    assert caught.value.hint == "options: at, size"


@pytest.mark.parametrize("name", ["media", "user-files", "a1"])
def test_the_name_comes_back_from_the_config_var(name):
    assert rules.name_of(rules.attachment_of(name)) == name


@pytest.mark.parametrize("name", ["", "Media", "1a", "a_b", "a b", "a" * 31, "media\n"])
def test_a_name_that_makes_no_config_var_is_refused(name):
    with pytest.raises(UserError):
        rules.attachment_of(name)


@pytest.mark.parametrize(
    ("used", "before", "now"),
    [
        (79, "", ""),
        (80, "", "near"),
        (100, "near", "full"),
        (96, "full", "full"),
        (94, "full", "near"),
        (76, "near", "near"),
        (74, "near", ""),
        (10, "full", ""),
    ],
)
def test_levels_have_a_distance_between_their_limits(used, before, now):
    assert rules.level(used, 100, before) == now


def test_what_cannot_be_counted_is_full():
    assert rules.level(1, 100, "", complete=False) == "full"


def test_a_size_beyond_the_limit_or_the_disk_is_refused_with_the_reason():
    assert rules.too_large(10**9, most=10**9, free=10**9) is None
    assert rules.too_large(10**9, most=0, free=10**9) is None
    assert "20 GB at most" in rules.too_large(21 * 10**9, most=20 * 10**9, free=10**12)[0]
    assert "0 bytes left" in rules.too_large(10**9, most=0, free=-5)[0]
