"""Starts PostgreSQL with a memory limit for each of its processes: ``memory_limited.py BYTES PROGRAM ARGUMENTS...``.

Every backend inherits the limit (RLIMIT_DATA, without shared memory). A query above it fails with "out of memory"; the
server and other sessions are not affected. Standard library only and run by path, because the server's user cannot
read other modules of Greenroom.
"""

import os
import resource
import sys


def main(argv: list) -> None:
    """Replace this process by the program."""
    resource.setrlimit(resource.RLIMIT_DATA, (int(argv[1]), int(argv[1])))
    os.execv(argv[2], argv[2:])  # noqa: S606 (argv, no shell)


if __name__ == "__main__":
    main(sys.argv)
