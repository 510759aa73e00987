"""Kills the worker's side of a build and the build's own processes at random moments, then checks everything that is
kept.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from django.db import connection

from greenroom.builds.drivers import environments
from greenroom.builds.models import Build
from greenroom.builds.rules import dyno_ids
from greenroom.engine.local import state_reader
from greenroom.slugs.actions import verify
from tests.builds.hosting import ADDED, BASE, FILES, SIX, Workshop

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Crashes:
    """Results so far. moments: (manager, seconds after the start) of each kill; shims: number of builds that also lost
    a process.
    """

    choose: random.Random
    moments: list[tuple[str, float]] = field(default_factory=list)
    shims: int = 0


def worker(workshop: Workshop, build: Build) -> subprocess.Popen:
    """Start a worker for this build, on the suite's database."""
    own = connection.settings_dict
    url = f"postgresql://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}/{own['NAME']}"
    env = {
        **os.environ,
        "DATABASE_URL": url,
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
        "GREENROOM_HOME": str(workshop.home),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "tests.builds.builder", str(workshop.home), str(build.pk)], env=env, cwd=ROOT
    )


def living_shims(workshop: Workshop, build: Build) -> list[int]:
    """Pids of the shims that run the build's dynos now."""
    found = []
    for name in dyno_ids(build.id.hex, 3):
        values = state_reader.raw(str(workshop.home), name)
        if values and values["phase"] in ("starting", "running") and (who := state_reader.shim(values)):
            found.append(who.pid)
    return found


def crash_once(workshop: Workshop, crashes: Crashes, manager: str) -> None:
    """Start one build, kill its worker and shim, end it with another worker, and check everything that is kept."""
    package = crashes.choose.choice([(SIX,), (SIX, ADDED), (ADDED,)])
    text = f"import os  # {crashes.choose.random()}\n"
    build = workshop.start({**BASE, **FILES[manager](*package), "app.py": text})
    if crashes.choose.random() < 0.7:
        forget_environments(workshop)
    process = worker(workshop, build)
    begun = time.monotonic()
    while not living_shims(workshop, build) and process.poll() is None and time.monotonic() - begun < 10:
        time.sleep(0.002)
    time.sleep(crashes.choose.uniform(0, 1.2))
    process.kill()
    process.wait()
    crashes.moments.append((manager, round(time.monotonic() - begun, 3)))
    victims = living_shims(workshop, build)
    for pid in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    crashes.shims += bool(victims)
    build.refresh_from_db()
    workshop.finish(build)
    assert build.status == "succeeded", f"{build.failure_reason}: {build.failure_message}"
    assert_sound(workshop, build, {line.split("==")[0] for line in package})


def forget_environments(workshop: Workshop) -> None:
    """Rename the existing environments, so that the next build installs."""
    for path in (workshop.home / "envs").glob("py*"):
        if path.is_dir() and not environments.facts(workshop.home, path.name).get("tool"):
            path.rename(workshop.home / "work" / f"{path.name}-{time.monotonic_ns()}")


def assert_sound(workshop: Workshop, build: Build, packages: set[str]) -> None:
    """The slug matches its digest, the environment its packages, and the shared cache has no incomplete file."""
    assert verify(build.slug, workshop.home)
    assert packages <= workshop.packages(build)
    assert not ({"six", "iniconfig"} - packages) & workshop.packages(build)
    for folder in [workshop.home / build.slug.env_folder, *(workshop.home / "cache").rglob("archive-v0")]:
        damaged = environments.damaged(folder)
        assert not damaged, (str(folder), damaged)
