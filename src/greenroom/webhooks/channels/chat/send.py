"""Sends one message by Apprise, or checks its URL: JSON on standard input, JSON on standard output.

Input: url, title, text, allowed (networks besides the public ones), only_check. Output: ok, error. Each address that
the library connects to has been judged: name look-ups of this process return no others.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import socket
import sys
from typing import Any

from greenroom.basics import outgoing

SECONDS = 15


def main() -> None:
    """Read, send, answer."""
    given = json.loads(sys.stdin.buffer.read(1_000_000))
    logging.disable(logging.CRITICAL)  # its messages contain URLs
    found = ask(given)
    print(json.dumps(found))


def ask(given: dict[str, Any]) -> dict[str, Any]:
    """The answer for one input."""
    refused = guard_lookups(outgoing.networks(given.get("allowed") or []))
    import apprise

    target = apprise.Apprise.instantiate(given["url"], suppress_exceptions=True)
    if target is None:
        return {"ok": False, "error": "bad-url"}
    if given.get("only_check"):
        return {"ok": True}
    target.socket_connect_timeout = target.socket_read_timeout = SECONDS
    ok = bool(target.notify(body=given["text"], title=given["title"]))
    return {"ok": ok} if ok else {"ok": False, "error": "refused-address" if refused else "not-taken"}


def guard_lookups(allowed: tuple[outgoing.Network, ...]) -> list[str]:
    """Make each look-up of a name or an address that leads to a closed address fail; returns the refused hosts."""
    real, refused = socket.getaddrinfo, list[str]()

    def judged(host: Any, *words: Any, **options: Any) -> Any:
        found = real(host, *words, **options)
        for row in found:
            address = ipaddress.ip_address(str(row[4][0]).partition("%")[0])
            if not outgoing.may_connect(address, allowed):
                refused.append(str(host))
                raise socket.gaierror(socket.EAI_NONAME, "not a public address")
        return found

    socket.getaddrinfo = judged
    return refused


if __name__ == "__main__":
    main()
