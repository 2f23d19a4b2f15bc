"""Which rows a search looks at next: rows to reflect on, tries that differ, demos."""

import random
from collections.abc import Callable, Sequence
from typing import Any

from judge_opt.align.board import Board, Form
from judge_opt.align.fit import fit
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.judges.verdict import RATIONALE, VERDICT
from judge_opt.llm.keys import repeat

DOUBT = 0.9
"""Probability of its verdict from which a judge would hardly say anything else, however often it is asked."""


def sample_to_learn(board: Board, parent: Form, most: int, rng: random.Random, buy: bool = True) -> list[int]:
    """Rows to reflect on with `parent`: about half of them rows that it got wrong. Judgements of `parent` that
    are not known are bought, unless `buy` is off: then such rows have only what the experts said. Cross-fitted,
    a line of descent learns from half of the groups at most, and from there on looks at those again."""
    places = list(board.learn)
    if board.crossed:
        fresh = [i for i in places if board.rows[i].group not in parent.learned]
        used = len({board.rows[i].group for i in places} & parent.learned)
        room = len({board.rows[i].group for i in places}) // 2 - used
        places = fresh if room >= most or not parent.learned else [i for i in places if i not in set(fresh)]
    rng.shuffle(places)
    known = [i for i in places if i in parent.said]
    if len(known) < most:
        more = [i for i in places if i not in parent.said][: most - len(known)]
        if buy:
            board.judge(parent, more, "judge rows to learn from")
        known += more
    wrong = [i for i in known if i in parent.said and board.wrong(parent, i)]
    right = [i for i in known if i not in set(wrong)]
    n_wrong = max(most // 2, most - len(right))
    chosen = wrong[:n_wrong] + right[: most - len(wrong[:n_wrong])]
    rng.shuffle(chosen)
    return chosen


def tries(
    board: Board,
    parent: Form,
    places: Sequence[int],
    samples: int,
    temperature: float,
    affords: Callable[[int], bool],
) -> list[tuple[int, list[Judgement]]]:
    """Each row with what tries of the judge say of it, that of `parent` first. What other forms said of it is
    known and costs nothing. Where they all say the same and the judge is not sure (or does not tell how sure it
    is), further ones are sampled at `temperature`, each as a repeat of its own, one for each row at a time, until
    two differ."""
    found = {i: [f.said[i] for f in [parent, *board.forms] if i in f.said] for i in places}
    sampler = parent.judge.copy()
    sampler.params = {**sampler.params, "temperature": temperature}
    for sample in range(1, samples + 1):
        todo = [i for i in places if len(_values(found[i])) == 1 and _in_doubt(parent.said.get(i))]
        if not todo or not affords(len(todo)):
            break
        with repeat(sample):
            said = board.run.judge(sampler, [board.rows[i] for i in todo], "sample tries", board.concurrency)
        for i, one in zip(todo, said, strict=True):
            found[i].append(one)
    return [(i, found[i]) for i in places]


def _values(said: Sequence[Judgement]) -> set[Any]:
    return {one.value if isinstance(one, Scored) else None for one in said}


def _in_doubt(judged: Judgement | None) -> bool:
    return isinstance(judged, Scored) and (judged.confidence is None or judged.confidence < DOUBT)


def better_of(board: Board, place: int, one: Judgement, other: Judgement) -> tuple[Judgement, Judgement]:
    """(the one that fits the experts better, the other); a failure fits worst."""

    def worth(judged: Judgement) -> float:
        if not isinstance(judged, Scored):
            return -1.0
        return fit(board.rows[place], judged, board.value_type, board.metric)

    return (one, other) if worth(one) >= worth(other) else (other, one)


def demo_of(board: Board, place: int, rationale: str | None) -> dict[str, Any] | None:
    """A row as a demo with the experts' verdict; None where the judge cannot see all of it."""
    judge, row = board.untouched.judge, board.rows[place]
    parts = judge.parts(row.fields)
    if isinstance(parts, Unscored) or row.gold is None:
        return None
    return {**judge.dspy_inputs(parts), RATIONALE: rationale or "", VERDICT: row.gold}
