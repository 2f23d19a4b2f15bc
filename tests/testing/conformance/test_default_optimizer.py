"""The default optimizer passes the suite that ships."""

import pytest

from judge_opt.align.memalign import MemAlign
from judge_opt.testing.conformance import OptimizerConformance


def make_memalign(concurrency):
    return MemAlign(
        reflection_lm="openai:/sim-reflect",
        embedder="openai:/sim-embed",
        concurrency=concurrency,
        first_rows=6,
    )


class TestMemAlign(OptimizerConformance):
    @pytest.fixture
    def optimizer(self):
        return make_memalign
