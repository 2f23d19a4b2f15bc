"""The public benchmark files: agreement as it was found once by other code (krippendorff on arrays made by
hand), and as their README states it for the whole sources (see benchmarks/raters for why the two differ)."""

import os
from pathlib import Path

import pytest

from judge_opt.core.values import BOOL, preference, scale
from judge_opt.labels import load_examples
from judge_opt.validate.raters import rater_report

FOLDER = Path(os.environ.get("JUDGE_OPT_SHARED_DATA") or Path(__file__).parents[4] / "shared" / "data")
EXPERTS = {"group": "inputs.article", "pools": [None]}

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no {FOLDER}")


@pytest.mark.parametrize(
    ("file", "name", "values", "level", "options", "alpha", "readme"),
    [
        (
            "pandalm",
            "preference",
            preference("1", "2", tie="tie"),
            None,
            {"group": "inputs.instruction"},
            0.8988,
            0.86,
        ),
        ("ttcw", "pass", BOOL, None, {"group": "inputs.story_id"}, 0.1938, 0.14),
        ("summeval", "relevance", scale(1, 5), "ordinal", EXPERTS, 0.4379, 0.45),
        ("summeval", "consistency", scale(1, 5), "ordinal", EXPERTS, 0.7958, 0.81),
        ("summeval", "coherence", scale(1, 5), "interval", EXPERTS, 0.5653, None),
        ("summeval", "fluency", scale(1, 5), "nominal", EXPERTS, 0.3851, None),
        ("summeval", "coherence", scale(1, 5), "ordinal", {"pools": ["crowd"]}, 0.4501, None),
        ("cebab", "stars", scale(1, 5), "ordinal", {}, 0.6647, None),
    ],
)
def test_agreement_of_the_public_files(file, name, values, level, options, alpha, readme):
    examples = load_examples(FOLDER / f"{file}.jsonl", name, values, **options).examples
    found = rater_report(examples, values, level=level, n_boot=1000).alpha
    assert found.value == pytest.approx(alpha, abs=5e-5)
    if readme is not None:
        assert found.low - 0.005 <= readme <= found.high + 0.005


def test_people_hardly_agree_on_creativity_and_mostly_say_no():
    examples = load_examples(FOLDER / "ttcw.jsonl", "pass", BOOL, group="inputs.story_id").examples
    report = rater_report(examples, BOOL, n_boot=0)
    assert report.majority["false"] == pytest.approx(240 / 294)
    assert (report.n_raters, report.n_items, report.n_groups) == (11, 294, 21)
    assert report.items_by_votes == {3: 294}


def test_one_gold_label_an_item_has_no_agreement_and_says_so():
    values = preference("1", "2")
    examples = load_examples(FOLDER / "llmbar.jsonl", "preference", values).examples
    report = rater_report(examples, values, n_boot=200)
    for figure in (report.alpha, report.agreement, report.fleiss, report.ceiling.agreement):
        assert figure.value is None
        assert figure.reason
    assert report.majority == {"1": 0.5, "2": 0.5}
