"""WebSocket clients that cost next to nothing, so that what is measured is the server.

The rule: one thread, one epoll, one buffer for everybody, and nothing parsed that can be counted. They speak as much of
RFC 6455 as a load generator needs (the upgrade, masked text out, whole frames in, pings answered), and the little of
Socket.IO's protocol that is asked of a client on its WebSocket transport.
"""

import json
import select
import socket
import struct
from collections.abc import Callable, Iterable

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # the sample of RFC 6455, section 1.3, and what a server must answer to it
ACCEPT = b"s3pplmbitxaq9kygzzhzrbk+xoo="  # in lower case, as the whole response is compared
MASK = b"\x00\x00\x00\x00"  # a mask of zeros leaves the payload as it is: legal, and free
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
OPENING = 40  # connections opened at a time: fewer than the servers' listen backlog
PATIENCE = 15.0  # seconds that a server may take to answer a handshake

buffer = memoryview(bytearray(256 * 1024))  # one for all connections: what was read is used within the same call


class BrokenOff(Exception):
    """A connection failed, so the measurement means nothing."""


def frame(payload: bytes, opcode: int = TEXT, mask: bytes = b"") -> bytes:
    """One whole frame (RFC 6455, section 5.2), as a server sends it; with a mask of zeros as a client does."""
    size, masked = len(payload), 0x80 if mask else 0
    if size < 126:
        header = struct.pack("!BB", 0x80 | opcode, masked | size)
    elif size < 1 << 16:
        header = struct.pack("!BBH", 0x80 | opcode, masked | 126, size)
    else:
        header = struct.pack("!BBQ", 0x80 | opcode, masked | 127, size)
    return header + mask + payload


def masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """One whole frame from a client."""
    return frame(payload, opcode, MASK)


def packet(event: str, content: str) -> bytes:
    """An event as Socket.IO writes it: Engine.IO's 4, a message; Socket.IO's 2, an event; and its name and content."""
    return b"42" + json.dumps([event, content], separators=(",", ":")).encode()


