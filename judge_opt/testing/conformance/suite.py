"""The tests. Each says in its name what an optimizer must keep; `bench` holds what they run on."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from judge_opt.align.contract import AlignmentResult, Event, estimate_calls
from judge_opt.align.lineage import judge_hash
from judge_opt.core.errors import BudgetExceeded, DataError, JudgeOptError
from judge_opt.core.results import Scored
from judge_opt.judges.stored import dump_judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.llm.budget import Budget
from judge_opt.memory.episodic import Episode, EpisodicMemory
from judge_opt.memory.memory import Memory
from judge_opt.testing.conformance.bench import (
    Make,
    answering,
    changed_text,
    choosing,
    failing_share,
    fingerprint,
    home,
    judge_at,
    judged_row,
    perfect,
    sent,
    training,
    unseen,
)
from judge_opt.testing.fault_server import Reply
from judge_opt.testing.lab.server import LabServer

Align = Callable[..., AlignmentResult]
HOSTILE = ["{{ x }} {{ outputs }} {{{ %s {y} {% if %}", "\U0001f469‍⚕️ \u202e\u2066 é é \r\n", "\ud800 \x00"]
KILLS = [("llm.before_call", 0.1), ("llm.reply_received", 0.5), ("llm.committed", 0.9)]


class OptimizerConformance:
    """Subclass it and give the fixture `optimizer`: a function of the concurrency that makes an optimizer,
    defined at the level of a module."""

    # -- what the tests share ------------------------------------------------------------------------------

    @pytest.fixture
    def optimizer(self) -> Make:
        """To be overridden."""
        raise NotImplementedError("Give the fixture `optimizer`.")

    @pytest.fixture(scope="class")
    @classmethod
    def lab(cls) -> Iterator[LabServer]:
        """The lab's server, one for the class: a judge's address is part of what it is."""
        server = LabServer()
        with server:
            yield server

    @pytest.fixture
    def align(self, optimizer: Make, lab: LabServer, tmp_path: Path) -> Align:
        """Align on the suite's rows; keywords replace what is usual."""
        lab.forget()

        def run(
            name: str = "home", rows: Any = None, judge: Any = None, concurrency: int = 4, **options: Any
        ) -> AlignmentResult:
            with home(tmp_path / name):
                result = optimizer(concurrency).align(
                    judge or judge_at(lab.base_url),
                    training() if rows is None else rows,
                    **{"valid": choosing(), "seed": 0, **options},
                )
            assert isinstance(result, AlignmentResult)
            return result

        return run

    @pytest.fixture(scope="class")
    @classmethod
    def usual(cls) -> dict[str, Any]:
        """What an undisturbed alignment found, once it was made."""
        return {}

    @pytest.fixture
    def undisturbed(self, usual: dict[str, Any], align: Align, lab: LabServer) -> dict[str, Any]:
        """The fingerprint of an undisturbed alignment, and how many requests it sent."""
        if not usual:
            result = align("undisturbed", concurrency=1)
            usual.update(found=fingerprint(result), sent=sent(lab), calls=result.calls, result=result)
            usual["completions"] = lab.completions
            lab.forget()
        return usual

    # -- the result ----------------------------------------------------------------------------------------

    def test_the_result_tells_what_was_done_and_what_it_cost(self, undisturbed: dict[str, Any]) -> None:
        result: AlignmentResult = undisturbed["result"]
        assert result.optimizer
        assert 0.0 <= result.coverage <= 1.0
        assert result.calls == undisturbed["completions"]
        assert result.lineage is not None
        assert result.lineage.seed == 0
        assert result.lineage.data_hash != result.lineage.split_hash
        assert json.dumps(result.lineage.to_json())
        names = [candidate.name for candidate in result.candidates]
        assert len(set(names)) == len(names)
        assert all(c.score is None or (c.rows > 0 and np.isfinite(c.score)) for c in result.candidates)
        if result.calls:
            assert sum(candidate.chosen for candidate in result.candidates) == 1

    def test_the_aligned_judge_judges(
        self, undisturbed: dict[str, Any], lab: LabServer, tmp_path: Path
    ) -> None:
        judge = undisturbed["result"].judge
        with home(tmp_path / "later"):
            said = judge.batch([row.fields for row in unseen()])
        assert sum(isinstance(feedback.result, Scored) for feedback in said) >= 10

    def test_calls_stay_within_the_estimate(
        self, optimizer: Make, undisturbed: dict[str, Any], align: Align
    ) -> None:
        fewest, most = estimate_calls(optimizer(4), len(training()))
        if most:
            calls = align("no-valid", valid=None).calls
            assert fewest <= calls <= most

    # -- the same again ------------------------------------------------------------------------------------

    def test_the_same_at_any_concurrency_whatever_the_process_drew_before(
        self, undisturbed: dict[str, Any], align: Align
    ) -> None:
        random.seed(12345)
        np.random.seed(54321)
        assert fingerprint(align(concurrency=8)) == undisturbed["found"]

    def test_the_order_of_the_rows_does_not_matter(self, undisturbed: dict[str, Any], align: Align) -> None:
        turned = align(rows=training()[::-1], valid=choosing()[::-1])
        assert fingerprint(turned) == undisturbed["found"]

    def test_the_same_again_buys_nothing(
        self, undisturbed: dict[str, Any], align: Align, lab: LabServer
    ) -> None:
        assert fingerprint(align("undisturbed-again")) == undisturbed["found"]
        bought = sent(lab)
        assert fingerprint(align("undisturbed-again")) == undisturbed["found"]
        assert sent(lab) == bought

    def test_its_arguments_are_not_changed(self, optimizer: Make, lab: LabServer, tmp_path: Path) -> None:
        judge, rows, valid = judge_at(lab.base_url), training(), choosing()
        made = optimizer(4)
        before = (judge_hash(judge), [r.digest for r in [*rows, *valid]], repr(made))
        with home(tmp_path):
            made.align(judge, rows, valid=valid, seed=0)
        assert (judge_hash(judge), [r.digest for r in [*rows, *valid]], repr(made)) == before

    # -- stops ---------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("share", [0.05, 0.7])
    def test_the_budget_is_a_hard_stop_and_a_larger_one_goes_on(
        self, share: float, undisturbed: dict[str, Any], align: Align, lab: LabServer
    ) -> None:
        if not undisturbed["sent"]:
            pytest.skip("it asks nothing")
        limit = max(1, int(undisturbed["sent"] * share))
        try:
            part = align(budget=Budget(calls=limit))
            assert part.stopped == "budget" or part.calls <= limit
        except BudgetExceeded:
            pass
        assert sent(lab) <= limit
        assert fingerprint(align(budget=Budget(calls=10_000_000)))["judge"] == undisturbed["found"]["judge"]
        assert fingerprint(align()) == undisturbed["found"]

    @pytest.mark.parametrize(("point", "share"), KILLS)
    def test_a_killed_alignment_goes_on_to_the_same_result(
        self,
        point: str,
        share: float,
        optimizer: Make,
        undisturbed: dict[str, Any],
        align: Align,
        lab: LabServer,
        tmp_path: Path,
    ) -> None:
        total = undisturbed["completions"] if point == "llm.committed" else undisturbed["sent"]
        if not total:
            pytest.skip("it asks nothing")
        killed = _child(optimizer, lab, tmp_path / "home", f"{point}:{max(1, int(total * share))}")
        assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
        lab.settle()
        resumed = align()
        assert fingerprint(resumed) == undisturbed["found"]
        lost = sent(lab) - undisturbed["sent"]
        assert 0 <= lost <= 4, f"{lost} requests were bought twice, and 4 were in flight at most"

    def test_ctrl_c_ends_what_is_in_flight_and_can_be_gone_on_from(
        self, undisturbed: dict[str, Any], align: Align, lab: LabServer
    ) -> None:
        if undisturbed["completions"] < 2:
            pytest.skip("it asks nothing")
        after = max(1, undisturbed["completions"] // 2)

        def press(body: dict[str, Any]) -> None:
            if lab.completions == after:
                os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(KeyboardInterrupt), answering(lab, press):
            align()
        assert lab.completions <= after + 4
        assert fingerprint(align()) == undisturbed["found"]
        assert sent(lab) <= undisturbed["sent"] + 4

    def test_progress_is_told(self, undisturbed: dict[str, Any], align: Align) -> None:
        events: list[Event] = []
        result = align(callbacks=[events.append])
        assert events
        assert all(event.phase and 0 <= event.done <= event.total for event in events)
        assert max(event.calls for event in events) <= result.calls
        if result.calls:
            assert max(event.calls for event in events) >= result.calls // 2

    # -- failures ------------------------------------------------------------------------------------------

    def test_rows_that_fail_change_no_score(self, align: Align, lab: LabServer) -> None:
        rows, valid = training(), choosing()
        failing = [row.id for row in [*rows, *valid][::3]]
        with answering(lab, perfect([*rows, *valid, *unseen()], failing)):
            result = align(rows=rows, valid=valid)
        if not result.calls:
            pytest.skip("it asks nothing")
        assert not result.changed, "nothing agrees better than a judge that is never wrong"
        assert result.coverage < 1.0
        scores = [c for c in result.candidates if c.name == "untouched" and c.score is not None]
        assert scores, "there is a candidate 'untouched' with a score"
        assert scores[0].score in (1.0, 0.0), "the best by kappa is 1, by a loss 0: failures are no verdicts"
        assert scores[0].rows <= len(rows) + len(valid) - len(failing)

    def test_a_change_that_breaks_the_judge_is_not_made(
        self, align: Align, lab: LabServer, tmp_path: Path
    ) -> None:
        rows = [*training(), *choosing(), *unseen()]
        judge = judge_at(lab.base_url)
        with home(tmp_path / "probe"):
            judge(**rows[0].fields)
        plain = _around(lab.requests[-1].body, rows[0])

        def breaks(body: dict[str, Any]) -> Reply | None:
            row = judged_row(body, rows)
            around = [] if row is None else _around(body, row)
            asked_as_before = around[: len(plain)] == plain and (len(around) == len(plain) or _repairs(body))
            return None if row is None or asked_as_before else Reply(text="?")

        with answering(lab, breaks):
            result = align(judge=judge)
            with home(tmp_path / "later"):
                said = result.judge.batch([row.fields for row in unseen()])
        assert sum(isinstance(feedback.result, Scored) for feedback in said) >= 10

    def test_where_every_row_fails_it_says_so_soon(self, align: Align, lab: LabServer) -> None:
        everything = [row.id for row in [*training(), *choosing()]]
        judge = judge_at(lab.base_url)
        with answering(lab, failing_share([*training(), *choosing()], everything)):
            try:
                result = align(judge=judge)
                assert result.judge is judge
                assert not result.changed
                assert not result.calls, "a judge that never judges is an error, not a result"
            except JudgeOptError:
                pass
        assert lab.completions <= 2 * 2 * len(everything)

    @pytest.mark.parametrize("status", [401, 500])
    def test_where_the_endpoint_is_broken_it_says_so_soon(
        self, status: int, undisturbed: dict[str, Any], align: Align, lab: LabServer
    ) -> None:
        if not undisturbed["sent"]:
            pytest.skip("it asks nothing")
        with answering(lab, lambda body: Reply(status=status)), pytest.raises(JudgeOptError):
            align()
        assert lab.completions <= 2 * 2 * len([*training(), *choosing()])

    # -- data ----------------------------------------------------------------------------------------------

    def test_one_class_only_costs_no_call(self, align: Align, lab: LabServer) -> None:
        rows = [row for row in training(60) if row.gold == "pass"]
        self._refused_or_untouched(align, lab, rows)

    @pytest.mark.parametrize("n", [0, 1, 5])
    def test_too_few_labels_cost_no_call(self, n: int, align: Align, lab: LabServer) -> None:
        self._refused_or_untouched(align, lab, training()[:n])

    def test_fewer_labels_than_a_batch(self, align: Align) -> None:
        result = align(rows=training(10), valid=None)
        assert result.judge.name == "lab"

    def test_an_unknown_label_is_named_before_a_call_is_bought(self, align: Align, lab: LabServer) -> None:
        rows = training()
        rows[3] = replace(rows[3], votes=(Vote("ann", "MAYBE"),))
        with pytest.raises(DataError, match=rows[3].id):
            align(rows=rows)
        assert sent(lab) == 0

    @pytest.mark.parametrize("text", HOSTILE, ids=["braces", "unicode", "surrogate"])
    def test_any_text_is_data(self, text: str, align: Align, tmp_path: Path) -> None:
        result = align(rows=changed_text(training(), text), valid=changed_text(choosing(), text))
        with home(tmp_path / "later"):
            said = result.judge.batch([row.fields for row in changed_text(unseen(), text)])
        assert sum(isinstance(feedback.result, Scored) for feedback in said) >= 10
        assert dump_judge(result.judge)

    def test_a_judge_with_a_memory_keeps_one(self, align: Align, lab: LabServer, tmp_path: Path) -> None:
        judge = judge_at(lab.base_url)
        episodes = [
            Episode(row.id, row.group, dict(row.fields), row.gold, {"pass": 1}, row.rationale)
            for row in unseen(8)
            if row.gold is not None
        ]
        with home(tmp_path / "memory") as session:
            embedder = session.embedder("openai:/sim-embed", lab.base_url)
            weights = {variable.name: 1.0 for variable in judge.template.variables}
            empty = Memory(
                judge.value_type,
                "openai:/sim-embed",
                weights,
                EpisodicMemory([], np.zeros((0, 1), np.float32), embedder.name),
                base_url=lab.base_url,
            )
            vectors = empty.item_embedder(embedder).embed([episode.parts for episode in episodes])
        memory = replace(empty, episodic=EpisodicMemory(episodes, vectors, embedder.name), shots=1)
        result = align(judge=judge.with_memory(memory))
        assert result.judge.memory is not None

    def test_nothing_is_learned_from_the_rows_to_choose_by(self, align: Align, lab: LabServer) -> None:
        secret = "zxcanaryqv"  # noqa: S105 - a word to look for
        valid = [
            replace(
                row,
                fields={**row.fields, "outputs": f"{row.fields['outputs']} {secret}item"},
                votes=tuple(Vote(v.rater, v.value, f"{secret}reason", v.assessment_id) for v in row.votes),
            )
            for row in choosing()
        ]
        result = align(valid=valid)
        state, blobs = dump_judge(result.judge)
        assert secret not in json.dumps(state)
        assert not any(secret.encode() in blob for blob in blobs.values())
        for record in lab.requests:
            written = json.dumps(record.body or {})
            assert f"{secret}reason" not in written
            if f"{secret}item" in written and "messages" in record.body:
                assert judged_row(record.body, valid) is not None, "only to be judged is such a row sent"

    def _refused_or_untouched(self, align: Align, lab: LabServer, rows: list[LabelledExample]) -> None:
        with contextlib.suppress(DataError):
            assert not align(rows=rows, valid=None).changed
        assert sent(lab) == 0


def _around(body: dict[str, Any], row: LabelledExample) -> list[Any]:
    """What a request says besides the item."""
    return [m for m in body["messages"] if row.fields["outputs"] not in str(m["content"])]


def _repairs(body: dict[str, Any]) -> bool:
    """A second question about a reply that held no verdict: the item is not the last thing said."""
    return bool(body["messages"][-2]["role"] == "assistant")


def _child(make: Make, lab: LabServer, folder: Path, kill_at: str) -> "subprocess.CompletedProcess[str]":
    """Align in a child process that ends at the named point."""
    if "<" in make.__qualname__:
        raise TypeError(
            "The fixture `optimizer` returns a function that is defined at the level of a module."
        )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    env = {**os.environ, "PYTHONPATH": path, "JUDGE_OPT_KILL_AT": kill_at}
    made_by = f"{make.__module__}:{make.__qualname__}"
    args = ["-m", "judge_opt.testing.conformance.child", made_by, str(folder), lab.base_url]
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, *args], env=env, capture_output=True, text=True, timeout=240, check=False
    )
