"""What every optimizer runs in: its own budget and ledger, progress, a clean stop; optimizers by name."""

import alignment_world as world
import pytest

from judge_opt.align.contract import Interrupted
from judge_opt.align.named import make_optimizer, optimizer_names
from judge_opt.align.noop import NoOp
from judge_opt.align.running import alignment
from judge_opt.core.errors import BudgetExceeded, ConfigError
from judge_opt.llm.budget import Budget


class Once:
    """Judges its rows once."""

    name = "once"

    def align(self, judge, train, *, valid=None, budget=None, seed=0, callbacks=()):
        with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
            rows = run.rows()
            run.judge(judge, rows, "judge", 4)
            return run.result(judge)


def test_the_ledger_is_this_alignments_own_and_the_runs(server, in_session):
    session = in_session(run_id="run")
    judge = world.judge(server)
    judge(outputs="before")
    result = Once().align(judge, world.rows(20))
    assert result.calls == 20 == server.completions - 1
    assert sum(line.calls for line in session.ledger()) == 21
    again = Once().align(judge, world.rows(20))
    assert again.calls == 20
    assert sum(line.hits for line in again.ledger) == 20
    assert again.lineage == result.lineage
    other = Once().align(judge, world.rows(20), seed=1)
    assert other.calls == 0
    assert other.lineage.seed == 1
    assert other.lineage.data_hash == result.lineage.data_hash


def test_both_budgets_hold(server, in_session):
    whole = Budget(calls=15)
    in_session(budget=whole)
    with pytest.raises(BudgetExceeded):
        Once().align(world.judge(server), world.rows(20), budget=Budget(calls=100))
    assert server.completions == 15 == whole.used.calls
    own = Budget(calls=5)
    with pytest.raises(BudgetExceeded):
        Once().align(world.judge(server), world.rows(40), budget=own)
    assert server.completions == 15


def test_a_stopped_alignment_goes_on_with_what_is_left_of_its_budget(server, in_session):
    in_session()
    judge, rows = world.judge(server), world.rows(20)
    with pytest.raises(BudgetExceeded):
        Once().align(judge, rows, budget=Budget(calls=12))
    assert server.completions == 12
    with pytest.raises(BudgetExceeded):
        Once().align(judge, rows, budget=Budget(calls=12))
    assert server.completions == 12
    assert Once().align(judge, rows, budget=Budget(calls=20)).calls == 20


def test_one_budget_of_two_alignments_counts_each_call_once(server, in_session):
    in_session()
    budget = Budget(calls=100)
    Once().align(world.judge(server), world.rows(20), budget=budget)
    Once().align(world.judge(server), world.rows(20), budget=budget)
    Once().align(world.judge(server), world.rows(20, seed=1), budget=budget)
    assert budget.used.calls == 40


def test_progress_tells_what_was_bought(server, in_session):
    in_session()
    events = []
    Once().align(world.judge(server), world.rows(20), callbacks=[events.append])
    assert [e.done for e in sorted(events, key=lambda e: e.done)] == list(range(1, 21))
    assert max(e.calls for e in events) == 20
    assert max(e.tokens for e in events) > 0


def test_planning_counts_what_was_asked_and_not_what_was_bought(server, in_session):
    in_session()
    judge, rows = world.judge(server), world.rows(20)
    for _ in range(2):
        with alignment(Once(), judge, rows, None, Budget(calls=30)) as run:
            run.judge(judge, rows, "judge")
            assert run.spent.asked == 20
            assert run.left() == 10
            assert run.affords(10)
            assert not run.affords(11)
    assert server.completions == 20


def test_ctrl_c_carries_the_best_so_far(server, in_session):
    in_session()
    judge, rows = world.judge(server), world.rows(20)

    def stop(run):
        run.judge(judge, rows, "judge")
        run.keep(run.result(judge))
        raise KeyboardInterrupt

    message = "20 calls of this alignment are bought"
    with pytest.raises(Interrupted, match=message) as stopped, alignment(Once(), judge, rows) as run:
        stop(run)
    assert stopped.value.so_far.judge is judge
    assert isinstance(stopped.value, KeyboardInterrupt)


def test_noop_is_free(server, in_session):
    in_session()
    judge = world.judge(server)
    result = NoOp().align(judge, [])
    assert result.judge is judge
    assert not result.changed
    assert server.completions == 0


def test_optimizers_by_name(monkeypatch):
    assert make_optimizer("memalign", {"shots": 0}).shots == 0
    assert "noop" in optimizer_names()
    with pytest.raises(ConfigError, match=r"no setting 'shot'.*shots"):
        make_optimizer("memalign", {"shot": 0})
    with pytest.raises(ConfigError, match=r"No optimizer is called 'memaling'.*memalign"):
        make_optimizer("memaling")
    with pytest.raises(ConfigError, match="no optimizer: it has no align"):
        make_optimizer("judge_opt.align.objective:Metric", {"name": "x", "pooled": None, "row": None})
    with pytest.raises(ConfigError, match="would import the package 'tempfile'"):
        make_optimizer("tempfile:TemporaryDirectory")
    monkeypatch.setenv("JUDGE_OPT_TRUSTED_PACKAGES", "fractions, tempfile")
    with pytest.raises(ConfigError, match="no optimizer"):
        make_optimizer("tempfile:TemporaryDirectory")
