"""The report on verdicts that are there already."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL, ValueType, preference, scale
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.validate import (
    Context,
    GatePolicy,
    VerdictReport,
    Verdicts,
    read_verdicts,
    recorded_verdicts,
    validate_verdicts,
)

RNG = np.random.default_rng(6)


def examples(n: int = 120, raters: int = 3, value_type: ValueType = BOOL) -> list[LabelledExample]:
    out = []
    for i in range(n):
        truth = bool(RNG.random() < 0.6)
        votes = tuple(Vote(f"r{k}", truth != (RNG.random() < 0.1), "because") for k in range(raters))
        out.append(
            LabelledExample(
                f"row-{i}", f"g{i // 2}", {"inputs": {"kind": "ab"[i % 2]}, "outputs": f"text {i}"}, votes
            )
        )
    return out


def verdicts(rows: list[LabelledExample], skill: float) -> dict[str, Judgement]:
    return {
        one.id: Scored(one.gold == (RNG.random() < skill), confidence=0.6 + 0.3 * float(RNG.random()))
        for one in rows
    }


def measured(
    rows: list[LabelledExample], judges: dict[str, Any], value_type: ValueType = BOOL, **more: Any
) -> VerdictReport:
    return validate_verdicts(rows, judges, value_type, n_boot=200, **more)


def test_one_judge_two_judges_and_several() -> None:
    rows = examples()
    one = measured(rows, {"good": verdicts(rows, 0.9)}, noun="replies")
    assert one.headline.startswith("On 120 replies, good agrees with people on ")
    assert one.reference is None
    two = measured(rows, {"poor": verdicts(rows, 0.55), "good": verdicts(rows, 0.95)})
    assert two.reference == "poor"
    assert "good is better (difference in Cohen's kappa" in two.headline
    swapped = measured(rows, {"good": verdicts(rows, 0.95), "poor": verdicts(rows, 0.5)})
    assert "poor is worse" in swapped.headline
    several = measured(rows, {name: verdicts(rows, 0.7) for name in "abc"}, reference="b")
    assert "3 judges agree with people on" in several.headline
    assert [j.adjusted is None for j in several.judges] == [False, True, False]
    assert any("best partly by luck" in note for note in several.notes)
    assert several.jury is not None
    assert VerdictReport.model_validate_json(several.model_dump_json()) == several


def test_the_same_verdicts_are_not_better_than_themselves() -> None:
    rows = examples()
    said = verdicts(rows, 0.8)
    found = measured(rows, {"a": said, "b": said})
    assert "neither is shown to be better" in found.headline
    assert found.judges[1].adjusted == 1.0


def test_a_judge_that_a_constant_beats_is_said_to_be_that() -> None:
    rows = examples()
    found = measured(rows, {"coin": verdicts(rows, 0.5)})
    assert "coin does not clearly beat always giving one label" in found.headline


def test_missing_rows_count_against_coverage_alone() -> None:
    rows = examples()
    said = dict(list(verdicts(rows, 0.9).items())[:90])
    found = measured(rows, {"a": said}, policy=GatePolicy())
    sheet = found.judges[0]
    assert sheet.agreement.coverage == pytest.approx(0.75)
    assert sheet.agreement.unscored == {"missing_input": 30}
    assert any("no verdict on 30 of 120" in note for note in found.notes)
    assert found.decision is not None
    assert [check.name for check in found.decision.checks if not check.holds] == ["coverage"]
    assert found.headline.endswith("The gate refuses.")


def test_unlabelled_rows_enter_the_corrected_rate() -> None:
    rows = examples()
    said = verdicts(rows, 0.9) | {f"more-{i}": Scored(bool(RNG.random() < 0.6)) for i in range(2000)}
    corrected = measured(rows, {"a": said}).judges[0].corrected
    assert corrected is not None
    assert (corrected.n_rows, corrected.n_labelled) == (2120, 120)
    assert (corrected.label_multiplier or 0) > 1.2


def test_slices_lengths_and_own_texts() -> None:
    rows = examples()
    context = Context(
        lengths={one.id: float(k) for k, one in enumerate(rows)},
        slices={"inputs.kind": {one.id: one.fields["inputs"]["kind"] for one in rows}},
        own={"a": frozenset(one.id for one in rows if int(one.group[1:]) % 2)},
        learned_from={"a": frozenset([rows[0].id])},
    )
    found = measured(rows, {"a": verdicts(rows, 0.8)}, context=context)
    assert [line.value for line in found.slices[0].lines] == ["a", "b"]
    assert sum(line.n for line in found.slices[0].lines) == 120
    assert [bias.name for bias in found.judges[0].biases] == ["length_lean", "self_preference"]
    assert any("learned from 1 of these rows" in note for note in found.notes)
    assert {b.name for b in found.baselines} == {"constant", "output_length"}


def test_row_order_decides_nothing() -> None:
    rows = examples(60)
    said = {"a": verdicts(rows, 0.8), "b": verdicts(rows, 0.6)}
    shuffled = [rows[i] for i in RNG.permutation(len(rows))]
    one, other = measured(rows, said), measured(shuffled, said)
    assert one.headline == other.headline
    assert [w.id for w in one.judges[0].worst] == [w.id for w in other.judges[0].worst]


def test_ordinal_labels_have_a_lean_and_worst_rows_by_distance() -> None:
    rows = [
        LabelledExample(f"r{i}", f"g{i}", {"outputs": "x"}, (Vote("ann", int(RNG.integers(1, 6))),))
        for i in range(80)
    ]
    said = {one.id: Scored(min(5, int(one.votes[0].value) + int(RNG.integers(0, 3)))) for one in rows}
    sheet = measured(rows, {"kind": said}, scale(1, 5)).judges[0]
    assert (sheet.lean.value or 0) > 0.5
    gaps = [abs(int(w.said) - int(w.human)) for w in sheet.worst]
    assert gaps == sorted(gaps, reverse=True)
    assert sheet.alt_test is None


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows_give_reasons_and_no_error(n: int) -> None:
    found = measured(examples(n), {"a": {f"row-{i}": Scored(True) for i in range(n)}})
    assert found.n_rows == n
    for figure in found.judges[0].agreement.metrics.values():
        assert figure.value is not None or figure.reason


def test_bad_input_is_refused() -> None:
    rows = examples(20)
    with pytest.raises(DataError, match="no verdicts"):
        measured(rows, {})
    with pytest.raises(DataError, match="on a labelled row"):
        measured(rows, {"a": {"other": Scored(True)}})
    with pytest.raises(DataError, match="not a value"):
        measured(rows, {"a": {"row-1": Scored("maybe")}})
    with pytest.raises(UsageError, match="Did you mean"):
        measured(rows, {"aaa": verdicts(rows, 1), "bbb": verdicts(rows, 1)}, reference="bbc")
    with pytest.raises(UsageError, match="one judge"):
        measured(rows, {n: verdicts(rows, 1) for n in "abc"}, policy=GatePolicy())


def test_recorded_verdicts_are_read_and_never_guessed(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    said = [
        {"model": "m", "name": "better", "value": "1", "prompt": "p", "by_order": ["1", "2"]},
        {"model": "m", "name": "better", "value": "inconsistent", "prompt": "q"},
        {"model": "n", "name": "better", "value": None},
    ]
    file.write_text(json.dumps({"id": "a", "judge": said}) + "\n")
    found = recorded_verdicts(file, "better", preference("1", "2"))
    assert list(found) == ["m (p)", "m (q)", "n"]
    assert found["m (p)"].judged["a"] == Scored("1")
    assert found["m (p)"].exchanged["a"] == Scored("2")
    wrong, empty = found["m (q)"].judged["a"], found["n"].judged["a"]
    assert isinstance(wrong, Unscored)
    assert isinstance(empty, Unscored)
    assert (wrong.reason, empty.reason) == ("out_of_set", "empty")
    with pytest.raises(DataError, match="names found: better"):
        recorded_verdicts(file, "beter", preference("1", "2"))


def test_verdict_files_are_checked_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"
    file.write_text(
        '{"id": "a", "value": true, "probabilities": {"true": 0.9, "false": 0.1}}\n{"id": "b", "error": "timeout"}\n'
    )
    found = read_verdicts(file, BOOL)
    assert isinstance(found, Verdicts)
    assert found.judged["a"] == Scored(True, confidence=0.9, probabilities={"true": 0.9, "false": 0.1})
    assert isinstance(found.judged["b"], Unscored)
    for text, said in (
        ('{"id": "a"}', "line 1"),
        ("[1]", "no JSON object"),
        ('{"id": "a", "value": true}\n{"id": "a", "value": true}', "twice"),
        ('{"id": "a", "value": true, "probabilities": {"true": 2}}', "sum to 1"),
        ('{"id": "a", "value": true, "confidence": 7}', "between 0 and 1"),
        ("", "empty"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=said):
            read_verdicts(file, BOOL)
