"""Prompts of a simulated agent: the true quality that a search reaches, and whether the guard catches a loophole.

python -m benchmarks.prompts.run [WORLDS [GUARDED [FOLDER]]]
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import ROOT, check, write_results
from benchmarks.rivals import environment
from judge_opt import Session, current_session, load_prompt, optimize_prompts, register_prompt, use_session
from judge_opt.prompts import PromptResult
from judge_opt.testing.lab import LabServer, Parameters, World
from judge_opt.testing.lab.items import find_items
from judge_opt.testing.lab.lexicon import TOPICS
from judge_opt.testing.lab.parameters import JudgeParameters, WorldParameters

HERE = Path(__file__).parent
JOURNAL = ROOT / ".judge_opt" / "prompts.jsonl"
METHODS = ("gepa", "one shot", "random")
CALLS = 700
"""Of each method, the held-out comparison and the guard included."""
RIVALS = {"dspy.GEPA": CALLS * 3 // 5, "MLflow": CALLS // 2}
"""Rival to its budget in metric calls. Each is a call of the agent, and one of the judge where the output is new: few
are with DSPy, which keeps the agent's replies, and nearly all with MLflow."""
FRESH = 10
"""The first world: those before it were looked at while the search was built."""
CHAT = [
    {"role": "system", "content": "You answer customers of a shop."},
    {"role": "user", "content": "{{ question }}"},
]
TRAIN, VALID, TEST, TRUTH = (0, 32), (100, 32), (200, 40), (1000, 100)
"""First case and number of cases."""


def rows(first: int, n: int) -> list[dict[str, Any]]:
    cases = range(first, first + n)
    return [{"inputs": {"question": f"Case {i}: what about my {TOPICS[i % len(TOPICS)]}?"}} for i in cases]


def true_quality(world: World, server: LabServer, system: str) -> float:
    """Share of the outputs to questions of their own that the policy itself rates best."""
    lm: Any = current_session().lm("openai:/sim-agent", purpose="truth", base_url=server.base_url)
    right = 0
    for row in rows(*TRUTH):
        asked = [CHAT[0] | {"content": system}, {"role": "user", "content": row["inputs"]["question"]}]
        (item,) = find_items(lm.ask(asked).message.text)
        right += world.policy.label_of(world.policy.score(item.shown)) == world.parameters.labels[-1]
    return right / TRUTH[1]


def optimized(
    world: World, judge: JudgeParameters, method: str, seed: int
) -> tuple[PromptResult, float, float]:
    """(the result, true quality before, after); the guard is another model that goes by the policy."""
    other = Parameters(seed=seed + 100, judge=JudgeParameters(policy=world.policy))
    mine = Parameters(seed=seed, judge=judge)
    home = Session(Path(tempfile.mkdtemp()))
    with LabServer(mine) as server, LabServer(other) as second, home, use_session(home):
        assert isinstance(server, LabServer)
        register_prompt("support", CHAT)

        def agent(question: str) -> str:
            messages = load_prompt("support").format(question=question)
            lm: Any = current_session().lm("openai:/sim-agent", base_url=server.base_url)
            return str(lm.ask(messages).message.text)

        result = optimize_prompts(
            agent,
            rows(*TRAIN),
            rows(*VALID),
            [world.judge(server)],
            test=rows(*TEST),
            guard=world.judge(second, name="guard"),
            reflection_lm="openai:/sim-reflect",
            max_calls=CALLS,
            method=method,  # type: ignore[arg-type]
            seed=seed,
        )
        system = next(iter(result.texts.values()))
        before = true_quality(world, server, CHAT[0]["content"])
        return result, before, true_quality(world, server, system)


def of_a_rival(world: World, method: str, seed: int) -> dict[str, Any]:
    """A rival's row. It gets all calls for its search: it makes no held-out comparison and asks no guard."""
    home = Session(Path(tempfile.mkdtemp()))
    with LabServer(Parameters(seed=seed, judge=world.perfect())) as server, home, use_session(home):
        assert isinstance(server, LabServer)
        system = CHAT[0]["content"]
        task = {
            "method": method,
            "server": server.base_url,
            "key": "rival",
            "seed": seed,
            "system": system,
            "instructions": world.judge(server).instructions,
            "labels": list(world.parameters.labels),
            "train": [row["inputs"]["question"] for row in rows(*TRAIN)],
            "valid": [row["inputs"]["question"] for row in rows(*VALID)],
            "metric_calls": RIVALS[method],
        }
        done = subprocess.run(
            [environment.python(), HERE / "rivals_child.py"],
            input=json.dumps(task),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=tempfile.mkdtemp(),
            check=True,
        )
        made = json.loads(done.stdout)
        used = {name.removeprefix("sim-"): counts["calls"] for name, counts in server.usage(None).items()}
        return {
            "kind": "methods",
            "method": method,
            "seed": seed,
            "true_before": round(true_quality(world, server, system), 3),
            "true_after": round(true_quality(world, server, made["system"]), 3),
            "changed": made["system"] != system,
            "error": made["error"],
            "calls": used,
        }


