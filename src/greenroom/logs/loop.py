"""Sends new log lines of each app to its drains, in order, with retries.

The position of each drain is stored after the receiver has accepted a batch: a crash in between sends that batch twice,
but loses no line. A line with L10 reports lines that log rotation removed before they were sent.
"""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from django.db import connections

from greenroom.basics import logfile, outgoing
from greenroom.basics.guard import Guard
from greenroom.basics.logfile import Line
from greenroom.logs.actions import drains
from greenroom.logs.drivers import positions
from greenroom.logs.models import LogDrain
from greenroom.logs.rules import framed, syslog

log = logging.getLogger(__name__)
HANDS = 8
PIECES = 50
SECONDS = 10.0


class Loop:
    """Called by the worker several times a second. ``allowed``: networks besides the public ones; ``context``: TLS
    settings other than the machine's.
    """

    def __init__(
        self, home: Path, allowed: Sequence[outgoing.Network] = (), context: ssl.SSLContext | None = None
    ) -> None:
        self.home, self.allowed, self.context = home, allowed, context
        self.pool = ThreadPoolExecutor(HANDS, thread_name_prefix="drain")
        self.open: dict[uuid.UUID, socket.socket] = {}
        self.busy: set[uuid.UUID] = set()
        self.lock = threading.Lock()
        self.guard = Guard(log)
        self.first = True

    def turn(self) -> bool:
        """Start sending to each idle drain with new lines; never waits for a receiver."""
        if self.first:
            self.first = False
            drains.begin()
        rows = list(drains.OUTBOX.rows().select_related("app"))
        self._close_but(set(LogDrain.objects.values_list("pk", flat=True)))
        for row in rows:
            with self.lock:
                idle = row.pk not in self.busy
                if idle and self.guard.run(row.pk, f"drain {row.token} of {row.app.name}", partial(self._behind, row)):
                    self.busy.add(row.pk)
                    self.pool.submit(self._work, row)
        return False

    def _behind(self, row: LogDrain) -> bool:
        return logfile.end(str(self.home / row.app.log_folder)) != (row.segment, row.offset)

    def _work(self, row: LogDrain) -> None:
        try:
            self.send(row)
        except Exception:
            log.exception("drain %s of %s failed", row.token, row.app.name)
        finally:
            connections.close_all()
            with self.lock:
                self.busy.discard(row.pk)

    def send(self, row: LogDrain) -> None:
        """Send all new lines to the drain, in chunks, until the end or the first failure."""
        folder = str(self.home / row.app.log_folder)
        for _ in range(PIECES):
            row.refresh_from_db()
            lines, after = positions.read_on(folder, (row.segment, row.offset))
            claimed = drains.claim(row=row) if lines else None
            if claimed is None:
                return
            try:
                self._deliver(claimed, lines)
            except (outgoing.OutgoingError, OSError) as error:
                self._drop(row.pk)
                drains.failed(row=claimed, error=str(error))
                return
            drains.taken(row=claimed, after=after, lines=len(lines))

    def _deliver(self, row: LogDrain, lines: Sequence[Line]) -> None:
        if row.url.startswith("syslog"):
            self._stream(row, b"".join(framed(syslog(line, row.token)) for line in lines))
            return
        body = b"".join(framed(syslog(line, "host")) for line in lines)
        headers = {
            "Content-Type": "application/logplex-1",
            "Logplex-Msg-Count": str(len(lines)),
            "Logplex-Frame-Id": uuid.uuid4().hex.upper(),
            "Logplex-Drain-Token": row.token,
            "User-Agent": "Logplex/v72",
        }
        if secret := drains.authorization(row, self.home):
            headers["Authorization"] = secret
        status = outgoing.post(row.url, body, headers, allowed=self.allowed, seconds=SECONDS)
        if not 200 <= status < 300:
            raise outgoing.OutgoingError("bad-status", f"the receiver answered {status}")

    def _stream(self, row: LogDrain, data: bytes) -> None:
        """Send over the drain's open connection. Returns when the peer's system has acknowledged every byte."""
        sock = self.open.get(row.pk)
        if sock is not None and outgoing.has_ended(sock):
            self._drop(row.pk)
            sock = None
        if sock is None:
            parts = urlsplit(row.url)
            context = (self.context or ssl.create_default_context()) if parts.scheme == "syslog+tls" else None
            sock = outgoing.stream(
                parts.hostname or "", outgoing.port_of(parts), context=context, allowed=self.allowed, seconds=SECONDS
            )
            self.open[row.pk] = sock
        sock.settimeout(SECONDS)
        sock.sendall(data)
        outgoing.wait_acknowledged(sock, SECONDS)

    def _drop(self, pk: uuid.UUID) -> None:
        sock = self.open.pop(pk, None)
        if sock is not None:
            sock.close()

    def _close_but(self, known: set[uuid.UUID]) -> None:
        for pk in [pk for pk in self.open if pk not in known]:
            self._drop(pk)
