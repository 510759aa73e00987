"""Answers Git LFS, which is not served, in its own protocol, so that its client prints what to do instead of a guess
about passwords.
"""

from __future__ import annotations

import json
import re

PATH = re.compile(r"info/lfs(/.*)?\Z", re.DOTALL)
KIND = b"application/vnd.git-lfs+json"
TEXT = (
    "Git LFS is not served here. Push without it: GIT_LFS_SKIP_PUSH=1 git push REMOTE HEAD:master (the build then has"
    " the small pointer files). To deploy the files themselves, put them into git: git lfs migrate export --include='*'"
    " --everything"
)


def answer(rest: str) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
    """(status, headers, body) for an address of LFS below a repository; None for any other. The same for everybody: it
    tells nothing of the app.

    Locks are answered with 501, which makes the client go on without them; a batch with 422, whose message it prints.
    """
    if not PATH.match(rest):
        return None
    status = 501 if "locks" in rest else 422
    body = json.dumps(
        {
            "message": TEXT,
            "documentation_url": "https://github.com/git-lfs/git-lfs/blob/main/docs/man/git-lfs-migrate.adoc",
        }
    ).encode()
    return (
        status,
        [(b"content-type", KIND), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")],
        body,
    )
