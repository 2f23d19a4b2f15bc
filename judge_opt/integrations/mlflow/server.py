"""An MLflow tracking server, through its REST API."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from judge_opt.core.errors import CredentialsError, DataError, EndpointUnreachable
from judge_opt.integrations.mlflow.convert import Info, Said, record_of
from judge_opt.integrations.mlflow.database import chosen
from judge_opt.traces.bulk import Record
from judge_opt.traces.importers.files import MAX_ROW
from judge_opt.traces.importers.report import Skipped

PAGE = 100
BATCH = 20
TIMEOUT_SECONDS = 60.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_server(
    url: str, experiments: Sequence[str | int] | None = None, headers: Mapping[str, str] | None = None
) -> Iterator[Record | Skipped]:
    """The traces of the server, oldest first within each 1,000 experiments; `line` counts them.

    Raises:
        EndpointUnreachable: no server answers.
        CredentialsError: it refuses us.
        DataError: what it answers is not MLflow's API.
        NotFound: there is no such experiment.
    """
    server = _Server(url, headers or {})
    known = {str(one["experiment_id"]): str(one["name"]) for one in server.pages("experiments")}
    wanted = list(known) if experiments is None else chosen(known, experiments, server.url)
    line = 0
    infos = server.pages("traces", wanted)
    while some := [_trace_id(info) for info in islice(infos, BATCH)]:
        for trace in server.traces(some):
            line += 1
            try:
                yield _record(trace, line)
            except DataError as error:
                yield Skipped(line, str(_get(trace, "trace_info").get("trace_id")), error.message)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
                yield Skipped(line, "", f"it is not as MLflow sends it ({type(error).__name__}: {error})")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The headers may hold a key: they go to the server that was named, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class _Server:
    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Content-Type": "application/json", **headers}
        self._open = urllib.request.build_opener(_NoRedirect).open
        self._batches = True

    def pages(self, what: str, experiments: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
        """Every experiment, or the infos of every trace of the experiments."""
        token: str | None = None
        while True:
            body: dict[str, Any] = {"max_results": PAGE}
            if token:
                body["page_token"] = token
            if what == "experiments":
                answer = self._ask("/api/2.0/mlflow/experiments/search", body)
            else:
                if not experiments:
                    return
                body["order_by"] = ["timestamp_ms ASC"]
                body["locations"] = [
                    {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": one}}
                    for one in experiments
                ]
                answer = self._ask("/api/3.0/mlflow/traces/search", body)
            yield from answer.get(what) or ()
            token = answer.get("next_page_token")
            if not token:
                return

    def traces(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Whole traces, with spans and assessments; servers before MLflow 3.5 are asked one by one."""
        if self._batches:
            query = urlencode([("trace_ids", one) for one in ids])
            answer = self._ask(f"/api/3.0/mlflow/traces/batchGet?{query}", missing=True)
            if answer is not None:
                return list(answer.get("traces") or ())
            self._batches = False
        queries = [urlencode({"trace_id": one}) for one in ids]
        return [self._ask(f"/api/3.0/mlflow/traces/get?{one}")["trace"] for one in queries]

    def _ask(self, path: str, body: Mapping[str, Any] | None = None, *, missing: bool = False) -> Any:
        """The JSON answer; None for 404 and 405 where `missing`."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self._headers)  # noqa: S310 - http(s), see __init__
        try:
            with self._open(request, timeout=TIMEOUT_SECONDS) as answer:
                raw = answer.read(MAX_ROW)
        except urllib.error.HTTPError as error:
            if missing and error.code in (404, 405):
                return None
            if error.code in (401, 403):
                raise CredentialsError(
                    f"{self.url} refuses the request ({error.code}).",
                    'Pass headers={"Authorization": "..."}.',
                ) from None
            detail = " ".join(error.read(500).decode("utf-8", "replace").split())[:200]
            raise DataError(
                f"{self.url}{path.partition('?')[0]} answers {error.code}: {detail}.",
                "Check that it is an MLflow 3 tracking server; importing again goes on.",
            ) from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise EndpointUnreachable(
                f"No answer from {self.url} ({reason}).", "Check the URL and that the server runs."
            ) from None
        try:
            found = json.loads(raw)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise DataError(
                f"{self.url}{path.partition('?')[0]} does not answer with JSON.",
                "Check that it is MLflow's URL.",
            )
        return found


def _trace_id(info: Mapping[str, Any]) -> str:
    return str(info.get("trace_id") or info.get("request_id"))


def _get(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = data.get(key)
    return found if isinstance(found, Mapping) else {}


def _record(trace: Mapping[str, Any], line: int) -> Record:
    info = trace["trace_info"]
    location = _get(_get(info, "trace_location"), "mlflow_experiment")
    metadata = dict(_get(info, "trace_metadata"))
    return record_of(
        Info(
            id=info["trace_id"],
            experiment=str(location.get("experiment_id") or ""),
            created_ms=_milliseconds(info["request_time"]),
            duration_ms=_duration(info.get("execution_duration")),
            state=str(info.get("state") or ""),
            tags=_get(info, "tags"),
            metadata=metadata,
            client_request_id=info.get("client_request_id"),
            request_preview=info.get("request_preview") or metadata.get("mlflow.traceInputs"),
            response_preview=info.get("response_preview") or metadata.get("mlflow.traceOutputs"),
        ),
        list(trace.get("spans") or ()),
        [_said(one) for one in info.get("assessments") or ()],
        line,
    )


def _said(data: Mapping[str, Any]) -> Said:
    kind = next((one for one in ("feedback", "expectation", "issue") if one in data), "unknown")
    content = _get(data, kind)
    value = content.get("value")
    if "serialized_value" in content:
        value = json.loads(content["serialized_value"]["value"])
    source = _get(data, "source")
    return Said(
        id=data["assessment_id"],
        kind=kind,
        name=data["assessment_name"],
        value=value,
        error=content.get("error"),
        rationale=data.get("rationale"),
        source_type=str(source.get("source_type")),
        source_id=source.get("source_id"),
        created_ms=_milliseconds(data["create_time"]),
        overrides=data.get("overrides"),
        valid=bool(data.get("valid", True)),
        metadata=_get(data, "metadata"),
        span_id=data.get("span_id"),
    )


def _milliseconds(text: str) -> int:
    return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)


def _duration(text: str | None) -> int | None:
    """Protobuf's `0.046s` in milliseconds."""
    return None if not text else round(float(text.removesuffix("s")) * 1000)
