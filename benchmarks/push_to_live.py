"""Measures push to live for samples/payslip against the same work by hand: cold, lock unchanged, lock changed; medians.

Prints a table and one JSON line. Starts an installation on free ports in a temporary home and removes it afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.stories.team import SAMPLE, SECRET, Installation, Team, free_ports

BIN = Path(sys.executable).parent
EXTRA = "\nh11==0.16.0 --hash=sha256:63cf8bbe7522de3bf65932fda1d9c2772064ffb3dae62d55932da54b31cb6c86\n"


class ByHand:
    """The work by hand: the necessary shell commands only, with the same tools and the same cache."""

    def __init__(self, work: Path, source: Path, database: str) -> None:
        self.work = work
        self.source = source
        self.env = {
            "PATH": f"{BIN}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(work),
            "UV_CACHE_DIR": str(work / "cache"),
            "SECRET_KEY": SECRET,
            "DATABASE_URL": database,
            "LANG": "C.UTF-8",
            "UV_SYSTEM_CERTS": "1",
        }
        self.venv: Path | None = None
        work.mkdir(parents=True)

    def run(self, *argv: object, cwd: Path | None = None) -> None:
        result = subprocess.run(
            [str(word) for word in argv],
            cwd=cwd or self.work,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise SystemExit(f"by hand: {argv} failed\n{result.stdout}\n{result.stderr}")

    def deploy(self, *, fresh: bool) -> dict[str, float]:
        """One deployment; seconds of each part. ``fresh``: create a new environment, else use the existing one."""
        times: dict[str, float] = {}
        tree = Path(tempfile.mkdtemp(dir=self.work))
        mark = time.perf_counter()

        def took(name: str) -> None:
            nonlocal mark
            now = time.perf_counter()
            times[name], mark = now - mark, now

        self.run("git", "clone", "-q", "--depth", "1", f"file://{self.source}", tree / "app")
        took("clone")
        if fresh or self.venv is None:
            self.venv = tree / "venv"
            self.run(BIN / "uv", "venv", "-q", "--python", sys.executable, self.venv)
            python = self.venv / "bin" / "python"
            requirements = ["-r", tree / "app/requirements.txt", "-r", tree / "app/requirements-test.txt"]
            self.run(BIN / "uv", "pip", "install", "-q", "--python", python, "--compile-bytecode", *requirements)
        took("install")
        python = self.venv / "bin" / "python"
        self.run(python, "manage.py", "collectstatic", "--noinput", cwd=tree / "app")
        took("collectstatic")
        self.run(python, "manage.py", "test", cwd=tree / "app")
        took("tests")
        self.boot(tree / "app")
        took("boot")
        times["total"] = sum(times.values())
        return times

    def boot(self, app: Path) -> None:
        """Start the web process and wait for its first response."""
        assert self.venv is not None
        port = free_ports(10)
        argv = [
            str(self.venv / "bin/gunicorn"),
            "payslip.wsgi",
            "--bind",
            f"127.0.0.1:{port}",
            "--workers",
            "2",
            "--log-level",
            "critical",
        ]
        process = subprocess.Popen(argv, cwd=app, env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    request = urllib.request.Request(
                        f"http://127.0.0.1:{port}/healthz", headers={"Host": "app.localhost"}
                    )
                    if urllib.request.urlopen(request, timeout=2).status == 200:
                        return
                except OSError:
                    time.sleep(0.01)
        finally:
            process.terminate()
            process.wait()


def push(team: Team) -> float:
    """Seconds from ``git push`` until the new commit is live."""
    began = time.perf_counter()
    team.push()
    took = time.perf_counter() - began
    team.assert_live()
    return took


def memory(place: Installation) -> dict[str, float]:
    """PSS in MB of each component and of the dynos' shims."""
    rows = json.loads(place.run("status", "--json").stdout)
    return {row["name"]: round(row["memory_kb"] / 1024, 1) for row in rows["components"]}


def measure(rounds: int) -> dict:
    """Run all measurements."""
    folder = Path(tempfile.mkdtemp(prefix="greenroom-bench-"))
    folder.chmod(0o755)
    unwatched = {
        "GREENROOM_WATCH_SECONDS": "0"
    }  # visitors see the new code at the switch; the watch afterwards does not count
    place = Installation(home=folder / "home", greenroom=BIN / "greenroom", extra_env=unwatched)
    place.up()
    try:
        team = Team(place, folder / "work", "bench-payslip", SAMPLE)
        team.set_secret()
        password = (place.home / "keys/platform.password").read_text().strip()
        hand = ByHand(
            folder / "hand", team.work, f"postgres://greenroom:{password}@127.0.0.1:{place.api_port + 3}/greenroom"
        )
        result = {"cold": {"greenroom": [push(team)], "by hand": [hand.deploy(fresh=True)["total"]]}}
        result["lock unchanged"] = pairs(team, hand, rounds, unchanged)
        result["lock changed"] = pairs(team, hand, rounds, changed)
        return {"times": result, "memory": memory(place)}
    finally:
        place.down()
        shutil.rmtree(folder, ignore_errors=True)


def unchanged(team: Team, number: int) -> bool:
    """Commit a change with the same lock."""
    team.write("static/bench.txt", f"{number}\n")
    team.commit(f"Commit {number}")
    return False


def changed(team: Team, number: int) -> bool:
    """Add or remove a package in the lock."""
    path = team.work / "requirements.txt"
    text = path.read_text()
    path.write_text(text.replace(EXTRA, "") if EXTRA in text else text + EXTRA)
    team.commit(f"Lock {number}")
    return True


def pairs(team: Team, hand: ByHand, rounds: int, change) -> dict[str, list[float]]:  # type: ignore[no-untyped-def]
    """Greenroom and the work by hand alternately, ``rounds`` times."""
    rows: dict[str, list[float]] = {"greenroom": [], "by hand": []}
    for number in range(rounds):
        fresh = change(team, number)
        rows["greenroom"].append(push(team))
        rows["by hand"].append(hand.deploy(fresh=fresh)["total"])
    return rows


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    data = measure(parser.parse_args().rounds)
    print(f"\n{'samples/payslip':<16} {'greenroom':>10} {'by hand':>10} {'ratio':>7}   (medians, seconds)")
    for name, rows in data["times"].items():
        ours, bare = statistics.median(rows["greenroom"]), statistics.median(rows["by hand"])
        print(f"{name:<16} {ours:>10.2f} {bare:>10.2f} {ours / bare:>7.2f}")
    print("\nmemory (PSS, MB): " + ", ".join(f"{name} {size}" for name, size in data["memory"].items()))
    print(json.dumps({"cores": os.cpu_count(), **data["times"]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
