"""Measures a dyno's way out against the same client without a dyno: gateway and HTTP proxy.

Prints for each the time of a connection with its first answer, MB per second of a large upload and download, and the
ratio to bare; medians of five rounds. The server is in a network namespace of its own: run it as root.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.engine.machine import PYTHON, Machine
from tests.engine.neighbour import started

ROUNDS = 5
CLIENT = """
import json, os, socket, sys, threading, time
host, proxy = sys.argv[1], int(sys.argv[2])
def connect():
    if not proxy: return socket.create_connection((host, 7))
    s = socket.create_connection(('127.0.0.1', 61080))
    s.sendall(f'CONNECT {host}:7 HTTP/1.1\\r\\n\\r\\n'.encode()); s.recv(1000); return s
def one():
    with connect() as s: s.sendall(b'x'); s.recv(1)
for _ in range(20): one()
before = time.perf_counter()
for _ in range(200): one()
opening = (time.perf_counter() - before) / 200
with connect() as s:
    before = time.perf_counter()
    for _ in range(1000): s.sendall(b'x'); s.recv(1)
    trip = (time.perf_counter() - before) / 1000
    data = bytes(1 << 20); before = time.perf_counter(); total = 200
    threading.Thread(target=lambda: [s.sendall(data) for _ in range(total)]).start()
    left = total << 20
    while left: left -= len(s.recv(1 << 20))
    rate = total / (time.perf_counter() - before)
print(json.dumps({'connection': opening * 1e6, 'round trip': trip * 1e6, 'echo': rate}))
"""


def main() -> int:
    """Print the table."""
    machines = {"gateway": Machine("root"), "proxy": Machine("root", proxy=True)}
    rows: dict[str, list[dict[str, float]]] = {"bare": [], "gateway": [], "proxy": []}
    try:
        with started() as target:
            for _ in range(ROUNDS):
                words = (PYTHON, "-c", CLIENT, target.address)
                rows["bare"].append(json.loads(subprocess.check_output([*words, "0"])))
                for name, machine in machines.items():
                    rows[name].append(json.loads(machine.printed(*words, str(int(name == "proxy")))))
    finally:
        for machine in machines.values():
            machine.close()
    middle = {
        name: {key: statistics.median(row[key] for row in found) for key in found[0]} for name, found in rows.items()
    }
    for name, row in middle.items():
        bare = middle["bare"]
        print(
            f"{name:8}  connection {row['connection']:6.0f} us ({row['connection'] / bare['connection']:.2f})"
            f"   round trip {row['round trip']:5.0f} us ({row['round trip'] / bare['round trip']:.2f})"
            f"   echo of 200 MB {row['echo']:5.0f} MB/s ({bare['echo'] / row['echo']:.2f})"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
