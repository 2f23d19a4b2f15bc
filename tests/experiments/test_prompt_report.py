"""The report of an optimization says what the result says, and hostile text in it stays text."""

import re
from dataclasses import replace

import pytest

from judge_opt.experiments.report.prompts import prompt_report
from judge_opt.llm.ledger import LedgerLine
from judge_opt.prompts.guard import GuardReport
from judge_opt.prompts.paired import Gain, HeldOut
from judge_opt.prompts.people import ComparedRow
from judge_opt.prompts.result import PromptCandidate, PromptResult
from judge_opt.validate.figures import Figure

HOSTILE = "```\n# Forged heading\n<script>alert(1)</script> [click](http://evil.example) \u202e"


def gain(before, after):
    found = Figure(value=after - before, low=0.1, high=0.5, n=20, n_groups=20)
    return Gain(before=before, after=after, gain=found, p_value=0.002)


def candidate(name, parent, **more):
    base = {"component": "prompts:/qa/1", "texts": {}, "learned_from": ("r1",), "score": None, "gain": None}
    base |= {"judges": {}, "front": False, "coverage": 1.0, "why": "", "chosen": False}
    return PromptCandidate(name, parent, **(base | more))


@pytest.fixture
def result():
    return PromptResult(
        texts={"prompts:/qa/1": f"Answer. {HOSTILE}"},
        seed_texts={"prompts:/qa/1": "Answer."},
        changed=True,
        prompts={},
        program=None,
        held_out=HeldOut(
            split="test", rows=20, total=gain(0.4, 0.7), judges={"tone": gain(0.4, 0.7)}, coverage_before=1.0,
            coverage_after=1.0, tokens_before=50, tokens_after=75,
        ),
        guard=GuardReport(
            confirmed=False, gains={"other": gain(0.5, 0.6)}, shares={"other": 0.33}, length_before=80,
            length_after=90, reasons=("the guard other sees 33% of it",), doubtful=("r7",),
        ),
        verdict="Not confirmed: for a reason.",
        rows=(
            ComparedRow("r1", "r1", {"q": HOSTILE}, None, "bad", {"reply": HOSTILE}, 0.0, 1.0),
            ComparedRow("r2", "r2", {"q": "x"}, None, "good", "bad", 1.0, 0.0),
        ),
        candidates=(
            candidate("seed", "", component="", score=0.4),
            candidate("prompt 1", "seed", score=0.7, chosen=True, front=True),
            candidate("prompt 2", "prompt 1", why="not better"),
        ),
        warnings=("a warning",),
        stopped="budget",
        noise=0.25,
        repeats=3,
        ledger=(LedgerLine("judge", "openai:/x", 10, 0, 10, 2, 100, 20, 0.5, 0, 1.0),),
        lineage={"seed": 0},
    )  # fmt: skip


def test_it_says_what_the_result_says(result):
    text = prompt_report(result)
    assert "**Not confirmed.** Not confirmed: for a reason." in text
    assert "| all judges together | 0.400 | 0.700 | 0.30 (0.10 to 0.50) | 0.002 |" in text
    assert "| guard other | 0.500 | 0.600 |" in text
    assert (
        "\n- seed: 0.400\n  - prompt 1 rewrites prompts:/qa/1: 0.700, **chosen**, front\n    - prompt 2"
        in text
    )
    assert "judged 3 times" in text
    assert "A request takes 50 tokens before and 75 after." in text
    assert "To show to people: r7." in text
    assert text.index("got better") < text.index("### r1: 0.00 -> 1.00") < text.index("got worse")
    assert "| judge | openai:/x | 10 | 2 | 100 | 20 | 0.5000 |" in text
    kept = prompt_report(
        replace(result, changed=False, texts=result.seed_texts, held_out=None, guard=None, rows=())
    )
    assert "Nothing: the seed is kept." in kept


def test_hostile_text_stays_text(result):
    text = prompt_report(result)
    assert "\u202e" not in text
    outside, fence = [], ""
    for line in text.splitlines():
        run = re.match(r"`{3,}", line)
        if not fence and run:
            fence = run[0]
        elif fence and line == fence:
            fence = ""
        elif not fence:
            outside.append(line)
    assert fence == ""
    assert not any("Forged" in line or "<script" in line or "evil" in line for line in outside)