class Poller:
    """All connections of a load generator. Edge-triggered: each is told of once, and read to its end."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._poll = self._epoll.poll
        self._connections: dict[int, Connection] = {}
        self._readable: dict[int, Callable[[], None]] = {}
        self._unsent: set[Connection] = set()
        self.opening = 0  # handshakes under way

    def open(self, port: int, connections: "Iterable[Connection]", at_once: int = OPENING) -> None:
        """Connect them all, some at a time; return when every handshake is over."""
        for connection in connections:
            while self.opening >= at_once:
                self._opened_some()
            self.opening += 1
            connection.connect(self, port)
        while self.opening:
            self._opened_some()

    def _opened_some(self) -> None:
        if not self.turn(PATIENCE):
            raise BrokenOff(f"a handshake was not answered within {PATIENCE:g} s")

    def watch(self, connection: "Connection") -> None:
        number = connection.socket.fileno()
        self._connections[number], self._readable[number] = connection, connection.readable
        self._epoll.register(number, select.EPOLLIN | select.EPOLLET)

    def send_later(self, connection: "Connection") -> None:
        """What the kernel did not take."""
        self._unsent.add(connection)

    def turn(self, patience: float) -> bool:
        """Take what has come, waiting for it; False when nothing came within so many seconds."""
        readable = self._readable
        ready = self._poll(0.001 if self._unsent else patience)
        for number, _ in ready:
            readable[number]()
        if self._unsent:
            waiting, self._unsent = self._unsent, set()
            for connection in waiting:
                connection.send_rest()
            return True
        return bool(ready)

    def leave(self, connection: "Connection") -> None:
        """Hang up, without a word."""
        number = connection.socket.fileno()
        self._epoll.unregister(number)
        del self._connections[number], self._readable[number]
        connection.socket.close()

    def close(self) -> None:
        for connection in self._connections.values():
            connection.socket.close()
        self._connections.clear()
        self._readable.clear()
        self._epoll.close()


class Connection:
    """One connection. A subclass says in `arrived` what a message means to it."""

    socket: socket.socket

    def __init__(self, path: str, cookie: str = "", socketio: bool = False) -> None:
        lines = [f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade"]
        lines += ["Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}", *([f"Cookie: {cookie}"] if cookie else [])]
        self._request = "\r\n".join([*lines, "", ""]).encode()
        self._socketio = socketio
        self._rest = b""  # the beginning of a frame whose end has not come yet
        self._unsent = b""
        self._upgraded = self._open = False

    def arrived(self, payload: memoryview) -> None:
        raise NotImplementedError

    def connect(self, poller: Poller, port: int) -> None:
        self._poller = poller
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._receive, self._send = self.socket.recv_into, self.socket.send
        poller.watch(self)
        self.send(self._request)

    def send(self, data: bytes) -> None:
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise BrokenOff(f"lost a connection: {error}") from error
        if sent < len(data):
            self._unsent = data[sent:]
            self._poller.send_later(self)

    def send_rest(self) -> None:
        data, self._unsent = self._unsent, b""
        self.send(data)

    def readable(self) -> None:
        while (size := self.receive()) == len(buffer):  # there may be more, and nobody would tell
            self.take(buffer)
        self.take(buffer[:size])

    def receive(self) -> int:
        """Read into the shared buffer; how many bytes."""
        try:
            size = self._receive(buffer)
        except BlockingIOError:  # it was read before
            return 0
        except OSError as error:
            raise BrokenOff(f"lost a connection: {error}") from error
        if not size:
            raise BrokenOff("the server hung up" if self._open else f"the server refused: {self._rest!r}")
        return size

    def take(self, received: memoryview) -> None:
        """What came, in whatever pieces."""
        if self._rest:
            received = memoryview(self._rest + received)
        used = self._frames(received) if self._upgraded else self._upgrade(received)
        self._rest = bytes(received[used:])

    def _upgrade(self, received: memoryview) -> int:
        """Reads the response to the upgrade; where in `received` the rest begins."""
        head, found, frames = bytes(received).partition(b"\r\n\r\n")
        if not found:
            return 0
        if not head.startswith(b"HTTP/1.1 101") or ACCEPT not in head.lower():
            raise BrokenOff(f"the server refused: {head.decode(errors='replace')}")
        self._upgraded = True
        if not self._socketio:
            self._opened()
        begin = len(received) - len(frames)
        return begin + self._frames(received[begin:])

    def _opened(self) -> None:
        self._open = True
        self._poller.opening -= 1

    def _frames(self, received: memoryview) -> int:
        """Hands on every whole frame; where the first one begins that is not whole."""
        start, size = 0, len(received)
        while size - start >= 2:
            body, length = start + 2, received[start + 1]
            if length == 126:
                body += 2
                if body > size:
                    break
                length = received[start + 2] << 8 | received[start + 3]
            elif length == 127:
                body += 8
                if body > size:
                    break
                length = int.from_bytes(received[start + 2 : body])
            end = body + length
            if end > size:
                break
            opcode, payload = received[start] & 15, received[body:end]
            if opcode in (TEXT, BINARY):
                self._message(payload)
            elif opcode == PING:
                self.send(masked(bytes(payload), PONG))
            elif opcode == CLOSE:
                raise BrokenOff(f"closed by the server: {bytes(payload)!r}")
            start = end
        return start

    def _message(self, payload: memoryview) -> None:
        kind = bytes(payload[:2]) if self._socketio else b"42"
        if kind == b"42":
            self.arrived(payload)
        elif kind == b"40":  # in the namespace
            self._opened()
        elif kind[:1] == b"0":  # Engine.IO is open
            self.send(masked(b"40"))
        elif kind == b"2":  # its ping
            self.send(masked(b"3"))
