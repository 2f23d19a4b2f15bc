"""Every optimizer that ships passes the suite that ships."""

import pytest

from judge_opt.align.calibrate import Calibrate
from judge_opt.align.noop import NoOp
from judge_opt.testing.conformance import OptimizerConformance


def make_noop(concurrency):
    return NoOp()


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
