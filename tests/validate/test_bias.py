"""Biases are found where they are, not where they are not, and audits really ask."""

import json

import numpy as np
import pytest

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL, categories, preference
from judge_opt.judges.make import make_judge
from judge_opt.llm.session import Session, use_session
from judge_opt.testing.fault_server import FaultServer
from judge_opt.validate import length_lean, paired_bias, self_preference
from judge_opt.validate.audits import adjusted, plan_audit, run_audit
from judge_opt.validate.perturbations import SHIPPED, Perturbation, formatted, longer, padded, plain, swapped

RNG = np.random.default_rng(8)
N = 200
GROUPS = [str(i // 2) for i in range(N)]


def test_perturbations_do_what_they_say() -> None:
    assert swapped("He said that Emily is her sister.") == "She said that Lakisha is her brother."
    assert swapped("Nothing to change here.") is None
    assert (longer("Yes.") or "").count("Yes.") == 2
    assert (padded("One.\n\nTwo.") or "").index("One.") < (padded("One.\n\nTwo.") or "").index("Two.")
    assert formatted("One sentence alone") is None
    assert formatted("It is so. It is not.") == "## Answer\n\n- **It** is so.\n- **It** is not."
    assert plain("## Answer\n\n- **It** is so.") == "Answer\n\nIt is so."
    assert plain("It is so.") is None
    for one in SHIPPED.values():
        assert one.apply("") is None


def test_a_shift_is_found_and_chance_is_not() -> None:
    before: list[Judgement] = [Scored(bool(x)) for x in RNG.random(N) < 0.5]
    moved: list[Judgement] = [Scored(True) if RNG.random() < 0.3 else j for j in before]
    found = paired_bias("x", "x", before, moved, GROUPS, BOOL)
    assert (found.shift.value or 0) > 0.05
    assert (found.p_value or 1) < 0.001
    level = 0
    for _ in range(200):
        again: list[Judgement] = [Scored(bool(x)) for x in RNG.random(40) < 0.5]
        other: list[Judgement] = [Scored(bool(x)) for x in RNG.random(40) < 0.5]
        p = paired_bias("x", "x", again, other, GROUPS[:40], BOOL, n_boot=0).p_value
        level += p is not None and p <= 0.05
    assert level <= 20  # 10 expected, three standard errors


def test_wavering_is_no_bias_of_labels_without_an_order() -> None:
    three = categories("a", "b", "c")

    def judged() -> list[Judgement]:
        return [Scored("abc"[int(RNG.integers(3))]) for _ in range(N)]

    found = paired_bias("x", "x", judged(), judged(), GROUPS, three, again=judged())
    assert found.shift.value is None
    assert found.control is not None
    assert (found.p_value or 0) > 0.01


def test_rows_are_counted_and_never_guessed() -> None:
    before: list[Judgement | None] = [Scored(True), Unscored("timeout"), None, Scored(True)]
    after: list[Judgement | None] = [Scored(False), Scored(True), None, Scored(True)]
    found = paired_bias("x", "x", before, after, ["a", "b", "c", "d"], BOOL)
    assert (found.n, found.n_unscored, found.not_applied) == (2, 1, 1)
    nothing = paired_bias("x", "x", [None], [None], ["a"], BOOL)
    assert (nothing.n, nothing.changed.value, nothing.p_value) == (0, None, None)
    assert nothing.reason


def test_self_preference_is_beyond_what_people_say() -> None:
    own = [i % 4 < 2 for i in range(N)]
    gold = [bool(x) for x in RNG.random(N) < np.where(own, 0.7, 0.4)]  # own texts are better
    fair: list[Judgement] = [Scored(g != (RNG.random() < 0.1)) for g in gold]
    found = self_preference(gold, fair, own, GROUPS, BOOL)
    assert (found.p_value or 0) > 0.01
    vain: list[Judgement] = [
        Scored(True) if o and RNG.random() < 0.5 else j for o, j in zip(own, fair, strict=True)
    ]
    assert (self_preference(gold, vain, own, GROUPS, BOOL).p_value or 1) < 0.01
    with pytest.raises(DataError, match="both kinds"):
        self_preference(gold, fair, [i % 2 == 0 for i in range(N)], GROUPS, BOOL)


def test_length_lean_is_beyond_what_people_value() -> None:
    lengths = list(RNG.uniform(10, 1000, N))
    gold = [bool(RNG.random() < x / 1000) for x in lengths]  # people like length too
    fair: list[Judgement] = [Scored(g != (RNG.random() < 0.1)) for g in gold]
    assert abs(length_lean(gold, fair, lengths, GROUPS, BOOL).shift.value or 0) < 0.2
    leaning: list[Judgement] = [Scored(True) if x > 500 else j for x, j in zip(lengths, fair, strict=True)]
    found = length_lean(gold, leaning, lengths, GROUPS, BOOL)
    assert (found.shift.value or 0) > 0.3
    assert (found.p_value or 1) < 0.01


def answer(body: dict[str, object]) -> str:
    """Says yes to what is longer than 200 characters, and prefers what stands first."""
    text = str(body["messages"][-1]["content"])  # type: ignore[index]
    verdict = "A" if "outputs.a" in text else len(text) > 300
    return json.dumps({"rationale": "So.", "verdict": verdict})


def test_an_audit_asks_and_finds_what_the_judge_does(tmp_path: object) -> None:
    rows = [{"outputs": {"reply": f"He will fix number {i}. It takes a day."}} for i in range(12)]
    with FaultServer(answer=answer) as server, Session(tmp_path) as session, use_session(session):  # type: ignore[arg-type]
        judge = make_judge(
            "ok", "Is {{ outputs.reply }} good?", "openai:/sim", bool, base_url=server.base_url
        )
        plan = plan_audit(judge, rows, ["verbosity", "demographic", "plain"])
        assert server.completions == 0
        cost = plan.estimate(output_tokens=20)
        assert cost is not None
        assert cost.calls == 12 + 12 + 12 + 12  # as it is, again, padded, swapped; nothing to make plain
        found = {one.name: one for one in run_audit(plan, n_boot=200)}
        assert server.completions == cost.calls
        assert found["verbosity"].shift.value == 1.0
        assert (found["verbosity"].p_value or 1) < 0.001
        assert found["verbosity"].control is not None
        assert found["verbosity"].control.value == 0.0
        assert found["demographic"].changed.value == 0.0
        assert found["plain"].not_applied == 12
        assert [p is None for p in adjusted(list(found.values()))] == [False, False, True]
        again = plan.estimate(output_tokens=20)
        assert again is not None
        assert again.calls == 0
        run_audit(plan, n_boot=0)
        assert server.completions == cost.calls  # bought once


def test_a_position_audit_shows_who_stands_first_wins(tmp_path: object) -> None:
    rows = [{"outputs": {"a": f"one {i}", "b": f"two {i}"}} for i in range(10)]
    with FaultServer(answer=answer) as server, Session(tmp_path) as session, use_session(session):  # type: ignore[arg-type]
        judge = make_judge(
            "better", "Which is better, {{ outputs.a }} or {{ outputs.b }}?", "openai:/sim", preference("A", "B"),
            base_url=server.base_url,
        )  # fmt: skip
        mine = Perturbation("shout", "in capitals", str.upper)
        found = {one.name: one for one in run_audit(plan_audit(judge, rows, ["position", mine]), n_boot=200)}
    assert found["position"].shift.value == 2.0  # from "the other" to "the one that was moved first", always
    assert (found["position"].p_value or 1) < 0.01
    assert found["shout"].changed.value == 0.0


def test_what_does_not_fit_is_refused_before_a_call(tmp_path: object) -> None:
    with Session(tmp_path) as session, use_session(session):  # type: ignore[arg-type]
        judge = make_judge(
            "ok", "Is {{ inputs.question }} good?", "openai:/sim", bool, base_url="http://127.0.0.1:9/v1"
        )
        rows = [{"inputs": {"question": "Why?"}}]
        with pytest.raises(UsageError, match="shows no outputs"):
            plan_audit(judge, rows, ["length"])
        assert plan_audit(judge, rows, ["length"], target="inputs.question").names == ["length"]
        with pytest.raises(UsageError, match="Did you mean"):
            plan_audit(judge, rows, ["lenght"], target="inputs.question")
        with pytest.raises(UsageError, match="preference"):
            plan_audit(judge, rows, ["position"], target="inputs.question")
