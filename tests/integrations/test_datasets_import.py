"""Hugging Face data sets: objects that stream or do not, and folders that save_to_disk wrote."""

import json
from collections.abc import Callable
from pathlib import Path

CODE = """
import json, sys
import datasets
from judge_opt.traces import Store
from judge_opt.traces.importers import import_traces

rows = [{"question": f"q{i}", "context": {"page": i, "lines": ["a", None]}, "answer": f"a{i}", "good": i % 2 == 0,
         "score": 0.5 if i else None} for i in range(40)]
made = datasets.Dataset.from_list(rows)
made.save_to_disk("saved")
datasets.DatasetDict({"train": made, "test": made}).save_to_disk("splits")
columns = {"inputs": ["question", "context"], "outputs": "answer"}
found = {}
for name, source in (("object", made), ("stream", made.to_iterable_dataset()), ("folder", "saved")):
    with Store(":memory:") as store:
        report = import_traces(store, source, columns=columns, labels={"is_good": "good"}, rater="ana")
        trace = next(store.iter_traces())
        found[name] = [report.format, report.traces, report.assessments, len(report.skipped), trace.id,
                       trace.inputs, trace.outputs, trace.metadata,
                       [[word.name, word.value, word.source_id] for word in trace.assessments],
                       len(store.labelled_examples("is_good", bool))]
for source in ("splits", datasets.load_from_disk("splits")):
    try:
        import_traces(Store(":memory:"), source, columns=columns)
    except Exception as error:
        found.setdefault("errors", []).append(f"{type(error).__name__}: {error}")
print(json.dumps(found))
"""


def test_data_sets_are_rows(interop: Callable[..., str], tmp_path: Path) -> None:
    found = json.loads(interop("-c", CODE, cwd=tmp_path).splitlines()[-1])
    for name in ("object", "stream", "folder"):
        how, traces, words, skipped, trace_id, inputs, outputs, metadata, said, examples = found[name]
        assert (how, traces, words, skipped, examples) == ("dataset", 40, 40, 0, 40), name
        assert inputs == {"question": "q0", "context": {"page": 0, "lines": ["a", None]}}
        assert (outputs, metadata) == ("a0", {})
        assert said == [["is_good", True, "ana"]]
        assert trace_id == found["object"][4]  # the same row is the same trace, however it is read
    assert len(found["errors"]) == 2
    for error in found["errors"]:
        assert error.startswith("DataError")
        assert "train, test" in error
