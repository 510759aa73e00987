"""Makes the folders of an overlay writable for the dyno's user if its lower layers belong to another user.

A folder in the upper layer determines the owner. The files below do not change: the dyno can remove and replace them,
but not modify them in place. Runs as the dyno's user, never as root.
"""

from __future__ import annotations

import os
import stat


def make(layers: list[str], upper: str) -> None:
    """Create in ``upper`` each folder of ``layers`` (lowest first) that another user owns. Repeatable. Raises
    OSError.
    """
    user, group = os.geteuid(), os.getegid()
    for number, layer in enumerate(layers):
        above = layers[number + 1 :]
        for place, folders, _ in os.walk(layer):
            inner = os.path.relpath(place, layer)
            folders[:] = [name for name in folders if not _hidden(os.path.join(inner, name), above)]
            if os.stat(place).st_uid != user and inner != ".":
                made = os.path.join(upper, inner)
                os.makedirs(made, exist_ok=True)
                os.chown(made, -1, group)
                os.chmod(made, 0o755)  # noqa: S103 (others read it, as they read the one below)


def _hidden(inner: str, above: list[str]) -> bool:
    """Whether a higher layer has removed the folder, or replaced it by a file."""
    for layer in above:
        path = os.path.join(layer, inner)
        if os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode):
            return True
    return False
