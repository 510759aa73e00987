"""Tests of the output of a promotion by the ``greenroom`` command."""

from __future__ import annotations

from tests.cli.rows import APP

TARGET = {"app": {"name": "ach-payslip"}, "release": {"version": 8}}


def test_a_promotion_goes_to_the_next_stage_and_says_what_came_of_it(at_server, greenroom):
    result = greenroom("pipelines:promote", "-a", APP)
    assert result.exit_code == 0, result.stderr
    (sent,) = at_server.asked("POST", "promotions")
    assert sent.body["targets"] == [{"app": {"id": "id-of-ach-payslip"}}]
    assert sent.body["force"] is False
    assert "succeeded" in result.stdout


def test_a_promotion_that_is_held_is_told_and_fails(at_server, greenroom):
    held = {**TARGET, "status": "failed", "error_message": "v8 is held. 2 migrations are pending in ach-payslip: a, b."}
    at_server.on("GET", "/pipeline-promotions/q1/promotion-targets", [held])
    result = greenroom("pipelines:promote", "-a", APP, "--force")
    assert result.exit_code == 1
    assert "2 migrations are pending in ach-payslip" in result.stderr
    assert at_server.asked("POST", "promotions")[0].body["force"] is True


def test_a_target_outside_of_the_pipeline_is_refused_here(at_server, greenroom):
    result = greenroom("pipelines:promote", "-a", APP, "--to", "pensions")
    assert result.exit_code == 1
    assert "pensions: not in the pipeline payslip" in result.stderr
    assert not at_server.asked("POST")


def test_destroying_asks_for_the_name(at_server, greenroom):
    assert greenroom("pipelines:destroy", "payslip", "--confirm", "other").exit_code == 1
    assert not at_server.asked("DELETE")
