"""A step's line and messages during the step do not overlap."""

import io
import sys

from greenroom_cli import output


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(text: str) -> list[str]:
    """The lines as displayed by a terminal that supports ``\\r`` and "clear to the end of the line"."""
    return [line.rsplit("\r\x1b[K", 1)[-1] for line in text.removesuffix("\n").split("\n")]


def test_a_step_without_words_is_one_line(capsys):
    with output.progress("Creating shop"):
        pass
    assert capsys.readouterr().err == "Creating shop... done\n"


def test_a_warning_during_a_step_has_a_line_of_its_own(capsys):
    with output.progress("Running migrate") as step:
        output.warn("Snapshot b001 was taken.")
        output.warn("It is pinned.")
        step.end = "up, run.1"
    said = capsys.readouterr().err.splitlines()
    assert said == [
        "Running migrate... ",
        " ▸    Snapshot b001 was taken.",
        " ▸    It is pinned.",
        "Running migrate... up, run.1",
    ]
    output.note("afterwards")
    assert capsys.readouterr().err == "afterwards\n"


def test_on_a_terminal_warnings_stand_above_the_step_and_a_question_stops_its_spinner(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    with output.progress("Running migrate"):
        output.warn("Snapshot b001 was taken.")
        output.pause()
        asked = sys.stderr.getvalue()
        assert asked.endswith("\r\x1b[K")
        print("> shop", file=sys.stderr)
    assert shown(sys.stderr.getvalue()) == [" ▸    Snapshot b001 was taken.", "> shop", "Running migrate... done"]
