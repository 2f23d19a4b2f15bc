"""The documentation is true: its examples run, its configurations load, its help is current."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!http)([^)#]+)\)")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
SMALL = {
    "train=60, test=80": "train=16, test=12",
    # Guidelines and shown examples ask the local model for several times as much: not in a test.
    "MemAlign()": "MemAlign(guidelines=0, shots=0)",
}


def examples(page: Path) -> list[str]:
    return CODE.findall(page.read_text(encoding="utf-8"))


def run(code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JUDGE_OPT_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment.pop("JUDGE_OPT_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.local_model
def test_the_first_example_of_the_readme(tmp_path: Path) -> None:
    code = examples(ROOT / "README.md")[0]
    for written, small in SMALL.items():
        assert code.count(written) == 1, f"README.md no longer says {written}"
        code = code.replace(written, small)
    headline, verdict = run(code, tmp_path).splitlines()
    assert "12 held-out rows" in headline
    assert verdict in ("poor", "needs_improvement", "good", "excellent")


@pytest.mark.local_model
@pytest.mark.parametrize("page", [page for page in PAGES[1:] if examples(page)], ids=lambda page: page.stem)
def test_the_examples_of_a_page(page: Path, tmp_path: Path) -> None:
    for code in examples(page):
        run(code, tmp_path)


def test_the_readme_begins_with_an_example_of_at_most_fourteen_lines() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    before = text[: text.index("```python")]
    assert len(before.splitlines()) <= 5
    assert len(examples(ROOT / "README.md")[0].strip().splitlines()) <= 14


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_and_examples_parse(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
    for code in examples(page):
        ast.parse(code)


def test_the_help_in_the_documentation_is_current() -> None:
    script = ROOT / "docs" / "generate_cli.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_configurations_load_and_say_what_they_show(path: Path) -> None:
    from judge_opt.experiments.config import load_config
    from judge_opt.experiments.loop_config import load_loop

    config, _ = load_loop(path) if path.stem == "loop" else load_config(path)
    assert config.name == ("support-loop" if path.stem == "loop" else path.stem)
    assert "\n# Shows: " in path.read_text(encoding="utf-8")


def test_every_key_of_a_configuration_is_documented() -> None:
    from judge_opt.experiments.config import ExperimentConfig

    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for name, field in ExperimentConfig.model_fields.items():
        key = field.alias or name
        inner = getattr(field.annotation, "model_fields", {})
        if key == "judge" or not inner:
            assert f"`{key}`" in page or f"`{key}." in page, key
        for part in inner:
            assert f"`{key}.{part}`" in page, f"{key}.{part}"


def test_every_setting_of_memalign_is_documented() -> None:
    from dataclasses import fields

    from judge_opt import MemAlign

    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    for field in fields(MemAlign):
        assert f"`{field.name}`" in page, field.name
