"""Tests of branches, trees and messages of refusal, from facts alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from greenroom.git import rules
from greenroom.git.rules import ZERO, NewObjects, Tree, Update

A, B = "a" * 40, "b" * 40


def update(ref="refs/heads/master", before=ZERO, after=A):
    return Update(ref=ref, before=before, after=after)


def test_main_and_master_are_one_branch_whichever_of_them_is_protected():
    assert rules.canonical("refs/heads/main", "master") == "refs/heads/master"
    assert rules.canonical("refs/heads/master", "main") == "refs/heads/main"
    assert rules.canonical("refs/heads/main", "release") == "refs/heads/main"
    assert rules.is_protected("refs/heads/main", "master")
    assert not rules.is_protected("refs/tags/main", "master")
    assert rules.called("release") == "release"


def test_a_push_to_both_names_is_stored_once():
    both = [update("refs/heads/main"), update("refs/heads/master")]
    assert rules.judge_refs(both, "master") == []
    assert [stored.ref for stored in rules.canonical_updates(both, "master")] == ["refs/heads/master"]


def test_too_many_refs_at_once_are_refused():
    (refusal,) = rules.judge_refs([update(f"refs/tags/{number}") for number in range(501)], "master")
    assert "updates 501 refs; the limit is 500" in refusal.message


def test_every_refusal_says_what_to_do():
    refusals = [
        *rules.judge_refs(
            [update(after=ZERO), update("refs/heads/-x"), update("refs/x"), update("refs/tags/a\x1bb")], "master"
        ),
        rules.judge_force("master", A, B),
        *rules.judge_tree("x", Tree(stopped="time", bad=((b"a\nb", "is bad"),), big=((b"a", 10**9),))),
        *rules.judge_tree("x", Tree(stopped="size")),
        *rules.judge_tree("x", Tree(stopped="entries")),
        *rules.judge_objects(NewObjects(largest=(A, 10**9))),
        *[refusal for why in ("entries", "size", "time") for refusal in rules.judge_objects(NewObjects(stopped=why))],
    ]
    assert len(refusals) == 14
    assert all(refusal.message and refusal.hint for refusal in refusals)
    assert all(line.startswith((" !     ", "       hint: ")) for line in rules.refusal_lines(refusals))


def test_good_trees_are_not_refused():
    assert rules.judge_tree("x", Tree(entries=10, size=10)) == []
    assert rules.judge_objects(NewObjects(count=10, size=10, largest=(A, 10))) == []


def test_paths_with_spaces_accents_and_long_names_are_fine():
    for path in ("a b", "été/naïve.py", "x" * 255, "/".join(["folder"] * 100), "-dash", "$(id)"):
        assert rules.path_problem(path.encode()) == ""
    assert rules.path_problem(b"x" * 256)
    assert rules.path_problem(b"/".join([b"folder"] * 200))


OVERRIDES = "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Line separators, and characters that change the direction of text: the text after them is displayed backwards."""


@given(st.text(st.characters() | st.sampled_from(OVERRIDES)))
def test_no_line_for_a_pusher_can_move_the_cursor_or_break_the_line(text):
    shown = rules.printable(text)
    assert not [
        char for char in shown.replace("\x1b[", "") if ord(char) < 32 or 127 <= ord(char) < 160 or char in OVERRIDES
    ]
    shown.encode()


@given(st.binary())
def test_any_path_can_be_shown(path):
    assert rules.shown(path).isprintable()


@given(st.text(max_size=30))
def test_a_branch_name_is_never_an_option_or_an_expression(text):
    if rules.is_branch_name(text):
        assert not text.startswith("-")
        assert not set(text) & set("~^:?*[\\ \n")
        assert ".." not in text
        assert "@{" not in text


def test_ordinary_branch_names_are_branch_names():
    assert all(rules.is_branch_name(name) for name in ("master", "feature/x-1", "a.b", "ünï", "$(id)", "a;b"))
    assert not any(
        rules.is_branch_name(name)
        for name in ("", "-x", "a..b", "a b", "x.lock", "x/", ".x", "a/.b", "a@{1}", "HEAD^", "a\n")
    )
