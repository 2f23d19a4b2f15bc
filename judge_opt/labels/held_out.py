"""Every reading of a held-out set is recorded, with its reason.

A test set proves something once. Each look at its labels is a chance to choose what happens to fit them, so
the looks are counted: by the rows themselves, whatever split, run or file they came from.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from judge_opt.core.errors import UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.traces.database import Database, SafeText, metadata
from judge_opt.traces.rows import time_text
from judge_opt.traces.schema import now
from judge_opt.traces.tables import Sequence as RowNumber

if TYPE_CHECKING:
    from judge_opt.labels.examples import LabelledExample
    from judge_opt.traces.store import Store

test_reads = sa.Table(
    "test_reads",
    metadata,
    sa.Column("seq", RowNumber, primary_key=True, autoincrement=True),
    sa.Column("rows_hash", sa.String(64), nullable=False, index=True),
    sa.Column("row_count", sa.Integer, nullable=False),
    sa.Column("split_hash", sa.String(64)),
    sa.Column("reason", SafeText, nullable=False),
    sa.Column("run_id", SafeText),
    sa.Column("created", sa.String(40), nullable=False),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True)
class HeldOutRead:
    """One reading of held-out rows.

    Attributes:
        rows_hash: of the rows with their votes, in any order: see `rows_hash`.
        rows: how many there were.
        split_hash: of the split that holds them, where it was read through one.
        reason: why, in the reader's words.
        run_id: the run that read, or None.
    """

    rows_hash: str
    rows: int
    split_hash: str | None
    reason: str
    run_id: str | None
    created: datetime

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "created": self.created.isoformat()}


def rows_hash(rows: "Sequence[LabelledExample]") -> str:
    """The address of a set of labelled rows: equal for the same items and votes in any order."""
    return content_hash(sorted(example.digest for example in rows))


def record_read(
    rows: "Sequence[LabelledExample]",
    reason: str,
    *,
    store: "Store | Database | None" = None,
    split_hash: str | None = None,
    run_id: str | None = None,
) -> HeldOutRead:
    """Records that `rows` are read now, durably, before the caller gets to see them.

    Args:
        store: where; default: the home folder's.

    Raises:
        UsageError: no reason is given.
    """
    if not isinstance(reason, str) or not reason.strip():
        raise UsageError(
            "Held-out rows are read for a reason, and none was given.", "Say why in a few words."
        )
    read = HeldOutRead(rows_hash(rows), len(rows), split_hash, reason, run_id, now())
    with _database(store).write() as connection:
        connection.execute(
            sa.insert(test_reads).values(
                rows_hash=read.rows_hash,
                row_count=read.rows,
                split_hash=read.split_hash,
                reason=read.reason,
                run_id=read.run_id,
                created=time_text(read.created),
            )
        )
    return read


def reads_of(
    rows: "Sequence[LabelledExample] | str", *, store: "Store | Database | None" = None
) -> list[HeldOutRead]:
    """Every recorded reading of these rows (or of a `rows_hash`), the first first."""
    digest = rows if isinstance(rows, str) else rows_hash(rows)
    query = sa.select(test_reads).where(test_reads.c.rows_hash == digest).order_by(test_reads.c.seq)
    with _database(store).read() as connection:
        return [
            HeldOutRead(
                row["rows_hash"],
                row["row_count"],
                row["split_hash"],
                row["reason"],
                row["run_id"],
                datetime.fromisoformat(row["created"]),
            )
            for row in connection.execute(query).mappings()
        ]


def _database(store: "Store | Database | None") -> Database:
    if isinstance(store, Database):
        return store
    if store is None:
        from judge_opt.traces.default_store import current_store

        store = current_store()
    return store.database
