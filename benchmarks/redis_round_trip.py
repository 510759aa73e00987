"""Measures a dyno's way to its key-value store, plain and with TLS, against a bare process on the same server; medians.

Starts an engine and one server of its own and removes both. Each round asks every way once, so that a change of the
machine's load meets all of them. Prints a table and one JSON line: microseconds of ``PING`` and of a new connection
with ``AUTH``, requests per second with 50 in a pipeline, and the ratios to the bare process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import ways
from benchmarks.ways import BARE, TLS
from greenroom.addons.redis import rules
from greenroom.addons.redis.drivers import servers
from greenroom.addons.redis.drivers.servers import Server
from greenroom.basics import redis_programs
from greenroom.engine.contract import Limits
from greenroom_cli.host import keys
from tests import postgres
from tests.engine.machine import ALICE, IS_ROOT, Machine

CLIENT = """
import json, socket, ssl, statistics, time
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
def dial():
    s = socket.create_connection(('127.0.0.1', {port}))
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if {tls}: s = context.wrap_socket(s)
    ask(s, b'AUTH {password}\\r\\n', 5)
    return s
def ask(s, words, size):
    s.sendall(words)
    got = 0
    while got < size: got += len(s.recv(65536))
def clock(work, times):
    found = []
    for _ in range(times):
        began = time.perf_counter(); work(); found.append(time.perf_counter() - began)
    return statistics.median(found)
s = dial()
ping = lambda: ask(s, b'PING\\r\\n', 7)
clock(ping, 200)
many = b'PING\\r\\n' * 50
print(json.dumps(dict(ping=clock(ping, {times}), connect=clock(lambda: dial().close(), 20),
    pipeline=clock(lambda: ask(s, many, 350), 200) / 50)))
"""
PASSWORD = "benchmark-0123456789"


def bare_server(port: int, configuration: bytes, folder: Path) -> subprocess.Popen[bytes]:
    """The same program without a sandbox, on TCP."""
    text = configuration.decode().replace(f"port {rules.INSIDE}", f"port {port}").replace("dir /data", f"dir {folder}")
    process = subprocess.Popen([redis_programs.server(), "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stdin
    process.stdin.write(text.encode())
    process.stdin.close()
    time.sleep(0.5)
    return process


def measure(machine: Machine, server: Server, port: int, times: int, rounds: int) -> ways.Figures:
    """Way -> the medians of its rounds, in seconds."""
    forwards = (servers.forward(server.key, server.port),)

    def code_of(way: str) -> str:
        place = port if way == BARE else server.port
        return CLIENT.format(port=place, tls=way == TLS, password=PASSWORD, times=times)

    def in_dyno(code: str) -> str:
        return machine.printed(python=code, forwards=forwards, limits=Limits(memory_mb=512, grace=5))

    return ways.compare(code_of, in_dyno, rounds)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=5000, help="how many PINGs per round")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    machine = Machine("root" if IS_ROOT else "development")
    home, port = Path(machine.home), postgres.free_port()
    configuration = rules.configuration(plan="heroku-redis:mini", settings={}, passwords=[PASSWORD], platform="x" * 24)
    bare = bare_server(port, configuration, home)
    try:
        (home / "keys").mkdir()
        keys.make_all(home, None)
        server = Server(
            key="redis-bench", number=1, owner="alice", uid=ALICE, port=rules.PORTS.start, on_host=False,
            plan="heroku-redis:mini", configuration=configuration,
        )  # fmt: skip
        servers.start(machine.engine, server, home)
        assert servers.listens(machine.engine, server.dyno, seconds=20)
        found = measure(machine, server, port, given.times, given.rounds)
    finally:
        bare.terminate()
        bare.wait(20)
        machine.close()
    show(found)
    return 0


def show(found: ways.Figures) -> None:
    """Print the table, then the JSON line."""
    for way, row, ratio in ways.rows(found):
        print(
            f"{way:<14} PING {row['ping'] * 1e6:6.0f} us ({ratio['ping']:.2f})"
            f"   connection {row['connect'] * 1e6:6.0f} us ({ratio['connect']:.2f})"
            f"   pipeline {1 / row['pipeline']:8.0f} per second ({ratio['pipeline']:.2f})"
        )
    print(
        json.dumps(
            {"server": redis_programs.version(redis_programs.server()), "cores": os.cpu_count(), "seconds": found}
        )
    )


if __name__ == "__main__":
    sys.exit(main())
