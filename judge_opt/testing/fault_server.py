"""An OpenAI-compatible server that fails on command: what our tests, and yours, run against.

A real HTTP server on loopback, so that timeouts, resets, keep-alive and headers are the real ones.

    from judge_opt.testing.fault_server import FaultServer, Reply

    with FaultServer(answer=lambda body: "yes") as server:
        server.script(Reply(status=429, headers={"Retry-After": "0.1"}), Reply(text="no"))
        lm = session.lm("openai:/any", base_url=server.base_url)
        lm("Is it so?")                    # tried twice: 429, then "no"
        assert server.completions == 2
        lm("And now?")                     # the script is over: "yes"

Serves `/v1/chat/completions`, `/v1/embeddings` and `/v1/models`. Counts requests and connections, and
records every request with its headers and body. `models` is the answer to `/v1/models`.
"""

import hashlib
import json
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True, slots=True)
class Reply:
    """One scripted answer. With no argument: the server's default answer.

    Attributes:
        status: HTTP status.
        text: the completion's content; None for the server's `answer`.
        message: the whole `message` object, where `text` is not enough (refusal, tool calls, null).
        raw: the whole body, instead of a completion; for HTML with 200, cut JSON, error bodies.
        headers: further headers, such as Retry-After or Location.
        finish_reason, model, usage, logprobs: fields of the completion; model None echoes the one asked.
        delay: seconds before the first byte.
        drip: seconds between the single bytes of the body; headers are dripped too where `drip_headers`.
        reset_after: bytes of the body after which the connection is reset; None for never.
        hang_up: close the connection after the answer, without having said so.
    """

    status: int = 200
    text: str | None = None
    message: Mapping[str, Any] | None = None
    raw: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    finish_reason: str = "stop"
    model: str | None = None
    usage: Mapping[str, int] | None = field(
        default_factory=lambda: {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12}
    )
    logprobs: Mapping[str, Any] | None = None
    delay: float = 0.0
    drip: float = 0.0
    drip_headers: bool = False
    reset_after: int | None = None
    hang_up: bool = False


