"""Semantic memory in the making: guidelines distilled from batches of rows, tried on the rows of others.

Each batch is read by itself, so every row has guidelines that were not distilled from it: those of the other
batches. What the judge says with these is what guidelines are worth on rows they never saw, and costs no
labels: all rows are learned from in the end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from judge_opt.align.batches import batches
from judge_opt.align.rows import TrainingRow, episode_of
from judge_opt.align.trials import try_guidelines
from judge_opt.core.errors import ModelError
from judge_opt.core.results import Judgement
from judge_opt.judges.judge import Judge
from judge_opt.llm.parallel import map_threads
from judge_opt.memory.distil import Row, Unread, distil
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.merging import Merged, merge
from judge_opt.memory.reflect import Unanswered
from judge_opt.memory.vectors import TextEmbedder, Vectors

MOST = 12
"""Guidelines that a judge is shown at most."""


@dataclass(frozen=True, slots=True)
class SemanticSettings:
    """See `MemAlign`."""

    limit: int
    batch_rows: int
    batch_chars: int
    trial_calls: int
    concurrency: int
    seed: int


@dataclass(frozen=True, slots=True)
class Learned:
    """Attributes:
    guidelines: active and retired.
    unseen: for each row the guidelines that were not distilled from it, before any was retired: retiring
        looks at labels, and a row must not be judged with what its own label decided.
    why: why none is active; "" where one is.
    """

    guidelines: tuple[Guideline, ...]
    unseen: tuple[tuple[Guideline, ...], ...]
    why: str
    warnings: tuple[str, ...]


def reflection_calls(n_rows: int, batch_rows: int) -> int:
    """Distillation calls for so many new rows; one more may ask which guidelines are alike."""
    return -(-n_rows // batch_rows) + (n_rows >= 10)


def learn_guidelines(
    judge: Judge,
    rows: Sequence[TrainingRow],
    vectors: Vectors,
    new: Sequence[int],
    known: Sequence[Guideline],
    *,
    lm: Any,
    space: TextEmbedder,
    settings: SemanticSettings,
    tell: Callable[[str], Any],
) -> Learned:
    """Distil from the new rows, and weigh what was distilled together with what is known.

    Args:
        rows: all labelled rows, old and new, as the untouched judge judged them; `vectors` theirs.
        new: positions of the rows that no guideline was distilled from yet.
        known: guidelines that the judge has.
        tell: phase to a function of (done, total).

    Raises:
        ModelError: no distillation call brought anything: a failure, and no sign that there is nothing to
            learn.
    """
    fresh, warnings = _distilled(judge, rows, vectors, new, known, lm=lm, settings=settings, tell=tell)
    ids = [row.example.id for row in rows]
    old = frozenset(ids[i] for i in range(len(rows)) if i not in set(new))
    given = [*((g, old) for g in known), *fresh]
    merged = merge([g for g, _ in given], judge.value_type, space, lm, settings.seed)
    candidates = merged.guidelines
    warnings += merged.warnings
    if not candidates:
        none = tuple(() for _ in rows)
        return Learned((), none, "none could be distilled", tuple(warnings))
    # What several batches found by themselves was found without any one row.
    clean = [[any(id not in given[m][1] for m in several) for id in ids] for several in merged.members]
    usable = [k for k, g in enumerate(candidates) if g.state == "active"]
    unseen = tuple(tuple(candidates[k] for k in usable if clean[k][i])[:MOST] for i in range(len(rows)))
    doubtful = [
        k
        for k, several in enumerate(merged.members)
        if any(m >= len(known) for m in several) and not candidates[k].pinned
    ]
    settled = _weighed(judge, rows, candidates, doubtful, clean, settings, tell)
    done = [settled.get(g.text, g) for g in candidates]
    done = _uncontradicted(done, merged)
    active = [g for g in done if g.state == "active"]
    if len(active) > MOST:
        last = sorted(active, key=lambda g: (g.pinned, g.uplift or 0.0))[: len(active) - MOST]
        done = [
            replace(g, state="retired", why=f"{MOST} others helped more") if g in last and not g.pinned else g
            for g in done
        ]
    why = "" if any(g.state == "active" for g in done) else f"none of {len(done)} helped where it was tried"
    return Learned(tuple(done), unseen, why, tuple(warnings))


def judged_unseen(
    judge: Judge,
    rows: Sequence[TrainingRow],
    guidelines: Sequence[Sequence[Guideline]],
    which: Sequence[int],
    concurrency: int,
    tell: Callable[[int, int], None],
) -> dict[int, Judgement]:
    """What the judge says of some rows, each with its own guidelines; those without any stay as they were
    judged."""
    done = 0

    def one(i: int) -> Judgement:
        nonlocal done
        given = [replace(g, state="active") for g in guidelines[i]]
        said = judge.ask(rows[i].parts, guidelines=given) if given else rows[i].judged
        done += 1
        tell(done, len(which))
        return said

    return dict(zip(which, map_threads(one, list(which), concurrency), strict=True))


def _distilled(
    judge: Judge,
    rows: Sequence[TrainingRow],
    vectors: Vectors,
    new: Sequence[int],
    known: Sequence[Guideline],
    *,
    lm: Any,
    settings: SemanticSettings,
    tell: Callable[[str], Any],
) -> tuple[list[tuple[Guideline, frozenset[str]]], list[str]]:
    """What the reflection LM writes of each batch with the ids of its rows, the best supported of each batch
    first."""
    if not new:
        return [], []
    wanted = reflection_calls(len(new), settings.batch_rows)
    dealt = batches([rows[i] for i in new], vectors[list(new)], wanted, settings.seed)
    told = tell("distil guidelines")
    warnings: list[str] = []
    failures: list[str] = []

    def one(batch: Sequence[int]) -> list[tuple[Guideline, frozenset[str]]]:
        some, notes = distil(
            lm,
            judge.template.shown(judge.instructions),
            judge.value_type,
            [Row(episode_of(rows[new[i]], judge), rows[new[i]].judged) for i in batch],
            limit=settings.limit,
            max_chars=settings.batch_chars,
            seed=settings.seed,
            known=[g.text for g in known if g.state == "active"],
        )
        warnings.extend(notes)
        seen = frozenset(rows[new[i]].example.id for i in batch)
        return [(g, seen) for g in some]

    found: list[list[tuple[Guideline, frozenset[str]]]] = []
    for number, batch in enumerate(dealt):
        told(number, len(dealt))
        try:
            found.append(one(batch))
        except (Unread, Unanswered) as error:
            failures.append(str(error))
    told(len(dealt), len(dealt))
    if failures and not found:
        raise ModelError(
            f"None of {len(dealt)} distillation calls brought guidelines ({failures[0][:160]}).",
            "Name another reflection_lm, or align with guidelines=0. What was answered is kept.",
        )
    warnings += [f"a distillation call brought nothing: {text[:120]}" for text in failures]
    longest = max((len(some) for some in found), default=0)
    return [some[k] for k in range(longest) for some in found if k < len(some)], warnings


def _weighed(
    judge: Judge,
    rows: Sequence[TrainingRow],
    candidates: Sequence[Guideline],
    which: Sequence[int],
    clean: Sequence[Sequence[bool]],
    settings: SemanticSettings,
    tell: Callable[[str], Any],
) -> dict[str, Guideline]:
    """Text to guideline as it was tried, each on rows that it was found without."""
    order = _spread(len(rows), settings.seed)
    tried, _ = try_guidelines(
        judge,
        [candidates[k] for k in which],
        rows,
        [[i for i in order if clean[k][i]] for k in which],
        calls=settings.trial_calls,
        concurrency=settings.concurrency,
        tell=tell("try the guidelines"),
    )
    return {g.text: g for g in tried}


def _spread(n: int, seed: int) -> list[int]:
    import numpy as np

    return [int(i) for i in np.random.default_rng(seed).permutation(n)]


def _uncontradicted(guidelines: Sequence[Guideline], merged: Merged) -> list[Guideline]:
    """Of two guidelines that contradict each other, the one with less evidence is retired."""
    out = list(guidelines)
    for i, j in merged.contradictions:
        if out[i].state == out[j].state == "active":
            worse, better = sorted((i, j), key=lambda k: (out[k].pinned, out[k].uplift or 0.0, -k))
            if not out[worse].pinned:
                why = f"contradicts a guideline with more evidence: {out[better].text[:80]!r}"
                out[worse] = replace(out[worse], state="retired", why=why)
    return out
