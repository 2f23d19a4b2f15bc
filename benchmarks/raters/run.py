"""Do the agreement figures of the public data equal those that its README states?

    python -m benchmarks.raters.run --data ../shared/data

Every figure is computed from the files as the public importers read them.
"""

import argparse
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import cohen_kappa_score

from benchmarks.record import check, write_results
from judge_opt.core.values import BOOL, ValueType, majority, preference, scale
from judge_opt.labels import LabelledExample, load_examples, read_rows
from judge_opt.validate.intervals import by_rows, cluster_interval
from judge_opt.validate.raters import rater_report

HERE = Path(__file__).parent
PAIRWISE = preference("1", "2", tie="tie")
RESAMPLES = 2000
PACKAGES = ("krippendorff", "statsmodels", "scikit-learn", "numpy", "scipy")


@dataclass(frozen=True)
class Found:
    """One figure: what the data's README says, and what the file gives, with a group-bootstrap interval.

    Attributes:
        decimals: to which the README states it.
        definition: what was computed.
    """

    name: str
    readme: float
    value: float
    low: float | None
    high: float | None
    definition: str
    decimals: int = 2

    @property
    def equal(self) -> bool:
        return round(self.value, self.decimals) == round(self.readme, self.decimals)

    @property
    def inside(self) -> bool:
        half = 0.5 * 10**-self.decimals  # the README's figure is rounded
        return (
            self.low is not None
            and self.high is not None
            and self.low - half <= self.readme <= self.high + half
        )


def mean_of(values: Sequence[float], groups: Sequence[str]) -> tuple[float, float | None, float | None]:
    """A mean with its interval over groups."""
    x = np.array(values, dtype=np.float64)
    group = np.unique(list(groups), return_inverse=True)[1].astype(np.int64)
    found = cluster_interval(lambda w: (w @ x) / w.sum(axis=1), group, n_boot=RESAMPLES)
    return float(x.mean()), found.low, found.high


def statistic_of(
    function: Callable[[Any], float], n: int, groups: Sequence[str]
) -> tuple[float, float | None, float | None]:
    group = np.unique(list(groups), return_inverse=True)[1].astype(np.int64)
    found = cluster_interval(by_rows(function, n), group, n_boot=RESAMPLES)
    return function(np.arange(n)), found.low, found.high


def alpha(
    name: str, readme: float, examples: Sequence[LabelledExample], values: ValueType, level: Any, groups: str
) -> Found:
    found = rater_report(examples, values, level=level, n_boot=RESAMPLES).alpha
    assert found.value is not None
    definition = f"Krippendorff's alpha, {level}; interval over {groups}"
    return Found(name, readme, found.value, found.low, found.high, definition)


def one_against_others(examples: Sequence[LabelledExample]) -> tuple[list[float], list[str]]:
    """Each vote against the majority of the others; where they tie, nothing."""
    hits, groups = [], []
    for one in examples:
        values = [vote.value for vote in one.votes]
        for n, vote in enumerate(values):
            others = majority(values[:n] + values[n + 1 :])
            if others is not None:
                hits.append(float(vote == others))
                groups.append(one.group)
    return hits, groups


def longer(row: Any) -> str:
    """Which output has more characters: 1, 2, or tie."""
    one, two = (len(row.data["outputs"][key]) for key in ("output_1", "output_2"))
    return "1" if one > two else "2" if two > one else "tie"


