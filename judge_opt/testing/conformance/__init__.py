"""What every alignment optimizer must keep, as one pytest class with one fixture.

    from judge_opt.testing.conformance import OptimizerConformance

    def make(concurrency):                      # at module level: child processes import it
        return MyOptimizer(concurrency=concurrency)

    class TestMyOptimizer(OptimizerConformance):
        @pytest.fixture
        def optimizer(self):
            return make

It runs against the simulated lab on loopback, makes a few dozen alignments of 24 rows and takes well under a
minute on an idle machine for an optimizer that asks each row a few times.
"""

from judge_opt.testing.conformance.suite import OptimizerConformance

__all__ = ["OptimizerConformance"]
