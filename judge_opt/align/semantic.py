"""Semantic memory in the making: distil guidelines on some groups of rows, try them on others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from judge_opt.align.rows import TrainingRow, episode_of
from judge_opt.align.trials import try_guidelines
from judge_opt.judges.judge import Judge
from judge_opt.llm.session import current_session
from judge_opt.memory.distil import Row, distil
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.predictors import group_folds

TWIN = 0.92
"""Cosine from which two guidelines say the same."""


@dataclass(frozen=True, slots=True)
class Learned:
    """Attributes:
    guidelines: active and retired.
    why: why none is active; "" where one is.
    """

    guidelines: tuple[Guideline, ...]
    why: str
    warnings: list[str]


def learn_guidelines(
    judge: Judge,
    rows: Sequence[TrainingRow],
    *,
    reflection_lm: str | None,
    embedder: str,
    limit: int,
    batch_rows: int,
    batch_chars: int,
    trial_rows: int,
    race_rows: int,
    concurrency: int,
    seed: int,
    tell: Callable[[str], Any],
) -> Learned:
    """Distilled from two thirds of the groups, tried on the other third; see `MemAlign` for the settings.

    Args:
        tell: phase to a function of (done, total).

    Raises:
        JudgeOptError: the reflection endpoint cannot be used at all.
    """
    folds = group_folds([r.example.group for r in rows], 3, seed)
    learn = [r for r, fold in zip(rows, folds, strict=True) if fold != 0]
    tries = [r for r, fold in zip(rows, folds, strict=True) if fold == 0]
    uri = reflection_lm or judge.model
    lm = current_session().lm(uri, purpose="reflect", base_url=judge.endpoint_of(uri), temperature=0.0)
    batches = [learn[i : i + batch_rows] for i in range(0, len(learn), batch_rows)]
    found: list[Guideline] = []
    warnings: list[str] = []
    told = tell("distil guidelines")
    for number, batch in enumerate(batches):
        told(number, len(batches))
        some, notes = distil(
            lm,
            judge.template.shown(judge.instructions),
            judge.value_type,
            [Row(episode_of(r, judge), r.judged) for r in batch],
            limit=limit,
            max_chars=batch_chars,
            seed=seed,
        )
        found += some
        warnings += notes
    told(len(batches), len(batches))
    distinct = merge_twins(found, judge, embedder)
    if not distinct:
        return Learned((), "none could be distilled", warnings)
    tried = try_guidelines(
        judge,
        distinct,
        tries,
        together=trial_rows,
        alone=race_rows,
        concurrency=concurrency,
        tell=tell("try the guidelines"),
    )
    if any(g.state == "active" for g in tried):
        return Learned(tried, "", warnings)
    rows_tried = min(len(tries), trial_rows)
    why = f"none of {len(tried)} helped on {rows_tried} rows they were not distilled from"
    return Learned(tried, why, warnings)


def merge_twins(guidelines: Sequence[Guideline], judge: Judge, embedder: str) -> list[Guideline]:
    """Without near-duplicates: the first of them stays and takes over the others' sources."""
    if not guidelines:
        return []
    space = current_session().embedder(embedder, judge.endpoint_of(embedder))
    vectors = space.embed([g.text for g in guidelines])
    kept: list[int] = []
    merged = list(guidelines)
    for i in range(len(guidelines)):
        twin = next((j for j in kept if float(vectors[i] @ vectors[j]) >= TWIN), None)
        if twin is None:
            kept.append(i)
        else:
            sources = tuple(dict.fromkeys((*merged[twin].sources, *guidelines[i].sources)))
            merged[twin] = replace(merged[twin], sources=sources)
    return [merged[i] for i in kept]
