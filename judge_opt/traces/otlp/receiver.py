"""A server that takes traces from any OpenTelemetry SDK or collector: `POST /v1/traces`.

Protobuf and JSON, also with gzip. It listens on loopback unless told otherwise; there the Host header must
name loopback, which keeps out web pages that point a name of theirs at this machine, and a browser's own
requests are refused by their content type. Beyond loopback a key is required.
"""

import hmac
import logging
import os
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal, Self

from judge_opt.core.errors import DataError, JudgeOptError, UsageError
from judge_opt.core.loopback import is_loopback, names_loopback
from judge_opt.traces.otlp.assembly import SpanAssembler
from judge_opt.traces.otlp.wire import (
    JSON_TYPE,
    PROTOBUF_TYPE,
    dump_answer,
    dump_error,
    inflate,
    load_request,
)
from judge_opt.traces.otlp_json import spans_of_request
from judge_opt.traces.store import Store

log = logging.getLogger("judge_opt.otlp")

PATH = "/v1/traces"
KEY_VARIABLE = "JUDGE_OPT_OTLP_KEY"
LARGEST_BODY = 64 * 1024 * 1024
IDLE_SECONDS = 60


class OTLPReceiver:
    """Receives traces into a store; a context manager.

    Args:
        store: where complete traces go.
        host: an address of this machine.
        port: 0 for any free one; 4318 is OTLP's.
        key: that clients send as a bearer token (OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer ...");
            default: the environment's JUDGE_OPT_OTLP_KEY.
        quiet_seconds: a trace whose root has ended is stored when nothing came for so long.
        orphan_seconds: so is one whose root never came.
        spool: file in which spans are kept until their trace is stored, so that a crash loses none.
            "beside" (the default) puts it next to an SQLite file; other databases then have none. None holds
            spans in memory only.
        largest_body: in bytes, packed and unpacked.

    Raises:
        UsageError: the address cannot be had, or is not loopback and there is no key.
    """

    def __init__(
        self,
        store: Store,
        host: str = "127.0.0.1",
        port: int = 4318,
        *,
        key: str | None = None,
        quiet_seconds: float = 2.0,
        orphan_seconds: float = 60.0,
        spool: Path | Literal["beside"] | None = "beside",
        largest_body: int = LARGEST_BODY,
    ) -> None:
        self.key = key if key is not None else os.environ.get(KEY_VARIABLE, "").strip()
        self.on_loopback = is_loopback(host)
        self.largest_body = largest_body
        if not self.on_loopback and not self.key:
            raise UsageError(
                f"{host!r} can be reached from other machines, and there is no key.",
                f"Set {KEY_VARIABLE}, or receive on 127.0.0.1.",
            )
        self._spool = _beside(store) if spool == "beside" else spool
        self.assembler = SpanAssembler(
            store, quiet_seconds=quiet_seconds, orphan_seconds=orphan_seconds, spool=self._spool
        )
        self._check_every = max(0.01, min(1.0, quiet_seconds / 4))
        self._stop = threading.Event()
        try:
            self._server = _Server((host, port), _Handler)
        except OSError as error:
            raise UsageError(
                f"{host}:{port} cannot be served ({error.strerror or error}).", "Choose another port."
            ) from None
        self._server.owner = self
        self._serving = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._storing = threading.Thread(target=self._store_complete, daemon=True)

    @property
    def endpoint(self) -> str:
        """The base URL, for OTEL_EXPORTER_OTLP_ENDPOINT and `export_otlp`."""
        host, port = self._server.server_address[:2]
        shown = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{shown}:{port}"

    def __enter__(self) -> Self:
        self._serving.start()
        self._storing.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stores what has ended. What has not stays in the spool; without one it is stored as it is."""
        self._server.shutdown()
        self._server.server_close()
        self._serving.join(5)
        self._stop.set()
        self._storing.join(5)
        self.assembler.store_complete(ended=True, everything=self._spool is None)

    def flush(self) -> int:
        """Stores everything that is held, complete or not; returns how many traces that were."""
        return self.assembler.store_complete(everything=True)

    def wait(self) -> None:
        """Until the server ends, or Ctrl-C."""
        while self._serving.is_alive():
            self._serving.join(0.5)

    def _store_complete(self) -> None:
        while not self._stop.wait(self._check_every):
            try:
                self.assembler.store_complete()
            except Exception:
                log.exception("Received traces wait: they could not be stored.")


def _beside(store: Store) -> Path | None:
    url = store.database.url
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(f"{url.database}.otlp-spool")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    owner: OTLPReceiver

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hung up is no event; a mistake of ours is."""
        if not isinstance(sys.exc_info()[1], OSError):
            log.exception("A request for traces ended in an error.")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "judge_opt"
    sys_version = ""
    timeout = IDLE_SECONDS
    server: _Server

    def do_POST(self) -> None:
        if (refusal := self._refusal()) is not None:
            self._refuse(*refusal)
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.headers.get_content_type()
        owner = self.server.owner
        try:
            if self.headers.get("Content-Encoding", "identity").lower() == "gzip":
                body = inflate(body, owner.largest_body)
            arrived = list(spans_of_request(load_request(body, kind)))
        except (DataError, UsageError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"The body is no OTLP trace request ({error}).")
            return
        try:
            rejected, message = owner.assembler.accept(arrived)
        except OSError as error:
            log.error("The spool of received spans cannot be written: %s", error)
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, f"the spool cannot be written ({error.strerror})")
            return
        except JudgeOptError as error:
            log.error("Received spans cannot be taken: %s", error)
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the store does not answer")
            return
        self._send(HTTPStatus.OK, kind, dump_answer(kind, rejected, message))

    def do_GET(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, f"traces are sent with POST {PATH}")

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: what is traced may be private."""

    def _refusal(self) -> tuple[HTTPStatus, str] | None:
        """Why the request is not read; None where it is."""
        owner = self.server.owner
        if owner.on_loopback and not names_loopback(self.headers.get("Host", "")):
            return HTTPStatus.FORBIDDEN, "the Host header does not name this machine"
        if owner.key:
            sent = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
            if not hmac.compare_digest(sent.encode(), owner.key.encode()):
                return HTTPStatus.UNAUTHORIZED, f"the key is not the one in {KEY_VARIABLE}"
        if self.path.partition("?")[0].rstrip("/") != PATH:
            return HTTPStatus.NOT_FOUND, f"there is only {PATH}"
        if self.headers.get_content_type() not in (JSON_TYPE, PROTOBUF_TYPE):
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send {PROTOBUF_TYPE} or {JSON_TYPE}"
        if self.headers.get("Content-Encoding", "identity").lower() not in ("gzip", "identity"):
            return HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send gzip, or no Content-Encoding"
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return HTTPStatus.LENGTH_REQUIRED, "send a Content-Length"
        if int(length) > owner.largest_body:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {owner.largest_body} bytes"
        return None

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        self.close_connection = True  # the body may not have been read
        kind = self.headers.get_content_type()
        kind = kind if kind == PROTOBUF_TYPE else JSON_TYPE
        self._send(status, kind, dump_error(kind, message))

    def _send(self, status: HTTPStatus, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if status is HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "5")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)
