"""Do the agreement figures of the public data equal those that its README states?

    python -m benchmarks.raters.run --data ../shared/data

Every figure is computed from the files as the public importers read them. The README describes whole sources and
the files hold a part of each, so a figure that is not equal is asked a second question: in which range would
the whole source's figure lie, if its other groups are like those that the file has? See `whole_source`.
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
from judge_opt.labels.raters.alpha import alpha_of_weights, krippendorff_alpha
from judge_opt.labels.raters.ratings import Ratings
from judge_opt.validate.intervals import cluster_interval

HERE = Path(__file__).parent
PAIRWISE = preference("1", "2", tie="tie")
RESAMPLES = 2000
PANDALM_ITEMS, LLMBAR_ITEMS, TTCW_STORIES, SUMMEVAL_ARTICLES = 999, 419, 36, 100
"""The sizes of the whole sources, as their papers state them."""
PACKAGES = ("krippendorff", "statsmodels", "scikit-learn", "numpy", "scipy")


Statistic = Callable[[Any], Any]
"""Weights of rows [B, n] to values [B]."""


@dataclass(frozen=True)
class Found:
    """One figure: what the data's README says, and what the file gives.

    Attributes:
        statistic, groups: the figure as a function of row weights, and the group of each row.
        of_source: the file's share of its source: groups here, groups there.
        definition: what was computed.
        decimals: to which the README states it.
    """

    name: str
    readme: float
    value: float
    statistic: Statistic
    groups: Sequence[str]
    of_source: tuple[int, int]
    definition: str
    decimals: int = 2

    @property
    def distance(self) -> float:
        return abs(round(self.value, self.decimals) - round(self.readme, self.decimals))

    def holds(self, low: float, high: float) -> bool:
        """Whether the README's figure, which is rounded, lies in an interval."""
        half = 0.5 * 10**-self.decimals
        return low - half <= self.readme <= high + half

    def interval(self) -> tuple[float, float]:
        """Of the population from which the groups come: BCa bootstrap over groups."""
        group = np.unique(list(self.groups), return_inverse=True)[1].astype(np.int64)
        found = cluster_interval(self.statistic, group, n_boot=RESAMPLES)
        assert found.low is not None
        assert found.high is not None
        return found.low, found.high

    def whole_source(self) -> tuple[float, float]:
        """The central 95 % of what the whole source's figure can be.

        The groups of the file stand as they are; the missing ones are drawn from the file's groups with random
        (Dirichlet) weights. That is the Polya posterior of a finite population (Lo 1988; Ghosh and Meeden
        1997). It assumes that the file's groups are like the others, as in a random sample of groups.
        """
        here, there = self.of_source
        names, group = np.unique(list(self.groups), return_inverse=True)
        rng = np.random.default_rng(0)
        missing = there - here
        weights = np.ones((RESAMPLES, len(names)))
        for draw in weights:
            draw += rng.multinomial(missing, rng.dirichlet(np.ones(len(names))))
        values = np.concatenate([self.statistic(some[:, group]) for some in np.array_split(weights, 20)])
        low, high = np.nanpercentile(values, [2.5, 97.5])
        return float(low), float(high)


def mean_of(
    name: str,
    readme: float,
    values: Sequence[float],
    groups: Sequence[str],
    of_source: tuple[int, int],
    definition: str,
    decimals: int = 2,
) -> Found:
    """The mean of a number a row."""
    x = np.array(values, dtype=np.float64)
    return Found(
        name,
        readme,
        float(x.mean()),
        lambda w: (w @ x) / w.sum(axis=1),
        groups,
        of_source,
        definition,
        decimals,
    )


