"""The store: the one way in and out for traces and what was said of them.

Every method that writes returns after its commit is on disk.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from judge_opt.core.values import ValueType
from judge_opt.traces.database import Database
from judge_opt.traces.schema import SourceType
from judge_opt.traces.store_assessments import StoredAssessments
from judge_opt.traces.store_traces import StoredTraces

if TYPE_CHECKING:
    from judge_opt.labels.examples import LabelledExample


class Store(StoredTraces, StoredAssessments):
    """Traces and assessments in one database.

    Args:
        url: a file path (SQLite), an SQLAlchemy URL, or an open Database.
        create: False refuses a file that does not exist instead of making it.

    Raises:
        NotFound, UsageError, IntegrityError: see `Database`.
    """

    def __init__(self, url: str | Path | Database, *, create: bool = True) -> None:
        self.database = url if isinstance(url, Database) else Database(url, create=create)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self.database.close()

    def labelled_examples(
        self, name: str, value_type: ValueType | Any, source_type: SourceType = "HUMAN"
    ) -> "list[LabelledExample]":
        """The traces that have labels of this name, with one vote a rater: `judge_opt.labels.stored`."""
        from judge_opt.labels.stored import labelled_examples  # the layer above; a shorthand only

        return labelled_examples(self, name, value_type, source_type)
