"""Labels and raters' error rates estimated together: Dawid and Skene (1979), by EM.

"Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm", Applied Statistics 28(1).
Each item has one true label; each rater has, for each true label, the probabilities of what he says. The
E step gives the items' label probabilities (equation 2.5), the M step the shares of the labels and the error
rates (2.3, 2.4). What differs: the E step works on logarithms, since the product over many raters underflows;
and pseudo-counts can be asked for, since with few labels a rate that was estimated as 0 stays 0 for good.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from judge_opt.core.errors import DataError, UsageError
from judge_opt.core.text import nearest
from judge_opt.labels.raters.ratings import MISSING, FloatArray, Ratings


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """What was estimated.

    Attributes:
        probabilities: of each item's true label [N, K]; a row sums to 1.
        shares: of the true labels among all items [K].
        error_rates: [R, K, K]: of rater r, where the row is true, the probability of saying the column.
        seen: [R, K] expected number of a rater's labels on items of each true label: how much an error rate
            stands on. A row of `error_rates` with nothing seen is even.
        log_likelihood: of all labels, at the last step.
        iterations: EM steps made.
        converged: False where `max_iterations` ended it.
    """

    items: tuple[str, ...]
    raters: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: FloatArray
    shares: FloatArray
    error_rates: FloatArray
    seen: FloatArray
    log_likelihood: float
    iterations: int
    converged: bool


def dawid_skene(
    labelled: Ratings | Iterable[tuple[str, str, str]],
    *,
    labels: Sequence[str] | None = None,
    smoothing: float = 0.0,
    max_iterations: int = 1000,
    tolerance: float = 1e-9,
) -> DawidSkene:
    """Estimate true labels and error rates.

    Args:
        labelled: Ratings, or triples (item, rater, label); a rater may label an item several times.
        labels: for triples, the labels in their order; by default those that occur, sorted.
        smoothing: pseudo-labels added to each error rate and to each label's share; 0 is the paper's
            maximum likelihood.
        tolerance: EM ends when a step raises the log-likelihood of one label by less.

    Raises:
        UsageError: a parameter is out of its range.
        DataError: there is no label, or one that is not among `labels`.
    """
    if smoothing < 0 or max_iterations < 1 or tolerance <= 0:
        raise UsageError(
            f"smoothing={smoothing}, max_iterations={max_iterations}, tolerance={tolerance}: out of range.",
            "Give smoothing >= 0, max_iterations >= 1 and tolerance > 0.",
        )
    items, raters, names, counts = _counts(labelled, labels)
    k = len(names)
    probabilities = counts.sum(axis=1)
    probabilities /= probabilities.sum(axis=1, keepdims=True)  # (3.1): the share of the votes
    before, converged, steps = -np.inf, False, 0
    while steps < max_iterations and not converged:
        steps += 1
        shares = probabilities.sum(axis=0) + smoothing
        shares /= shares.sum()
        said = np.einsum("nj,nrl->rjl", probabilities, counts)
        seen = said.sum(axis=2)
        rates = said + smoothing
        mass = rates.sum(axis=2, keepdims=True)
        rates = np.where(mass > 0, rates / np.where(mass > 0, mass, 1.0), 1.0 / k)
        probabilities, likelihood = _expect(counts, shares, rates)
        converged = likelihood - before < tolerance * counts.sum()
        before = likelihood
    return DawidSkene(items, raters, names, probabilities, shares, rates, seen, before, steps, converged)


def _expect(counts: FloatArray, shares: FloatArray, rates: FloatArray) -> tuple[FloatArray, float]:
    """Label probabilities [N, K], and the log-likelihood."""
    with np.errstate(divide="ignore"):
        log_shares, log_rates = np.log(shares), np.log(rates)
    # 0 labels at probability 0 is 0, not NaN: such a label takes no part.
    impossible = np.isneginf(log_rates)
    score = np.einsum("nrl,rjl->nj", counts, np.where(impossible, 0.0, log_rates)) + log_shares
    score = np.where(np.einsum("nrl,rjl->nj", counts, impossible.astype(np.float64)) > 0, -np.inf, score)
    top = score.max(axis=1, keepdims=True)
    scaled = np.exp(score - top)
    total = scaled.sum(axis=1, keepdims=True)
    return scaled / total, float((top + np.log(total)).sum())


def _counts(
    labelled: Ratings | Iterable[tuple[str, str, str]], labels: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], FloatArray]:
    """Items, raters, labels, and how often each rater gave each item each label [N, R, K]."""
    if isinstance(labelled, Ratings):
        kept = np.flatnonzero(labelled.votes_of_item > 0)
        counts = np.zeros((len(kept), labelled.n_raters, len(labelled.labels)))
        for r, row in enumerate(labelled.codes[:, kept]):
            said = np.flatnonzero(row != MISSING)
            counts[said, r, row[said]] = 1.0
        items, raters, names = tuple(labelled.items[n] for n in kept), labelled.raters, labelled.labels
    else:
        triples = list(labelled)
        items = tuple(dict.fromkeys(item for item, _, _ in triples))
        raters = tuple(sorted({rater for _, rater, _ in triples}))
        names = tuple(labels) if labels is not None else tuple(sorted({label for *_, label in triples}))
        places = [{name: n for n, name in enumerate(one)} for one in (items, raters, names)]
        counts = np.zeros((len(items), len(raters), len(names)))
        for item, rater, label in triples:
            if label not in places[2]:
                raise DataError(
                    f"Item {item!r}: label {label[:60]!r} is not among the labels.{nearest(label, names)}",
                    f"Labels: {', '.join(names)[:300]}.",
                )
            counts[places[0][item], places[1][rater], places[2][label]] += 1.0
    if not counts.size:
        raise DataError("There is no label to estimate from.", "Give at least one label.")
    return items, raters, names, counts
