"""Starts PostgreSQL with a limit on what each of its processes may allocate: ``bounded.py BYTES PROGRAM ARGUMENT...``.

The limit is inherited by every backend. A query that needs more fails with "out of memory", alone; the server and other
sessions go on.
Shared memory is not counted. Standard library only, and run by path: the server's user needs to read no other module of
Greenroom.
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
