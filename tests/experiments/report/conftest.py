"""A realistic run, made up: support replies graded by three raters on four grades."""

import numpy as np
import pytest

from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.values import ordered
from judge_opt.experiments.report import (
    ComponentResult,
    DataCard,
    Disagreement,
    Environment,
    GuidelineResult,
    JudgeCard,
    LearningStep,
    LedgerLine,
    NeighbourUsed,
    RunReport,
)
from judge_opt.validate import TrainRows, ValidationReport, validate

GRADES = ordered("poor", "fair", "good", "great")


def make_validation(*, gain: float = 0.45, n: int = 100) -> ValidationReport:
    """Held-out comparison; `gain` is what the aligned judge is better by."""
    rng = np.random.default_rng(5)

    def draw() -> str:
        return GRADES.labels[int(rng.choice(4, p=[0.2, 0.3, 0.35, 0.15]))]

    def near(label: str) -> str:
        return GRADES.labels[int(np.clip(GRADES.labels.index(label) + rng.integers(-1, 2), 0, 3))]

    gold: list[Value] = [draw() for _ in range(n)]

    def judge(skill: float, sure: float) -> list[Judgement]:
        out: list[Judgement] = []
        for label in gold:
            said = str(label) if rng.random() < skill else near(draw())
            p = float(np.clip(rng.normal(sure, 0.12), 0.3, 0.99))
            rest = {other: (1 - p) / 3 for other in GRADES.labels if other != said}
            out.append(Scored(said, probabilities={said: p, **rest}))
        return out

    before, after = judge(0.15, 0.85), judge(0.15 + gain, 0.75)
    before[3] = after[7] = Unscored("timeout")
    votes = [{f"rater_{k}": g if rng.random() < 0.75 else near(str(g)) for k in "abc"} for g in gold]
    m = 120
    train_gold: list[Value] = [draw() for _ in range(m)]

    def vectors(labels: list[Value]) -> np.ndarray:
        return np.eye(4)[[GRADES.labels.index(str(x)) for x in labels]] @ rng.normal(
            size=(4, 16)
        ) * 0.4 + rng.normal(size=(len(labels), 16))

    train = TrainRows(
        train_gold,
        [f"t{i // 2}" for i in range(m)],
        vectors(train_gold),
        [int(x) for x in rng.integers(40, 900, m)],
    )
    return validate(
        gold,
        before,
        after,
        [f"conversation-{i // 2}" for i in range(n)],
        GRADES,
        ids=[f"reply-{i:03d}" for i in range(n)],
        raters_votes=votes,
        train=train,
        test_vectors=vectors(gold),
        test_lengths=[int(x) for x in rng.integers(40, 900, n)],
        n_boot=500,
        noun="replies",
    )


