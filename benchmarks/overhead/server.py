"""A model server that answers at once: one process, one event loop, raw sockets, canned replies.

    python benchmarks/overhead/server.py [LATENCY_SECONDS]      # prints its port

The first part of the path chooses the reply's form: /judge, /mlflow, /dspy. `GET /stats` counts.
Python's standard library only, so that any environment can run it.
"""

import asyncio
import json
import sys

WHY = "The answer restates the reference fact and adds nothing false."
TEXTS = {
    b"judge": json.dumps({"rationale": WHY, "verdict": "yes"}),
    b"mlflow": json.dumps({"rationale": WHY, "result": "yes"}),
    b"dspy": f"[[ ## rationale ## ]]\n{WHY}\n\n[[ ## verdict ## ]]\nyes\n\n[[ ## completed ## ]]",
}
STATS = {"requests": 0, "connections": 0}
LATENCY = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0


def answer(body: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 23 Nov 2026 06:00:00 GMT\r\n"
    return head + b"Server: canned\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def completion(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 300, "completion_tokens": 30, "total_tokens": 330}
    made = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4.1-mini"}
    return json.dumps({**made, "choices": [choice], "usage": usage}).encode()


ANSWERS = {name: answer(completion(text)) for name, text in TEXTS.items()}


class Connection(asyncio.Protocol):
    """Reads requests by their Content-Length, and answers each at once or after the latency."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.received = b""
        STATS["connections"] += 1

    def data_received(self, data: bytes) -> None:
        self.received += data
        while (end := self.received.find(b"\r\n\r\n")) >= 0:
            head = self.received[:end].lower() + b"\r\n"
            _, found, after = head.partition(b"content-length:")
            length = int(after.partition(b"\r\n")[0]) if found else 0
            if len(self.received) < end + 4 + length:
                return
            self.received = self.received[end + 4 + length :]
            self.reply(head)

    def reply(self, head: bytes) -> None:
        path = head.split(b" ", 2)[1].lstrip(b"/")
        if path == b"stats":
            STATS["connections"] -= 1  # the one that asks
            self.transport.write(answer(json.dumps(STATS).encode()))
            return
        STATS["requests"] += 1
        canned = ANSWERS[path.partition(b"/")[0]]
        if LATENCY:
            asyncio.get_running_loop().call_later(LATENCY, self.transport.write, canned)
        else:
            self.transport.write(canned)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
