"""The tables of traces and assessments. A change here needs a migration; a test compares the two.

Columns that end in `_json` hold `dump_json` text. Times are ISO 8601 in UTC with microseconds, so that
text order is time order in every database.
"""

import sqlalchemy as sa

from judge_opt.traces.database import SafeText, metadata

Sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
"""A row number: SQLite counts up by itself only for INTEGER."""

traces = sa.Table(
    "traces",
    metadata,
    sa.Column("seq", Sequence, primary_key=True, autoincrement=True),
    sa.Column("id", SafeText, nullable=False, unique=True),
    sa.Column("session", SafeText, index=True),
    sa.Column("inputs_json", sa.Text, nullable=False),
    sa.Column("outputs_json", sa.Text, nullable=False),
    sa.Column("expectations_json", sa.Text, nullable=False),
    sa.Column("metadata_json", sa.Text, nullable=False),
    sa.Column("spans_json", sa.Text, nullable=False),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("created", sa.String(40), nullable=False, index=True),
    # What the root span says, for searching; it can be computed from the spans again.
    sa.Column("name", SafeText),
    sa.Column("status", sa.String(10)),
    sa.Column("execution_time_ms", sa.Double),
    sqlite_autoincrement=True,
)

trace_tags = sa.Table(
    "trace_tags",
    metadata,
    sa.Column("trace_seq", Sequence, sa.ForeignKey("traces.seq", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", SafeText, primary_key=True),
    sa.Column("value", SafeText, nullable=False),
    sa.Index(None, "key"),
)

assessments = sa.Table(
    "assessments",
    metadata,
    sa.Column("seq", Sequence, primary_key=True, autoincrement=True),
    sa.Column("id", SafeText, nullable=False, unique=True),
    sa.Column("trace_seq", Sequence, sa.ForeignKey("traces.seq", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("name", SafeText, nullable=False),
    sa.Column("value_json", sa.Text, nullable=False),
    sa.Column("rationale", SafeText),
    sa.Column("source_type", sa.String(20), nullable=False),
    sa.Column("source_id", SafeText, nullable=False),
    sa.Column("created", sa.String(40), nullable=False),
    sa.Column("supersedes", SafeText),
    sa.Column("retracted", sa.String(40)),  # when; NULL where it stands
    sa.Column("error", SafeText),
    sa.Column("metadata_json", sa.Text, nullable=False),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("is_current", sa.Boolean, nullable=False),
    sa.Index(None, "name"),
    # One current assessment a source, kept by the database itself and not only by our code.
    sa.Index(
        "uq_assessments_current",
        "trace_seq",
        "kind",
        "name",
        "source_type",
        "source_id",
        unique=True,
        sqlite_where=sa.text("is_current = 1"),
        postgresql_where=sa.text("is_current"),
    ),
    sqlite_autoincrement=True,
)
