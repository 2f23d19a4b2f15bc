"""Are the registered versions what was registered? Every one against its hashes."""

import sqlalchemy as sa

from judge_opt.core.errors import IntegrityError
from judge_opt.registry.tables import versions
from judge_opt.registry.versions import content_of, damaged, record_hash, version_of
from judge_opt.traces.check import through_the_index
from judge_opt.traces.database import Database


def check_versions(database: Database) -> list[str]:
    """What is wrong, a line each; [] where all is well. Reads everything that is registered."""
    found: list[str] = []
    try:
        with database.read() as connection:
            through_the_index(connection)
            numbers = sa.select(versions.c.seq).order_by(versions.c.seq)
            for seq in connection.execute(numbers).scalars().all():
                found += _one(connection, seq)
    except IntegrityError as error:  # the pages are so damaged that reading them fails
        found.append(error.message)
    return found


def _one(connection: sa.Connection, seq: int) -> list[str]:
    row = connection.execute(sa.select(versions).where(versions.c.seq == seq)).mappings().first()
    if row is None:
        return [f"Row {seq} of {versions.name} is listed and not there."]
    try:
        version_of(connection, row)
        if row["deleted"] is None:
            content_of(connection, row)
        elif record_hash(row) != row["record_hash"]:
            raise damaged(row)
    except IntegrityError as error:
        return [error.message]
    return []
