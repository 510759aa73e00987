"""checks:info --sarif: the log and nothing else on standard output."""

from __future__ import annotations

import json

from tests.cli.fake import APP


def test_sarif_is_printed_and_nothing_else(at_server, greenroom):
    result = greenroom("checks:info", "scan", "--sarif", "-a", APP)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"version": "2.1.0", "runs": []}
    assert at_server.asked("GET")[-1].path.endswith("/sarif")