def row_of(kind: str, method: str, seed: int, found: tuple[PromptResult, float, float]) -> dict[str, Any]:
    result, before, after = found
    held = result.held_out
    return {
        "kind": kind,
        "method": method,
        "seed": seed,
        "true_before": round(before, 3),
        "true_after": round(after, 3),
        "changed": result.changed,
        "confirmed": result.confirmed,
        "judged_gain": None if held is None else held.total.gain.value,
        "judged_p": None if held is None else held.total.p_value,
        "reasons": [] if result.guard is None else list(result.guard.reasons),
        "calls": {line.purpose: line.attempts for line in result.ledger},
        "stopped": result.stopped,
    }


def ours(kind: str, world: World, judge: JudgeParameters, method: str, seed: int) -> dict[str, Any]:
    return row_of(kind, method, seed, optimized(world, judge, method, seed))


def main() -> None:
    given = dict(enumerate(sys.argv))
    worlds, guarded = int(given.get(1, 5)), int(given.get(2, 10))
    folder = Path(given.get(3, HERE))
    table: list[dict[str, Any]] = []

    def add(kind: str, method: str, seed: int, make: Callable[[], dict[str, Any]]) -> None:
        """A row that an interrupted run has made stands; delete the journal after a change of the code."""
        known = [json.loads(line) for line in JOURNAL.read_text().splitlines()] if JOURNAL.exists() else []
        same = [r for r in known if (r["kind"], r["method"], r["seed"]) == (kind, method, seed)]
        table.append(same[0] if same else make())
        if not same:
            JOURNAL.parent.mkdir(parents=True, exist_ok=True)
            with JOURNAL.open("a") as journal:
                journal.write(json.dumps(table[-1]) + "\n")
        print(table[-1], flush=True)

    for seed in range(FRESH, FRESH + worlds):
        world = World(seed)
        for method in METHODS:
            add("methods", method, seed, partial(ours, "methods", world, world.perfect(), method, seed))
        for method in RIVALS:
            add("methods", method, seed, partial(of_a_rival, world, method, seed))
    for seed in range(FRESH, FRESH + guarded):
        clean, gamed = World(seed), World(seed, WorldParameters(agreement=0.0))
        # A clean judge goes by the policy. The other one likes what the experts do not: its known loophole.
        for kind, world, judge in (
            ("clean", clean, clean.perfect()),
            ("loophole", gamed, JudgeParameters(noise=0.05)),
        ):
            add(kind, "gepa", seed, partial(ours, kind, world, judge, "gepa", seed))
    write_results(
        folder,
        "python -m benchmarks.prompts.run",
        table,
        checks_of(table),
        ["gepa", "dspy"],
        rivals=environment.versions(),
    )


def checks_of(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def of(kind: str, method: str = "gepa") -> list[dict[str, Any]]:
        return [row for row in table if row["kind"] == kind and row["method"] == method]

    def gain(some: list[dict[str, Any]]) -> float:
        return round(float(np.mean([row["true_after"] - row["true_before"] for row in some])), 3)

    own = gain(of("methods"))
    made = [check("true_gain", "mean gain in true quality, gepa", own, ">=", 0.1)]
    for method in (*METHODS[1:], *RIVALS):
        rest = gain(of("methods", method))
        name = method.replace(" ", "_")
        made.append(
            check(f"over_{name}", f"gepa's mean true gain above {method}'s", round(own - rest, 3), ">=", 0)
        )
    caught = [not row["confirmed"] for row in of("loophole")]
    # A gain that was not there is no gain to confirm: a false alarm is a true gain of .1 that is not confirmed.
    alarms = [not row["confirmed"] for row in of("clean") if row["true_after"] - row["true_before"] >= 0.1]
    made.append(
        check("caught", "share of loophole runs that are not confirmed", float(np.mean(caught)), ">=", 0.9)
    )
    made.append(
        check("false_alarms", "share of true gains that are not confirmed", float(np.mean(alarms)), "<=", 0.1)
    )
    return made


if __name__ == "__main__":
    main()
