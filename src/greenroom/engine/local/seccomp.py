"""The system calls that a dyno may not make, as a classic BPF program for the kernel.

Based on Flatpak's list, with additions for recent exploits; the sandbox's namespaces enforce the rest. x86_64 and
aarch64.
"""

from __future__ import annotations

import errno
import os
import struct

_LOAD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH = 0, 4
_KILL, _ALLOW, _ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000

NEW_NAMESPACES = 0x7E020000
"""The CLONE_NEW* flags of all namespaces."""
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
FAMILIES = (1, 2, 10)
"""AF_UNIX, AF_INET, AF_INET6; AF_NETLINK is allowed for protocol 0 only (reading routes and addresses)."""
AF_NETLINK = 16

# name: (number on x86_64, number on aarch64); None: does not exist. Numbers from 424 are the same everywhere.
DENIED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "get_mempolicy": (239, 236),
    "init_module": (175, 105),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mbind": (237, 235),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "move_pages": (279, 239),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
"""Answered with EPERM."""

ABSENT: dict[str, tuple[int | None, int | None]] = {
    "clone3": (435, 435),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
}
"""Answered with ENOSYS, so that libraries fall back (glibc from clone3 to clone, CVE-2021-41133)."""

_CHECKED = {
    "clone": (56, 220),
    "ioctl": (16, 29),
    "personality": (135, 92),
    "socket": (41, 198),
    "socketpair": (53, 199),
}


def _argument(index: int) -> int:
    return 16 + 8 * index  # the low half: both machines are little-endian, and the kernel reads 32 bits of these


class Program:
    """An assembler with forward jumps: labels are names, resolved at the end."""

    def __init__(self) -> None:
        self._code: list[tuple[int, int, str, str]] = []
        self._labels: dict[str, int] = {}

    def add(self, code: int, value: int, yes: str = "", no: str = "") -> None:
        """Add an instruction; ``yes`` and ``no`` are jump labels, empty: the next instruction."""
        self._code.append((code, value, yes, no))

    def label(self, name: str) -> None:
        """Set a label at the next instruction."""
        self._labels[name] = len(self._code)

    def assemble(self) -> bytes:
        """Return the array of struct sock_filter."""
        out = []
        for at, (code, value, yes, no) in enumerate(self._code):
            true, false = (self._labels[name] - at - 1 if name else 0 for name in (yes, no))
            if not (0 <= true < 256 and 0 <= false < 256):
                raise ValueError(f"jump too far at instruction {at}")
            out.append(struct.pack("<HBBI", code, true, false, value))
        return b"".join(out)


def program(machine: str | None = None) -> bytes:
    """Return the filter for ``machine`` (default: this one), for bubblewrap's ``--seccomp FD``. Raises ValueError."""
    machine = machine or os.uname().machine
    if machine not in _AUDIT:
        raise ValueError(f"no seccomp filter for {machine}: x86_64 and aarch64 are known")
    column = list(_AUDIT).index(machine)
    it = Program()
    it.add(_LOAD, _ARCH)
    it.add(_JEQ, _AUDIT[machine], no="kill")
    it.add(_LOAD, _NUMBER)
    if machine == "x86_64":
        it.add(_JGE, _X32, yes="kill")
    for name in _CHECKED:
        it.add(_JEQ, _CHECKED[name][column], yes=name)
    for table, answer in ((DENIED, "denied"), (ABSENT, "absent")):
        for numbers in table.values():
            number = numbers[column]
            if number is not None:
                it.add(_JEQ, number, yes=answer)
    it.add(_RET, _ALLOW)
    _check_arguments(it)
    for name, value in (("denied", _ERRNO | errno.EPERM), ("absent", _ERRNO | errno.ENOSYS), ("kill", _KILL)):
        it.label(name)
        it.add(_RET, value)
    it.label("allowed")
    it.add(_RET, _ALLOW)
    it.label("family")
    it.add(_RET, _ERRNO | errno.EAFNOSUPPORT)
    return it.assemble()


def _check_arguments(it: Program) -> None:
    it.label("clone")
    it.add(_LOAD, _argument(0))
    it.add(_JSET, NEW_NAMESPACES, yes="denied", no="allowed")
    it.label("ioctl")
    it.add(_LOAD, _argument(1))
    it.add(_JEQ, TIOCSTI, yes="denied")
    it.add(_JEQ, TIOCLINUX, yes="denied", no="allowed")
    it.label("personality")
    it.add(_LOAD, _argument(0))
    it.add(_JEQ, 0, yes="allowed")
    it.add(_JEQ, 0xFFFFFFFF, yes="allowed", no="denied")
    it.label("socket")
    it.label("socketpair")
    it.add(_LOAD, _argument(0))
    for family in FAMILIES:
        it.add(_JEQ, family, yes="allowed")
    it.add(_JEQ, AF_NETLINK, no="family")
    it.add(_LOAD, _argument(2))
    it.add(_JEQ, 0, yes="allowed", no="family")
