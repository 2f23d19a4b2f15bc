"""Taking labels back: examples, votes, and the guidelines that stand on them alone.

What is left is, in its examples, byte for byte what a memory would be that had never had them; votes of
neighbours, classifier and fusion are fitted anew from what is left. A guideline that also stands on other
examples stays, without the sources that went: whether it should be read out of the rest again is decided when
the judge is aligned again. No model is asked.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from judge_opt.core.errors import DataError, NotFound
from judge_opt.core.results import Scored
from judge_opt.labels.examples import Vote
from judge_opt.memory.episode import Episode
from judge_opt.memory.episodic import EpisodicMemory
from judge_opt.memory.evidence import from_json
from judge_opt.memory.fitting import refitted
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.memory import Memory


def forget(
    memory: Memory,
    *,
    traces: Collection[str] = (),
    assessments: Collection[str] = (),
    raters: Collection[str] = (),
) -> Memory | None:
    """A memory without some traces, assessments or raters; None where no example is left.

    Args:
        traces: ids of whole examples.
        assessments: ids of single votes.
        raters: names of raters, all of whose votes go.

    Raises:
        NotFound: the memory holds nothing of one of these names; nothing is changed.
        DataError: the examples are in a store of their own, or come from a release that did not keep votes.
    """
    episodic = memory.episodic
    if not isinstance(episodic, EpisodicMemory):
        raise DataError(
            f"The judge's {len(episodic)} examples are in a file of their own.",
            "Remove them from that store.",
        )
    _check(episodic.episodes, traces, assessments, raters)

    def stays(vote: Vote) -> bool:
        return vote.assessment_id not in set(assessments) and vote.rater not in set(raters)

    left: list[Episode] = []
    gone: set[str] = set()
    for episode in episodic.episodes:
        kept = None if episode.id in set(traces) else episode
        if kept is not None and (assessments or raters):
            kept = kept.keeping(stays, memory.value_type)
        if kept is not episode:
            gone.add(episode.id)
        if kept is not None:
            left.append(kept if kept is episode else _missed(kept, memory))
    if not left:
        return None
    by_id = {episode.id: i for i, episode in enumerate(episodic.episodes)}
    vectors = episodic.vectors[[by_id[episode.id] for episode in left]]
    made = replace(
        memory,
        episodic=EpisodicMemory(left, vectors, episodic.embedder, episodic.pieces),
        guidelines=standing(memory.guidelines, gone),
        evidence={e.id: memory.evidence[e.id] for e in left if e.id in memory.evidence},
        read=memory.read - gone,
    )
    return refitted(made)


def standing(guidelines: Sequence[Guideline], gone: Collection[str]) -> tuple[Guideline, ...]:
    """Guidelines without the sources that are gone; those that stood on these alone are left out. Those of a
    person, and pinned ones, stay."""
    kept = []
    for g in guidelines:
        sources = tuple(s for s in g.sources if s not in gone)
        if sources or not g.sources or g.pinned:
            kept.append(g if len(sources) == len(g.sources) else replace(g, sources=sources))
    return tuple(kept)


def _missed(episode: Episode, memory: Memory) -> Episode:
    """Whether the untouched judge misses the label that is left, as it would have been noted at first."""
    data = memory.evidence.get(episode.id, {}).get("plain")
    if data is None:
        return episode
    judged = from_json(data, memory.value_type)
    return replace(episode, missed=not (isinstance(judged, Scored) and judged.value == episode.gold))


def _check(
    episodes: Sequence[Episode],
    traces: Collection[str],
    assessments: Collection[str],
    raters: Collection[str],
) -> None:
    there = {
        "trace": {e.id for e in episodes},
        "assessment": {v.assessment_id for e in episodes for v in e.ballots}
        | {s for e in episodes for s in e.sources},
        "rater": {v.rater for e in episodes for v in e.ballots},
    }
    for kind, wanted in (("trace", traces), ("assessment", assessments), ("rater", raters)):
        if missing := sorted(set(wanted) - there[kind]):
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise NotFound(
                f"The judge's memory holds no {kind} {missing[0]!r}{more}; nothing was changed.",
                "Name what judge.memory.episodic lists.",
            )
