"""UDP of a dyno: one socket in the host's network for each flow, closed after a minute without a packet."""

from __future__ import annotations

from _socket import SOCK_DGRAM, SOCK_NONBLOCK, socket
from time import monotonic

from greenroom.engine.local import addresses, packets
from greenroom.engine.local.loop import IN, Loop
from greenroom.engine.local.packets import Packet
from greenroom.engine.local.reach import Reach, RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.engine.local.egress import Connector
    from greenroom.engine.local.packets import Key

FLOWS, WAITING = 256, 16
"""Maximum number of flows, and of packets that wait for one flow's socket."""
IDLE_SECONDS, LOOK_SECONDS = 60.0, 15.0
LONGEST, ROUNDS = 65_507, 32


class Flow:
    """The packets between one port of the dyno and one target. ``first``: the packet whose answers go back."""

    __slots__ = ("first", "sock", "used", "waiting")

    def __init__(self, first: Packet) -> None:
        self.first, self.used = first, monotonic()
        self.sock: socket | None = None
        self.waiting: list[bytes] = []


class Flows:
    """All flows of a dyno. ``refused(packet, why)``: told of a target that is not allowed."""

    def __init__(
        self,
        loop: Loop,
        connector: Connector,
        reach: Reach,
        write: Callable[[bytes], None],
        refused: Callable[[Packet, str], None],
    ) -> None:
        self._loop, self._connector, self._reach = loop, connector, reach
        self._write, self._refused = write, refused
        self._flows: dict[Key, Flow] = {}

    def send(self, packet: Packet) -> None:
        """Send a packet of the dyno; lost if there are too many flows, as UDP may be."""
        flow = self._flows.get(packet.key)
        if flow is None:
            if len(self._flows) >= FLOWS:
                return
            if not self._flows:
                self._loop.at(LOOK_SECONDS, self._sweep)
            flow = self._flows[packet.key] = Flow(packet)
            self._connector.run(lambda: self._open(packet), lambda sock, error: self._opened(packet, sock, error))
        flow.used = monotonic()
        if flow.sock:
            self._put(flow.sock, packet.payload)
        elif len(flow.waiting) < WAITING:
            flow.waiting.append(packet.payload)

    def _open(self, packet: Packet) -> socket:
        """In a thread in the host's network. Raises OSError, RefusedError."""
        self._reach.check(packet.destination, packet.port)
        sock = socket(addresses.family(packet.destination), SOCK_DGRAM | SOCK_NONBLOCK, 0)
        try:
            sock.connect((addresses.text(packet.destination), packet.port))
        except OSError:
            sock.close()
            raise
        return sock

    def _opened(self, packet: Packet, sock: socket | None, error: Exception | None) -> None:
        flow = self._flows.get(packet.key)
        if sock is None or flow is None:
            self._flows.pop(packet.key, None)
            if sock:
                sock.close()
            elif isinstance(error, RefusedError):
                self._refused(packet, str(error))
            else:
                self._write(packets.unreachable(packet, packets.NO_ROUTE))
            return
        flow.sock = sock
        self._loop.add(sock.fileno(), IN, lambda _: self._answers(flow))
        for payload in flow.waiting:
            self._put(sock, payload)
        flow.waiting.clear()

    def _put(self, sock: socket, payload: bytes) -> None:
        try:  # noqa: SIM105 (contextlib is heavy)
            sock.send(payload)
        except OSError:
            pass  # a full buffer or the error of an earlier packet: UDP may lose it

    def _answers(self, flow: Flow) -> None:
        assert flow.sock
        for _ in range(ROUNDS):
            try:
                data = flow.sock.recv(LONGEST)
            except BlockingIOError:
                return
            except ConnectionRefusedError:
                self._write(packets.unreachable(flow.first, packets.NO_PORT))
                return
            except OSError:
                return
            flow.used = monotonic()
            self._write(packets.datagram(flow.first, data))

    def _sweep(self) -> None:
        now = monotonic()
        for key, flow in list(self._flows.items()):
            if flow.sock and now - flow.used > IDLE_SECONDS:
                del self._flows[key]
                self._loop.close(flow.sock.detach())
        if self._flows:
            self._loop.at(LOOK_SECONDS, self._sweep)
