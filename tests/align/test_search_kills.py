"""Searches that are killed at random moments; the long loop is `python -m benchmarks.search_kills.run`."""

import pytest

from judge_opt.align.gepa import GEPA
from judge_opt.align.simba import SIMBA
from judge_opt.testing.conformance.killing import kill_loop
from judge_opt.testing.lab import LabServer, Parameters


def simba(concurrency):
    return SIMBA(reflection_lm="openai:/sim-reflect", max_calls=80, concurrency=concurrency)


def gepa(concurrency):
    return GEPA(reflection_lm="openai:/sim-reflect", max_calls=80, concurrency=concurrency)


@pytest.mark.parametrize("make", [simba, gepa])
def test_killed_again_and_again_it_ends_in_the_same_judge_and_books_every_call_once(make, tmp_path):
    with LabServer(Parameters(latency=0.02)) as lab:
        found = kill_loop(make, lab, tmp_path, kills=3, seed=1)
    assert found.kills == 3
    assert found.same == found.alignments
    assert not any(found.unaccounted)
