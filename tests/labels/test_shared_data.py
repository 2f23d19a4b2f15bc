"""The public benchmark files, where they are at hand: never committed, never needed."""

import os
from pathlib import Path

import pytest

from judge_opt.core.values import categories, scale
from judge_opt.labels import check_no_leakage, load_examples, make_split

FOLDER = Path(os.environ.get("JUDGE_OPT_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
ASPECTS = {
    "names": ["food", "service", "ambiance", "noise"],
    "name_field": "aspect",
    "value_map": {"Positive": "positive", "Negative": "negative", "unknown": "not mentioned"},
}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}")


@pytest.mark.parametrize(
    ("file", "name", "values", "options", "examples", "skipped"),
    [
        ("pandalm", "preference", categories("1", "2", "tie"), {}, 469, 0),
        ("llmbar", "preference", categories("1", "2"), {}, 210, 0),
        ("ttcw", "pass", bool, {"group": "inputs.story_id"}, 294, 0),
        ("cebab", None, categories("positive", "negative", "not mentioned"), ASPECTS, 484, 333),
        ("cebab", "stars", scale(1, 5), {}, 353, 420),
        ("summeval", "coherence", scale(1, 5), {"group": "inputs.article", "pools": [None]}, 660, 0),
    ],
)
def test_each_file_is_imported_and_split_without_leakage(file, name, values, options, examples, skipped):
    loaded = load_examples(FOLDER / f"{file}.jsonl", name, values, **options)
    assert len(loaded.skipped) == skipped
    assert len(loaded.examples) == examples
    split = make_split(loaded.examples, train=50, test=0.3)
    train, _, test = split.select(loaded.examples, unchanged=True)
    check_no_leakage(train, test)
    assert 40 <= len(train) <= 50