def alpha(
    name: str,
    readme: float,
    examples: Sequence[LabelledExample],
    values: ValueType,
    level: Any,
    of_source: tuple[int, int],
) -> Found:
    ratings = Ratings.of(examples, values)
    statistic = alpha_of_weights(ratings, level)
    found = krippendorff_alpha(ratings, level)
    assert statistic is not None
    assert found.value is not None
    return Found(
        name, readme, found.value, statistic, ratings.groups, of_source, f"Krippendorff's alpha, {level}"
    )


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
    n = len(set(groups))
    share = n, round(n * PANDALM_ITEMS / len(rows))  # its number of instructions is not known here
    return [
        alpha("pandalm: alpha", 0.86, examples, PAIRWISE, "nominal", share),
        mean_of(
            "pandalm: one rater against the others",
            0.96,
            hits,
            of,
            share,
            "each vote against the majority of the other two; where these differ, left out",
        ),
        mean_of(
            "pandalm: GPT-3.5",
            0.70,
            [float(a == b) for a, b in zip(said, truth, strict=True)],
            groups,
            share,
            "agreement with the majority; the 14 unparsed verdicts count as wrong",
        ),
        Found(
            "pandalm: GPT-3.5, kappa",
            0.48,
            float(cohen_kappa_score(truth, said)),
            lambda w: np.array([cohen_kappa_score(truth, said, sample_weight=one) for one in w]),
            groups,
            share,
            "Cohen's kappa with the majority; unparsed verdicts are a label of their own",
        ),
        mean_of(
            "pandalm: the longer one wins",
            0.67,
            [float(longer(row) == gold[row.id]) for row in plain],
            [group[row.id] for row in plain],
            share,
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
    share = len(rows), LLMBAR_ITEMS
    chatgpt = right("ChatGPT", "Vanilla")
    rules = list(np.subtract(vanilla, right("GPT-4", "Vanilla_NoRules")))
    shots = list(np.subtract(right("GPT-4", "Vanilla_2shot"), vanilla))
    shorter = [float(longer(row) != gold[row.id]) for row in plain]
    return [
        mean_of("llmbar: GPT-4", 0.83, vanilla, groups, share, f"prompt Vanilla, {both}"),
        mean_of("llmbar: ChatGPT", 0.41, chatgpt, groups, share, f"prompt Vanilla, {both}"),
        mean_of(
            "llmbar: the shorter one wins",
            0.726,
            shorter,
            [row.id for row in plain],
            share,
            "characters; without equal lengths",
            3,
        ),
        mean_of(
            "llmbar: rules in the prompt gain",
            0.08,
            rules,
            groups,
            share,
            f"GPT-4, Vanilla minus Vanilla_NoRules, {both}",
        ),
        mean_of(
            "llmbar: two shots gain",
            -0.016,
            shots,
            groups,
            share,
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
    share = len(set(story)), TTCW_STORIES
    no = [float(one.gold is False) for one in examples]
    return [
        alpha("ttcw: alpha", 0.14, examples, BOOL, "nominal", share),
        mean_of(
            'ttcw: majority "no"', 0.85, no, story, share, "share of items whose majority of three is no"
        ),
        mean_of(
            "ttcw: the worst recorded judge",
            0.28,
            right[worst],
            story,
            share,
            f"{worst}; without gemini-pro",
        ),
        mean_of("ttcw: the best recorded judge", 0.41, right[best], story, share, best),
    ]


def summeval(folder: Path) -> list[Found]:
    out = {}
    for aspect in ("coherence", "consistency", "fluency", "relevance"):
        examples = load_examples(
            folder / "summeval.jsonl", aspect, scale(1, 5), group="inputs.article", pools=[None]
        ).examples
        share = len({one.group for one in examples}), SUMMEVAL_ARTICLES
        out[aspect] = alpha(aspect, 0.0, examples, scale(1, 5), "ordinal", share)
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
            "items_in_source": PANDALM_ITEMS,
            "groups": len(runs),
            "groups_whose_ids_are_one_run": sum(max(of) - min(of) + 1 == len(of) for of in runs.values()),
            "highest_id": max(map(max, runs.values())),
        },
        {"file": "llmbar", "items": len(llmbar_rows), "items_in_source": LLMBAR_ITEMS},
        {
            "file": "ttcw",
            "groups": len(stories),
            "groups_in_source": TTCW_STORIES,
            "items_of_a_group": sorted(set(stories.values())),
        },
        {
            "file": "summeval",
            "groups": len(articles),
            "groups_in_source": SUMMEVAL_ARTICLES,
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
    lines = [line_of(one) for one in figures(options.data)]
    checks = []
    for line in lines:
        name = line["figure"].replace(":", "").replace(" ", "-").lower()
        what = f"{line['figure']}: equal to the README's {line['readme']}, or the difference explained"
        checks.append(check(name, what, line["says"] != "unexplained", "==", 1))
    equal = sum(line["says"] == "equal" for line in lines)
    checks.append(check("all-equal", "figures equal to the README's decimals", equal, "==", len(lines)))
    write_results(
        HERE,
        "python -m benchmarks.raters.run --data ../shared/data",
        lines,
        checks,
        PACKAGES,
        files=whole_groups(options.data),
    )


def line_of(one: Found) -> dict[str, Any]:
    """A figure's line, with what can be said of its difference: `equal`; `explained`: the README's value lies
    in the range of the whole source's figure; else `unexplained`, also where the wider interval of the
    population holds it."""
    low, high = one.interval()
    least, most = one.whole_source()
    if one.distance == 0:
        says = "equal"
    elif one.holds(least, most):
        says = "explained"
    else:
        says = "unexplained"
    return {
        "figure": one.name,
        "readme": one.readme,
        "ours": round(one.value, 4),
        "says": says,
        "source_low": round(least, 4),
        "source_high": round(most, 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "in_population_interval": one.holds(low, high),
        "groups": one.of_source[0],
        "groups_in_source": one.of_source[1],
        "definition": one.definition,
    }


if __name__ == "__main__":
    main()
