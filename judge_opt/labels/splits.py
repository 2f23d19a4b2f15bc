"""Frozen splits: what is learned from, and what it is proven on.

Whole groups go to one side, near-duplicates count as one group, labels are spread evenly. The same
examples and seed give the same split on every machine and in any order of the rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from judge_opt.core.errors import DataError, IntegrityError
from judge_opt.core.files import write_bytes
from judge_opt.core.hashing import content_hash
from judge_opt.labels.allocation import Block, allocate, label_classes
from judge_opt.labels.examples import LabelledExample
from judge_opt.labels.near_duplicates import Groups, near_duplicate_links
from judge_opt.labels.sizes import Size, row_targets, warn_if_far

if TYPE_CHECKING:
    from judge_opt.traces.database import Database
    from judge_opt.traces.store import Store

SCHEMA = 1
MIN_USABLE = 10


@dataclass(frozen=True, slots=True)
class Split:
    """Which examples are on which side, by id, sorted. Made by `make_split`; frozen by its hash.

    Attributes:
        group_key: where the groups came from, such as "inputs.story_id"; for people.
        content_hash: of everything below and of the ids; `from_json` checks it.
        examples_hash: of the split's examples as they were, with their votes; see `select`.
        merged_near_duplicates: how many groups were merged into another since they hold near-duplicates.
        contested: how many examples were left out since their votes tie.
        unused: how many usable examples are on no side.
    """

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]
    group_key: str
    seed: int
    content_hash: str
    merged_near_duplicates: int
    examples_hash: str = ""
    contested: int = 0
    unused: int = 0

    def select(
        self, examples: Sequence[LabelledExample], *, unchanged: bool = False
    ) -> tuple[list[LabelledExample], list[LabelledExample], list[LabelledExample]]:
        """The examples of train, valid and test, in the split's order.

        This is for handing rows on, and for checks that look at no label. Whoever measures something on the
        test rows reads them with `open_test`, which records it; `validate_judges` records it by itself.

        Args:
            unchanged: also require that items and votes are the ones that were split.

        Raises:
            DataError: an example of the split is missing.
            IntegrityError: `unchanged`, and one was changed.
        """
        by_id = {example.id: example for example in examples}
        missing = [one for one in (*self.train, *self.valid, *self.test) if one not in by_id]
        if missing:
            raise DataError(
                f"{len(missing)} examples of the split are not in the data; the first: {missing[0]!r}.",
                "Load the data that was split, or make a new split.",
            )
        sides = tuple([by_id[one] for one in side] for side in (self.train, self.valid, self.test))
        if (
            unchanged
            and _examples_hash([example for side in sides for example in side]) != self.examples_hash
        ):
            raise IntegrityError(
                "The examples were changed after they were split.", "Load the data that was split."
            )
        return sides[0], sides[1], sides[2]

    def open_test(
        self,
        examples: Sequence[LabelledExample],
        reason: str,
        *,
        store: "Store | Database | None" = None,
        run_id: str | None = None,
    ) -> list[LabelledExample]:
        """The test rows, in the split's order, once it is on record that they are read, and why: each look
        at them is a chance to choose what happens to fit. See `judge_opt.labels.held_out`.

        Args:
            reason: in a few words: "final comparison of the two prompts".
            store: where that is recorded; default: the home folder's.
            run_id: the run that reads.

        Raises:
            UsageError: no reason is given.
            DataError: an example of the split is missing.
        """
        from judge_opt.labels.held_out import record_read

        test = self.select(examples)[2]
        record_read(test, reason, store=store, split_hash=self.content_hash, run_id=run_id)
        return test

    def to_json(self) -> dict[str, Any]:
        return {"schema": SCHEMA, **self._content(), "content_hash": self.content_hash}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], where: str = "The split") -> Self:
        """The split of `to_json`'s object.

        Args:
            where: names its source in errors.

        Raises:
            IntegrityError: it was changed, or is of another schema.
        """
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            raise IntegrityError(
                f"{where} is no split of schema {SCHEMA}.", "Make it again, or upgrade judge_opt."
            )
        fields = {key: value for key, value in data.items() if key != "schema"}
        for side in ("train", "valid", "test"):
            fields[side] = tuple(fields.get(side, ()))
        try:
            split = cls(**fields)
        except TypeError as error:
            raise IntegrityError(f"{where} is no split ({error}).", "Make the split again.") from None
        if content_hash(split._content()) != split.content_hash:
            raise IntegrityError(
                f"{where} does not match its hash: it was changed after it was frozen.",
                "Restore the file, or make the split again and repeat what was measured on it.",
            )
        return split

    def save(self, path: str | Path) -> None:
        """Writes the split as JSON, atomically."""
        import json

        text = json.dumps(self.to_json(), indent=1, sort_keys=True)
        write_bytes(Path(path), text.encode("ascii"))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The split in a file that `save` wrote.

        Raises:
            DataError: there is no such file.
            IntegrityError: it was changed or is damaged.
        """
        import json

        try:
            data = json.loads(Path(path).read_bytes())
        except OSError as error:
            raise DataError(f"Cannot read the split {path}: {error.strerror}.", "Check the path.") from None
        except ValueError:
            raise IntegrityError(
                f"The split {path} is damaged: it is not JSON.", "Restore the file."
            ) from None
        return cls.from_json(data, f"The split {path}")

    def _content(self) -> dict[str, Any]:
        return {
            "train": list(self.train),
            "valid": list(self.valid),
            "test": list(self.test),
            "group_key": self.group_key,
            "seed": self.seed,
            "merged_near_duplicates": self.merged_near_duplicates,
            "examples_hash": self.examples_hash,
            "contested": self.contested,
            "unused": self.unused,
        }


