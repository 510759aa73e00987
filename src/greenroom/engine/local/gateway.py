"""A dyno's way to the world: TCP and UDP to any allowed address, as if it had a route.

A tun device is the dyno's default route. A packet that opens a TCP connection comes here: the shim connects to its
target in the host's network, then either refuses as the target did, or gives the packet back to the kernel, whose rules
lead the connection to the listener here. So ``connect`` in the dyno succeeds if and only if the target has accepted.
UDP packets are sent from a socket per flow. After the set-up no privilege is needed.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    SO_ERROR,
    SO_KEEPALIVE,
    SO_LINGER,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    if_nametoindex,
    inet_pton,
    socket,
)
from time import monotonic

from greenroom.engine.local import addresses, datagrams, name_server, netlink, packets
from greenroom.engine.local.bridge import Link
from greenroom.engine.local.loop import IN, OUT, Loop
from greenroom.engine.local.packets import Packet
from greenroom.engine.local.reach import Reach, RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.engine.local.egress import Connector
    from greenroom.engine.local.loop import Timer
    from greenroom.engine.local.packets import Key

DEVICE, PORT, MTU = "out", 61080, 65_535
DEVICE_FILE = "/dev/net/tun"
ADDRESSES = {AF_INET: "192.0.0.4", AF_INET6: "fd67:7265:656e::4"}
"""The dyno's own addresses: the first is of a range that no network uses (RFC 7335)."""
RESOLVER = "192.0.0.5"
"""The name server in the dyno's resolv.conf."""
PENDING = 512
"""Connections that are being opened at one time; more wait for the kernel's repetition after a second."""
BACK_SECONDS = 10.0
"""Time for an opened connection to reach the listener."""
ROUNDS = 64
"""Packets that are read before other events get their turn."""
SAME_SECONDS, LINES = 60.0, 200
"""A refused target is logged once in this time; so many of them are remembered."""
_TUNSETIFF, _TUN, _NO_INFO = 0x400454CA, 0x0001, 0x1000
_ORIGINAL, _SOL_IP, _SOL_IPV6 = 80, 0, 41
_NO_LINGER = struct.pack("ii", 1, 0)


def rules(port: int) -> list[bytes]:
    """Packets from the device that open a connection lead to the port; traffic over loopback costs nothing."""
    name = "greenroom"
    opening = netlink.meta(netlink.META_PROTOCOL, bytes([packets.TCP])) + netlink.header(
        netlink.TRANSPORT, 13, b"\x02", b"\x17"
    )
    loopback = netlink.family(netlink.IPV4) + netlink.header(netlink.NETWORK, 16, b"\x7f")
    local = {key: netlink.device(key, "lo") + loopback for key in (netlink.META_IN, netlink.META_OUT)}
    return netlink.batch(
        netlink.table(name),
        netlink.chain(name, "sent", "filter", netlink.OUTPUT, -300),
        netlink.rule(name, "sent", netlink.device(netlink.META_OUT, DEVICE), opening, netlink.untracked()),
        netlink.rule(name, "sent", local[netlink.META_OUT], netlink.untracked()),
        netlink.chain(name, "received", "filter", netlink.PREROUTING, -300),
        netlink.rule(name, "received", local[netlink.META_IN], netlink.untracked()),
        netlink.chain(name, "opened", "nat", netlink.PREROUTING, -100),
        netlink.rule(name, "opened", netlink.device(netlink.META_IN, DEVICE), opening, netlink.redirected(port)),
        netlink.chain(name, "changed", "nat", netlink.OUTPUT, -100),
    )


