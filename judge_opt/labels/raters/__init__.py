"""How far raters agree with each other, who leans where, and which label an item should get.

    ratings = Ratings.of(examples, categories("1", "2", "tie"))
    krippendorff_alpha(ratings).value
    adjudicate(examples, categories("1", "2", "tie"), method="dawid_skene")

A statistic that is not defined is None with a reason, never 0 and never NaN. The whole report, with
intervals and the human ceiling, is `judge_opt.validate.raters.rater_report`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.labels.raters.adjudication import Adjudicated, adjudicate
    from judge_opt.labels.raters.alpha import krippendorff_alpha
    from judge_opt.labels.raters.error_rates import DawidSkene, dawid_skene
    from judge_opt.labels.raters.kappa import cohen_kappa, fleiss_kappa, pairwise_agreement
    from judge_opt.labels.raters.lean import RaterLean, rater_leans
    from judge_opt.labels.raters.ratings import Ratings, Statistic

_HOMES = {
    "Adjudicated": "adjudication",
    "DawidSkene": "error_rates",
    "RaterLean": "lean",
    "Ratings": "ratings",
    "Statistic": "ratings",
    "adjudicate": "adjudication",
    "cohen_kappa": "kappa",
    "dawid_skene": "error_rates",
    "fleiss_kappa": "kappa",
    "krippendorff_alpha": "alpha",
    "pairwise_agreement": "kappa",
    "rater_leans": "lean",
}

__all__ = [
    "Adjudicated",
    "DawidSkene",
    "RaterLean",
    "Ratings",
    "Statistic",
    "adjudicate",
    "cohen_kappa",
    "dawid_skene",
    "fleiss_kappa",
    "krippendorff_alpha",
    "pairwise_agreement",
    "rater_leans",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
