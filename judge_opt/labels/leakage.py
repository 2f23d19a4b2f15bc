"""Refuses a train and a test set that share an item: a score on it would prove nothing."""

from collections.abc import Sequence

from judge_opt.core.errors import LeakageError
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.near_duplicates import Groups, near_duplicate_links

_SHOWN = 3


def check_no_leakage(train: Sequence[LabelledExample], test: Sequence[LabelledExample]) -> None:
    """Passes where no item, group or near-duplicate stands on both sides.

    Raises:
        LeakageError: one does; the message names up to three of the items, and how many there are.
    """
    _refuse_shared("item", [one.id for one in train], [one.id for one in test], train, test)
    _refuse_shared("group", [one.group for one in train], [one.group for one in test], train, test)
    both = [*train, *test]
    groups = Groups(len(both))
    for one, other in near_duplicate_links(both):
        groups.union(one, other)
    names = [str(groups.find(position)) for position in range(len(both))]
    _refuse_shared("near-duplicate", names[: len(train)], names[len(train) :], train, test)


def _refuse_shared(
    what: str,
    left: Sequence[str],
    right: Sequence[str],
    train: Sequence[LabelledExample],
    test: Sequence[LabelledExample],
) -> None:
    first = {key: example.id for key, example in zip(reversed(left), reversed(train), strict=True)}
    shared = [(first[key], example.id) for key, example in zip(right, test, strict=True) if key in first]
    if shared:
        pairs = ", ".join(f"{one!r} and {other!r}" for one, other in shared[:_SHOWN])
        more = f" and {len(shared) - _SHOWN} more" if len(shared) > _SHOWN else ""
        raise LeakageError(
            f"{len(shared)} test rows share a{'n' if what == 'item' else ''} {what} with the training rows: "
            f"{pairs}{more}.",
            "Split with make_split, which keeps them on one side.",
        )