def open_device(*, ipv6: bool) -> int:
    """Make the device, its routes and the rules in the calling thread's network. Returns its descriptor. OSError."""
    fd = os.open(DEVICE_FILE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _TUN | _NO_INFO))
        index = if_nametoindex(DEVICE)
        for name, value in ((f"{DEVICE}/accept_local", "1"), (f"{DEVICE}/rp_filter", "0"), ("all/rp_filter", "0")):
            with open(f"/proc/sys/net/ipv4/conf/{name}", "w") as file:
                file.write(value)
        netlink.send(netlink.ROUTES, netlink.up(index, MTU))
        for family in (AF_INET, AF_INET6) if ipv6 else (AF_INET,):
            packed = inet_pton(family, ADDRESSES[family])
            netlink.send(netlink.ROUTES, netlink.address(family, index, packed))
            netlink.send(netlink.ROUTES, netlink.default_route(family, index))
        netlink.send(netlink.NETFILTER, *rules(PORT))
    except OSError:
        os.close(fd)
        raise
    return fd


class Gateway:
    """The device, the listener behind it, and what is being opened. ``say``: writes a line of the app's log."""

    def __init__(self, loop: Loop, connector: Connector, reach: Reach, *, ipv6: bool) -> None:
        self._loop, self._connector, self._reach, self._ipv6 = loop, connector, reach, ipv6
        self.say: Callable[[str], None] = lambda line: None
        self._device = open_device(ipv6=ipv6)
        self._opening: set[Key] = set()
        self._opened: dict[Key, tuple[socket, Timer]] = {}
        self._links: set[object] = set()
        self._said: dict[tuple[bytes, int], float] = {}
        self._flows = datagrams.Flows(loop, connector, reach, self._write, self._refused)
        loop.add(self._device, IN, self._packets)
        for family in (AF_INET, AF_INET6) if ipv6 else (AF_INET,):
            self._listen(family)

    def _listen(self, family: int) -> None:
        listener = socket(family, SOCK_STREAM | SOCK_NONBLOCK, 0)
        listener.bind((ADDRESSES[family], PORT))
        listener.listen(1024)
        self._loop.add(listener.fileno(), IN, lambda _: self._accept(listener))

    # -- packets -------------------------------------------------------------------------------------------------------

    def _packets(self, _: int) -> None:
        for _round in range(ROUNDS):
            try:
                data = os.read(self._device, MTU)
            except OSError:
                return
            try:
                packet = Packet(data)
            except ValueError:
                continue
            if packet.opens:
                self._open(packet)
            elif packet.protocol == packets.UDP and packet.destination == _RESOLVER and packet.port == name_server.PORT:
                self._look_up(packet)
            elif packet.protocol == packets.UDP:
                self._flows.send(packet)

    def _write(self, data: bytes) -> None:
        try:  # noqa: SIM105 (contextlib is heavy)
            os.write(self._device, data)
        except OSError:
            pass  # a full queue: the kernel repeats a connection, and UDP may be lost

    def _look_up(self, packet: Packet) -> None:
        def work() -> bytes:
            return name_server.answer(packet.payload, ipv6=self._ipv6, seen=self._reach.learn)

        def answered(data: bytes | None, _: Exception | None) -> None:
            if data:
                self._write(packets.datagram(packet, data))

        self._connector.run(work, answered)

    # -- connections ---------------------------------------------------------------------------------------------------

    def _open(self, packet: Packet) -> None:
        key = packet.key
        if key in self._opening or len(self._opening) >= PENDING:
            return
        if key in self._opened:
            self._write(packet.data)  # its first one was lost
            return
        self._opening.add(key)
        self._connector.run(lambda: self._dial(packet), lambda sock, error: self._dialled(packet, sock, error))

    def _dial(self, packet: Packet) -> socket:
        """Start to connect; in a thread in the host's network. Raises OSError, RefusedError."""
        target, port = packet.destination, packet.port
        if target == _RESOLVER and port == name_server.PORT and (known := name_server.servers()):
            target = addresses.packed(known[0])
        else:
            self._reach.check(target, port)
        sock = socket(addresses.family(target), SOCK_STREAM | SOCK_NONBLOCK, 0)
        try:
            sock.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
            sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            code = sock.connect_ex((addresses.text(target), port))
            if code not in (0, errno.EINPROGRESS):
                raise OSError(code, os.strerror(code))
        except OSError:
            sock.close()
            raise
        return sock

    def _dialled(self, packet: Packet, sock: socket | None, error: Exception | None) -> None:
        if sock is None:
            self._fail(packet, error)
            return

        def ready(_: int) -> None:
            self._loop.remove(sock.fileno())
            code = sock.getsockopt(SOL_SOCKET, SO_ERROR)
            if code:
                sock.close()
                self._fail(packet, OSError(code, os.strerror(code)))
            else:
                self._give_back(packet, sock)

        self._loop.add(sock.fileno(), OUT, ready)

    def _give_back(self, packet: Packet, sock: socket) -> None:
        key = packet.key
        self._opening.discard(key)
        self._opened[key] = sock, self._loop.at(BACK_SECONDS, lambda: self._forget(key))
        self._write(packet.data)

    def _forget(self, key: Key) -> None:
        """Close what did not reach the listener in time."""
        self._opened.pop(key)[0].close()

    def _fail(self, packet: Packet, error: Exception | None) -> None:
        self._opening.discard(packet.key)
        if isinstance(error, RefusedError):
            self._refused(packet, str(error))
        elif isinstance(error, OSError) and error.errno == errno.ECONNREFUSED:
            self._write(packets.reset(packet))
        elif not isinstance(error, TimeoutError):
            self._write(packets.unreachable(packet, packets.NO_ROUTE))

    def _refused(self, packet: Packet, why: str) -> None:
        """Tell the program and, once in a while, the app's log."""
        self._write(packets.unreachable(packet, packets.PROHIBITED))
        now, target = monotonic(), (packet.destination, packet.port)
        if now - self._said.get(target, -SAME_SECONDS) < SAME_SECONDS:
            return
        if len(self._said) >= LINES:
            self._said = {it: when for it, when in self._said.items() if now - when < SAME_SECONDS}
        if len(self._said) < LINES:
            self._said[target] = now
            host = addresses.text(packet.destination)
            self.say(f"The connection to {f'[{host}]' if ':' in host else host}:{packet.port} was refused: {why}")

    def _accept(self, listener: socket) -> None:
        for _ in range(ROUNDS):
            try:
                fd, address = listener._accept()  # type: ignore[attr-defined]
            except OSError:
                return
            client = socket(listener.family, SOCK_STREAM, 0, fileno=fd)
            key = _key(client, address)
            found = self._opened.pop(key, None) if key else None
            if found is None:  # a connection to the listener itself
                client.setsockopt(SOL_SOCKET, SO_LINGER, _NO_LINGER)
                client.close()
                continue
            upstream, timer = found
            timer.cancel()
            client.setblocking(False)
            client.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            link = Link(self._loop, client, upstream, self._links.discard)
            self._links.add(link)
            link.start()


