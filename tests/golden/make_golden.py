"""Writes files of the release that is on the path, for later releases to load: tests/golden/test_golden.py.

    PYTHONPATH=.:tests python tests/golden/make_golden.py tests/golden/schema_0004

Databases are written as SQL text, which a reviewer can read and git can pack. It runs on old releases too: a
folder of a release that is gone was made by this script on that release's commit.
"""

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path

import alignment_world as world

from judge_opt.labels.splits import make_split
from judge_opt.llm.session import Session, use_session
from judge_opt.registry import Registry
from judge_opt.registry.judges import get_judge
from judge_opt.testing.fault_server import FaultServer
from judge_opt.traces import Store, Trace

ODD = "\x00 \ud800 \u202e e\u0301 \U0001f469\u200d\U0001f4bb \\ud800 \r\n"


def main(target: Path) -> None:
    work = Path(tempfile.mkdtemp())
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    with FaultServer(answer=world.answer, embed=world.embed) as server:
        run = align(work, server.base_url)
        verdicts = judge(work / "home")
        ask(work / "calls", server.base_url)
    store(work / "home" / "store.db")
    registry = Registry(work / "home" / "store.db")
    registry.export_bundle("judge", "dated", None, target / "bundle")
    make_split(world.rows(40), train=20, test=10).save(target / "split.json")
    dump(work / "home" / "store.db", target / "store.sql")
    dump(work / "calls" / "calls.db", target / "calls.sql")
    run_folder(run, target / "run", str(work))
    expected = {
        "run_id": run.name,
        "verdicts": verdicts,
        "rows": [row.fields for row in world.rows(8, seed=5)],
    }
    (target / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")
    shutil.rmtree(work)


def align(work: Path, base_url: str) -> Path:
    """A whole run, promoted and registered, and its folder."""
    with (work / "rows.jsonl").open("w") as lines:
        for row in [*world.rows(60), *world.rows(60, seed=1)]:
            human = [
                {"rater": v.rater, "name": "dated", "value": v.value, "rationale": v.rationale}
                for v in row.votes
            ]
            item = {"id": row.id, "outputs": row.fields["outputs"], "inputs": "", "session": row.group}
            lines.write(json.dumps({**item, "human": human}) + "\n")
    config = {
        "name": "golden",
        "data": {"path": str(work / "rows.jsonl")},
        "judge": {
            "name": "dated",
            "model": "openai:/sim",
            "base_url": base_url,
            "values": {"categories": ["good", "bad"]},
            "instructions": "Is {{ outputs }} a good reply?",
        },
        "optimizer": {"settings": {"embedder": "openai:/embed", "first_rows": 10}},
        "split": {"train": 40, "test": 50},
    }
    (work / "golden.yaml").write_text(json.dumps(config))
    command = [sys.executable, "-m", "judge_opt", "align", str(work / "golden.yaml")]
    subprocess.run(
        [*command, "--home", str(work / "home"), "--yes", "--json"], check=True, stdout=subprocess.DEVNULL
    )
    (run,) = (work / "home" / "runs").iterdir()
    return run


def run_folder(run: Path, target: Path, work: str) -> None:
    """What a run leaves for others to read, without this machine's path to its data."""
    shutil.copytree(run / "judge", target / "judge")
    sums = run / "SHA256SUMS"
    lines = sums.read_text() if sums.exists() else ""
    for name in ("config.yaml", "split.json", "results.json", "report.json"):
        before = (run / name).read_bytes()
        after = before.replace(work.encode(), b".")
        (target / name).write_bytes(after)
        lines = lines.replace(sha256(before).hexdigest(), sha256(after).hexdigest())
    if lines:
        (target / sums.name).write_text(lines)


def ask(home: Path, base_url: str) -> None:
    """A few calls in the ledger."""
    with Session(home, run_id="golden") as session:
        lm = session.lm("openai:/sim", base_url=base_url, purpose="judge")
        for n in range(4):
            system, user = ({"role": role, "content": f"Thursday {n}"} for role in ("system", "user"))
            lm(messages=[system, user])


def judge(home: Path) -> list[object]:
    """What the registered judge says of rows that it has not seen."""
    with Session(home) as session, use_session(session):
        aligned = get_judge("dated", "production", home=home)
        return [said.value for said in aligned.batch([row.fields for row in world.rows(8, seed=5)])]


def store(path: Path) -> None:
    """Every kind of row: odd text, history, retracted and failed labels, tombstones, aliases."""
    with Store(path) as opened:
        span = {"span_id": "00000000000000a1", "parent_id": None, "name": "answer", "kind": "INTERNAL"}
        span |= {"start_ns": 1, "end_ns": 2_000_001, "status": {"code": "OK", "message": ""}}
        opened.add_trace(
            Trace(
                "a",
                {"q": ODD},
                [1, 2.5, None],
                {"answer": "yes"},
                ODD,
                {"env": "x", ODD: ODD},
                {"m": 1},
                [span],
            )
        )
        opened.add_traces(Trace(f"t{n}", inputs={"n": n}, session=f"s{n // 2}") for n in range(4))
        opened.log_feedback("a", "ok", True, rationale=ODD, rater="ana")
        opened.log_feedback("a", "ok", False, rater="ana", metadata={"ms": 5})
        opened.retract(opened.log_feedback("a", "ok", True, rater="bo").id)
        opened.override(
            opened.log_feedback("t0", "ok", True, source="LLM_JUDGE", rater="j/1").id, False, rater="ana"
        )
        opened.log_expectation("t1", "answer", {"is": 1}, rater="ana")
        opened.log_feedback("t1", "ok", True, rater=ODD)
        registry = Registry(opened)
        for n in (1, 2, 3):
            registry.register(
                "prompt", "system", {"template": f"Rule {n} {ODD}"}, {"blob": b"\x00\xff"}, {"n": n}
            )
        registry.set_alias("prompt", "system", "production", 3)
        registry.delete("prompt", "system", 2)


def dump(database: Path, target: Path) -> None:
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (version,) = connection.execute("PRAGMA user_version").fetchone()  # which a dump leaves out
    lines = [*connection.iterdump(), f"PRAGMA user_version={version};"]
    target.write_bytes(("\n".join(lines) + "\n").encode())  # line ends as they are in it
    connection.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
