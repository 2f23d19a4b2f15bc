"""Keep-alive connections to one origin for event loops, under the rules of `connection.py`.

A connection is an asyncio protocol around the same reader of answers that threads use, which costs about
a quarter of what a general HTTP client costs a call. A pool belongs to the loop that opened its
connections, so there is one for each loop. It closes with its loop: an asynchronous generator is left open
on the loop, and `asyncio.run` (as every runner does) ends those before the loop is closed. How many
connections there may be is the endpoint's limiter's affair and not this module's.
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncGenerator, Mapping

from judge_opt.llm.connection import (
    KEPT,
    AddressRefusedError,
    Answer,
    Heads,
    HTTPReply,
    Origin,
    guarded_socket,
    is_quiet,
)


class AsyncConnections:
    """Connections to one origin, a pool for each event loop.

    Args:
        origin: where to.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._heads = Heads(origin)
        self._lock = threading.Lock()
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}

    async def request(
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
        pool = self._pools.get(asyncio.get_running_loop()) or await self._open()
        link = pool.take()
        if link is None:
            async with asyncio.timeout(timeout):
                link = await _connect(self.origin)
        try:
            reply = await link.exchange(message, deadline)
        except BaseException:
            link.abort()
            raise
        pool.give(link)
        return reply

    def close(self) -> None:
        """Close the idle connections of every loop, each on its own loop."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for loop, pool in pools.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its pool with it
                loop.call_soon_threadsafe(pool.close)

    async def _open(self) -> "_Pool":
        loop = asyncio.get_running_loop()
        with self._lock:
            for other in [other for other in self._pools if other.is_closed()]:
                del self._pools[other]
            pool = self._pools.setdefault(loop, _Pool())
        await pool.end_with_loop()
        return pool


class _Pool:
    """Idle connections on one loop."""

    def __init__(self) -> None:
        self._idle: list[_Link] = []
        self._closed = False
        self._end: AsyncGenerator[None, None] | None = None

    def take(self) -> "_Link | None":
        """An idle connection that its server has not given up, or None."""
        while self._idle:
            link = self._idle.pop()
            if link.is_alive():
                return link
            link.abort()
        return None

    def give(self, link: "_Link") -> None:
        """Keep a connection whose answer is complete, where it can be used again."""
        if link.keeps and not self._closed and len(self._idle) < KEPT:
            self._idle.append(link)
        else:
            link.abort()

    def close(self) -> None:
        """Close what is idle now, and later what is in use."""
        self._closed = True
        while self._idle:
            self._idle.pop().abort()

    async def end_with_loop(self) -> None:
        """Close when the loop does."""
        if self._end is None:
            self._end = self._until_the_end()
            await anext(self._end)

    async def _until_the_end(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            self.close()
            await asyncio.sleep(0)  # the loop closes an aborted socket in its next round


class _Link(asyncio.Protocol):
    """One connection; one exchange at a time."""

    def __init__(self) -> None:
        self.keeps = False
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._reply: asyncio.Future[HTTPReply] | None = None

    async def exchange(self, message: bytes, deadline: float) -> HTTPReply:
        """Send, and read the answer."""
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError("the connection was lost before it was used")
        self.keeps = False
        self._answer = Answer()
        self._reply = loop.create_future()
        late = loop.call_later(max(0.0, deadline - time.monotonic()), self._fail, TimeoutError())
        try:
            self._transport.write(message)
            return await self._reply
        finally:
            late.cancel()
            self._answer = self._reply = None

    def is_alive(self) -> bool:
        """False where the server closed this idle connection, or sent what nobody asked for."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        return is_quiet(transport.get_extra_info("socket").fileno())

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if error is not None:
            self._fail(error if isinstance(error, OSError) else OSError(str(error)))
        else:
            self._feed(b"")

    def _feed(self, data: bytes) -> None:
        answer, reply = self._answer, self._reply
        if answer is None or reply is None or reply.done():
            if data:  # nobody asked for it
                self.abort()
            return
        try:
            answer.feed(data)
        except OSError as error:
            self._fail(error)
            return
        if answer.complete:
            self.keeps = answer.keeps and self._transport is not None
            reply.set_result(answer.reply())

    def _fail(self, error: OSError) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)


async def _connect(origin: Origin) -> _Link:
    """A connection to the first of the name's addresses that takes one."""
    loop = asyncio.get_running_loop()
    failure: OSError = OSError("the name has no address")
    for address in await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM):
        made = None
        try:
            made = guarded_socket(address)
            made.setblocking(False)
            await loop.sock_connect(made, address[4])
            name = origin.host if origin.tls else None
            _, link = await loop.create_connection(_Link, sock=made, ssl=origin.tls, server_hostname=name)
            return link
        except BaseException as error:
            if made is not None:
                made.close()
            if not isinstance(error, OSError) or isinstance(error, TimeoutError):
                raise
            if not isinstance(failure, AddressRefusedError):
                failure = error
    raise failure
