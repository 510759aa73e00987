"""A server installation from `server:install` to `server:uninstall --purge`: the unit's own line, certificates of a
real ACME CA on port 443, and a restart that leaves the router running.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def can_unshare() -> bool:
    if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv") or not shutil.which("ip"):
        return False
    return subprocess.run(["unshare", "-n", "-m", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not can_unshare(), reason="needs root, network namespaces, setpriv and ip")
@pytest.mark.timeout(1600)
def test_a_server_answers_under_its_names_with_certificates_of_an_acme_ca():
    folder = Path(tempfile.mkdtemp(prefix="greenroom-server-"))
    folder.chmod(0o755)
    try:
        words = ["unshare", "-n", "-m", sys.executable, str(HERE / "server_in_a_namespace.py"), str(folder)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=1500)
        assert done.returncode == 0, done.stderr[-6000:]
        left = sorted(path.name for path in (folder / "home").iterdir())
    finally:
        shutil.rmtree(folder)
    facts = json.loads(done.stdout)
    names = {"staging.example.org", "localhost.staging.example.org", "shop.staging.example.org"}
    assert facts["api"] == "200"
    assert facts["alias"] == "401"
    assert facts["app"] == facts["while_down"] == "503", "the page of an app without a release, also during a restart"
    assert facts["unknown"] == "refused"
    assert set(facts["issuers"]) == names
    assert facts["code"] == 0
    assert facts["kept"] == ["caddy", "postgres"]
    assert facts["check"]["ports"] == facts["check"]["http"] == facts["check"]["certificate"] == "ok"
    assert left == []
