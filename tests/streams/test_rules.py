"""The marker that the Heroku CLI appends to a command."""

from __future__ import annotations

from greenroom.entrypoints.streams.rules import marker_line, split_exit_marker

APPENDED = '; echo "\\uFFFF heroku-command-exit-status: $?"'


def test_the_appended_echo_is_taken_off_and_remembered():
    assert split_exit_marker(f"python manage.py migrate {APPENDED}") == ("python manage.py migrate", True)


def test_a_command_that_exits_by_itself_keeps_its_own_end():
    assert split_exit_marker(f"exit 3 {APPENDED}") == ("exit 3", True)


def test_other_commands_are_left_alone():
    for command in ("python manage.py migrate", "echo heroku-command-exit-status", "a ; echo b", ""):
        assert split_exit_marker(command) == (command, False)


def test_the_marker_is_what_the_cli_looks_for():
    assert marker_line(7).decode() == "\uffff heroku-command-exit-status: 7\n"
