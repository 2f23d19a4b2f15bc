"""Capture the prompts that every framework really sends: `python -m benchmarks.rivals.capture`.

Writes `tests/testing/lab/prompts.json.gz`: a few prompts of each arm, kind and world, with nothing but the
lab's own text and the frameworks' words around it. The tests of the lab's readers read them.
"""

import argparse
import gzip
import json
import subprocess
import tempfile
from collections import defaultdict
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT
from benchmarks.rivals.environment import python
from benchmarks.rivals.runner import Rival, task
from judge_opt import Session, use_session
from judge_opt.align.named import make_optimizer
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
OURS = ("judge_opt.memalign", "judge_opt.simba", "judge_opt.gepa")
PROMPTS = ("mlflow.optimize_prompts",)
"""Optimizers of an agent's prompt: what they show the reflection model is a number and the judge's reason."""
_PER_KIND = 2
_MOST = 8
"""Prompts of one arm to one model."""


def chosen(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first and the last prompt of each kind: by model, number of messages and beginning."""
    kinds = defaultdict(list)
    for body in requests:
        shape = (body["model"], min(len(body["messages"]), 3), str(body["messages"][0]["content"])[:120])
        kinds[shape].append({k: body[k] for k in ("model", "messages", "response_format") if k in body})
    some = [one for same in kinds.values() for one in (same[:1] + same[1:][-(_PER_KIND - 1) :])]
    # Instructions that were rewritten make many kinds: the last ones hold most.
    few = [
        [one for one in some if one["model"] == model][-_MOST:]
        for model in dict.fromkeys(b["model"] for b in some)
    ]
    return [one for same in few for one in same]


def ours(arm: str, world: World, server: LabServer) -> None:
    """Align and judge with an optimizer of ours."""
    settings = {"reflection_lm": "openai:/sim-reflect"}
    if arm == "judge_opt.memalign":
        settings["embedder"] = "openai:/sim-embed"
    with Session(Path(tempfile.mkdtemp())) as session, use_session(session):
        optimizer = make_optimizer(arm.partition(".")[2], settings)
        aligned = optimizer.align(world.judge(server), world.examples(20)).judge
        aligned.batch([row.fields for row in world.held_out(2)])


def theirs(arm: str, world: World, server: LabServer, rival: Rival) -> None:
    """The same with a rival."""
    rows = world.examples(20), world.held_out(2)
    result = rival.run(task(arm, server.base_url, world.value_type, TASK, *rows, threads=1))
    if result["error"]:
        raise SystemExit(f"{arm}: {result['error']}")


def of_a_prompt(world: World, server: LabServer) -> None:
    """MLflow's search over an agent's prompt, as `benchmarks.prompts` runs it, with a small budget."""
    asked = [f"Case {k}: what about my order?" for k in range(16)]
    given = {
        "method": "MLflow",
        "server": server.base_url,
        "key": "capture",
        "seed": 0,
        "system": "You answer customers of a shop.",
        "instructions": world.judge(server).instructions,
        "labels": list(world.parameters.labels),
        "train": asked[:8],
        "valid": asked[8:],
        "metric_calls": 80,
    }
    child = ROOT / "benchmarks" / "prompts" / "rivals_child.py"
    done = subprocess.run(
        [python(), child], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    if error := json.loads(done.stdout)["error"]:
        raise SystemExit(f"mlflow.optimize_prompts: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours-only", action="store_true", help="keep the rivals' prompts as they are")
    parser.add_argument("--arms", nargs="*", help="keep all prompts but those of these arms")
    given = parser.parse_args()
    arms = given.arms or (*(() if given.ours_only else (*ARMS, *PROMPTS)), *OURS)
    found: list[dict[str, Any]] = []
    if TARGET.exists():
        stored = json.loads(gzip.decompress(TARGET.read_bytes()))
        found = [one for one in stored if one["arm"] not in arms]
    with Rival() if set(arms) & set(ARMS) else nullcontext() as rival:
        for arm in arms:
            for world in WORLDS:
                with LabServer(Parameters(fresh_repeats=True)) as server:
                    if arm in OURS:
                        ours(arm, world, server)
                    elif arm in PROMPTS:
                        of_a_prompt(world, server)
                    else:
                        assert rival is not None
                        theirs(arm, world, server, rival)
                    chats = [r.body for r in server.requests if r.path.endswith("/chat/completions")]
                    chats = [body for body in chats if arm not in PROMPTS or body["model"] == "sim-reflect"]
                prompts = chosen(chats)
                print(f"{arm}, world {world.seed}: {len(prompts)} of {len(chats)} prompts", flush=True)
                found += [{"arm": arm, "world": world.seed, **one} for one in prompts]
    text = json.dumps(found, ensure_ascii=False).encode()
    TARGET.write_bytes(gzip.compress(text, 9, mtime=0))
    print(f"{len(found)} prompts, {TARGET.stat().st_size // 1024} KiB in {TARGET.name}")


if __name__ == "__main__":
    main()
