"""Examples from compact tables of votes."""

from collections.abc import Mapping, Sequence
from typing import Any

from judge_opt.labels import LabelledExample, Vote


def examples_of(
    rows: Sequence[Mapping[str, Any]], groups: Sequence[str] | None = None
) -> list[LabelledExample]:
    """One example a row of rater to value; items are called i0, i1, ..."""
    return [
        LabelledExample(
            f"i{n}",
            groups[n] if groups else f"i{n}",
            {"inputs": f"item {n}"},
            tuple(Vote(rater, row[rater]) for rater in sorted(row)),
        )
        for n, row in enumerate(rows)
    ]


def from_strings(*raters: str, of: Any = str) -> list[LabelledExample]:
    """One string a rater, one letter an item; "." is missing."""
    return examples_of(
        [
            {f"r{r}": of(said[n]) for r, said in enumerate(raters) if said[n] != "."}
            for n in range(len(raters[0]))
        ]
    )


def from_table(table: Sequence[Sequence[int]], labels: Sequence[str]) -> list[LabelledExample]:
    """Two raters from their contingency table: rows are the first one's labels."""
    return examples_of(
        [
            {"one": labels[i], "two": labels[j]}
            for i, row in enumerate(table)
            for j, count in enumerate(row)
            for _ in range(count)
        ]
    )