@dataclass(frozen=True, slots=True)
class Recorded:
    """One request as it came in. Header names are lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


class FaultServer:
    """The server; a context manager.

    Args:
        answer: a completion's content as a function of the request body; or a `Reply` for full control.
        embed: a text's embedding; the default derives eight numbers from the text's hash.
        tls: serve https, with this certificate.

    Attributes:
        capacity: POST requests that are answered at once; each further one gets a 429. None: no limit.
    """

    def __init__(
        self,
        answer: Callable[[dict[str, Any]], str | Reply] | None = None,
        embed: Callable[[str], list[float]] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.answer = answer or (lambda body: "ok")
        self.embed = embed or _hashed
        self.models = Reply()
        self.capacity: int | None = None
        self.refused = 0
        self.requests: list[Recorded] = []
        self.connections = 0
        self.open_connections = 0
        self.in_flight_most = 0
        self._in_flight = 0
        self._script: deque[Reply] = deque()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.owner = self
        self._scheme = "https" if tls else "http"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "FaultServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def base_url(self) -> str:
        """What to give as `base_url`."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def completions(self) -> int:
        """Chat completion requests received, failed ones included."""
        return sum(r.path.endswith("/chat/completions") for r in self.requests)

    def script(self, *replies: Reply) -> None:
        """Answer the next POST requests with these, in order; then go back to `answer`."""
        with self._lock:
            self._script.extend(replies)

    def received(self, record: Recorded) -> Reply:
        """Book a request and choose its answer."""
        with self._lock:
            self.requests.append(record)
            self._in_flight += 1
            self.in_flight_most = max(self.in_flight_most, self._in_flight)
            if record.method == "GET":
                return self.models
            if self.capacity is not None and self._in_flight > self.capacity:
                self.refused += 1
                return Reply(status=429)
            scripted = self._script.popleft() if self._script else Reply()
        if scripted.raw is not None or scripted.status != 200:
            return scripted
        if record.path.endswith("/embeddings"):
            return _replace(scripted, raw=self._embeddings(record.body))
        if scripted.text is None and scripted.message is None:
            made = self.answer(record.body)
            if isinstance(made, Reply):
                return made
            return _replace(scripted, text=made)
        return scripted

    def settle(self, timeout: float = 10.0) -> None:
        """Wait until every request sent by a client that is gone has been counted.

        What a killed client wrote may still lie in the kernel's buffers. Connections are accepted in the
        order in which they came, so one of our own, once answered, proves that none waits before it; then
        the handlers of closed connections come to their end by themselves.

        Raises:
            TimeoutError: a client still holds a connection open after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        with socket.create_connection(("127.0.0.1", self._server.server_address[1]), timeout) as last:
            last.sendall(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            while last.recv(4096):
                pass
        while self.open_connections:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.open_connections} connections are still open")
            time.sleep(0.005)

    def answered(self) -> None:
        """Book the end of an answer."""
        with self._lock:
            self._in_flight -= 1

    def _embeddings(self, body: Any) -> bytes:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        rows = [{"object": "embedding", "index": i, "embedding": self.embed(t)} for i, t in enumerate(texts)]
        usage = {"prompt_tokens": sum(len(t.split()) for t in texts), "total_tokens": 0}
        return json.dumps({"data": rows, "model": body["model"], "usage": usage}).encode()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    owner: FaultServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests; nothing is printed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        owner = self.server.owner
        with owner._lock:
            owner.connections += 1
            owner.open_connections += 1

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            with self.server.owner._lock:
                self.server.owner.open_connections -= 1

    def do_OPTIONS(self) -> None:
        """Answered without being counted: `FaultServer.settle` asks it."""
        self.wfile.write(b"HTTP/1.1 204 Settled\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        self.close_connection = True

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._serve(json.loads(data) if data else None)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def _serve(self, body: Any) -> None:
        owner = self.server.owner
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = owner.received(Recorded(self.command, self.path, headers, body))
        self._booked = False
        try:
            self._send(reply, self._body(reply, body))
        finally:
            self._book()

    def _book(self) -> None:
        """The request is no longer in flight; said before its last bytes go out, so that a client's next
        request is never counted beside it."""
        if not self._booked:
            self._booked = True
            self.server.owner.answered()

    def _body(self, reply: Reply, body: Any) -> bytes:
        if reply.raw is not None:
            return reply.raw
        if reply.status != 200:
            return json.dumps({"error": {"message": f"scripted {reply.status}", "code": None}}).encode()
        if self.command == "GET":
            return b'{"object": "list", "data": [{"id": "any", "object": "model"}]}'
        message = dict(reply.message or {"role": "assistant", "content": reply.text})
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": reply.finish_reason}
        if reply.logprobs is not None:
            choice["logprobs"] = reply.logprobs
        made: dict[str, Any] = {
            "id": "chatcmpl-1",
            "model": reply.model or body["model"],
            "choices": [choice],
        }
        if reply.usage is not None:
            made["usage"] = reply.usage
        return json.dumps(made).encode()

    def _send(self, reply: Reply, body: bytes) -> None:
        time.sleep(reply.delay)
        if not reply.drip:
            self._book()
        kind = "text/html" if body.startswith(b"<") else "application/json"
        lines = [f"HTTP/1.1 {reply.status} Scripted", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        self._write(head, reply.drip if reply.drip_headers else 0.0)
        if reply.reset_after is not None:
            self._write(body[: reply.reset_after], 0.0)
            # SO_LINGER with a time of 0 makes close() send a reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        self._write(body, reply.drip)
        self.close_connection = self.close_connection or reply.hang_up

    def _write(self, data: bytes, drip: float) -> None:
        if not drip:
            self.wfile.write(data)
            return
        for i in range(len(data)):
            self.wfile.write(data[i : i + 1])
            time.sleep(drip)


def _replace(reply: Reply, **changes: Any) -> Reply:
    return Reply(**{**{name: getattr(reply, name) for name in Reply.__slots__}, **changes})


def _hashed(text: str) -> list[float]:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return [byte / 255 - 0.5 for byte in digest[:8]]
