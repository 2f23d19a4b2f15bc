"""Keep-alive connections to one origin, with a deadline that no slow server can outlast.

Every read gets what is left of one monotonic deadline, headers and body alike, so a server that sends a
byte now and then holds nobody for ever (name resolution alone is outside it: the system's resolver has
its own limit). Answers are read by llhttp, Node's parser, through httptools.

Connections are pooled last-in first-out and checked for a closed peer before they are used again, so a
request is not sent into a connection that the server has given up. Redirects are not followed. Cloud
metadata addresses are refused by the very address that is about to be connected to, and not by a look at
the name before, so that no DNS answer that changes gets around it.
"""

import ipaddress
import math
import os
import select
import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httptools

from judge_opt.llm.uri import read_address

LARGEST_REPLY = 32 * 1024 * 1024
_LARGEST_HEAD = 256 * 1024
_METADATA = frozenset({"100.100.100.200", "168.63.129.16", "fd00:ec2::254", "192.0.0.192"})
KEPT = 512
_RECEIVED = 16 * 1024
_LONGEST_WAIT = 1e6
_TIMEVAL = struct.Struct("@ll").pack
"""What the system takes for SO_RCVTIMEO: seconds and microseconds, not both 0."""


class AddressRefusedError(OSError):
    """The name leads to a cloud metadata service."""


class ReplyTooLargeError(OSError):
    """The body is larger than any reply of a model."""


class BrokenReplyError(OSError):
    """The answer is no HTTP, or ended early."""


@dataclass(frozen=True, slots=True)
class HTTPReply:
    """A whole answer. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Origin:
    """Where a base_url leads.

    Args:
        base_url: `http(s)://host[:port][/path]`, without credentials, query or fragment.

    Attributes:
        url: the same, in one spelling.
        path: without a closing slash.
        tls: None for http.

    Raises:
        UsageError: `base_url` is none.
    """

    def __init__(self, base_url: str) -> None:
        parts = read_address(base_url)
        self.host = parts.hostname or ""
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.path = parts.path.rstrip("/")
        shown = f"[{self.host}]" if ":" in self.host else self.host
        self.url = f"{parts.scheme}://{shown}:{self.port}{self.path}"
        usual = self.port == (443 if parts.scheme == "https" else 80)
        self.authority = shown if usual else f"{shown}:{self.port}"
        self.tls = ssl.create_default_context() if parts.scheme == "https" else None


class ConnectionPool:
    """Connections to one origin, for threads. Safe from many, and in a forked child.

    Args:
        origin: where to.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._idle: deque[_Connection] = deque(maxlen=KEPT)
        self._pid = os.getpid()
        self._heads = Heads(origin)

    def request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> HTTPReply:
        """Send one request and read the whole answer within `timeout` seconds.

        Raises:
            TimeoutError: the deadline passed.
            OSError: no connection, or a lost one.
            ValueError: a header that cannot be sent.
        """
        message = self._heads.message(method, path, headers, body)
        deadline = time.monotonic() + timeout
        connection = self._take(deadline)
        try:
            reply, reusable = connection.exchange(message, deadline)
        except BaseException:
            connection.close()
            raise
        if reusable and len(self._idle) < KEPT:
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _take(self, deadline: float) -> "_Connection":
        if self._pid != os.getpid():  # the parent's connections: two processes must not talk on one
            self._idle, self._pid = deque(maxlen=KEPT), os.getpid()
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return _Connection(self.origin, deadline)
            if connection.is_alive():
                return connection
            connection.close()


