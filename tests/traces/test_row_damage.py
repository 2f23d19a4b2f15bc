"""D1 inside a database: a cell that changes on disk is refused, found by the check, or changes nothing."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from judge_opt.core.errors import IntegrityError, JudgeOptError
from judge_opt.registry import Registry
from judge_opt.traces import Store, Trace
from judge_opt.traces.check import check_database
from judge_opt.traces.database import metadata

WATCHED = ("traces", "assessments", "registry_versions", "registry_blobs")
FREE = {
    *("assessments.is_current", "assessments.retracted", "assessments.supersedes"),
    *("registry_versions.tags_json", "registry_versions.deleted", "registry_versions.deleted_by"),
    *("registry_versions.deleted_reason", "registry_versions.trusted", "traces.created"),
}
"""What carries no hash: what may change after it is written, and when a trace was recorded, which is not part
of what makes it the same trace."""


def fill(store):
    for n in range(3):
        store.add_trace(
            Trace(
                f"t{2 * n}",  # the lowest bit of an id makes no other id of it
                inputs={"q": n},
                outputs="out",
                session="s",
                expectations={"answer": "yes"},
                metadata={"m": n},
                spans=({"span_id": "a" * 16, "parent_id": None, "name": "step", "attributes": {"x": 1}},),
            )
        )
        store.log_feedback(f"t{2 * n}", "ok", True, "Since.", rater="ana", metadata={"n": n})
        store.log_feedback(f"t{2 * n}", "ok", False, "No.", rater="ana")
    registry = Registry(store)
    for n in range(2):
        registry.register("judge", "j", {"n": n}, {"index": bytes([n, 255])}, {"parent": n}, {"by": "ana"})


def contents(store):
    """Everything that never changes once it is written, as a reader gets it."""
    found = [repr(replace(trace, tags={}, assessments=())) for trace in store.iter_traces()]
    for trace in store.iter_traces():
        for word in store.assessments(trace.id):
            found.append(repr(replace(word, supersedes=None, retracted=False, current=True)))
    registry = Registry(store)
    for version in registry.versions("judge", "j"):
        read, payload, blobs = registry.get("judge", "j", version.version)
        found.append(repr((read.version, read.created, read.content_hash, read.lineage, payload, blobs)))
    return found


def flips(value):
    """The value with one bit the other way round: of its first, a middle or its last byte or character."""
    if isinstance(value, float):
        return [value + 0.5]
    if not isinstance(value, bytes | str):
        return [value ^ 1]
    found = []
    for place in sorted({0, len(value) // 2, len(value) - 1}):
        one = value[place : place + 1]
        turned = bytes([one[0] ^ 1]) if isinstance(one, bytes) else chr(ord(one) ^ 1)
        found.append(value[:place] + turned + value[place + 1 :])
    return found


def cells(connection):
    """Table, number of its row, column and value of every cell that is worth a change."""
    for table in WATCHED:
        row_number = "version_seq" if table == "registry_blobs" else "seq"
        kinds = metadata.tables[table].c
        for row in connection.execute(sa.text(f"SELECT * FROM {table}")).mappings():
            for column, value in row.items():
                numbers = column == row_number or column.endswith("_seq")
                if value is None or value == "" or numbers or f"{table}.{column}" in FREE:
                    continue
                yield table, row_number, row[row_number], column, value, kinds[column].type


def test_a_changed_cell_is_never_read_as_if_it_were_what_was_written(store_url):
    with Store(store_url) as store:
        fill(store)
        before = contents(store)
        assert check_database(store.database) == Registry(store).check() == []
        with store.database.read() as connection:
            found = list(cells(connection))
        refused, unseen = {}, []
        for table, row_number, number, column, value, kind in found:

            def put(new, table=table, row_number=row_number, number=number, column=column, kind=kind):
                bound = sa.bindparam("new", new, None if isinstance(new, str) else kind)
                change = sa.text(f"UPDATE {table} SET {column} = :new WHERE {row_number} = {number}")
                with store.database.write() as connection:
                    connection.execute(change.bindparams(bound))

            for flipped in flips(value):
                put(flipped)
                try:
                    same = contents(store) == before
                except IntegrityError as error:
                    same, named = False, "on disk" in error.message and bool(error.remedy)
                    refused[table, column] = refused.get((table, column), True) and named
                except JudgeOptError:  # what was asked for is under another name now
                    same = False
                check = check_database(store.database) + Registry(store).check()
                # What search looks at is computed from the spans: a reader computes it again, the check sees it.
                if not check and (not same or column in ("name", "status", "execution_time_ms")):
                    unseen.append((table, column, number, flipped))
            put(value)
        assert contents(store) == before
    assert unseen == []
    assert {
        ("traces", "inputs_json"),
        ("traces", "id"),
        ("assessments", "value_json"),
        ("assessments", "source_id"),
        ("registry_versions", "payload_json"),
        ("registry_versions", "version"),
        ("registry_blobs", "data"),
    } <= refused.keys()
    assert all(refused.values()), refused


@pytest.mark.parametrize(
    "pair", [("traces", "inputs_json"), ("assessments", "value_json"), ("assessments", "id")]
)
def test_rows_whose_contents_were_swapped_are_refused(store_url, pair):
    table, column = pair
    with Store(store_url) as store:
        fill(store)
        with store.database.write() as connection:
            rows = sa.text(f"SELECT seq, {column} FROM {table} ORDER BY seq LIMIT 2")
            (one, first), (two, second) = connection.execute(rows).all()
            put = sa.text(f"UPDATE {table} SET {column} = :text WHERE seq = :seq")
            for seq, text in ((one, "x"), (two, first), (one, second)):  # ids are unique at every moment
                connection.execute(put, {"seq": seq, "text": text})
        with pytest.raises(IntegrityError, match=r"changed or damaged on disk.*Restore the database"):
            contents(store)
        assert check_database(store.database)
