"""Keep-alive connections to one origin for event loops: aiohttp, under the rules of `connection.py`.

A pool belongs to the loop that opened its connections, so there is one for each loop. It closes with its
loop: an asynchronous generator is left open on the loop, and `asyncio.run` (as every runner does) ends
those before the loop is closed. Connections are limited by the endpoint's limiter and not here.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import aiohttp
from yarl import URL

from judge_opt.llm import connection
from judge_opt.llm.connection import AddressRefusedError, HTTPReply, Origin, ReplyTooLargeError

_SKIPPED = ("Accept-Encoding", "Accept", "User-Agent", "Content-Type")


class AsyncConnections:
    """Connections to one origin, a pool for each event loop.

    Args:
        origin: where to.
    """

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self._lock = threading.Lock()
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}

    async def request(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout: float
    ) -> HTTPReply:
        """Send one request and read the whole answer within `timeout` seconds.

        Raises:
            TimeoutError: the deadline passed.
            OSError, aiohttp.ClientError: no connection, or a lost one.
        """
        pool = self._pools.get(asyncio.get_running_loop()) or await self._open()
        url = URL(self.origin.url + path, encoded=True)
        try:
            async with (
                asyncio.timeout(timeout),
                pool.client.request(method, url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                data = await _read(answer)
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, AddressRefusedError):
                raise error.os_error from None
            raise
        return HTTPReply(answer.status, {k.lower(): v for k, v in answer.headers.items()}, data)

    def close(self) -> None:
        """Close the connections of every loop, each on its own loop."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for loop, pool in pools.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed, and its pool with it
                loop.call_soon_threadsafe(pool.close)

    async def _open(self) -> "_Pool":
        loop = asyncio.get_running_loop()
        pool = _Pool(self.origin)
        with self._lock:
            for other in [other for other in self._pools if other.is_closed()]:
                del self._pools[other]
            pool = self._pools.setdefault(loop, pool)
        await pool.end_with_loop()
        return pool


class _Pool:
    """aiohttp's client on one loop."""

    def __init__(self, origin: Origin) -> None:
        connector = aiohttp.TCPConnector(
            limit=0,
            resolver=aiohttp.ThreadedResolver(),  # the system's resolver, as for threads
            socket_factory=_socket,
            ssl=origin.tls or True,
            keepalive_timeout=30,
        )
        self.client = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            auto_decompress=False,
            skip_auto_headers=_SKIPPED,
        )
        self._end: AsyncGenerator[None, None] | None = None
        self._closing: asyncio.Task[None] | None = None

    async def end_with_loop(self) -> None:
        """Close when the loop does."""
        if self._end is None:
            self._end = self._guard()
            await anext(self._end)

    def close(self) -> None:
        """Begin to close; on the pool's own loop."""
        self._closing = asyncio.get_running_loop().create_task(self.client.close())

    async def _guard(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self.client.close()


def _socket(address: Any) -> socket.socket:
    made = connection.guarded_socket(address)
    made.setblocking(False)
    return made


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    most = connection.LARGEST_REPLY
    if (length := answer.content_length) is not None and length <= most:
        return await answer.read()
    chunks: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_any():
        size += len(chunk)
        if size > most:
            raise ReplyTooLargeError(f"the answer is larger than {most} bytes")
        chunks.append(chunk)
    return b"".join(chunks)
