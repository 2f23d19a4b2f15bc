"""The alternative annotator test on the public files: may a recorded judge replace one of the raters?"""

from collections import Counter
from pathlib import Path
from typing import Any

from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.core.values import BOOL, ValueType, categories, preference, scale
from judge_opt.labels import LabelledExample, load_examples, read_rows
from judge_opt.validate.alternative_annotators import alt_test

ASPECTS = {
    "names": ["food", "service", "ambiance", "noise"],
    "name_field": "aspect",
    "value_map": {"Positive": "positive", "Negative": "negative", "unknown": "not mentioned"},
}


def annotators(folder: Path) -> list[dict[str, Any]]:
    """One row a judge and file. No file but ttcw and pandalm holds verdicts of a model. For the others the
    judge is a constant, and in summeval also the majority of the crowd: is it as good as an expert?"""
    out = []
    ttcw = load_examples(folder / "ttcw.jsonl", "pass", BOOL, group="inputs.story_id").examples
    for model, judged in recorded(folder / "ttcw.jsonl", {"yes": True, "no": False}).items():
        out.append(row("ttcw", model, ttcw, judged, BOOL, 0.2))
    out.append(row("ttcw", "constant (most frequent)", ttcw, constant(ttcw), BOOL, 0.2))
    better = preference("1", "2", tie="tie")
    pandalm = load_examples(folder / "pandalm.jsonl", "preference", better).examples
    for model, judged in recorded(folder / "pandalm.jsonl", {v: v for v in ("1", "2", "tie")}).items():
        out.append(row("pandalm", model, pandalm, judged, better, 0.15))
    out.append(row("pandalm", "constant (most frequent)", pandalm, constant(pandalm), better, 0.15))
    for aspect in ("coherence", "consistency", "fluency", "relevance"):
        options: dict[str, Any] = {"group": "inputs.article"}
        experts = load_examples(
            folder / "summeval.jsonl", aspect, scale(1, 5), pools=[None], **options
        ).examples
        crowd = load_examples(
            folder / "summeval.jsonl", aspect, scale(1, 5), pools=["crowd"], **options
        ).examples
        said: dict[str, Judgement] = {}
        for one in crowd:
            numbers = sorted(float(vote.value) for vote in one.votes)
            said[one.id] = Scored(round(numbers[len(numbers) // 2]))  # the median of the five
        for name, judged in (("median of the crowd", said), ("constant (most frequent)", constant(experts))):
            out.append(row(f"summeval {aspect}", name, experts, judged, scale(1, 5), 0.2))
    aspects = categories("positive", "negative", "not mentioned")
    cebab = load_examples(folder / "cebab.jsonl", None, aspects, **ASPECTS).examples
    out.append(row("cebab aspects", "constant (most frequent)", cebab, constant(cebab), aspects, 0.1))
    stars = load_examples(folder / "cebab.jsonl", "stars", scale(1, 5)).examples
    out.append(row("cebab stars", "constant (most frequent)", stars, constant(stars), scale(1, 5), 0.1))
    return out


def recorded(file: Path, values: dict[str, Value]) -> dict[str, dict[str, Judgement]]:
    out: dict[str, dict[str, Judgement]] = {}
    for one in read_rows(file):
        for said in one.data["judge"]:
            value = values.get(str(said["value"]))
            judgement: Judgement = Unscored("unparseable") if value is None else Scored(value)
            out.setdefault(said["model"], {})[one.id] = judgement
    return out


def constant(examples: list[LabelledExample]) -> dict[str, Judgement]:
    most = Counter(vote.value for one in examples for vote in one.votes).most_common(1)[0][0]
    return {one.id: Scored(most) for one in examples}


def row(
    file: str,
    judge: str,
    examples: list[LabelledExample],
    judged: dict[str, Judgement],
    values: ValueType,
    epsilon: float,
) -> dict[str, Any]:
    found = alt_test(
        [{vote.rater: vote.value for vote in one.votes} for one in examples],
        [judged.get(one.id, Unscored("missing_input")) for one in examples],
        [one.group for one in examples],
        values,
        epsilon=epsilon,
    )
    return {
        "part": "annotators",
        "file": file,
        "judge": judge,
        "epsilon": epsilon,
        "scoring": found.scoring,
        "winning_rate": found.winning_rate,
        "advantage": None if found.advantage is None else round(found.advantage, 4),
        "passed": found.passed,
        "raters": len(found.raters),
        "skipped": len(found.skipped),
        "unscored": sum(not isinstance(judged.get(one.id), Scored) for one in examples),
        "reason": found.reason,
    }
