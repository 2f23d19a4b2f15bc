"""An embedded model behind OpenAI's HTTP interface, so that other programs ask the very same model.

    with ModelServer("smollm2", port=0) as server:
        judge = make_judge(..., model="openai:/smollm2", base_url=server.base_url)

`/v1/models` and `/v1/chat/completions` with text messages, `temperature`, `max_tokens`, `stop`, `seed`,
`response_format` (json_schema, json_object), `logprobs` and `top_logprobs`. A schema that ends in an
enumeration is answered as in-process: by scoring every label, with the whole distribution in the place of
the verdict's log probabilities. What is not served (streams, tools, images, several samples) is refused.

A web page that a user happens to visit must not reach it: only JSON bodies are taken, which makes a
browser ask first and get no answer, and on loopback the Host header must name loopback, which stops DNS
rebinding. Beyond loopback a key is required.
"""

import hmac
import ipaddress
import json
import os
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from dspy import lm15

from judge_opt.core.errors import JudgeOptError, ModelError, UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.llm.local import LocalBackend
from judge_opt.llm.serve_format import BadRequestError, from_response, to_request

KEY_VARIABLE = "JUDGE_OPT_SERVE_KEY"
LARGEST_BODY = 4 * 1024 * 1024
IDLE_SECONDS = 60


class ModelServer:
    """Serves one embedded model; a context manager.

    Args:
        name: what follows `local:/`.
        host: an address of this machine.
        port: 0 for any free one.
        key: that clients must send as a bearer token; default: the environment's JUDGE_OPT_SERVE_KEY.
        n_ctx: context length in tokens.

    Raises:
        ModelNotInstalled, ModelError: the model cannot be loaded.
        UsageError: the address cannot be had, or is not loopback and there is no key.
    """

    def __init__(
        self,
        name: str = "smollm2",
        *,
        host: str = "127.0.0.1",
        port: int = 8123,
        key: str | None = None,
        n_ctx: int = 8192,
    ) -> None:
        self.name = name
        self.key = key if key is not None else os.environ.get(KEY_VARIABLE, "").strip()
        self.on_loopback = _is_loopback(host)
        if not self.on_loopback and not self.key:
            raise UsageError(
                f"{host!r} can be reached from other machines, and there is no key.",
                f"Set {KEY_VARIABLE}, or serve on 127.0.0.1.",
            )
        self.backend = LocalBackend(name, n_ctx=n_ctx)
        self.backend.check()
        self.started = int(time.time())
        self._turn = threading.Lock()
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            raise UsageError(
                f"{host}:{port} cannot be served ({error.strerror or error}).", "Choose another --port."
            ) from None
        self._server.owner = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    @property
    def base_url(self) -> str:
        """What a client is given as its base URL."""
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def wait(self) -> None:
        """Until the server ends, or Ctrl-C."""
        while self._thread.is_alive():
            self._thread.join(0.5)

    def complete(self, body: Any) -> dict[str, Any]:
        """The chat completion for a request body; one at a time.

        Raises:
            BadRequestError: the body asks for what is not served.
        """
        request = to_request(body, self.name)
        with self._turn:
            response = self.backend.complete(request)
        name = f"chatcmpl-{content_hash([body, response.text])[:24]}"
        return from_response(response, self.name, name, int(time.time()), body.get("top_logprobs"))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: ModelServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no event."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "judge_opt"
    sys_version = ""
    timeout = IDLE_SECONDS
    server: _Server

    def do_GET(self) -> None:
        if not self._admitted():
            return
        owner = self.server.owner
        if self.path.rstrip("/") != "/v1/models":
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no {self.path[:80]}")
            return
        model = {"id": owner.name, "object": "model", "created": owner.started, "owned_by": "judge_opt"}
        self._send(HTTPStatus.OK, {"object": "list", "data": [model]})

    def do_POST(self) -> None:
        if not self._admitted():
            return
        body = self._body()
        if body is None:
            return
        if self.path.rstrip("/") != "/v1/chat/completions":
            self._refuse(HTTPStatus.NOT_FOUND, f"there is no {self.path[:80]}")
            return
        try:
            answer = self.server.owner.complete(json.loads(body))
        except BadRequestError as error:
            self._refuse(HTTPStatus(error.status), str(error), error.code)
        except lm15.ContextLengthError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error), "context_length_exceeded")
        except (ValueError, TypeError, RecursionError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"the body is not a chat request ({error})")
        except (ModelError, JudgeOptError) as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, error.message)
        else:
            self._send(HTTPStatus.OK, answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: what is judged may be private."""

    def _admitted(self) -> bool:
        owner = self.server.owner
        if owner.on_loopback and not _names_loopback(self.headers.get("Host", "")):
            self._refuse(HTTPStatus.FORBIDDEN, "the Host header does not name this machine")
            return False
        if owner.key:
            sent = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
            if not hmac.compare_digest(sent.encode(), owner.key.encode()):
                self._refuse(HTTPStatus.UNAUTHORIZED, f"the key is not the one in {KEY_VARIABLE}")
                return False
        return True

    def _body(self) -> bytes | None:
        """The request's body; None where it was refused, and the connection then ends."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "send a Content-Length")
            return None
        if int(length) > LARGEST_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {LARGEST_BODY} bytes")
            return None
        if self.headers.get_content_type() != "application/json":
            self._refuse(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send Content-Type: application/json")
            return None
        return self.rfile.read(int(length))

    def _refuse(self, status: HTTPStatus, message: str, code: str | None = None) -> None:
        if self.command == "POST" and status is not HTTPStatus.OK:
            self.close_connection = True  # the body may not have been read
        kind = "invalid_request_error" if status < 500 else "server_error"
        self._send(status, {"error": {"message": message, "type": kind, "param": None, "code": code}})

    def _send(self, status: HTTPStatus, answer: dict[str, Any]) -> None:
        data = json.dumps(answer, ensure_ascii=True).encode("ascii")
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names_loopback(header: str) -> bool:
    host = header.rsplit(":", 1)[0] if not header.endswith("]") else header
    return _is_loopback(host.strip("[]").lower())
