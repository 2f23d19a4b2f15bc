"""Is a database what was written? Every row against its hash, and SQLite's own check of its pages.

Reading verifies each row that it reads. What reading cannot see, such as a row that a damaged page lost, is
seen here; it reads everything, so it is for backups and for doubts, not for every start.
"""

import sqlalchemy as sa

from judge_opt.core.errors import IntegrityError
from judge_opt.traces import rows
from judge_opt.traces.database import Database
from judge_opt.traces.tables import assessments, traces

_COMPUTED = ("name", "status", "execution_time_ms")
"""What search looks at in a trace's row, and its spans give."""


def check_database(database: Database) -> list[str]:
    """What is wrong with the pages, the traces and the labels, a line each; [] where all is well. The
    registry's versions: `Registry.check`."""
    try:
        with database.read() as connection:
            if connection.dialect.name == "sqlite":
                found = _pages(connection)
            else:
                found = []
                through_the_index(connection)
            found += _rows(connection)
    except IntegrityError as error:  # the pages are so damaged that reading them fails
        return [error.message]
    return found


def through_the_index(connection: sa.Connection) -> None:
    """A server that reads a table from its start to its end sees no rows in a file that was emptied or cut at a
    page; through the index it misses them."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off")


def _pages(connection: sa.Connection) -> list[str]:
    said = [str(line) for line in connection.exec_driver_sql("PRAGMA integrity_check").scalars()]
    found = [line for line in said if line != "ok"]
    for table, row, other, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        found.append(f"{table} row {row} belongs to a row of {other} that is not there")
    return found


def _rows(connection: sa.Connection) -> list[str]:
    found: list[str] = []
    ids: dict[int, str] = {}

    def trace(row: sa.RowMapping) -> None:
        ids[row["seq"]] = row["id"]
        again = rows.trace_row(rows.trace_of(row, {}))
        wrong = [column for column in _COMPUTED if row[column] != again[column]]
        if wrong:
            found.append(f"Trace {row['id']!r} is searched by another {wrong[0]} than its spans give.")

    def assessment(row: sa.RowMapping) -> None:
        rows.assessment_of({**row, "trace_id": ids.get(row["trace_seq"], "")})  # type: ignore[arg-type]

    for table, read in ((traces, trace), (assessments, assessment)):
        for number in _numbers(connection, table):
            row = connection.execute(sa.select(table).where(table.c.seq == number)).mappings().first()
            if row is None:
                found.append(f"Row {number} of {table.name} is listed and not there.")
                continue
            try:
                read(row)
            except IntegrityError as error:
                found.append(error.message)
            except (ValueError, TypeError) as error:
                found.append(f"Row {number} of {table.name} cannot be read ({error}).")
    return found


def _numbers(connection: sa.Connection, table: sa.Table) -> list[int]:
    return list(connection.execute(sa.select(table.c.seq).order_by(table.c.seq)).scalars())
