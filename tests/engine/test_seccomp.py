"""Tests of the system call filter: ordinary programs work, and forbidden calls are refused."""

from __future__ import annotations

import errno
import os

import pytest

from greenroom.engine.local import seccomp
from tests.engine.machine import Machine

MACHINE = os.uname().machine
COLUMN = ["x86_64", "aarch64"].index(MACHINE) if MACHINE in ("x86_64", "aarch64") else -1
TRY = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
for name, number in {numbers!r}.items():
    pid = os.fork()
    if pid == 0:
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), *[ctypes.c_ulong(v) for v in {arguments!r}])
        os._exit(ctypes.get_errno() if result == -1 else 0)
    print(name, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def _answers(machine: Machine, numbers: dict[str, int], *arguments: int) -> dict[str, int]:
    text = machine.printed(python=TRY.format(numbers=numbers, arguments=arguments or (0, 0, 0, 0, 0, 0)))
    return {name: int(code) for name, code in (line.split() for line in text.splitlines())}


def _numbers(table: dict[str, tuple[int | None, int | None]]) -> dict[str, int]:
    return {name: number for name, numbers in table.items() if (number := numbers[COLUMN]) is not None}


@pytest.mark.parametrize("machine_name", ["x86_64", "aarch64"])
def test_the_program_is_a_valid_filter_for_each_machine(machine_name: str) -> None:
    program = seccomp.program(machine_name)
    assert len(program) % 8 == 0
    assert len(program) // 8 < 256


def test_an_unknown_machine_is_refused_with_its_name() -> None:
    with pytest.raises(ValueError, match="riscv64"):
        seccomp.program("riscv64")


def test_dangerous_calls_are_not_permitted(machine: Machine) -> None:
    answers = _answers(machine, _numbers(seccomp.DENIED))
    assert set(answers.values()) == {errno.EPERM}, answers


def test_calls_with_an_older_sibling_are_absent_so_that_libraries_fall_back(machine: Machine) -> None:
    answers = _answers(machine, _numbers(seccomp.ABSENT))
    assert set(answers.values()) == {errno.ENOSYS}, answers


@pytest.mark.parametrize("flag", [0x10000000, 0x20000, 0x40000000, 0x20000000, 0x2000000, 0x4000000, 0x8000000])
def test_clone_makes_no_namespaces(machine: Machine, flag: int) -> None:
    number = {"clone": seccomp._CHECKED["clone"][COLUMN]}
    assert _answers(machine, number, flag | 17) == {"clone": errno.EPERM}


@pytest.mark.parametrize("request_", [seccomp.TIOCSTI, seccomp.TIOCLINUX, seccomp.TIOCSTI | 1 << 32])
def test_no_input_can_be_pushed_into_a_terminal(machine: Machine, request_: int) -> None:
    number = {"ioctl": seccomp._CHECKED["ioctl"][COLUMN]}
    assert _answers(machine, number, 0, request_, 0) == {"ioctl": errno.EPERM}


def test_only_ordinary_sockets_can_be_made(machine: Machine) -> None:
    script = """
import socket
for family, kind, proto in {cases!r}:
    try:  # noqa: SIM105 (contextlib is heavy)
        socket.socket(family, kind, proto).close(); print('made')
    except OSError as error: print(error.errno)
"""
    allowed = [(1, 1, 0), (2, 1, 0), (2, 2, 0), (10, 1, 0), (16, 3, 0)]
    refused = [(16, 3, 9), (16, 3, 15), (17, 3, 0), (38, 5, 0), (40, 1, 0), (31, 3, 0)]
    assert machine.printed(python=script.format(cases=allowed)).split() == ["made"] * len(allowed)
    assert machine.printed(python=script.format(cases=refused)).split() == [str(errno.EAFNOSUPPORT)] * len(refused)


@pytest.mark.skipif(MACHINE != "x86_64", reason="x32 is a face of x86_64")
def test_calls_of_another_machines_numbering_kill(machine: Machine) -> None:
    assert _answers(machine, {"x32-getpid": 0x40000000 + 39}) == {"x32-getpid": -31}


def test_threads_processes_and_ordinary_programs_work(machine: Machine) -> None:
    script = """
import subprocess, threading, concurrent.futures as f, tempfile, ssl, sqlite3
t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()
print(subprocess.run(['ls', '/usr'], capture_output=True).returncode)
with f.ProcessPoolExecutor(2) as pool: print(list(pool.map(abs, [-1, -2])))
trusted = bool(ssl.create_default_context().get_ca_certs())
print(tempfile.TemporaryFile().write(b'x'), trusted, sqlite3.connect(':memory:'))
"""
    text = machine.printed(python=script)
    assert "thread" in text
    assert "[1, 2]" in text
    assert "1 True" in text
