"""The tutorial's optimizer, installed as a package of its own, passes the suite and is found by its name."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEST = """
import pytest

from judge_opt.align.named import make_optimizer
from judge_opt.testing.conformance import OptimizerConformance


def make(concurrency):
    return make_optimizer("try-sentences", {"concurrency": concurrency})


class TestTrySentences(OptimizerConformance):
    @pytest.fixture
    def optimizer(self):
        return make
"""
METADATA = "Metadata-Version: 2.1\nName: try-sentences\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def test_it_is_installed_found_and_conforms(tmp_path):
    page = (ROOT / "docs" / "optimizers.md").read_text(encoding="utf-8")
    (code,) = [
        c
        for c in re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
        if "class TrySentences" in c
    ]
    assert len(code.strip().splitlines()) < 40
    (points,) = re.findall(r"^```toml\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    group, point = re.findall(r'"(judge_opt\.\w+)"\]\n(.*) = ', points)[0]
    wheel = tmp_path / "try_sentences-1.0-py3-none-any.whl"
    info = "try_sentences-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("try_sentences.py", code)
        archive.writestr(f"{info}/METADATA", METADATA)
        archive.writestr(f"{info}/WHEEL", WHEEL)
        archive.writestr(f"{info}/entry_points.txt", f"[{group}]\n{point} = try_sentences:TrySentences\n")
        archive.writestr(f"{info}/RECORD", "")
    site = tmp_path / "site"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "-q",
        "--no-deps",
        "--no-index",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True, timeout=120)
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_theirs.py").write_text(TEST, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tests), str(tests)],
        env=env,
        cwd=tests,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\d\d passed", done.stdout)
    assert "failed" not in done.stdout
