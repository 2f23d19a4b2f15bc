"""Capture the prompts that every framework really sends: `python -m benchmarks.rivals.capture`.

Writes `tests/testing/lab/prompts.json.gz`: a few prompts of each arm, kind and world, with nothing but the
lab's own text and the frameworks' words around it. The tests of the lab's readers read them.
"""

import gzip
import json
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT
from benchmarks.rivals.runner import Rival, task
from judge_opt import MemAlign, Session, use_session
from judge_opt.testing.lab import LabServer, Parameters, World, WorldParameters
from judge_opt.testing.lab.world import TASK

TARGET = ROOT / "tests" / "testing" / "lab" / "prompts.json.gz"
ARMS = (
    "few_shot.all",
    "mlflow.memalign",
    "mlflow.memalign.best",
    "mlflow.simba.best",
    "mlflow.gepa",
    "dspy.labelled_few_shot",
    "dspy.bootstrap",
    "dspy.simba.best",
    "dspy.gepa",
    "dspy.mipro",
)
WORLDS = (
    World(7001),
    World(7002, WorldParameters(labels=("poor", "fair", "good", "excellent"), raters=2)),
)
_PER_KIND = 2


def chosen(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first and the last prompt of each kind: by model, number of messages and beginning."""
    kinds = defaultdict(list)
    for body in requests:
        shape = (body["model"], min(len(body["messages"]), 3), str(body["messages"][0]["content"])[:120])
        kinds[shape].append({k: body[k] for k in ("model", "messages", "response_format") if k in body})
    return [one for same in kinds.values() for one in (same[:1] + same[1:][-(_PER_KIND - 1) :])]


def main() -> None:
    found = []
    with Rival() as rival:
        for arm in (*ARMS, "judge_opt.memalign"):
            for world in WORLDS:
                train, held_out = world.examples(20), world.held_out(2)
                with LabServer(Parameters(fresh_repeats=True)) as server:
                    if arm == "judge_opt.memalign":
                        with Session(Path(tempfile.mkdtemp())) as session, use_session(session):
                            judge = world.judge(server)
                            ours = MemAlign(reflection_lm="openai:/sim-reflect", embedder="openai:/sim-embed")
                            aligned = ours.align(judge, train).judge
                            aligned.batch([row.fields for row in held_out])
                    else:
                        result = rival.run(
                            task(arm, server.base_url, world.value_type, TASK, train, held_out, threads=1)
                        )
                        if result["error"]:
                            raise SystemExit(f"{arm}: {result['error']}")
                    chats = [r.body for r in server.requests if r.path.endswith("/chat/completions")]
                prompts = chosen(chats)
                print(f"{arm}, world {world.seed}: {len(prompts)} of {len(chats)} prompts", flush=True)
                found += [{"arm": arm, "world": world.seed, **one} for one in prompts]
    text = json.dumps(found, ensure_ascii=False).encode()
    TARGET.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{len(found)} prompts, {TARGET.stat().st_size // 1024} KiB in {TARGET.name}")


if __name__ == "__main__":
    main()
