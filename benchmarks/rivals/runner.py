"""Our side: a rival's process, and tasks made of rows.

    with Rival() as rival:
        result = rival.run(task("mlflow.memalign", server.base_url, train, held_out, ...))

One process does one task at a time; start several for several cores. Results are plain JSON.
"""

import json
import os
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.rivals.environment import python
from judge_opt.core.results import Value
from judge_opt.core.values import ValueType
from judge_opt.labels.examples import LabelledExample

Result = dict[str, Any]


class Rival:
    """A process with the rivals in it; a context manager.

    Args:
        folder: of the environment; default as in `environment`.
        log: file for what the rivals print; default: thrown away.

    Attributes:
        arms: the names that a task can have.
    """

    def __init__(self, folder: Path | None = None, log: Path | None = None) -> None:
        self._folder, self._log = folder, log

    def __enter__(self) -> "Rival":
        # Nothing of our environment: our packages are not theirs.
        kept = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")
        self._errors = self._log.open("ab") if self._log else subprocess.DEVNULL
        self._child = subprocess.Popen(
            [python(self._folder), Path(__file__).with_name("child.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={name: os.environ[name] for name in kept if name in os.environ} | {"PYTHONHASHSEED": "0"},
        )
        self.arms: tuple[str, ...] = tuple(self._read()["arms"])
        return self

    def run(self, task: dict[str, Any]) -> Result:
        """Do one task; see `child` for what comes back."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(task).encode() + b"\n")
        self._child.stdin.flush()
        return self._read()

    def _read(self) -> Result:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"the rivals' process ended with {self._child.wait()}; give a log and read it")
        found: Result = json.loads(line)
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child.stdin is not None
        if kind is not None:
            self._child.kill()
        self._child.stdin.close()
        self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        if self._errors is not subprocess.DEVNULL:
            self._errors.close()


def task(
    arm: str,
    server: str,
    value_type: ValueType,
    instructions: str,
    train: Sequence[LabelledExample],
    held_out: Sequence[LabelledExample],
    *,
    seed: int = 0,
    threads: int = 8,
    judge: str = "sim-judge",
    reflection: str = "sim-reflect",
    embedder: str = "sim-embed",
    limit_s: int = 3600,
) -> dict[str, Any]:
    """A task for `Rival.run`. Rows have the fields `inputs` and `outputs`; those without a majority label are
    left out of the training rows. No label of a held-out row is in it."""

    def text(value: Value) -> str:
        return value_type.text_of(value)

    rows = [
        {
            "id": row.id,
            "inputs": row.fields["inputs"],
            "outputs": row.fields["outputs"],
            "label": text(row.gold),
            "rationale": row.rationale,
            "votes": [
                {"rater": v.rater, "label": text(v.value), "rationale": v.rationale} for v in row.votes
            ],
        }
        for row in train
        if row.gold is not None
    ]
    return {
        "arm": arm,
        "server": server,
        "key": f"{arm}-{uuid.uuid4().hex[:12]}",
        "seed": seed,
        "threads": threads,
        "judge": judge,
        "reflection": reflection,
        "embedder": embedder,
        "instructions": instructions,
        "labels": [text(value) for value in value_type.choices()],
        "train": rows,
        "held_out": [
            {"id": row.id, "inputs": row.fields["inputs"], "outputs": row.fields["outputs"]}
            for row in held_out
        ],
        "limit_s": limit_s,
    }


def values(result: Result, value_type: ValueType) -> list[Value | None]:
    """The verdicts as values; None where there was none, or one that is no label."""
    labels = {value_type.text_of(value).lower(): value for value in value_type.choices()}
    return [None if said is None else labels.get(said.strip().lower()) for said in result["verdicts"]]


def spent(result: Result) -> dict[str, int]:
    """Calls and tokens of a result, all models and phases together; embedding calls apart."""
    found = {"calls": 0, "tokens": 0, "embedding_calls": 0}
    for phase in result["calls"].values():
        for model, count in (phase or {}).items():
            found["embedding_calls" if "embed" in model else "calls"] += count["calls"]
            found["tokens"] += count["prompt_tokens"] + count["completion_tokens"]
    return found
