"""Sending traces to an OTLP endpoint over HTTP."""

import gzip
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any, Literal, NoReturn
from urllib.parse import urlsplit, urlunsplit

from judge_opt.core.errors import JudgeOptError, UsageError
from judge_opt.traces.otlp.wire import JSON_TYPE, PROTOBUF_TYPE, dump_request, load_answer
from judge_opt.traces.otlp_json import otlp_request
from judge_opt.traces.schema import Trace, choice

PATH = "/v1/traces"
BATCH_SPANS = 2_000
_AGAIN = (429, 502, 503, 504)
_ATTEMPTS = 5
_LONGEST_WAIT = 30.0


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was sent.

    Attributes:
        traces, spans: how many.
        rejected: spans that the endpoint says it did not take.
        message: what it said about them last; "" for nothing.
    """

    traces: int = 0
    spans: int = 0
    rejected: int = 0
    message: str = ""


def export_otlp(
    traces: Iterable[Trace],
    endpoint: str = "http://127.0.0.1:4318",
    *,
    protocol: Literal["protobuf", "json"] = "protobuf",
    headers: Mapping[str, str] | None = None,
    compress: bool = True,
    timeout: float = 30.0,
) -> ExportReport:
    """Sends traces to an OpenTelemetry backend, whole traces together, in requests of about 2,000 spans.

    A receiver of ours gets equal traces, but for lone surrogates (protobuf has none) and integers beyond 64
    bits; assessments have no place in OTLP and stay here. Sending twice is safe where the receiver knows
    spans by their ids.

    Args:
        endpoint: base URL, to which /v1/traces is added, or the whole URL.
        headers: sent with each request, such as {"Authorization": "Bearer ..."}; never logged.
        compress: with gzip.
        timeout: seconds for each request.

    Raises:
        UsageError: the endpoint is no http(s) URL, or protobuf's package is missing.
        JudgeOptError: the endpoint cannot be reached or refuses; what was sent before stands.
    """
    choice("protocol", protocol, ("protobuf", "json"))
    url = _url(endpoint)
    content_type = PROTOBUF_TYPE if protocol == "protobuf" else JSON_TYPE
    sent_headers = {**(headers or {}), "Content-Type": content_type}
    if compress:
        sent_headers["Content-Encoding"] = "gzip"
    report = ExportReport()
    for batch in _batches(traces):
        body = dump_request(otlp_request(batch), content_type)
        request = urllib.request.Request(  # noqa: S310 - http and https only, see _url
            url, gzip.compress(body, 6) if compress else body, sent_headers, method="POST"
        )
        rejected, message = load_answer(_send(request, url, timeout), content_type)
        report = ExportReport(
            report.traces + len(batch),
            report.spans + sum(max(1, len(trace.spans)) for trace in batch),
            report.rejected + rejected,
            message or report.message,
        )
    return report


def _url(endpoint: str) -> str:
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(
            f"{endpoint[:80]!r} is no OTLP endpoint.",
            "Give an http or https URL, such as http://127.0.0.1:4318.",
        )
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(PATH) else path + PATH))


def _batches(traces: Iterable[Trace]) -> Iterator[list[Trace]]:
    batch: list[Trace] = []
    spans = 0
    for trace in traces:
        batch.append(trace)
        spans += max(1, len(trace.spans))
        if spans >= BATCH_SPANS:
            yield batch
            batch, spans = [], 0
    if batch:
        yield batch


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would take traces and keys to another address than the user named."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _send(request: urllib.request.Request, url: str, timeout: float) -> bytes:
    """The answer's body. What OTLP calls retryable is tried five times, with the wait that it asks for."""
    for attempt in range(1, _ATTEMPTS + 1):
        wait = min(0.5 * 2**attempt, _LONGEST_WAIT)
        try:
            with _opener.open(request, timeout=timeout) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                if error.code not in _AGAIN or attempt == _ATTEMPTS:
                    _refused(url, error)
                asked = error.headers.get("Retry-After", "")
            wait = min(float(asked), _LONGEST_WAIT) if asked.isdigit() else wait
        except (OSError, HTTPException) as error:
            if attempt == _ATTEMPTS or isinstance(getattr(error, "reason", error), ConnectionRefusedError):
                reason = getattr(error, "reason", error)
                raise JudgeOptError(
                    f"No OTLP endpoint answers at {url} ({reason}).", "Check the address, and that it runs."
                ) from None
        time.sleep(wait)
    raise AssertionError("unreachable")


def _refused(url: str, error: urllib.error.HTTPError) -> NoReturn:
    said = "".join(char for char in error.read(500).decode("utf-8", "replace") if char.isprintable())
    raise JudgeOptError(
        f"The OTLP endpoint {url} refused the traces with {error.code}{': ' + said if said else ''}.",
        "Check the address, the headers and the protocol.",
    )
