"""What an import did, and what it left out."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_LISTED = 1000
"""Rows listed one by one; further ones are only counted, so that a bad file cannot fill the memory."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that was left out, or was not taken as it is, and why.

    Attributes:
        line: of the file, or the row's number, from 1; 0 where the source has no rows.
        item: the row's id; "" where it has no readable one.
    """

    line: int
    item: str
    reason: str


@dataclass(slots=True)
class Listed:
    """Rows, of which the first 1,000 are kept and all are counted."""

    rows: list[Skipped] = field(default_factory=list)
    count: int = 0

    def add(self, row: Skipped) -> None:
        self.count += 1
        if len(self.rows) < MAX_LISTED:
            self.rows.append(row)

    def __len__(self) -> int:
        return self.count

    def __bool__(self) -> bool:
        return self.count > 0

    def __iter__(self) -> Iterator[Skipped]:
        return iter(self.rows)

    def __getitem__(self, index: int) -> Skipped:
        return self.rows[index]


@dataclass(slots=True)
class ImportReport:
    """What `import_traces` did.

    Attributes:
        source, format: what was read, and as what.
        records: rows or traces that were read, the skipped ones not among them.
        traces, assessments: that are new in the store.
        traces_known, assessments_known: that were there already, with the same content.
        replaced: new assessments that took the place of an earlier one of the same source.
        withdrawn: stored assessments that the source has taken back or replaced since the last import.
        skipped: bad rows. `len` is how many; iterating gives the first 1,000.
        conflicts: rows whose trace or assessment is stored with other content; the stored one stands.
        truncated: records that are stored with something cut or missing; each says what.
    """

    source: str
    format: str
    records: int = 0
    traces: int = 0
    traces_known: int = 0
    assessments: int = 0
    assessments_known: int = 0
    replaced: int = 0
    withdrawn: int = 0
    skipped: Listed = field(default_factory=Listed)
    conflicts: Listed = field(default_factory=Listed)
    truncated: Listed = field(default_factory=Listed)

    def to_json(self) -> dict[str, Any]:
        counts = {
            name: getattr(self, name)
            for name in (
                "source", "format", "records", "traces", "traces_known", "assessments", "assessments_known",
                "replaced", "withdrawn",
            )
        }  # fmt: skip
        for name in ("skipped", "conflicts", "truncated"):
            listed: Listed = getattr(self, name)
            counts[name] = listed.count
            counts[f"{name}_rows"] = [
                {"line": row.line, "item": row.item, "reason": row.reason} for row in listed.rows
            ]
        return counts

    def __str__(self) -> str:
        lines = [f"{self.source} ({self.format}): {self.records} records"]
        lines.append(
            f"{self.traces} new traces ({self.traces_known} known), {self.assessments} new assessments "
            f"({self.assessments_known} known)"
        )
        if self.replaced or self.withdrawn:
            lines.append(
                f"{self.replaced} assessments replaced an earlier one, {self.withdrawn} were withdrawn"
            )
        for name, listed in (
            ("skipped", self.skipped),
            ("in conflict", self.conflicts),
            ("truncated", self.truncated),
        ):
            if listed:
                lines.append(f"{listed.count} {name}:")
                lines += [f"  line {row.line}: {row.reason}" for row in listed.rows[:20]]
                if listed.count > 20:
                    lines.append(f"  ... and {listed.count - 20} more")
        return "\n".join(lines)
