"""Criteria: the grammar, and the three ways in which they stand."""

import pytest
from evaluation_world import polite, rows

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL, categories
from judge_opt.evaluation import Criterion, evaluate
from judge_opt.evaluation.criteria import decide
from judge_opt.evaluation.metrics import JudgeMetrics, measure
from judge_opt.evaluation.rows import Row
from judge_opt.llm.session import Session
from judge_opt.testing.fault_server import FaultServer


@pytest.mark.parametrize(
    ("text", "figure", "operator", "bound", "confidence"),
    [
        ("correctness >= 0.9 at 95 %", "correctness", ">=", 0.9, 0.95),
        ("correctness>=90% at 99%", "correctness", ">=", 0.9, 0.99),
        ("  my judge/share/very rude <= .02 ", "my judge/share/very rude", "<=", 0.02, 0.95),
        ("tone/mean_rank > -1.5 AT 90 %", "tone/mean_rank", ">", -1.5, 0.9),
        ("a/share/<b> < 1", "a/share/<b>", "<", 1.0, 0.95),
    ],
)
def test_grammar(text: str, figure: str, operator: str, bound: float, confidence: float) -> None:
    found = Criterion.parse(text)
    assert (found.figure, found.operator) == (figure, operator)
    assert found.bound == pytest.approx(bound)
    assert found.confidence == pytest.approx(confidence)


@pytest.mark.parametrize(
    "text",
    ["", "correctness", "correctness >= high", ">= 0.9", "a = 1", "a >= 1 at", "a >= 1 at 95", "a >= 1 at 100 %",
     "a >= 1 at 3 %", "a >= nan", "a >= 0.9; drop"],
)  # fmt: skip
def test_what_is_no_criterion(text: str) -> None:
    with pytest.raises(UsageError):
        Criterion.parse(text)


def measured(yes: int, no: int, failed: int = 0, session: int = 1) -> JudgeMetrics:
    said: list[Judgement] = [Scored(True)] * yes + [Scored(False)] * no + [Unscored("empty")] * failed
    made = [Row(f"{n:04d}", str(n // session), {"outputs": n}) for n in range(len(said))]
    return measure("ok", made, said, BOOL)


@pytest.mark.parametrize(
    ("text", "metrics", "status"),
    [
        ("ok >= 0.9 at 95 %", measured(100, 0), "met"),
        ("ok >= 0.9 at 95 %", measured(91, 9), "undecided"),
        ("ok >= 0.9 at 95 %", measured(60, 40), "not met"),
        ("ok >= 0.9 at 95 %", measured(10, 0), "undecided"),
        ("ok <= 0.1 at 95 %", measured(0, 100), "met"),
        ("ok < 0.5", measured(90, 10), "not met"),
        ("ok > 0.5", measured(90, 10), "met"),
        ("ok >= 0.9 at 95 %", measured(1, 0), "undecided"),
        ("ok >= 0.9 at 95 %", measured(0, 0, 5), "undecided"),
        ("ok >= 0.5", measured(100, 0, 100), "undecided"),
        ("ok/coverage >= 0.9", measured(100, 0, 100), "not met"),
        ("ok/coverage >= 0.9", measured(100, 0), "met"),
        ("ok >= 0.9", measured(100, 0, session=100), "undecided"),
    ],
)
def test_the_bound_of_the_interval_decides(text: str, metrics: JudgeMetrics, status: str) -> None:
    found = decide(Criterion.parse(text), {"ok": metrics})
    assert found.status == status, found.why
    assert found.why
    if status != "undecided":
        side = "below" if (status == "met") == ("<" in text) else "above"
        assert f"the whole interval lies {side} " in found.why


def test_copies_of_rows_are_no_evidence() -> None:
    """A hundred rows of five sessions decide no more than five rows."""
    assert decide(Criterion.parse("ok >= 0.9"), {"ok": measured(100, 0, session=20)}).status == "undecided"


def test_a_figure_that_is_not_there_is_named() -> None:
    labelled = measure("tone", [Row("a", "a", {})], [Scored("good")], categories("good", "bad"))
    with pytest.raises(UsageError, match=r"has no mean: name the figure.*tone/share/good"):
        decide(Criterion.parse("tone >= 1"), {"tone": labelled})
    with pytest.raises(UsageError, match="Did you mean 'share/good'"):
        decide(Criterion.parse("tone/share/god >= 1"), {"tone": labelled})


def test_at_another_confidence_the_interval_is_another(server: FaultServer, session: Session) -> None:
    result = evaluate(rows(60), polite(server), criteria=["polite >= 0.4 at 80 %", "polite >= 0.4 at 99 %"])
    assert [one.status for one in result.criteria] == ["met", "undecided"]
    assert not result.criteria_met
    assert [one.figure.confidence for one in result.criteria] == [0.8, 0.99]