def make_split(
    examples: Sequence[LabelledExample],
    *,
    train: Size,
    test: Size,
    valid: Size = 0,
    seed: int = 0,
    stratify: bool = True,
    group_key: str = "group",
) -> Split:
    """Splits examples by group, with near-duplicates on one side.

    Args:
        train, test, valid: an int is a number of rows, a float a share in (0, 1) of the usable ones. Groups
            are never cut: train is at most as large as asked for, the others as near as possible. Rows
            beyond the sum stay unused.
        seed: which of the possible splits; any int.
        stratify: spread the majority labels evenly over the sides, as well as whole groups allow.
        group_key: recorded for people; the groups themselves are `LabelledExample.group`.

    Raises:
        DataError: ids are not unique; fewer than 10 usable (not contested) examples; more rows asked for
            than there are; no row left for a side that was asked for; one class only in train.
    """
    _check_unique(examples)
    usable = sorted((one for one in examples if one.gold is not None), key=lambda one: one.id)
    contested = len(examples) - len(usable)
    if len(usable) < MIN_USABLE:
        out = f" ({contested} more are contested: their raters tie)" if contested else ""
        raise DataError(
            f"{len(usable)} labels only{out}: a split needs at least {MIN_USABLE}.", "Label more items."
        )
    targets = row_targets(len(usable), train=train, valid=valid, test=test)
    classes = label_classes([one.gold for one in usable]) if stratify else [""] * len(usable)
    blocks, merged = _blocks(usable, classes)
    chosen = allocate(blocks, targets, seed)
    sides = {name: [usable[p] for block in chosen[name] for p in block.positions] for name in targets}
    _check_sides(sides, targets, blocks, usable)
    warn_if_far({name: len(side) for name, side in sides.items()}, targets, merged)
    used = {name: tuple(sorted(one.id for one in side)) for name, side in sides.items()}
    kept = sum(map(len, used.values()))
    split = Split(
        train=used["train"],
        valid=used["valid"],
        test=used["test"],
        group_key=group_key,
        seed=seed,
        content_hash="",
        merged_near_duplicates=merged,
        examples_hash=_examples_hash([one for side in sides.values() for one in side]),
        contested=contested,
        unused=len(usable) - kept,
    )
    return _frozen(split)


def _frozen(split: Split) -> Split:
    from dataclasses import replace

    return replace(split, content_hash=content_hash(split._content()))


def _examples_hash(examples: Sequence[LabelledExample]) -> str:
    return content_hash(sorted(example.digest for example in examples))


def _check_unique(examples: Sequence[LabelledExample]) -> None:
    seen: set[str] = set()
    for example in examples:
        if example.id in seen:
            raise DataError(f"The id {example.id!r} is there twice.", "Give every example its own id.")
        seen.add(example.id)


def _blocks(usable: Sequence[LabelledExample], classes: Sequence[str]) -> tuple[list[Block], int]:
    """What moves as one: groups, joined where they hold near-duplicates; and how many joins there were."""
    groups = Groups(len(usable))
    first: dict[str, int] = {}
    for position, example in enumerate(usable):
        groups.union(first.setdefault(example.group, position), position)
    merged = sum(groups.union(one, other) for one, other in near_duplicate_links(usable))
    members: dict[int, list[int]] = {}
    for position in range(len(usable)):
        members.setdefault(groups.find(position), []).append(position)
    blocks = [
        Block(usable[root].id, tuple(positions), tuple(classes[p] for p in positions))
        for root, positions in members.items()
    ]
    return blocks, merged


def _check_sides(
    sides: Mapping[str, Sequence[LabelledExample]],
    targets: Mapping[str, int],
    blocks: Sequence[Block],
    usable: Sequence[LabelledExample],
) -> None:
    largest = max(len(block.positions) for block in blocks)
    shape = (
        f"the {len(usable)} usable rows make {len(blocks)} group(s) once near-duplicates are joined, "
        f"the largest of {largest} rows"
    )
    for name, side in sides.items():
        if targets[name] and not side:
            what = "no training rows" if name == "train" else f"no held-out rows left for {name}"
            raise DataError(f"There are {what}: {shape}.", "Ask for other sizes, or use a finer group.")
    gold = {one.gold for one in sides["train"]}
    if len(gold) == 1:
        everywhere = len({one.gold for one in usable}) == 1
        raise DataError(
            f"All {len(sides['train'])} training rows have the one label {next(iter(gold))!r}: {shape}.",
            "Label items of another class." if everywhere else "Ask for more training rows or another seed.",
        )
