"""New findings are distinguished from known ones, even if line numbers have changed."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from greenroom.checks.inside import baseline, ignores
from greenroom.checks.inside.baseline import Finding, compare, renames, squeeze


def finding(path="app/views.py", line=10, rule="S608", text="x=1", message="Possible SQL injection") -> Finding:
    return Finding("ruff", rule, path, line, 1, 2, message, text)


def states(old, new, renamed=None):
    return [item.state for item in compare(old, new, renamed or {})]


def test_a_finding_that_only_moved_down_is_known():
    assert states([finding(line=10)], [finding(line=200)]) == ["unchanged"]


def test_re_indenting_a_line_makes_nothing_new():
    assert squeeze("    cursor.execute( sql )\n") == squeeze("cursor.execute(sql)")


def test_a_second_equal_line_in_the_file_is_new():
    assert states([finding(line=1)], [finding(line=1), finding(line=9)]) == ["unchanged", "new"]


def test_a_finding_follows_its_renamed_file():
    assert states([finding(path="a.py")], [finding(path="b.py")], {"a.py": "b.py"}) == ["unchanged"]


def test_a_line_that_went_to_another_file_is_moved_not_new():
    assert states([finding(path="a.py")], [finding(path="b.py")]) == ["moved"]


def test_a_copy_to_another_file_is_new():
    assert states([finding(path="a.py")], [finding(path="a.py"), finding(path="b.py")]) == ["unchanged", "new"]


def test_a_changed_line_with_the_same_finding_is_updated_not_new():
    assert states([finding(text="x=1")], [finding(text="x=2")]) == ["updated"]


def test_more_of_the_same_message_in_a_file_is_new():
    old = [finding(text="x=1")]
    assert sorted(states(old, [finding(text="x=2", line=1), finding(text="x=3", line=2)])) == ["new", "updated"]


def test_another_rule_on_a_known_line_is_new():
    assert states([finding()], [finding(), finding(rule="S102", message="exec")]) == ["new", "unchanged"]


def test_a_known_finding_of_an_earlier_red_push_stays_new_until_it_is_deployed():
    deployed, pushed = [], [finding()]
    assert states(deployed, pushed) == ["new"]
    assert states(deployed, [*pushed, finding(path="other.py", rule="B006", message="m")]) == ["new", "new"]


def test_the_fingerprint_is_fixed_for_ever():
    assert finding().fingerprint() == hashlib.sha256(b"ruff|S608|app/views.py|x=1|0").hexdigest()
    assert finding().fingerprint() == finding(line=99, message="other words").fingerprint()
    assert finding().fingerprint() != replace(finding(), ordinal=1).fingerprint()


def test_renamed_files_are_found_by_their_lines():
    body = "\n".join(f"line {number}" for number in range(20))
    old = {"a.py": body, "stays.py": "x"}
    new = {"b.py": body + "\nmore", "stays.py": "x", "c.py": "quite\nother\nlines"}
    assert renames(old, new, ["a.py", "stays.py"]) == {"a.py": "b.py"}


def test_a_file_that_was_rewritten_is_not_a_rename():
    assert renames({"a.py": "1\n2\n3"}, {"b.py": "4\n5\n6"}, ["a.py"]) == {}


def test_a_large_move_of_files_is_matched_by_content_alone():
    old = {f"a{number}.py": f"text {number}" for number in range(baseline.MAX_CANDIDATES + 50)}
    new = {f"b{number}.py": f"text {number}" for number in range(baseline.MAX_CANDIDATES + 50)}
    found = renames(old, new, list(old))
    assert found["a7.py"] == "b7.py"


few = st.builds(
    lambda path, line, rule, text, message: Finding("ruff", rule, path, line, 1, 2, message, text),
    st.sampled_from(["a.py", "b.py"]),
    st.integers(1, 30),
    st.sampled_from(["S608", "B006"]),
    st.sampled_from(["x", "y", "z"]),
    st.sampled_from(["m", "n"]),
)


@given(st.lists(few, max_size=12))
def test_the_same_tree_never_has_new_findings(found):
    assert set(states(found, list(reversed(found)))) <= {"unchanged"}


@given(st.lists(few, max_size=12), st.lists(few, max_size=12))
def test_what_is_not_new_never_outnumbers_what_was_there(old, new):
    counts = Counter(states(old, new))
    assert sum(counts.values()) == len(new)
    assert counts["unchanged"] + counts["moved"] + counts["updated"] <= len(old)
    assert counts["new"] >= len(new) - len(old)


@given(st.lists(few, max_size=10), few)
def test_one_more_finding_of_a_fresh_rule_is_exactly_one_new(found, extra):
    fresh = replace(extra, rule="F821", message="Undefined name")
    assert Counter(states(found, [*found, fresh]))["new"] == 1


def test_checkignore_has_globs_folders_and_exceptions():
    patterns = ignores.read("# generated\nvendor/\n*_pb2.py\n!vendor/ours.py\n")
    ignored = [
        path
        for path in ("vendor/a/b.py", "vendor/ours.py", "x/y_pb2.py", "app/vendor.py")
        if ignores.matches(path, patterns)
    ]
    assert ignored == ["vendor/a/b.py", "x/y_pb2.py"]


def test_test_files_are_known_by_their_names():
    tests = ["tests/a.py", "app/tests.py", "app/test_x.py", "app/x_test.py", "conftest.py", "app/test/y.py"]
    assert all(ignores.is_test(path) for path in tests)
    assert not any(
        ignores.is_test(path) for path in ["app/views.py", "attest/x.py", "app/contest.py", "latest_news.py"]
    )
