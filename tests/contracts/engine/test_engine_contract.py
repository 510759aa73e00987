"""The contract of every engine: starting, describing, stopping and forgetting dynos."""

from __future__ import annotations

import dataclasses

import pytest

from greenroom.engine.errors import EngineError
from tests.contracts.engine.conftest import DEAF, SAYS, SERVE, SLEEP, Rig


def test_a_command_that_succeeds_exits_with_0(rig: Rig) -> None:
    state = rig.until_exited(rig.start("/bin/true").id)
    assert (state.exit_code, state.reason, state.listening, state.host_pid) == (0, "exit", False, 0)
    assert state.exited_at >= state.started_at > 0


def test_a_command_that_fails_exits_with_its_code(rig: Rig) -> None:
    assert rig.until_exited(rig.start("/bin/sh", "-c", "exit 3").id).exit_code == 3


def test_what_it_printed_last_is_known_after_its_end(rig: Rig) -> None:
    words = rig.until_exited(rig.start(*SAYS).id).last_words
    assert words.splitlines() == ["one", "ModuleNotFoundError: No module named 'shop'"]
    assert len(words) <= 4000


def test_a_state_repeats_who_the_dyno_is(rig: Rig) -> None:
    spec = rig.spec(*SLEEP, kind="worker", process="worker.1")
    state = rig.engine.start(spec)
    assert (state.id, state.kind, state.owner, state.process) == (spec.id, "worker", "alice", "worker.1")
    assert state.phase in ("starting", "running")
    assert state.exit_code is None
    rig.engine.forget(spec.id)


def test_a_running_dyno_has_processes(rig: Rig) -> None:
    state = rig.until_running(rig.start(*SLEEP).id)
    assert state.pid > 0
    assert state.host_pid > 0
    rig.engine.forget(state.id)


def test_a_web_dyno_listens_when_its_port_is_bound_and_not_before(rig: Rig) -> None:
    serving = rig.start(*SERVE, kind="web", port=5000)
    asleep = rig.start(*SLEEP, kind="web", port=5000)
    assert rig.until(serving.id, lambda state: state.listening).phase == "running"
    assert not rig.until_running(asleep.id).listening
    rig.engine.forget(serving.id)
    rig.engine.forget(asleep.id)


def test_starting_again_describes_what_was_started_first(rig: Rig) -> None:
    spec = rig.spec(*SLEEP)
    first = rig.engine.start(spec)
    again = rig.engine.start(dataclasses.replace(spec, command=("/bin/true",)))
    assert (again.id, again.pid) == (first.id, first.pid)
    assert again.phase != "exited"
    rig.engine.forget(spec.id)


def test_starting_an_ended_dyno_again_describes_its_end(rig: Rig) -> None:
    spec = rig.spec("/bin/sh", "-c", "exit 3")
    ended = rig.until_exited(rig.engine.start(spec).id)
    assert rig.engine.start(spec) == ended


def test_the_list_has_all_that_is_not_forgotten(rig: Rig) -> None:
    running, ended = rig.start(*SLEEP), rig.start("/bin/true")
    rig.until_exited(ended.id)
    assert {running.id, ended.id} <= {state.id for state in rig.engine.list()}
    rig.engine.forget(running.id)
    rig.engine.forget(ended.id)
    assert not {running.id, ended.id} & {state.id for state in rig.engine.list()}


@pytest.mark.parametrize(
    ("name", "code"), [("TERM", 143), ("INT", 130), ("HUP", 129), ("KILL", 137), ("STOP", 143), ("DRAIN", 143)]
)
def test_a_signal_ends_a_command_that_does_not_mind_it(rig: Rig, name: str, code: int) -> None:
    state = rig.until_running(rig.start(*SLEEP).id)
    rig.engine.signal(state.id, name)  # type: ignore[arg-type]
    state = rig.until_exited(state.id)
    assert (state.exit_code, state.reason) == (code, "signal")


def test_stop_ends_a_deaf_command_after_the_grace(rig: Rig) -> None:
    state = rig.until_running(rig.start(*DEAF, output=True).id)
    rig.pass_grace()
    rig.engine.signal(state.id, "TERM")
    rig.pass_grace()
    assert rig.engine.describe(state.id).phase == "running"  # type: ignore[union-attr]
    rig.engine.signal(state.id, "STOP")
    rig.pass_grace()
    state = rig.until_exited(state.id)
    assert (state.exit_code, state.reason) == (137, "signal")


def test_signals_after_the_end_change_nothing(rig: Rig) -> None:
    ended = rig.until_exited(rig.start("/bin/true").id)
    for name in ("TERM", "KILL", "STOP", "DRAIN"):
        rig.engine.signal(ended.id, name)  # type: ignore[arg-type]
    assert rig.engine.describe(ended.id) == ended


def test_an_unknown_signal_is_refused(rig: Rig) -> None:
    state = rig.start(*SLEEP)
    with pytest.raises(EngineError, match="USR1"):
        rig.engine.signal(state.id, "USR1")  # type: ignore[arg-type]
    rig.engine.forget(state.id)


def test_nothing_is_known_of_what_never_was_or_is_forgotten(rig: Rig) -> None:
    assert rig.engine.describe("never-was") is None
    rig.engine.signal("never-was", "TERM")
    rig.engine.forget("never-was")
    state = rig.start(*SLEEP)
    rig.engine.forget(state.id)
    rig.engine.forget(state.id)
    assert rig.engine.describe(state.id) is None


def test_a_forgotten_id_may_be_started_anew(rig: Rig) -> None:
    spec = rig.spec("/bin/true")
    rig.until_exited(rig.engine.start(spec).id)
    rig.engine.forget(spec.id)
    assert rig.until_exited(rig.engine.start(spec).id).exit_code == 0
