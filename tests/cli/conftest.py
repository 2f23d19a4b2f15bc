"""Shared by the tests of the command line: a process to run, a model server, a project folder."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cli_helpers import LABELS, Ended, Run, environment, row, write_rows

from judge_opt.testing.fault_server import FaultServer


@pytest.fixture
def judge_opt(tmp_path: Path) -> Run:
    """`judge_opt("align", "x.yaml")`, run in an empty folder."""

    def run(*arguments: str, **env: str) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "judge_opt", *arguments],
            cwd=tmp_path,
            env=environment(**env),
            capture_output=True,
            text=True,
            timeout=240,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Calls a reply good exactly where it says please."""

    def answer(body: dict[str, Any]) -> str:
        item = body["messages"][-1]["content"]
        return json.dumps({"verdict": "good" if "please" in item else "bad"})

    with FaultServer(answer=answer) as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, server: FaultServer) -> Callable[..., str]:
    """Writes rows.jsonl and a configuration that asks the server; returns the configuration's name."""

    def make(rows: list[dict[str, Any]] | None = None, **changes: Any) -> str:
        write_rows(tmp_path / "rows.jsonl", [row(i) for i in range(60)] if rows is None else rows)
        config: dict[str, Any] = {
            "name": "tone",
            "data": {"path": "rows.jsonl"},
            "judge": {
                "name": "tone",
                "model": "openai:/any",
                "base_url": server.base_url,
                "instructions": "Is {{ outputs.reply }} polite?",
                "values": {"categories": list(LABELS)},
                "generate_rationale_first": False,
            },
            "optimizer": {"name": "noop"},
            "split": {"train": 20, "test": 20},
        }
        for dotted, value in changes.items():
            place = config
            *outer, last = dotted.split("__")
            for key in outer:
                place = place.setdefault(key, {})
            place[last] = value
        (tmp_path / "tone.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        return "tone.yaml"

    return make
