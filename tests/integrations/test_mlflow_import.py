"""A tracking database that MLflow itself wrote, read from its file and from its server."""

import contextlib
import hashlib
import http.server
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from integrations_help import HERE, PYTHON, clean_environment

from judge_opt.core.errors import CredentialsError, DataError, EndpointUnreachable, NotFound
from judge_opt.traces import Store
from judge_opt.traces.bulk import Record
from judge_opt.traces.importers import import_traces, read_records

SAME_TYPE = {"TOOL": "TOOL", "CHAIN": "CHAIN", "CHAT_MODEL": "LLM", "UNKNOWN": None}


@pytest.fixture(scope="module")
def tracked(interop: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """MLflow's database file, and what MLflow reads back of it."""
    folder = tmp_path_factory.mktemp("mlflow")
    interop(
        HERE / "mlflow_writer.py", f"sqlite:///{folder / 'mlflow.db'}", folder / "expected.json", cwd=folder
    )
    return folder / "mlflow.db", json.loads((folder / "expected.json").read_text())["traces"]


@pytest.fixture(scope="module")
def server(tracked: tuple[Path, Any]) -> Iterator[str]:
    """MLflow's tracking server over that database, on loopback."""
    file, _ = tracked
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [PYTHON, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{file}"]
    command += ["--default-artifact-root", file.parent / "art", "--host", "127.0.0.1", "--port", str(port)]
    with (file.parent / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*map(str, command), "--workers", "1"],
            cwd=file.parent,
            env=clean_environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            assert process.poll() is None, (file.parent / "server.log").read_text()[-3000:]
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def check_same(store: Store, expected: list[dict[str, Any]]) -> None:
    """The store holds what MLflow says: every trace, span and word, nothing more."""
    found = {trace.id: trace for trace in store.iter_traces()}
    assert set(found) == {one["id"] for one in expected}
    for one in expected:
        trace = found[one["id"]]
        assert int(trace.created.timestamp() * 1000) == one["created_ms"]
        assert trace.tags == one["tags"]
        assert trace.session == one["metadata"].get("mlflow.trace.session")
        assert {key: trace.metadata.get(key) for key in one["metadata"]} == one["metadata"]
        assert trace.metadata["mlflow.state"] == one["state"]
        assert trace.metadata["mlflow.execution_time_ms"] == one["duration_ms"]
        spans = {span["span_id"]: span for span in trace.spans}
        assert len(spans) == len(one["spans"])
        for theirs in one["spans"]:
            span = spans[theirs["id"]]
            attributes = span["attributes"]
            assert (span["parent_id"], span["name"]) == (theirs["parent"], theirs["name"])
            assert attributes.get("input.value") == theirs["inputs"]
            assert attributes.get("output.value") == theirs["outputs"]
            assert attributes.get("openinference.span.kind") == SAME_TYPE[theirs["type"]]
            assert span["status"]["code"] == theirs["status"]
            assert (span["start_ns"], span["end_ns"]) == (theirs["start_ns"], theirs["end_ns"])
            assert [[event["name"], event["attributes"]] for event in span["events"]] == theirs["events"]
        root = next(span for span in one["spans"] if span["parent"] is None)
        assert (trace.inputs, trace.outputs) == (root["inputs"], root["outputs"])
        words = {word.id: word for word in trace.assessments}
        assert len(words) == len(one["assessments"])
        for theirs in one["assessments"]:
            word = words[theirs["id"]]
            assert (word.kind, word.name, word.value) == (theirs["kind"], theirs["name"], theirs["value"])
            assert type(word.value) is type(theirs["value"]) or word.value == theirs["value"]
            assert [word.source_type, word.source_id] == theirs["source"]
            assert word.rationale == theirs["rationale"]
            assert word.error == (": ".join(theirs["error"]) if theirs["error"] else None)
            assert {key: word.metadata.get(key) for key in theirs["metadata"]} == theirs["metadata"]
            assert int(word.created.timestamp() * 1000) == theirs["created_ms"]
            if theirs["overrides"]:
                assert word.supersedes == theirs["overrides"]
            assert word.votes <= theirs["valid"]


def test_the_file_gives_what_mlflow_gives(tracked: tuple[Path, Any]) -> None:
    file, expected = tracked
    before = hashlib.sha256(file.read_bytes()).hexdigest()
    with Store(":memory:") as store:
        report = import_traces(store, file)
        assert report.format == "mlflow"
        assert (report.traces, report.assessments) == (
            len(expected),
            sum(len(one["assessments"]) for one in expected),
        )
        assert [len(report.skipped), len(report.conflicts), len(report.truncated)] == [0, 0, 0]
        check_same(store, expected)
        again = import_traces(store, f"sqlite:///{file}")
        assert (again.traces, again.assessments, len(again.conflicts)) == (0, 0, 0)
        assert again.assessments_known == report.assessments
    assert hashlib.sha256(file.read_bytes()).hexdigest() == before
    assert "mlflow" not in sys.modules


def test_the_server_gives_what_mlflow_gives(tracked: tuple[Path, Any], server: str) -> None:
    file, expected = tracked
    with Store(":memory:") as store:
        report = import_traces(store, server)
        assert (report.traces, report.assessments) == (
            len(expected),
            sum(len(one["assessments"]) for one in expected),
        )
        assert [len(report.skipped), len(report.conflicts)] == [0, 0]
        check_same(store, expected)
        # The file and the server are one source: what came from one is known from the other.
        again = import_traces(store, file)
        assert (again.traces, again.assessments, list(again.conflicts)) == (0, 0, [])
    assert "mlflow" not in sys.modules


def test_each_kind_of_word_is_there_and_votes_as_it_should(tracked: tuple[Path, Any]) -> None:
    file, _ = tracked
    with Store(":memory:") as store:
        import_traces(store, file)
        words = [word for trace in store.iter_traces() for word in trace.assessments]
        kinds = Counter((word.kind, str(word.source_type)) for word in words)
        assert {("feedback", "HUMAN"), ("feedback", "LLM_JUDGE"), ("feedback", "CODE")} < set(kinds)
        assert kinds[("expectation", "HUMAN")] == 2
        [errored] = [word for word in words if word.error]
        assert (errored.error, errored.votes) == ("TIMEOUT: no reply", False)
        overridden, override = (word for word in words if word.name == "polite")
        assert (overridden.value, overridden.votes) == ("no", False)
        assert (override.value, override.votes, override.supersedes) == ("yes", True, overridden.id)
        # MLflow lets one rater speak twice; here the last word counts and the first is history.
        tones = [word for word in words if word.name == "tone"]
        assert [(word.value, word.votes) for word in tones] == [("cold", False), ("hot", True)]
        assert max(len(example.votes) for example in store.labelled_examples("correct", str)) == 3
        assert len({trace.session for trace in store.iter_traces()}) == 3
        assert store.labelled_examples("polite", str)[0].gold == "yes"


def test_experiments_are_chosen_by_name_or_id(tracked: tuple[Path, Any], server: str) -> None:
    file, expected = tracked
    for source in (file, server):
        named = [r for r in read_records(source, experiments=["support"]) if isinstance(r, Record)]
        assert len(named) == 8
        identity = named[0].trace.metadata["mlflow.experiment_id"]
        assert [r.trace.id for r in read_records(source, experiments=[identity])] == [
            r.trace.id for r in named
        ]
        with pytest.raises(NotFound, match=r"'suport'.*Did you mean 'support'"):
            list(read_records(source, experiments=["suport"]))
    assert len(expected) == 11


LATER = """
import sys, mlflow
from mlflow.entities import AssessmentSource, Feedback
mlflow.set_tracking_uri(sys.argv[1])
def of(name):
    return [(t.info.trace_id, a) for t in mlflow.search_traces(experiment_ids=["1", "2"], return_type="list")
            for a in t.info.assessments if a.name == name]
trace_id, length = of("length")[0]
mlflow.update_assessment(trace_id=trace_id, assessment_id=length.assessment_id,
                         assessment=Feedback(name="length", value=99))
trace_id, tone = next(pair for pair in of("tone") if pair[1].feedback.value == "hot")
mlflow.override_feedback(trace_id=trace_id, assessment_id=tone.assessment_id, value="mild",
                         source=AssessmentSource(source_type="HUMAN", source_id="chief"))
"""


def test_what_changed_in_mlflow_since_is_taken_over_or_reported(
    tracked: tuple[Path, Any], interop: Callable[..., str], tmp_path: Path
) -> None:
    file = tmp_path / "later.db"
    shutil.copy(tracked[0], file)
    with Store(":memory:") as store:
        import_traces(store, file)
        interop("-c", LATER, f"sqlite:///{file}", cwd=tmp_path)
        report = import_traces(store, file)
        assert (report.traces, report.assessments, report.withdrawn) == (0, 1, 1)
        [conflict] = report.conflicts
        assert "'length'" in conflict.reason
        words = [word for trace in store.iter_traces() for word in trace.assessments if word.name == "tone"]
        assert [word.value for word in words if word.votes] == ["mild"]
        assert 99 not in [word.value for trace in store.iter_traces() for word in trace.assessments]


def test_a_damaged_database_is_named_and_never_crashes(tracked: tuple[Path, Any], tmp_path: Path) -> None:
    whole = tracked[0].read_bytes()
    for size in (0, 10, 100, 5000, len(whole) // 2, len(whole) - 100):
        broken = tmp_path / f"cut-{size}.db"
        broken.write_bytes(whole[:size])
        with Store(":memory:") as store, pytest.raises(DataError, match=broken.name):
            import_traces(store, broken)
    for place in range(0, len(whole), len(whole) // 40):
        broken = tmp_path / "flipped.db"
        broken.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with Store(":memory:") as store, contextlib.suppress(DataError):  # any other error would be a crash
            import_traces(store, broken)


def test_servers_that_refuse_or_are_none_are_named(server: str, tmp_path: Path) -> None:
    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            status, key = (200, "") if self.path.startswith("/html") else (401, self.headers["Authorization"])
            if self.path.startswith("/moved"):
                status = 302
            self.send_response(status)
            self.send_header("Location", f"{server}/api/2.0/mlflow/experiments/search")
            self.end_headers()
            self.wfile.write(b"<html>" + str(key).encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as refusing:
        threading.Thread(target=refusing.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{refusing.server_address[1]}"
        with pytest.raises(CredentialsError, match="401") as refused:
            list(read_records(url, headers={"Authorization": "Bearer canary-key"}))
        assert "canary-key" not in str(refused.value)
        with pytest.raises(DataError, match="302"):  # a redirect could carry the key elsewhere
            list(read_records(f"{url}/moved"))
        with pytest.raises(DataError, match="does not answer with JSON"):
            list(read_records(f"{url}/html"))
        refusing.shutdown()
    with pytest.raises(EndpointUnreachable, match="No answer"):
        list(read_records(url))
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"{server}/api/2.0/nothing", timeout=30)