def make_run(validation: ValidationReport | None) -> RunReport:
    promoted = validation is not None and validation.decision.promoted
    return RunReport(
        title="Support quality, aligned with the house raters",
        description="Does a small local model grade support replies as the house raters do, once it has seen "
        "120 of their labels?",
        status="failed" if validation is None else "promoted" if promoted else "not_promoted",
        failure="The endpoint refused the key. Set OPENAI_API_KEY and run again."
        if validation is None
        else None,
        validation=validation,
        data=DataCard(
            name="support_quality",
            card="240 support replies written for this project, each graded by three raters after a house "
            "policy that the judge does not see. Apache-2.0. Synthetic customers; English only.",
            rows=240,
            groups=120,
            raters=["rater_a", "rater_b", "rater_c"],
            split_hash="9f2c" * 16,
            split_sizes={"train": 120, "validation": 20, "test": 100},
            contested=4,
            labels={"poor": 48, "fair": 72, "good": 84, "great": 36},
        ),
        judge=JudgeCard(
            name="reply_quality",
            instructions="Grade the support reply.\n\nQuestion: {{ inputs.question }}\n"
            "Reply: {{ outputs.reply }}\n\nGrade it poor, fair, good or great.",
            value_type=GRADES.describe(),
            model="local:/smollm2-360m",
        ),
        optimizer="MemAlign",
        settings={"retrieval": "5 examples", "reflection": "local:/smollm2-360m", "budget": "2 000 calls"},
        components=[
            ComponentResult(
                name="Episodic memory",
                on=True,
                measured="quadratic-weighted kappa +0.31 (0.18 to 0.44), cross-fitted",
                why="It helps on rows that it has not seen.",
            ),
            ComponentResult(
                name="Guidelines",
                on=True,
                measured="+0.09 (0.01 to 0.17)",
                why="Six of nine earn their place.",
            ),
            ComponentResult(
                name="Calibration map",
                on=False,
                measured="+0.00 (-0.03 to 0.04)",
                why="No gain could be shown.",
            ),
        ],
        guidelines=[
            GuidelineResult(
                text="A reply that gives the refund amount and the date is at least good.",
                support=14,
                contradict=1,
                state="active",
                uplift=0.042,
                why="kept",
            ),
            GuidelineResult(
                text="An apology without a next step is at most fair.",
                support=9,
                contradict=2,
                state="active",
                uplift=0.021,
            ),
            GuidelineResult(
                text="Long replies are better.",
                support=5,
                contradict=8,
                state="retired",
                uplift=-0.018,
                why="contradicted more often than supported",
            ),
        ],
        disagreements=[
            Disagreement(
                id="reply-041",
                item={
                    "inputs.question": "I was charged twice for the March invoice. Can you fix that?",
                    "outputs.reply": "Thanks for reaching out! I am so sorry for the trouble. Our "
                    "billing team is great and will surely look into this very soon. Have a lovely day!",
                },
                human_value="poor",
                human_rationale="Polite, but no refund, no date, nothing that the customer can do.",
                before="great",
                after="fair",
                judge_rationale="The reply apologizes and names the team, but gives no next step.",
                neighbours=[
                    NeighbourUsed(
                        id="reply-112", value="poor", similarity=0.83, text="Sorry! We will check. Bye!"
                    ),
                    NeighbourUsed(
                        id="reply-007", value="fair", similarity=0.79, text="We will look into the charge."
                    ),
                ],
            ),
            Disagreement(
                id="reply-077",
                item={
                    "inputs.question": "Where is my parcel?",
                    "outputs.reply": "It left Lyon on 3 May; it is due on the 6th.",
                },
                human_value="great",
                human_rationale=None,
                before=None,
                after="good",
                judge_rationale="Complete, with a date.",
            ),
        ],
        ledger=[
            LedgerLine(
                purpose="judge, before",
                model="local:/smollm2-360m",
                calls=100,
                prompt_tokens=48_120,
                completion_tokens=7_301,
                usd=0.0,
                seconds=212.4,
            ),
            LedgerLine(
                purpose="align",
                model="local:/smollm2-360m",
                calls=612,
                cached=148,
                prompt_tokens=702_511,
                completion_tokens=40_118,
                usd=0.0,
                seconds=1404.0,
            ),
            LedgerLine(
                purpose="judge, after",
                model="local:/smollm2-360m",
                calls=100,
                prompt_tokens=132_904,
                completion_tokens=7_020,
                usd=0.0,
                seconds=301.8,
            ),
        ],
        timings={"judge before": 61.0, "align": 420.5, "judge after": 88.2, "validate": 1.4},
        environment=Environment(
            run_id="2026-01-05-support-quality-7c1e",
            seed=0,
            versions={"judge_opt": "0.1.0", "dspy": "3.4.1", "python": "3.11.9"},
            commands=["judge-opt align configs/support_quality.yaml --seed 0"],
            config_yaml="judge: reply_quality\ndata: support_quality\n"
            "optimizer:\n  name: memalign\n  retrieval_k: 5\nseed: 0\n",
        ),
        warnings=["The labels come from one house policy; nothing is claimed for other policies."],
        history=[
            LearningStep(step=i, what=what, metric="validation kappa", value=value)
            for i, (what, value) in enumerate(
                [
                    ("untouched judge", 0.08),
                    ("episodic memory, 5 examples", 0.39),
                    ("guidelines, batch 1", 0.44),
                    ("guidelines, batch 2", 0.43),
                    ("retire 3 guidelines", 0.48),
                ]
            )
        ],
    )


@pytest.fixture(scope="session")
def run() -> RunReport:
    return make_run(make_validation())


@pytest.fixture(scope="session")
def unpromoted() -> RunReport:
    return make_run(make_validation(gain=0.0))


@pytest.fixture(scope="session")
def failed() -> RunReport:
    return make_run(None)
