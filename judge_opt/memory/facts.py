"""What a memory holds, as JSON values: for the command line, reports and pages."""

from collections import Counter
from typing import Any

from judge_opt.memory.episodic import EpisodicMemory
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.memory import Memory


def memory_facts(memory: Memory) -> dict[str, Any]:
    """A memory's guidelines, examples, embedding model and fusion, without the items themselves.

    Returns:
        "guidelines": by number, as `judge_opt.memory.editing` counts them. "stands_on" says how many examples
        and labels are behind one and whose; "sources" and "assessments" are their ids. "worth" is the mean gain
        a row, in the log probability of the experts' label (in value on numeric scales), over the
        "better" + "worse" + unchanged rows it was tried on; None where it was not tried.
        "examples": "raters" and "values" count labels; both are None where the examples are in a file of
        their own.
        "fusion": source to its weight in the pooled answer, or None.
    """
    episodic = memory.episodic
    episodes = episodic.episodes if isinstance(episodic, EpisodicMemory) else None
    by_id = {e.id: e for e in episodes or ()}

    def guideline(number: int, g: Guideline) -> dict[str, Any]:
        votes = [vote for source in g.sources if source in by_id for vote in by_id[source].ballots]
        return {
            "number": number,
            "text": g.text,
            "state": "pinned" if g.pinned else g.state,
            "why": g.why,
            "leads_to": g.leads_to,
            "worth": g.uplift,
            "better": g.support,
            "worse": g.contradict,
            "stands_on": {
                "examples": len(g.sources),
                "labels": len(votes),
                "raters": sorted({vote.rater for vote in votes}),
            },
            "sources": list(g.sources),
            "assessments": sorted({vote.assessment_id for vote in votes if vote.assessment_id}),
        }

    return {
        "guidelines": [guideline(number, g) for number, g in enumerate(memory.guidelines, 1)],
        "examples": {
            "count": len(episodic),
            "raters": None
            if episodes is None
            else dict(sorted(Counter(v.rater for e in episodes for v in e.ballots).items())),
            "values": None
            if episodes is None
            else dict(Counter(memory.value_type.text_of(e.gold) for e in episodes).most_common()),
            "missed": None if episodes is None else sum(e.missed for e in episodes),
            "file": None if episodes is not None else str(getattr(episodic, "path", "")),
            "shown": memory.shots,
            "token_budget": memory.token_budget,
        },
        "embedder": {
            "uri": memory.embedder,
            "name": episodic.embedder,
            "dimension": episodic.dimension,
            "weights": dict(memory.weights),
        },
        "fusion": None if memory.fusion is None else dict(sorted(memory.fusion.weights.items())),
    }
