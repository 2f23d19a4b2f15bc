"""In which order items are labelled, when there are more than people have time for.

- `given`: as listed. `random`: shuffled by the seed.
- `stratified`: strata in turn, so that after any number of items each stratum has had its share; strata are
  a key, or what the judge said.
- `uncertainty`: highest entropy of the judges' label probabilities first (Lewis & Gale 1994).
- `disagreement`: highest entropy of the votes of several judges first (Seung, Opper & Sompolinsky 1992).
- `distance`: farthest in embedding space from what is labelled or listed before (k-center greedy, Sener &
  Savarese 2018).
- any function from traces to scores: highest first.

Items without a score come last; ties are broken by the seed. A queue that is ordered by information is no
random sample: what is measured on its labels does not hold for all items. Take `random` for a test set.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.hashing import canonical_json, content_hash
from judge_opt.core.text import nearest
from judge_opt.traces.schema import Assessment, Trace

OrderName = Literal["given", "random", "stratified", "uncertainty", "disagreement", "distance"]
Scores = Callable[[Sequence[Trace]], Sequence[float | None]]
Key = str | Callable[[Trace], Any]


class Embeds(Protocol):
    """What `distance` needs of an embedder: unit vectors, one row a text."""

    def embed(self, texts: Sequence[str]) -> Any: ...


def order_traces(
    traces: Sequence[Trace],
    order: OrderName | Scores,
    *,
    names: Sequence[str],
    seed: int = 0,
    key: Key | None = None,
    embedder: Embeds | None = None,
    labelled: Sequence[Trace] = (),
) -> list[int]:
    """Positions of `traces` in the order in which they should be labelled.

    Args:
        names: the names under which judges' verdicts of these traces stand.
        key: for `stratified`: a dotted path such as "inputs.topic", "tags.model" or "session", or a
            function of the trace; None for the judge's verdict.
        embedder: for `distance`.
        labelled: for `distance`: what people have labelled already.

    Raises:
        UsageError: an order or an argument that does not exist or is missing.
        DataError: what the order needs is not stored: no verdict, no probabilities.
    """
    shuffled = list(range(len(traces)))
    random.Random(content_hash([seed, len(traces)])).shuffle(shuffled)
    if callable(order):
        return _by_score(shuffled, list(order(traces)))
    if order not in get_args(OrderName):
        raise UsageError(
            f"There is no order {str(order)[:60]!r}.{nearest(str(order), get_args(OrderName))}",
            f"Use one of: {', '.join(get_args(OrderName))}; or a function from traces to scores.",
        )
    if order == "given":
        return list(range(len(traces)))
    if order == "random":
        return shuffled
    if order == "stratified":
        return _in_turn(shuffled, [_stratum(trace, key, names) for trace in traces])
    if order == "uncertainty":
        return _by_score(shuffled, _scored(traces, names, _uncertainty, "label probabilities"))
    if order == "disagreement":
        return _by_score(shuffled, _scored(traces, names, _disagreement, "verdicts of two judges"))
    if embedder is None:
        raise UsageError('order="distance" needs an embedder.', "Pass embedder=.")
    return _farthest_first(shuffled, traces, labelled, embedder)


def verdicts(trace: Trace, names: Sequence[str]) -> list[Assessment]:
    """What judges say of the trace today under these names."""
    return [
        said
        for said in trace.assessments
        if said.votes and said.source_type == "LLM_JUDGE" and said.kind == "feedback" and said.name in names
    ]


def entropy(shares: Sequence[float]) -> float:
    """In [0, 1]: 1 where all labels are equally probable."""
    p = np.array([share for share in shares if share > 0], dtype=np.float64)
    if len(shares) < 2 or p.sum() <= 0:
        return 0.0
    p /= p.sum()
    return float(-(p * np.log(p)).sum() / np.log(len(shares)))


def _uncertainty(said: Sequence[Assessment]) -> float | None:
    found = [entropy([float(p) for p in one.metadata["probabilities"].values()]) for one in said if _has(one)]
    return float(np.mean(found)) if found else None


def _has(said: Assessment) -> bool:
    probabilities = said.metadata.get("probabilities")
    return isinstance(probabilities, dict) and all(
        isinstance(p, (int, float)) for p in probabilities.values()
    )


def _disagreement(said: Sequence[Assessment]) -> float | None:
    votes = Counter(canonical_json(one.value) for one in said)
    if len(said) < 2:
        return None
    return entropy([*votes.values(), *[0] * (len(said) - len(votes))])


def _scored(
    traces: Sequence[Trace],
    names: Sequence[str],
    score: Callable[[Sequence[Assessment]], float | None],
    what: str,
) -> list[float | None]:
    scores = [score(verdicts(trace, names)) for trace in traces]
    if traces and all(found is None for found in scores):
        raise DataError(
            f"None of the {len(traces)} traces has {what} under {', '.join(names)}.",
            "Evaluate the judge on them first (its endpoint must give probabilities), or use another order.",
        )
    return scores


def _by_score(shuffled: Sequence[int], scores: Sequence[float | None]) -> list[int]:
    if len(scores) != len(shuffled):
        raise UsageError(f"{len(scores)} scores for {len(shuffled)} traces.", "Return one score a trace.")
    known = [None if score is None or not np.isfinite(score) else float(score) for score in scores]
    return sorted(shuffled, key=lambda n: (known[n] is None, -(known[n] or 0.0)))


def _stratum(trace: Trace, key: Key | None, names: Sequence[str]) -> str:
    if key is None:
        said = {canonical_json(one.value).decode("ascii") for one in verdicts(trace, names)}
        return said.pop() if len(said) == 1 else "several" if said else "none"
    if callable(key):
        return str(key(trace))
    first, *rest = key.split(".")
    value: Any = getattr(trace, first, None) if first in _PARTS else None
    for part in rest:
        value = value.get(part) if isinstance(value, dict) else None
    if value is None:
        raise DataError(
            f"Trace {trace.id!r} has nothing at {key!r}.", f"Begin the path with one of: {', '.join(_PARTS)}."
        )
    return value if isinstance(value, str) else canonical_json(value).decode("ascii")


_PARTS = ("inputs", "outputs", "expectations", "metadata", "tags", "session")


def _in_turn(shuffled: Sequence[int], strata: Sequence[str]) -> list[int]:
    """Each stratum spread evenly over the whole: its k-th item of m stands at (k + 1/2) / m."""
    members: defaultdict[str, list[int]] = defaultdict(list)
    for n in shuffled:
        members[strata[n]].append(n)
    place = {
        n: ((k + 0.5) / len(of_it), stratum)
        for stratum, of_it in members.items()
        for k, n in enumerate(of_it)
    }
    return sorted(shuffled, key=lambda n: place[n])


def _farthest_first(
    shuffled: Sequence[int], traces: Sequence[Trace], labelled: Sequence[Trace], embedder: Embeds
) -> list[int]:
    if not traces:
        return []
    vectors = np.asarray(embedder.embed([_text(trace) for trace in traces]), dtype=np.float64)
    nearest_so_far = np.full(len(traces), np.inf)
    if labelled:
        known = np.asarray(embedder.embed([_text(trace) for trace in labelled]), dtype=np.float64)
        nearest_so_far = 1.0 - (vectors @ known.T).max(axis=1)
    out: list[int] = []
    left = np.array(shuffled)
    while len(left):
        at = 0 if np.isinf(nearest_so_far[left[0]]) else int(np.argmax(nearest_so_far[left]))
        chosen = int(left[at])
        out.append(chosen)
        left = np.delete(left, at)
        nearest_so_far = np.minimum(nearest_so_far, 1.0 - vectors @ vectors[chosen])
    return out


def _text(trace: Trace) -> str:
    return f"{_plain(trace.inputs)}\n{_plain(trace.outputs)}"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value).decode("ascii")
