"""Files of earlier releases load, and say the same as they did. `make_golden.py` writes a release's files."""

import json
import shutil
import sqlite3
from pathlib import Path

import alignment_world as world
import pytest
import sqlalchemy as sa
from make_golden import ODD

from judge_opt.core.errors import NotFound
from judge_opt.experiments.report.render import render_html
from judge_opt.experiments.runs import list_runs, load_report
from judge_opt.judges.stored import read_judge
from judge_opt.labels.splits import Split
from judge_opt.llm.session import Session, use_session
from judge_opt.llm.store import CallStore
from judge_opt.registry import Registry
from judge_opt.registry.judges import get_judge
from judge_opt.testing.fault_server import FaultServer
from judge_opt.traces import Store
from judge_opt.traces.migrate import HEAD, migrate

FOLDERS = sorted(Path(__file__).parent.glob("schema_*"))


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def golden(request):
    return request.param


@pytest.fixture
def home(golden, tmp_path):
    """The release's home folder."""
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("store", "calls"):
        connection = sqlite3.connect(folder / f"{name}.db")
        connection.executescript((golden / f"{name}.sql").read_bytes().decode())
        connection.close()
    expected = json.loads((golden / "expected.json").read_text())
    shutil.copytree(golden / "run", folder / "runs" / expected["run_id"])
    return folder


@pytest.fixture
def server():
    with FaultServer(answer=world.answer, embed=world.embed) as running:
        yield running


def says_as_before(golden, judge, tmp_path):
    expected = json.loads((golden / "expected.json").read_text())
    with Session(tmp_path / "session") as session, use_session(session):
        assert [said.value for said in judge.batch(expected["rows"])] == expected["verdicts"]
    assert len(judge.memory.episodic) == 40


def check_store(store):
    trace = store.get_trace("a")
    assert (trace.inputs, trace.outputs, trace.session) == ({"q": ODD}, [1, 2.5, None], ODD)
    assert (trace.expectations, trace.metadata, trace.tags) == (
        {"answer": "yes"},
        {"m": 1},
        {"env": "x", ODD: ODD},
    )
    assert (trace.name, trace.status, trace.execution_time_ms) == ("answer", "OK", 2.0)
    assert [t.id for t in store.iter_traces()] == ["a", "t0", "t1", "t2", "t3"]
    words = [(w.value, w.source_id, w.current, w.retracted) for w in store.assessments("a")]
    assert words == [
        (True, "ana", False, False),
        (False, "ana", True, False),
        (True, "bo", False, True),
    ]
    votes = {e.id: [(v.rater, v.value) for v in e.votes] for e in store.labelled_examples("ok", bool)}
    assert votes == {"a": [("ana", False)], "t0": [("ana", False)], "t1": [(ODD, True)]}


def check_prompts(registry):
    versions = registry.versions("prompt", "system")
    assert [(v.version, v.deleted, v.aliases, v.lineage) for v in versions] == [
        (1, False, (), {"n": 1}),
        (2, True, (), {"n": 2}),
        (3, False, ("production",), {"n": 3}),
    ]
    version, payload, blobs = registry.get("prompt", "system", "production")
    assert (payload, blobs) == ({"template": f"Rule 3 {ODD}"}, {"blob": b"\x00\xff"})
    assert version.trusted
    with pytest.raises(NotFound, match="Version 2 of prompt 'system' was deleted on 20"):
        registry.get("prompt", "system", 2)
    assert registry.register("prompt", "system", {"template": "new"}).version == 4


def test_its_store_and_registry(golden, home, server, tmp_path, caplog):
    with Store(home / "store.db") as store:
        revision = golden.name.removeprefix("schema_")
        migrated = f"was migrated from schema {revision} to {HEAD}; older releases"
        assert (migrated in caplog.text) == (revision != HEAD)
        check_store(store)
        check_prompts(Registry(store))
        store.log_feedback("t2", "ok", True, rater="new")
    judge = get_judge("dated", "production", home=home, base_url=server.base_url)
    says_as_before(golden, judge, tmp_path)


def test_its_bundle_and_its_saved_judge(golden, home, server, tmp_path):
    here = Registry(tmp_path / "here.db")
    here.import_bundle(golden / "bundle")
    judge = get_judge("dated", registry=here, base_url=server.base_url)
    says_as_before(golden, judge, tmp_path)
    says_as_before(golden, read_judge(golden / "run" / "judge", base_url=server.base_url), tmp_path)
    here.database.close()


def test_its_run_and_its_splits(golden, home):
    (run,) = list_runs(home)
    assert run.status == "promoted"
    report = load_report(home, run.run_id)
    assert report.validation.after.metrics["kappa"].value > 0.9
    assert "<html" in render_html(report)
    assert len(Split.load(golden / "split.json").select(world.rows(40), unchanged=True)[0]) == 20
    assert len(Split.load(golden / "run" / "split.json").test) == 50


def test_its_call_ledger(home):
    (line,) = CallStore(home / "calls.db").summary("golden")
    assert (line.calls, line.purpose) == (4, "judge")


def test_a_postgresql_database_of_that_schema_is_migrated(golden, home, postgres):
    url = postgres.new_database()
    revision = golden.name.removeprefix("schema_")
    old, new = sa.create_engine(f"sqlite:///{home / 'store.db'}"), sa.create_engine(url)
    tables = sa.MetaData()
    tables.reflect(old)
    with old.connect() as source, new.begin() as target:
        migrate(target, None, "a new database", revision)
        for table in tables.sorted_tables:
            rows = [dict(row) for row in source.execute(sa.select(table)).mappings()]
            if rows and not table.name.startswith(("judge_opt_version", "sqlite")):
                target.execute(sa.insert(table), rows)
                if "seq" in table.c:
                    highest = max(row["seq"] for row in rows)
                    sequence = f"pg_get_serial_sequence('{table.name}', 'seq')"
                    target.execute(sa.text(f"SELECT setval({sequence}, {highest})"))
    old.dispose()
    new.dispose()
    with Store(url) as store:
        check_store(store)
        check_prompts(Registry(store))
    postgres.drop(url)
