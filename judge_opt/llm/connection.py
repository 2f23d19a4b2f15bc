"""Keep-alive connections to one origin, with a deadline that no slow server can outlast.

`http.client` times out each read, so a server that sends a byte now and then holds a caller for ever.
Here every read gets what is left of one monotonic deadline, headers and body alike (name resolution
alone is outside it: the system's resolver has its own limit).

Connections are pooled last-in first-out and checked for a closed peer before they are used again, so a
request is not sent into a connection that the server has given up. Redirects are not followed. Cloud
metadata addresses are refused after the connection is made and before a byte is sent, by the address
that was reached and not by the name, so that no DNS answer gets around it.
"""

import http.client
import io
import ipaddress
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from judge_opt.core.errors import UsageError

_METADATA = frozenset({"100.100.100.200", "168.63.129.16", "fd00:ec2::254", "192.0.0.192"})
_LARGEST_REPLY = 32 * 1024 * 1024
_KEPT = 64


class AddressRefusedError(OSError):
    """The name leads to a cloud metadata service."""


class ReplyTooLargeError(OSError):
    """The body is larger than any reply of a model."""


@dataclass(frozen=True, slots=True)
class HTTPReply:
    """A whole answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ConnectionPool:
    """Connections to one origin. Safe from many threads.

    Args:
        base_url: `http(s)://host[:port][/path]`, without credentials, query or fragment.

    Raises:
        UsageError: `base_url` is none.
    """

    def __init__(self, base_url: str) -> None:
        remedy = "Write it like http://localhost:8000/v1."
        try:
            parts = urlsplit(base_url.strip())
            port = parts.port
        except ValueError as error:
            raise UsageError(f"base_url {base_url[:120]!r} is malformed ({error}).", remedy) from None
        if parts.username or parts.password:
            raise UsageError("base_url holds credentials.", "Put the key in the environment instead.")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"base_url {base_url[:120]!r} is not an http(s) address.", remedy)
        self.host = parts.hostname
        self.port = port or (443 if parts.scheme == "https" else 80)
        self.path = parts.path.rstrip("/")
        self.secure = parts.scheme == "https"
        shown = f"[{self.host}]" if ":" in self.host else self.host
        self.url = f"{parts.scheme}://{shown}:{self.port}{self.path}"
        self._idle: deque[_Connection] = deque(maxlen=_KEPT)
        self._tls = ssl.create_default_context() if self.secure else None

    def request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> HTTPReply:
        """Send one request and read the whole answer within `timeout` seconds.

        Raises:
            TimeoutError: the deadline passed.
            OSError, http.client.HTTPException: no connection, or a lost one.
        """
        deadline = time.monotonic() + timeout
        connection = self._take()
        try:
            connection.deadline = deadline
            connection.request(method, self.path + path, body=body, headers=dict(headers))
            answer = connection.getresponse()
            data = _read(answer)
            reply = HTTPReply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, data)
        except BaseException:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        else:
            self._idle.append(connection)
        return reply

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> "_Connection":
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return _Connection(self.host, self.port, self._tls)
            if connection.is_alive():
                return connection
            connection.close()


def _read(answer: http.client.HTTPResponse) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := answer.read1(1 << 16):
        size += len(chunk)
        if size > _LARGEST_REPLY:
            raise ReplyTooLargeError(f"the answer is larger than {_LARGEST_REPLY} bytes")
        chunks.append(chunk)
    if answer.length:
        raise http.client.IncompleteRead(b"", answer.length)
    answer.close()  # else the connection counts as busy
    return b"".join(chunks)


class _Connection(http.client.HTTPConnection):
    """A connection whose every read ends at `deadline`."""

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        super().__init__(host, port)
        self._tls = tls
        self.deadline = 0.0

    def left(self) -> float:
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("the deadline passed")
        return seconds

    def connect(self) -> None:
        plain = socket.create_connection((self.host, self.port), self.left())
        try:
            _refuse_metadata(plain.getpeername()[0])
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(self.left())
            wire = self._tls.wrap_socket(plain, server_hostname=self.host) if self._tls else plain
        except BaseException:
            plain.close()
            raise
        self.sock: Any = _DeadlineSocket(wire, self)

    def is_alive(self) -> bool:
        """False where the server closed this idle connection, or sent what nobody asked for."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)


class _DeadlineSocket:
    """What `http.client` needs of a socket."""

    def __init__(self, wire: socket.socket, owner: _Connection) -> None:
        self._wire = wire
        self._owner = owner

    def sendall(self, data: Any) -> None:
        self._wire.settimeout(self._owner.left())
        self._wire.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineReader(self._wire, self._owner), 1 << 16)

    def fileno(self) -> int:
        return self._wire.fileno()

    def close(self) -> None:
        self._wire.close()


class _DeadlineReader(io.RawIOBase):
    def __init__(self, wire: socket.socket, owner: _Connection) -> None:
        super().__init__()
        self._wire = wire
        self._owner = owner
        self._raw = wire.makefile("rb", buffering=0)  # keeps the socket open after its connection closed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._wire.settimeout(self._owner.left())
        count: int | None = self._raw.readinto(buffer)
        return count

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def _refuse_metadata(address: str) -> None:
    ip = ipaddress.ip_address(address.partition("%")[0])
    plain = getattr(ip, "ipv4_mapped", None) or ip
    if plain.is_link_local or str(plain) in _METADATA:
        raise AddressRefusedError(f"{address} is a link-local or cloud metadata address")
