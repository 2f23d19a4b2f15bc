"""Does calibration help recorded judges on labels they have not seen, and is it refused where it harms?

    python -m benchmarks.calibrate.run --data ../shared/data

No model is asked: the verdicts were recorded by the sources of the data.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import check, write_results
from judge_opt.align.calibrate import calibrated
from judge_opt.align.objective import METRICS
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL, ValueType, preference
from judge_opt.judges.judge import distribution
from judge_opt.labels.examples import LabelledExample, Vote

HERE = Path(__file__).parent
COUNTS = (50, 100, 150)
SPLITS = 8
RESAMPLES = 1000
METRICS_USED = ("kappa with every rater", "brier")
LLMBAR_PROMPTS = ("Vanilla", "Swap_CoT")
PAIR = preference("1", "2", tie="tie")
CLEAR = preference("1", "2")
PACKAGES = ("numpy", "scipy", "scikit-learn")


@dataclass(frozen=True)
class Recorded:
    """One recorded judge on one data set."""

    dataset: str
    judge: str
    value_type: ValueType
    rows: list[LabelledExample]
    said: list[Judgement]


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text("utf-8").splitlines()]


def votes(row: dict[str, Any], value: Any) -> tuple[Vote, ...]:
    own = {h["rater"]: value(h["value"]) for h in row["human"]}
    return tuple(Vote(rater, own[rater]) for rater in sorted(own))


def single(found: Any, allowed: dict[Any, Any]) -> Judgement:
    value = None if found is None else found.get("value")
    return Scored(allowed[value]) if value in allowed else Unscored("unparseable", str(value))


def shares(said: Sequence[Any], value_type: ValueType) -> Judgement:
    """Several verdicts as one with the shares of the votes."""
    labels = value_type.choices()
    kept = [value_type.text_of(v) for v in said if v is not None]
    if not kept:
        return Unscored("no_agreement")
    odds = {label: kept.count(label) / len(kept) for label in labels}
    best = max(labels, key=lambda label: odds[label])
    return Scored(value_type.read(best), confidence=odds[best], probabilities=odds)


def judges(folder: Path) -> Iterator[Recorded]:
    """Every recorded judge, by data set."""
    raw = read(folder, "pandalm")
    rows = [
        LabelledExample(r["id"], r["inputs"]["instruction"], {"outputs": r["id"]}, votes(r, str)) for r in raw
    ]
    for model in ("gpt-3.5-turbo", "pandalm-7b"):
        said = [next((j for j in r["judge"] if j["model"] == model), None) for r in raw]
        allowed = {"1": "1", "2": "2", "tie": "tie"}
        yield Recorded("pandalm", model, PAIR, rows, [single(j, allowed) for j in said])
    raw = read(folder, "ttcw")
    yes = {"yes": True, "no": False}
    rows = [
        LabelledExample(r["id"], r["inputs"]["story_id"], {"outputs": r["id"]}, votes(r, yes.__getitem__))
        for r in raw
    ]
    models = sorted({j["model"] for r in raw for j in r["judge"]})
    for model in models:
        said = [next((j for j in r["judge"] if j["model"] == model), None) for r in raw]
        yield Recorded("ttcw", model, BOOL, rows, [single(j, yes) for j in said])
    jury = [shares([yes.get(j["value"]) for j in r["judge"]], BOOL) for r in raw]
    yield Recorded("ttcw", f"jury of {len(models)}", BOOL, rows, jury)
    raw = read(folder, "llmbar")
    rows = [LabelledExample(r["id"], r["id"], {"outputs": r["id"]}, votes(r, str)) for r in raw]
    for model in sorted({j["model"] for r in raw for j in r["judge"]}):
        for prompt in LLMBAR_PROMPTS:
            said = [
                next((j for j in r["judge"] if (j["model"], j["prompt"]) == (model, prompt)), None)
                for r in raw
            ]
            orders = [
                shares([v if v in ("1", "2") else None for v in (j or {}).get("by_order", [])], CLEAR)
                for j in said
            ]
            yield Recorded("llmbar", f"{model}, {prompt}", CLEAR, rows, orders)


def split(rows: Sequence[LabelledExample], n: int, seed: int) -> tuple[list[int], list[int]]:
    """Positions of about `n` rows to learn from, in whole groups, and of the others."""
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row.group, []).append(i)
    names = sorted(groups)
    np.random.default_rng(seed).shuffle(names)
    learn: list[int] = []
    for name in names:
        if len(learn) >= n:
            break
        learn += groups[name]
    chosen = set(learn)
    return sorted(learn), [i for i in range(len(rows)) if i not in chosen]


class OnRows:
    """A metric on fixed rows as a function of row weights."""

    def __init__(
        self,
        metric: str,
        rows: Sequence[LabelledExample],
        said: Sequence[Judgement],
        value_type: ValueType,
    ) -> None:
        labels = value_type.choices()
        self.metric = metric
        scored = [j for j in said if isinstance(j, Scored)]
        self.q = np.asarray([[row.soft.get(label, 0.0) for label in labels] for row in rows])
        self.f = np.zeros((len(rows), len(labels)))
        for i, j in enumerate(scored):
            self.f[i, labels.index(value_type.text_of(j.value))] = 1.0
        self.p = np.asarray([distribution(j, value_type) for j in scored])

    def of(self, weights: np.ndarray) -> np.ndarray:
        """One figure for each row of `weights`."""
        if self.metric == "brier":
            loss = (self.p**2).sum(axis=1) - 2 * (self.p * self.q).sum(axis=1) + 1
            return -(weights @ loss) / weights.sum(axis=1)
        table = np.einsum("bi,ik,il->bkl", weights, self.q, self.f)
        table = table / table.sum(axis=(1, 2), keepdims=True)
        right = np.trace(table, axis1=1, axis2=2)
        chance = (table.sum(axis=2) * table.sum(axis=1)).sum(axis=1)
        return (right - chance) / np.maximum(1 - chance, 1e-9)

    def rate(self) -> float:
        """The rate of the second label that the judge reports: the mean of its probability where that is what
        was calibrated, else of its verdicts; less the raters' own."""
        mine = self.p if self.metric == "brier" else self.f
        return float(mine[:, 1].mean() - self.q[:, 1].mean())

    def agreement(self) -> float:
        """With a rater drawn by lot."""
        return float((self.q * self.f).sum(axis=1).mean())


