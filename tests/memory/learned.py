"""A memory as an alignment leaves it, made without a model: two raters, judgements, a fitted fusion."""

from episodes import EMBEDDER, LABELS, WordEmbedder

from judge_opt.core.results import Scored
from judge_opt.labels.examples import Vote
from judge_opt.memory.episode import Episode
from judge_opt.memory.episodic import EpisodicMemory
from judge_opt.memory.evidence import as_json
from judge_opt.memory.fitting import fit_pool, fit_predictors
from judge_opt.memory.memory import Memory
from judge_opt.memory.vectors import ItemEmbedder

RULE = "A reply that names the day of delivery is a good one."


def example(i):
    """Ann and Cid say what is right; Bo, who rated the first four only, says the contrary."""
    right, wrong = ("good", "bad") if i % 2 else ("bad", "good")
    votes = [Vote("ann", right, f"reason {i}", f"ann{i}"), Vote("cid", right, None, f"cid{i}")]
    votes += [Vote("bo", wrong, f"contrary {i}", f"bo{i}")] if i < 4 else []
    text = f"reply {i} {'names the day' if i % 2 else 'is vague'} of thing {i % 5}"
    return Episode.of_votes(f"e{i:02}", f"g{i // 2}", {"outputs": text}, votes, LABELS, missed=i % 2 == 0)


def said(i):
    """The judge finds everything good, some things more so."""
    p = 0.6 + 0.01 * i
    return Scored("good", f"because {i}", p, {"good": p, "bad": 1 - p})


def memory(numbers, guidelines=(), fused=True):
    """Of the examples with these numbers."""
    episodes = [example(i) for i in numbers]
    space = ItemEmbedder(WordEmbedder(), ("outputs",), {"outputs": 1.0})
    made = Memory(
        LABELS,
        EMBEDDER,
        {"outputs": 1.0},
        EpisodicMemory.remember(episodes, space),
        guidelines=tuple(guidelines),
        evidence={f"e{i:02}": {"plain": as_json(said(i))} for i in numbers},
        read=frozenset(e.id for e in episodes),
    )
    if not fused:
        return made
    return fit_pool(fit_predictors(made, 0), {at: said(i) for at, i in enumerate(sorted(numbers))})
