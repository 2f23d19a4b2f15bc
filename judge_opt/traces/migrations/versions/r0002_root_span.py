"""What a trace's root span says, as columns for searching.

Revision: 0002
"""

import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_AT_ONCE = 200


def upgrade() -> None:
    op.add_column("traces", sa.Column("name", sa.Text()))
    op.add_column("traces", sa.Column("status", sa.String(10)))
    op.add_column("traces", sa.Column("execution_time_ms", sa.Double()))
    op.create_index("ix_traces_created", "traces", ["created"])
    _fill(op.get_bind())


def _fill(connection: sa.Connection) -> None:
    """Computes the columns of the traces that are there. On its own, without the code of today: a migration
    must do the same for ever."""
    columns: list[sa.ColumnClause[Any]] = [
        sa.column(name) for name in ("seq", "spans_json", "name", "status", "execution_time_ms")
    ]
    traces = sa.table("traces", *columns)
    last = 0
    while True:
        some = connection.execute(
            sa.select(traces.c.seq, traces.c.spans_json)
            .where(traces.c.seq > last)
            .order_by(traces.c.seq)
            .limit(_AT_ONCE)
        ).all()
        if not some:
            return
        last = some[-1].seq
        for row in some:
            if facts := _root_facts(json.loads(row.spans_json)):
                connection.execute(sa.update(traces).where(traces.c.seq == row.seq).values(**facts))


def _root_facts(spans: list[dict[str, Any]]) -> dict[str, Any]:
    root = next((span for span in spans if span.get("parent_id") is None), None)
    if root is None:
        return {}
    facts: dict[str, Any] = {}
    if isinstance(name := root.get("name"), str):
        escaped = name.replace("\\", "\\\\").replace("\x00", "\\0")
        facts["name"] = escaped.encode("utf-8", "backslashreplace").decode("utf-8")
    status = root.get("status")
    if isinstance(status, Mapping) and status.get("code") in ("OK", "ERROR", "UNSET"):
        facts["status"] = status["code"]
    start, end = root.get("start_ns"), root.get("end_ns")
    if isinstance(start, int) and isinstance(end, int):
        facts["execution_time_ms"] = (end - start) / 1e6
    return facts
