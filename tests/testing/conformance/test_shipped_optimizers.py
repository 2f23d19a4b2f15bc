"""Every optimizer that ships passes the suite that ships."""

import pytest

from judge_opt.align.any_dspy import AnyDSPy
from judge_opt.align.calibrate import Calibrate
from judge_opt.align.chain import Chain
from judge_opt.align.noop import NoOp
from judge_opt.testing.conformance import OptimizerConformance

REFLECT = "openai:/sim-reflect"


def make_noop(concurrency):
    return NoOp()


def make_labeled(concurrency):
    return AnyDSPy("LabeledFewShot", {"k": 4}, concurrency=concurrency)


def make_bootstrap(concurrency):
    settings = {"num_candidate_programs": 2, "max_bootstrapped_demos": 2, "max_labeled_demos": 2}
    return AnyDSPy("BootstrapFewShotWithRandomSearch", settings, concurrency=concurrency)


def make_copro(concurrency):
    settings = {"breadth": 2, "depth": 1}
    return AnyDSPy("COPRO", settings, reflection_lm=REFLECT, concurrency=concurrency)


def make_chain(concurrency):
    return Chain(
        [AnyDSPy("LabeledFewShot", {"k": 2}, concurrency=concurrency), Calibrate(concurrency=concurrency)]
    )


class TestLabeledFewShot(OptimizerConformance):
    @pytest.fixture
    def optimizer(self):
        return make_labeled


class TestBootstrapFewShotWithRandomSearch(OptimizerConformance):
    @pytest.fixture
    def optimizer(self):
        return make_bootstrap


class TestCOPRO(OptimizerConformance):
    @pytest.fixture
    def optimizer(self):
        return make_copro


class TestChain(OptimizerConformance):
    @pytest.fixture
    def optimizer(self):
        return make_chain


def make_calibrate(concurrency):
    return Calibrate(concurrency=concurrency)


class TestCalibrate(OptimizerConformance):
    @pytest.fixture
    def optimizer(self):
        return make_calibrate


class TestNoOp(OptimizerConformance):
    @pytest.fixture
    def optimizer(self):
        return make_noop
