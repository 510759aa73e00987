"""Refuses Git LFS requests in the LFS protocol, so that the client prints a useful message instead of asking for
passwords.
"""

from __future__ import annotations

import json
import re

PATH = re.compile(r"info/lfs(/.*)?\Z", re.DOTALL)
KIND = b"application/vnd.git-lfs+json"
TEXT = (
    "Git LFS is not supported. Push without it: GIT_LFS_SKIP_PUSH=1 git push REMOTE HEAD:master (the build then has"
    " only the pointer files). To deploy the files, move them to git: git lfs migrate export --include='*' --everything"
)


def answer(rest: str) -> tuple[int, list[tuple[bytes, bytes]], bytes] | None:
    """(status, headers, body) for an LFS URL below a repository; None for other URLs. It reveals nothing about the app.

    Lock requests get 501, so the client continues without locks; batch requests get 422, and the client prints the
    message.
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