class Heads:
    """Writes requests. The last head is kept: calls differ in their bodies.

    Args:
        origin: where they go.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._last: tuple[object, bytes] = (None, b"")

    def message(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        """The bytes of a request.

        Raises:
            ValueError: a header that cannot be sent.
        """
        key = (method, path, *headers.items())
        seen, head = self._last
        if seen != key:
            lines = [f"{method} {self.origin.path}{path} HTTP/1.1", f"Host: {self.origin.authority}"]
            for name, value in headers.items():
                if any(c in "\r\n\0" for c in name + value) or not name or ":" in name:
                    raise ValueError(f"the header {name[:40]!r} cannot be sent")
                lines.append(f"{name}: {value}")
            head = ("\r\n".join(lines) + "\r\n").encode("latin-1")
            self._last = (key, head)
        return head + b"\r\n" if body is None else b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


class _Connection:
    """One socket, with what is left of a deadline for each of its waits."""

    def __init__(self, origin: Origin, deadline: float) -> None:
        plain = _connect(origin, deadline)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.settimeout(_left(deadline))
            tls = origin.tls
            self._socket = tls.wrap_socket(plain, server_hostname=origin.host) if tls else plain
            # A timeout of Python's asks the system three times as often for the same, and lets go of the lock
            # of all threads each time. Plain sockets wait in the system (`_limit`), TLS in `_wait`.
            self._plain = tls is None
            self._socket.settimeout(None if self._plain else 0)
            self._limits: dict[int, float] = {}
            self._poll = select.poll()
            self._poll.register(self._socket, select.POLLIN)
        except BaseException:
            plain.close()
            raise

    def exchange(self, message: bytes, deadline: float) -> tuple[HTTPReply, bool]:
        """Send, and read the answer. True where the connection can be used again."""
        self._send(message, deadline)
        answer = Answer()
        while not answer.complete:
            answer.feed(self._receive(deadline))
        return answer.reply(), answer.keeps

    def is_alive(self) -> bool:
        """False where the server closed this idle connection, or sent what nobody asked for."""
        return not self._poll.poll(0)

    def close(self) -> None:
        self._socket.close()

    def _send(self, message: bytes, deadline: float) -> None:
        rest = memoryview(message)
        while rest:
            if self._plain:
                self._limit(socket.SO_SNDTIMEO, deadline)
            try:
                rest = rest[self._socket.send(rest) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                self._wait(select.POLLOUT, deadline)
            except ssl.SSLWantReadError:
                self._wait(select.POLLIN, deadline)

    def _receive(self, deadline: float) -> bytes:
        """What has come; b"" where the peer has closed."""
        while True:
            if self._plain:
                self._limit(socket.SO_RCVTIMEO, deadline)
            try:
                return self._socket.recv(_RECEIVED)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, deadline)

    def _limit(self, option: int, deadline: float) -> None:
        """Let the system wait no longer than until `deadline`: then it says that it would block, and `_wait`
        waits for what is left. So a limit that is too short by less than half does for the next call too."""
        left = _left(deadline)
        if left / 2 <= self._limits.get(option, 0.0) <= left:
            return
        seconds = min(left * 0.75, _LONGEST_WAIT)
        self._socket.setsockopt(
            socket.SOL_SOCKET, option, _TIMEVAL(int(seconds), int(seconds % 1 * 1e6) or 1)
        )
        self._limits[option] = seconds

    def _wait(self, event: int, deadline: float) -> None:
        poll = self._poll
        if event != select.POLLIN:
            poll = select.poll()
            poll.register(self._socket, event)
        if not poll.poll(math.ceil(min(_left(deadline), _LONGEST_WAIT) * 1000)):
            raise TimeoutError("the deadline passed")


class Answer:
    """An answer as it comes in. The `on_` methods are httptools' callbacks."""

    __slots__ = ("_chunks", "_headers", "_parser", "_size", "_started", "complete", "keeps")

    def __init__(self) -> None:
        self.complete = False
        self.keeps = False
        self._chunks: list[bytes] = []
        self._headers: dict[str, str] = {}
        self._size = 0
        self._started = False  # the body is on its way
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Raises:
        BrokenReplyError, ReplyTooLargeError: it cannot become an answer."""
        if not data:
            self._ended()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise BrokenReplyError(f"no HTTP answer: {error}") from None
        if not self._started:
            self._size += len(data)
            if self._size > _LARGEST_HEAD:
                raise ReplyTooLargeError(f"the answer's head is larger than {_LARGEST_HEAD} bytes")

    def reply(self) -> HTTPReply:
        return HTTPReply(self._parser.get_status_code(), self._headers, b"".join(self._chunks))

    def on_message_begin(self) -> None:
        if self.complete:
            self.keeps = False  # more than one answer came: the connection is out of step

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete:
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if not self.complete:
            self._started = True
            self._size = 0

    def on_body(self, body: bytes) -> None:
        if not self.complete:
            self._size += len(body)
            if self._size > LARGEST_REPLY:
                raise ReplyTooLargeError(f"the answer is larger than {LARGEST_REPLY} bytes")
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() < 200:  # "100 Continue" and its like announce the answer
            self._headers, self._started = {}, False
        elif not self.complete:
            self.complete = True
            self.keeps = self._parser.should_keep_alive()

    def _ended(self) -> None:
        """The server closed: the end of an answer that has no length, else of the connection."""
        delimited = "content-length" in self._headers or "transfer-encoding" in self._headers
        if not self._started or delimited:
            raise BrokenReplyError("the connection ended before the answer did")
        self.complete = True


def _connect(origin: Origin, deadline: float) -> socket.socket:
    """A connection to the first of the name's addresses that takes one."""
    failure: OSError = OSError("the name has no address")
    for address in socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM):
        made: socket.socket | None = None
        try:
            made = guarded_socket(address)
            made.settimeout(_left(deadline))
            made.connect(address[4])
            return made
        except OSError as error:
            if made is not None:
                made.close()
            if not isinstance(failure, AddressRefusedError):
                failure = error
    raise failure


def guarded_socket(address: Any) -> socket.socket:
    """A socket for an entry of `socket.getaddrinfo`; the one place where connections begin.

    Raises:
        AddressRefusedError: it leads to a metadata service.
    """
    family, kind, protocol, _, (host, *_) = address
    refuse_metadata(host)
    return socket.socket(family, kind, protocol)


def is_quiet(descriptor: int) -> bool:
    """True where an idle connection is neither closed nor sending."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN | select.POLLHUP | select.POLLERR)
    return not poll.poll(0)


def _left(deadline: float) -> float:
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the deadline passed")
    return seconds


def refuse_metadata(address: str) -> None:
    """Raises:
    AddressRefusedError: `address` is link-local, or a cloud's metadata service."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    plain = getattr(ip, "ipv4_mapped", None) or ip
    if plain.is_link_local or str(plain) in _METADATA:
        raise AddressRefusedError(f"{address} is a link-local or cloud metadata address")
