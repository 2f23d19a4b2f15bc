"""The rows of an optimization, in parts that share no group and no input."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.core.errors import DataError, LeakageError
from judge_opt.core.hashing import content_hash
from judge_opt.evaluation.data import records
from judge_opt.evaluation.rows import Row, read_rows
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.held_out import reads_of, record_read

FEW = 20
"""Rows for a comparison below which a warning is due."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Attributes:
    train, valid, test: to learn from, to choose by, and for the comparison; sorted by id.
    warnings: what a reader has to know of them.
    """

    train: list[Row]
    valid: list[Row]
    test: list[Row]
    warnings: tuple[str, ...]

    @property
    def compared(self) -> list[Row]:
        """Those on which seed and best are compared."""
        return self.test or self.valid

    @property
    def digest(self) -> str:
        """Of the rows and where they stand."""
        return content_hash([[one.to_json() for one in part] for part in (self.train, self.valid, self.test)])

    @classmethod
    def read(cls, train: Any, valid: Any, test: Any, seed: int) -> "Rows":
        """Raises:
        DataError, LeakageError: see `optimize_prompts`.
        """
        said = []
        learn = _sorted(train)
        if valid is None:
            learn, choose = _halves(learn, seed)
            said.append(f"without valid rows, {len(choose)} of the train rows were kept for choosing")
        else:
            choose = _sorted(valid)
        final = _sorted(test) if test is not None else []
        for part, name in ((learn, "train"), (choose, "valid"), (final, "test")):
            if lacking := [row.id for row in part if "inputs" not in row.fields]:
                raise DataError(f"The {name} row {lacking[0]!r} has no inputs.", "Give every row inputs.")
        _apart(learn, choose, "train", "valid")
        _apart(learn, final, "train", "test")
        _apart(choose, final, "valid", "test")
        if len(learn) < 2 or len(choose) < 2:
            raise DataError(
                f"{len(learn)} rows to learn from and {len(choose)} to choose by are too few.",
                f"Give at least 2 each; {FEW} to choose by, and {FEW} for test, tell something.",
            )
        few = len(final or choose)
        if few < FEW:
            said.append(f"{few} rows for the comparison: only a large gain can be shown on so few")
        return cls(learn, choose, final, tuple(said))


def open_test(rows: Sequence[Row], run_id: str) -> int:
    """Record that these rows were opened, once for a run.

    Returns:
        how many other runs opened them before.
    """
    held = [LabelledExample(row.id, row.group, dict(row.fields), ()) for row in rows]
    before = {read.run_id for read in reads_of(held)}
    if run_id not in before:
        record_read(held, "optimize_prompts: the seed against the best prompt", run_id=run_id)
    return len(before - {run_id})


def _sorted(given: Any) -> list[Row]:
    """Rows in the order of their ids: the order in which they were given changes nothing."""
    return sorted(read_rows(records(given)), key=lambda row: row.id)


def _halves(rows: list[Row], seed: int) -> tuple[list[Row], list[Row]]:
    groups = sorted({row.group for row in rows})
    random.Random(f"{seed} prompts").shuffle(groups)
    learn = set(groups[: len(groups) // 2])
    return [row for row in rows if row.group in learn], [row for row in rows if row.group not in learn]


def _apart(one: Sequence[Row], other: Sequence[Row], name: str, name_of_other: str) -> None:
    keys: tuple[tuple[str, Callable[[Row], str]], ...] = (
        ("id", lambda row: row.id),
        ("group", lambda row: row.group),
        ("input", lambda row: content_hash(row.fields.get("inputs"))),
    )
    for what, key in keys:
        there = {key(row): row.id for row in one}
        for row in other:
            if (twin := there.get(key(row))) is not None:
                raise LeakageError(
                    f"The {what} of the {name_of_other} row {row.id!r} stands in {name} too (row {twin!r}).",
                    "Split by group: judge_opt.make_split does.",
                )
