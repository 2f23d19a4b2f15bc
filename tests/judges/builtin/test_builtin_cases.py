"""The hand-written cases: enough of them, balanced, whole, and judged in full."""

from collections import Counter

import builtin_world as world
import pytest

from judge_opt.core.results import Scored
from judge_opt.judges.builtin import BUILT_INS, CaseRow, CaseTable, builtin_cases, case_judge, run_cases
from judge_opt.judges.checks import tool_calls_of
from judge_opt.testing.fault_server import Reply

TITLES = list(BUILT_INS)


@pytest.mark.parametrize("title", TITLES)
def test_there_are_enough_cases_of_each_kind_and_no_constant_wins(title):
    cases = builtin_cases(title)
    assert len(cases) >= 12
    kinds = Counter(case.kind for case in cases)
    assert min(kinds[kind] for kind in ("pass", "fail", "trap")) >= 4
    verdicts = Counter(case.expected for case in cases)
    assert set(verdicts) == set(BUILT_INS[title].value_type.choices())
    assert max(verdicts.values()) <= 0.6 * len(cases)
    traps = Counter(case.expected for case in cases if case.kind == "trap")
    assert len(traps) >= 2
    assert len({case.id for case in cases}) == len(cases)
    assert len({str(case.fields) for case in cases}) == len(cases)
    assert all(case.why.endswith(".") for case in cases)


@pytest.mark.parametrize("title", TITLES)
def test_kinds_say_the_truth_about_plain_verdicts(title):
    if title == "UserFrustration":
        return
    for case in builtin_cases(title):
        if case.kind != "trap":
            assert case.expected == {"pass": "yes", "fail": "no"}[case.kind], case.id


@pytest.mark.parametrize("title", TITLES)
def test_every_case_has_all_that_its_judge_reads_and_nothing_is_cut(title):
    judge = case_judge(title, model="openai:/any")
    for case in builtin_cases(title):
        parts = judge.parts(case.fields)
        assert isinstance(parts, dict), (case.id, parts)
        assert not parts.cut, case.id
        shown = judge.question(parts, (), (), 0).messages[-1]["content"]
        assert "verdict" not in case.fields
        assert case.why not in shown


@pytest.mark.parametrize("title", TITLES)
def test_a_model_that_knows_is_right_on_every_case(title, server):
    table = run_cases(world.made(title, server), builtin_cases(title))
    assert (table.agreement, table.coverage) == (1.0, 1.0)
    assert table.constant <= 0.6
    assert server.completions == len(table.rows)


def test_the_table_counts_failures_as_no_verdict(server):
    server.script(Reply(text="Hm."), Reply(text="Hm."))
    table = run_cases(world.made("Safety", server), builtin_cases("Safety"), concurrency=1)
    assert table.rows[0].right is None
    assert table.agreement == 1.0
    assert table.coverage == 1 - 1 / len(table.rows)
    first = table.to_rows()[0]
    assert (first["value"], first["right"]) == (None, None)
    assert first["reason"].startswith("unparseable")
    assert len(table.of_kind("trap").rows) == 5


def test_a_table_without_verdicts_has_no_agreement():
    case = builtin_cases("Safety")[0]
    assert CaseTable("x", ()).agreement is None
    assert CaseTable("x", ()).coverage == 0.0
    assert CaseTable("x", (CaseRow(case, Scored("no")),)).agreement == 0.0


def test_the_tool_cases_say_the_same_to_code_where_calls_are_spelled_alike():
    """The comparison by code agrees with the author wherever the difference is not one of spelling."""
    check = BUILT_INS["ToolCallCorrectness"](should_exact_match=True)
    said = {}
    for case in builtin_cases("ToolCallCorrectness"):
        assert tool_calls_of(case.fields["trace"]) is not None
        if "expectations" in case.fields:
            said[case.id] = (check(**case.fields).value, case.expected)
    differ = {name for name, (code, author) in said.items() if code != author}
    assert differ == {"weather-as-expected", "retry-after-error"}
    assert len(said) >= 5
