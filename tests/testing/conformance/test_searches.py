"""SIMBA and GEPA keep what every optimizer must keep."""

import pytest

from judge_opt.align.gepa import GEPA
from judge_opt.align.simba import SIMBA
from judge_opt.testing.conformance import OptimizerConformance

REFLECT = "openai:/sim-reflect"


def simba(concurrency):
    return SIMBA(reflection_lm=REFLECT, max_calls=80, concurrency=concurrency)


def gepa(concurrency):
    return GEPA(reflection_lm=REFLECT, max_calls=80, concurrency=concurrency)


class TestSIMBA(OptimizerConformance):
    @pytest.fixture
    def optimizer(self):
        return simba


class TestGEPA(OptimizerConformance):
    @pytest.fixture
    def optimizer(self):
        return gepa