def _key(client: socket, address: tuple[str, int]) -> Key | None:
    """The addresses of the connection before the redirection."""
    source = inet_pton(client.family, address[0]), address[1]
    try:
        if client.family == AF_INET:
            port, host = struct.unpack_from("!2xH4s", client.getsockopt(_SOL_IP, _ORIGINAL, 16))
        else:
            port, host = struct.unpack_from("!2xH4x16s", client.getsockopt(_SOL_IPV6, _ORIGINAL, 28))
    except OSError:
        return None
    return (*source, host, port)


_RESOLVER = inet_pton(AF_INET, RESOLVER)


def lacking(*, root: bool) -> str:
    """Why this host offers no gateway; empty if it does. Tries it in a process of its own."""
    from greenroom.engine.local import netns

    near, far = os.pipe()
    pid = os.fork()
    if pid == 0:
        error = ""
        try:
            if not root:
                netns.enter_user_namespace()
            netns.enter_network()
            os.close(open_device(ipv6=False))
        except OSError as failure:
            error = f"{failure.filename or 'the network'}: {failure.strerror}"
        except BaseException as failure:
            error = type(failure).__name__
        os.write(far, error.encode())
        os._exit(0)
    os.close(far)
    with open(near, "rb") as file:
        said = file.read(1000).decode()
    os.waitpid(pid, 0)
    return said