def pandalm(folder: Path) -> list[Found]:
    file = folder / "pandalm.jsonl"
    examples = load_examples(file, "preference", PAIRWISE, group="inputs.instruction").examples
    rows = list(read_rows(file))
    gold = {one.id: one.gold for one in examples}
    group = {one.id: one.group for one in examples}
    judged = {
        row.id: next(j["value"] for j in row.data["judge"] if j["model"] == "gpt-3.5-turbo") for row in rows
    }
    said = [str(judged[row.id]) for row in rows]
    truth = [str(gold[row.id]) for row in rows]
    groups = [group[row.id] for row in rows]
    plain = [row for row in rows if gold[row.id] != "tie" and longer(row) != "tie"]
    hits, of = one_against_others(examples)
    return [
        alpha("pandalm: alpha", 0.86, examples, PAIRWISE, "nominal", "77 instructions"),
        Found(
            "pandalm: one rater against the others",
            0.96,
            *mean_of(hits, of),
            "each vote against the majority of the other two; where these differ, left out",
        ),
        Found(
            "pandalm: GPT-3.5",
            0.70,
            *mean_of([float(a == b) for a, b in zip(said, truth, strict=True)], groups),
            "agreement with the majority; the 14 unparsed verdicts count as wrong",
        ),
        Found(
            "pandalm: GPT-3.5, kappa",
            0.48,
            *statistic_of(
                lambda at: float(cohen_kappa_score([truth[i] for i in at], [said[i] for i in at])),
                len(rows),
                groups,
            ),
            "Cohen's kappa with the majority; unparsed verdicts are a label of their own",
        ),
        Found(
            "pandalm: the longer one wins",
            0.67,
            *mean_of([float(longer(row) == gold[row.id]) for row in plain], [group[row.id] for row in plain]),
            "characters; without ties of people or of lengths",
        ),
    ]


def llmbar(folder: Path) -> list[Found]:
    rows = list(read_rows(folder / "llmbar.jsonl"))
    gold = {row.id: row.human[0].value for row in rows}
    groups = [row.id for row in rows]

    def right(model: str, prompt: str) -> list[float]:
        of = {
            row.id: next(
                j["by_order"] for j in row.data["judge"] if (j["model"], j["prompt"]) == (model, prompt)
            )
            for row in rows
        }
        return [float(np.mean([said == gold[row.id] for said in of[row.id]])) for row in rows]

    vanilla = right("GPT-4", "Vanilla")
    plain = [row for row in rows if longer(row) != "tie"]
    both = "mean over the two orders"
    return [
        Found("llmbar: GPT-4", 0.83, *mean_of(vanilla, groups), f"prompt Vanilla, {both}"),
        Found(
            "llmbar: ChatGPT", 0.41, *mean_of(right("ChatGPT", "Vanilla"), groups), f"prompt Vanilla, {both}"
        ),
        Found(
            "llmbar: the shorter one wins",
            0.726,
            *mean_of([float(longer(row) != gold[row.id]) for row in plain], [row.id for row in plain]),
            "characters; without equal lengths",
            3,
        ),
        Found(
            "llmbar: rules in the prompt gain",
            0.08,
            *mean_of(list(np.subtract(vanilla, right("GPT-4", "Vanilla_NoRules"))), groups),
            f"GPT-4, Vanilla minus Vanilla_NoRules, {both}",
        ),
        Found(
            "llmbar: two shots gain",
            -0.016,
            *mean_of(list(np.subtract(right("GPT-4", "Vanilla_2shot"), vanilla)), groups),
            f"GPT-4, Vanilla_2shot minus Vanilla, {both}",
            3,
        ),
    ]


def ttcw(folder: Path) -> list[Found]:
    file = folder / "ttcw.jsonl"
    examples = load_examples(file, "pass", BOOL, group="inputs.story_id").examples
    gold = {one.id: one.gold for one in examples}
    story = [one.group for one in examples]
    right: dict[str, list[float]] = {}
    for row in read_rows(file):
        for said in row.data["judge"]:
            yes = {"yes": True, "no": False}.get(str(said["value"]))
            right.setdefault(said["model"], []).append(float(yes == gold[row.id]))
    parsed = {model: hits for model, hits in right.items() if model != "gemini-pro"}
    worst, best = (pick(parsed, key=lambda m: np.mean(parsed[m])) for pick in (min, max))
    return [
        alpha("ttcw: alpha", 0.14, examples, BOOL, "nominal", "21 stories"),
        Found(
            'ttcw: majority "no"',
            0.85,
            *mean_of([float(one.gold is False) for one in examples], story),
            "share of items whose majority of three is no",
        ),
        Found(
            "ttcw: the worst recorded judge",
            0.28,
            *mean_of(right[worst], story),
            f"{worst}; without gemini-pro",
        ),
        Found("ttcw: the best recorded judge", 0.41, *mean_of(right[best], story), best),
    ]


