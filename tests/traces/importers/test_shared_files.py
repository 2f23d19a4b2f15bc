"""The public benchmark files go into a store whole: counts as their README says. Never committed."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from import_help import contents

from judge_opt.core.values import categories, scale
from judge_opt.labels import load_examples
from judge_opt.traces import Store
from judge_opt.traces.importers import import_traces

FOLDER = Path(os.environ.get("JUDGE_OPT_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}")

FILES = {  # items, people's labels, recorded verdicts
    "pandalm": (469, 469 * 3, 938),
    "llmbar": (210, 210, 9450),
    "ttcw": (294, 294 * 3, 2058),
    "cebab": (773, 3027, 0),
    "summeval": (660, 660 * 8 * 4, 0),
}


@pytest.mark.parametrize("name", FILES)
def test_each_file_is_imported_whole(name: str) -> None:
    items, labels, verdicts = FILES[name]
    path = FOLDER / f"{name}.jsonl"
    with Store(":memory:") as store:
        report = import_traces(store, path)
        assert (report.traces, report.assessments) == (items, labels + verdicts)
        assert [len(report.skipped), len(report.conflicts), len(report.truncated)] == [0, 0, 0]
        stored = contents(store)
    sources = Counter(str(word.source_type) for _, words in stored for word in words)
    assert sources == Counter({"HUMAN": labels, "LLM_JUDGE": verdicts}) + Counter()
    with path.open() as stream:
        rows = {row["id"]: row for row in map(json.loads, stream)}
    for trace, words in stored:
        row = rows[trace.id]
        assert (trace.inputs, trace.outputs) == (row["inputs"], row["outputs"])
        said = [
            (w.source_id, w.name, w.value, w.rationale, w.metadata.get("pool"))
            for w in words
            if w.source_type == "HUMAN"
        ]
        assert said == [
            (one["rater"], one["name"], one["value"], one.get("rationale"), one.get("pool"))
            for one in row["human"]
        ]
        verdict = [(w.value, w.metadata["model"]) for w in words if w.source_type == "LLM_JUDGE"]
        assert verdict == [(one["value"], one["model"]) for one in row.get("judge", ())]
        missing = sum(one["value"] is None for one in row.get("judge", ()))
        assert sum(word.error is not None for word in words) == missing


@pytest.mark.parametrize(
    ("name", "label", "values", "pools"),
    [
        ("pandalm", "preference", categories("1", "2", "tie"), None),
        ("llmbar", "preference", categories("1", "2"), None),
        ("ttcw", "pass", bool, None),
        ("cebab", "stars", scale(1, 5), None),
        ("summeval", "coherence", scale(1, 5), [None]),
        ("summeval", "relevance", scale(1, 5), ["crowd"]),
    ],
)
def test_the_store_and_the_file_give_the_same_votes(
    name: str, label: str, values: object, pools: object
) -> None:
    path = FOLDER / f"{name}.jsonl"
    with Store(":memory:") as store:
        import_traces(store, path, pools=pools, judges=False)
        stored = {example.id: example for example in store.labelled_examples(label, values)}
    loaded = load_examples(path, label, values, pools=pools).examples
    assert len(stored) == len(loaded)
    for example in loaded:
        votes = [(vote.rater, vote.value, vote.rationale) for vote in stored[example.id].votes]
        assert votes == [(vote.rater, vote.value, vote.rationale) for vote in example.votes]
        assert stored[example.id].gold == example.gold
