"""How many rows each side of a split should have."""

import logging
from collections.abc import Mapping

from judge_opt.core.errors import DataError, UsageError

log = logging.getLogger(__name__)
Size = int | float
"""An int is a number of rows, a float a share in (0, 1) of the usable rows."""


def row_targets(usable: int, *, train: Size, valid: Size, test: Size) -> dict[str, int]:
    """Rows wanted for train, valid and test. Shares that sum to 1 leave nothing unused.

    Raises:
        UsageError: a size is no count and no share.
        DataError: more rows are asked for than there are, or none are left to hold out.
    """
    sizes = {"train": train, "valid": valid, "test": test}
    for name, size in sizes.items():
        _check(name, size, optional=name == "valid")
    targets = {name: _rows(size, usable) for name, size in sizes.items()}
    shares = [size for size in sizes.values() if isinstance(size, float)]
    if abs(sum(shares) - 1) < 1e-9 and train + valid + test == sum(shares):
        targets["test"] = usable - targets["train"] - targets["valid"]
    total = sum(targets.values())
    if targets["train"] + targets["valid"] >= usable:
        raise DataError(
            f"No held-out rows left: train={train} and valid={valid} take all {usable} usable labels.",
            f"Ask for fewer than {usable} rows, or label more items.",
        )
    if total > usable:
        raise DataError(
            f"train={train}, valid={valid} and test={test} ask for {total} rows, but only {usable} labels "
            "are usable.",
            "Ask for fewer rows, give shares such as train=0.5, or label more items.",
        )
    for name, size in sizes.items():
        if size and not targets[name]:
            raise DataError(f"{name}={size} of {usable} rows is no row.", "Ask for a larger share.")
    return targets


def warn_if_far(got: Mapping[str, int], wanted: Mapping[str, int], joined: int) -> None:
    """Warns where a side has fewer than half, or more than twice the rows that were asked for.

    Args:
        joined: how many groups were joined since they hold items that are nearly the same.
    """
    if any(not number <= 2 * got[name] <= 4 * number for name, number in wanted.items() if number):
        sides = ", ".join(f"{name} {got[name]} (asked for: {number})" for name, number in wanted.items())
        log.warning(
            "The split is far from what was asked for: %s. A group, and items that are nearly the same (%d "
            "were joined), stay on one side. Label items that differ more, or ask for other sizes.",
            sides,
            joined,
        )


def _check(name: str, size: Size, *, optional: bool) -> None:
    fits = not isinstance(size, bool) and isinstance(size, (int, float))
    if fits and size == 0 and optional:
        return
    if fits:
        fits = 0 < size < 1 if isinstance(size, float) else size >= 1
    if not fits:
        raise UsageError(
            f"{name}={size!r} is no size.", "Give a number of rows (1 or more) or a share between 0 and 1."
        )


def _rows(size: Size, usable: int) -> int:
    return int(size * usable + 1e-9) if isinstance(size, float) else size
