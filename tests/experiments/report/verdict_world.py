"""A report on two judges over made-up rows, with every part that a report can have; hostile where asked."""

import numpy as np

from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import ValueType, categories, ordered
from judge_opt.experiments.verdicts import with_texts
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.validate import Context, GatePolicy, VerdictReport, Verdicts, stability, validate_verdicts
from judge_opt.validate.bias import paired_bias


def make_report(hostile: str = "", n: int = 90) -> VerdictReport:
    """Args:
    hostile: put into every name and text.
    """
    rng = np.random.default_rng(2)
    labels = (f"bad{hostile}", f"fair{hostile}", f"good{hostile}")
    values: ValueType = categories(*labels) if hostile else ordered(*labels)

    def near(label: str, skill: float) -> str:
        return label if rng.random() < skill else labels[int(rng.integers(3))]

    rows = []
    for i in range(n):
        truth = labels[int(rng.integers(3))]
        votes = tuple(Vote(f"rater {k}{hostile}", near(truth, 0.9), f"since {i}{hostile}") for k in range(3))
        fields = {
            "inputs": {"kind": "ab"[i % 2] + hostile, "question": f"Why {i}?{hostile}"},
            "outputs": f"So {i}.{hostile}",
        }
        rows.append(LabelledExample(f"row-{i}{hostile}", f"g{i // 2}", fields, votes))

    def judge(skill: float) -> dict[str, Judgement]:
        out: dict[str, Judgement] = {}
        for one in rows:
            said = near(str(one.gold or labels[0]), skill)
            sure = float(rng.uniform(0.4, 0.98))
            rest = {label: (1 - sure) / 2 for label in labels if label != said}
            out[one.id] = Scored(said, f"It is {said}", sure, {said: sure, **rest}, raw=f"raw{hostile}")
        out[rows[0].id] = Unscored("timeout")
        return out

    verdicts = {f"small{hostile}": Verdicts(judge(0.5)), f"large{hostile}": Verdicts(judge(0.9))}
    groups, gold, large = [one.group for one in rows], [one.gold for one in rows], f"large{hostile}"
    again = [verdicts[large].judged[one.id] for one in rows]
    moved = [Scored(near(labels[2], 0.5)) for _ in rows]
    context = Context(
        lengths={one.id: float(rng.integers(10, 900)) for one in rows},
        slices={f"inputs.kind{hostile}": {one.id: one.fields["inputs"]["kind"] for one in rows}},
        stability={large: stability([again, again], groups, values, gold=gold, n_boot=200)},
        biases={
            large: [
                paired_bias(
                    f"verbosity{hostile}", f"padded{hostile}", again, moved, groups, values, again=again, n_boot=200
                )
            ]
        },
        learned_from={large: frozenset([rows[3].id])},
    )  # fmt: skip
    policy = GatePolicy(min_agreement=0.6, max_bias={"verbosity": 0.1}, no_leakage=True)
    report = validate_verdicts(
        rows, verdicts, values, policy=policy, context=context, title=f"Two judges{hostile}", noun=f"replies{hostile}",
        n_boot=200,
    )  # fmt: skip
    report = report.model_copy(update={"how": [f"judge-opt validate rows.jsonl{hostile}"]})
    return with_texts(report, rows, verdicts)