def measure(one: Recorded, n: int, name: str) -> dict[str, Any]:
    """One judge at one number of labels by one metric, over `SPLITS` splits."""
    metric = METRICS[name][0]
    groups = sorted({row.group for row in one.rows})
    place = {group: g for g, group in enumerate(groups)}
    drawn = np.random.default_rng(7).multinomial(len(groups), [1 / len(groups)] * len(groups), size=RESAMPLES)
    drawn = np.concatenate([np.ones((1, len(groups)), dtype=int), drawn])
    before, after, forced, kept, harmed = [], [], [], 0, 0
    others: dict[str, list[float]] = {}
    forms: dict[str, int] = {}
    for seed in range(SPLITS):
        learn, rest = split(one.rows, n, seed)
        rest = [i for i in rest if isinstance(one.said[i], Scored)]
        rows, said = [one.rows[i] for i in learn], [one.said[i] for i in learn]
        tried = calibrated(rows, said, one.value_type, metric, seed=seed)
        test, raw = [one.rows[i] for i in rest], [one.said[i] for i in rest]
        sides = {"before": raw}
        for side, made in (("after", tried.calibration), ("forced", tried.proposed)):
            sides[side] = raw if made is None else [made.apply(j, one.value_type) for j in raw]
        weights = drawn[:, [place[row.group] for row in test]].astype(float)
        figures = []
        for side, judged in sides.items():
            on = OnRows(name, test, judged, one.value_type)
            figures.append(on.of(weights))
            others.setdefault(f"agreement_{side}", []).append(on.agreement())
            others.setdefault(f"rate_error_{side}", []).append(abs(on.rate()))
        before.append(figures[0])
        after.append(figures[1])
        forced.append(figures[2])
        kept += tried.calibration is not None
        harmed += bool(figures[1][0] < figures[0][0] - 0.02)
        forms[tried.form] = forms.get(tried.form, 0) + 1
    old, new, free = (np.mean(some, axis=0) for some in (before, after, forced))
    low, high = np.nanquantile(new[1:] - old[1:], [0.025, 0.975])
    return {
        "dataset": one.dataset,
        "judge": one.judge,
        "metric": name,
        "labels": n,
        "before": round(float(old[0]), 4),
        "after": round(float(new[0]), 4),
        "gain": round(float(new[0] - old[0]), 4),
        "gain_low": round(float(low), 4),
        "gain_high": round(float(high), 4),
        "gain_without_gate": round(float(free[0] - old[0]), 4),
        "kept": kept,
        "splits": SPLITS,
        "lost_more_than_0.02": harmed,
        **{key: round(float(np.mean(some)), 4) for key, some in others.items()},
        "forms": forms,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", help="one data set")
    given = parser.parse_args()
    rows = []
    for one in judges(given.data):
        if given.only and one.dataset != given.only:
            continue
        for n, name in [(n, name) for name in METRICS_USED for n in COUNTS]:
            rows.append(measure(one, n, name))
            found = rows[-1]
            print(
                f"{one.dataset:8} {one.judge:26} n={n:3} {name[:5]} {found['before']:.3f} -> "
                f"{found['after']:.3f} [{found['gain_low']:+.3f}, {found['gain_high']:+.3f}] "
                f"(no gate {found['gain_without_gate']:+.3f}) kept {found['kept']}/{SPLITS} {found['forms']}",
                flush=True,
            )
    if given.only:
        return
    harm = [row for row in rows if row["gain_without_gate"] < -0.005]
    helps = [row for row in rows if row["gain_without_gate"] > 0.02]
    harmed = sum(row["gain_high"] < 0 for row in rows)
    lost = sum(row["lost_more_than_0.02"] for row in rows) / (SPLITS * len(rows))
    said = {
        "least_gain": "mean gain of the worst judge and number of labels",
        "surely_harmed": "judges and numbers of labels whose whole interval of the gain is below 0",
        "harm_avoided": "of the loss that calibrating without a gate would cause, the share that it avoids",
        "help_kept": "of the gain where calibrating helps by more than .02, the share that the gate keeps",
        "splits_lost": "share of all splits that lose more than .02",
    }
    checks = [
        check("least_gain", said["least_gain"], min(row["gain"] for row in rows), ">=", -0.01),
        check("surely_harmed", said["surely_harmed"], harmed, "==", 0),
        check("harm_avoided", said["harm_avoided"], _avoided(harm), ">=", 0.8),
        check("help_kept", said["help_kept"], _kept(helps), ">=", 0.5),
        check("splits_lost", said["splits_lost"], lost, "<=", 0.1),
    ]
    command = "python -m benchmarks.calibrate.run --data ../shared/data"
    write_results(HERE, command, rows, checks, PACKAGES)


def _avoided(harm: Sequence[dict[str, Any]]) -> float:
    lost = sum(row["gain_without_gate"] for row in harm)
    return 1.0 - min(0.0, sum(min(0.0, row["gain"]) for row in harm)) / lost if harm else 1.0


def _kept(helps: Sequence[dict[str, Any]]) -> float:
    return (
        sum(row["gain"] for row in helps) / sum(row["gain_without_gate"] for row in helps) if helps else 1.0
    )


if __name__ == "__main__":
    main()