def summeval(folder: Path) -> list[Found]:
    out = {}
    for aspect in ("coherence", "consistency", "fluency", "relevance"):
        examples = load_examples(
            folder / "summeval.jsonl", aspect, scale(1, 5), group="inputs.article", pools=[None]
        ).examples
        out[aspect] = alpha(aspect, 0.0, examples, scale(1, 5), "ordinal", "55 articles")
    least, most = (pick(out.values(), key=lambda one: one.value) for pick in (min, max))
    return [
        replace(least, name=f"summeval: lowest expert alpha ({least.name})", readme=0.45),
        replace(most, name=f"summeval: highest expert alpha ({most.name})", readme=0.81),
    ]


def whole_groups(folder: Path) -> list[dict[str, Any]]:
    """That each file is a part of its source, taken by whole groups: what ids and groups show."""
    runs: dict[str, list[int]] = {}
    for row in read_rows(folder / "pandalm.jsonl"):
        runs.setdefault(row.data["inputs"]["instruction"], []).append(int(row.id.split("-")[-1]))
    llmbar_rows = list(read_rows(folder / "llmbar.jsonl"))
    stories = Counter(row.data["inputs"]["story_id"] for row in read_rows(folder / "ttcw.jsonl"))
    articles = Counter(row.data["inputs"]["article"] for row in read_rows(folder / "summeval.jsonl"))
    return [
        {
            "file": "pandalm",
            "items": sum(map(len, runs.values())),
            "items_in_source": 999,
            "groups": len(runs),
            "groups_whose_ids_are_one_run": sum(max(of) - min(of) + 1 == len(of) for of in runs.values()),
            "highest_id": max(map(max, runs.values())),
        },
        {"file": "llmbar", "items": len(llmbar_rows), "items_in_source": 419},
        {
            "file": "ttcw",
            "groups": len(stories),
            "groups_in_source": 36,
            "items_of_a_group": sorted(set(stories.values())),
        },
        {
            "file": "summeval",
            "groups": len(articles),
            "groups_in_source": 100,
            "items_of_a_group": sorted(set(articles.values())),
        },
    ]


def figures(folder: Path) -> list[Found]:
    """Every agreement figure of the README that the files can give."""
    return [*pandalm(folder), *llmbar(folder), *ttcw(folder), *summeval(folder)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with the .jsonl files")
    options = parser.parse_args()
    found = figures(options.data)
    checks = []
    for one in found:
        name = one.name.replace(":", "").replace(" ", "-").lower()
        distance = abs(round(one.value, one.decimals) - round(one.readme, one.decimals))
        checks.append(
            check(
                f"{name}-equal", f"{one.name}: distance from the README's {one.readme}", distance, "==", 0.0
            )
        )
        checks.append(
            check(
                f"{name}-inside",
                f"{one.name}: the README's {one.readme} lies in our interval",
                one.inside,
                "==",
                1,
            )
        )
    write_results(
        HERE,
        "python -m benchmarks.raters.run --data ../shared/data",
        [
            {
                "figure": one.name,
                "readme": one.readme,
                "ours": round(one.value, 4),
                "low": None if one.low is None else round(one.low, 4),
                "high": None if one.high is None else round(one.high, 4),
                "equal": one.equal,
                "inside": one.inside,
                "definition": one.definition,
            }
            for one in found
        ],
        checks,
        PACKAGES,
        files=whole_groups(options.data),
    )


if __name__ == "__main__":
    main()
