"""A dyno's real memory and CPUs: the engine's limit, or less if a cgroup or the machine has less. Uses files in the
kernel's format.
"""

from __future__ import annotations

import os

import pytest

from greenroom.buildpacks.drivers import interpreters
from greenroom.engine.local.capacity import measured

NO_LIMIT_V1 = "9223372036854771712\n"


@pytest.fixture
def kernel(tmp_path):
    """A function that writes the kernel's files and measures a dyno of this size in megabytes."""

    def ask(memory_mb, **files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("_of_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return measured(cgroups=tmp_path, meminfo=tmp_path / "meminfo").of(memory_mb)

    return ask


@pytest.mark.rule("10.1")
@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({}, 1024),
        ({"memory_of_max": "max\n"}, 1024),
        ({"memory_of_max": "402653184\n"}, 384),
        ({"memory_of_max": "8589934592\n"}, 1024),
        ({"memory__memory_of_limit_in_bytes": "268435456\n"}, 256),
        ({"memory__memory_of_limit_in_bytes": NO_LIMIT_V1}, 1024),
        ({"meminfo": "MemTotal:         524288 kB\nMemFree: 1 kB\n"}, 512),
        ({"memory_of_max": "nonsense", "meminfo": "nonsense"}, 1024),
    ],
)
def test_the_memory_is_the_dynos_limit_or_what_is_there(kernel, files, wanted):
    assert kernel(1024, **files)["memory_mb"] == wanted


@pytest.mark.rule("10.1")
@pytest.mark.parametrize(
    ("files", "most"),
    [
        ({"cpu_of_max": "100000 100000\n"}, 1),
        ({"cpu_of_max": "150000 100000\n"}, 2),
        ({"cpu_of_max": "max 100000\n"}, None),
        ({}, None),
        ({"cpu__cpu_of_cfs_quota_us": "50000\n", "cpu__cpu_of_cfs_period_us": "100000\n"}, 1),
        ({"cpu__cpu_of_cfs_quota_us": "-1\n", "cpu__cpu_of_cfs_period_us": "100000\n"}, None),
    ],
)
def test_the_cores_are_those_that_may_be_used(kernel, files, most):
    usable = len(os.sched_getaffinity(0))
    assert kernel(512, **files)["cores"] == min(usable, most or usable)


@pytest.mark.neighbours
def test_interpreters_that_greenroom_up_named_are_found(tmp_path, monkeypatch):
    for name, answer in (
        ("python3.12", "3 12 99 CPython"),
        ("python3.13", "3 13 99 PyPy"),
        ("other", "3 14 99 CPython"),
    ):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\necho {answer}\n")
        path.chmod(0o755)
    monkeypatch.setenv(interpreters.NAMED, os.pathsep.join(str(path) for path in (tmp_path / "bin").iterdir()))
    found = {known.text: known for known in interpreters.find(others=False)}
    assert found["3.12.99"].path == str(tmp_path / "bin" / "python3.12")
    assert found["3.12.99"].prefix == str(tmp_path)
    assert not {"3.13.99", "3.14.99"} & set(found)
