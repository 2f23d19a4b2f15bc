"""`evaluate` against a real server: what it buys, keeps, records and returns."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from evaluation_world import failing, polite, result_files, rows, say

from judge_opt.core.errors import Conflict, CredentialsError, JudgeOptError, UsageError
from judge_opt.core.results import Scored, Unscored
from judge_opt.core.values import categories, ordered, scale
from judge_opt.evaluation import EvaluationEvent, evaluate, list_evaluations, load_evaluation
from judge_opt.llm.budget import Budget
from judge_opt.llm.session import Session, current_session, use_session
from judge_opt.testing.fault_server import FaultServer, Reply
from judge_opt.traces import Store
from judge_opt.traces.default_store import use_store
from judge_opt.traces.tracing import trace


def length(outputs: dict[str, str]) -> int:
    return len(outputs["reply"])


def test_every_row_is_judged_once_and_measured(server: FaultServer, session: Session) -> None:
    result = evaluate(data=rows(20), scorers=[polite(server)])
    assert server.completions == 20
    assert result.status == "complete"
    assert result.metrics == {"polite/mean": 0.5, "polite/coverage": 1.0}
    table = result.tables["eval_results"]
    assert list(table["id"]) == [f"r{number:04d}" for number in range(20)]
    assert list(table["polite/value"]) == [bool(number % 2) for number in range(20)]
    assert set(table["state"]) == {"OK"}
    assert result.costs.total.calls == 20
    assert result.costs.total.prompt_tokens == 200
    assert result.costs.judges["polite"].latency is not None


def test_the_same_call_again_is_the_same_run_and_buys_nothing(server: FaultServer, session: Session) -> None:
    first = evaluate(rows(12), polite(server))
    files = result_files(first.folder)
    again = evaluate(rows(12), polite(server))
    assert server.completions == 12
    assert again.run_id == first.run_id
    assert result_files(again.folder) == files
    assert again.costs.total.calls == 12
    assert list_evaluations() == [first.run_id]


@pytest.mark.parametrize("concurrency", [1, 3, 32])
def test_the_same_bytes_at_any_concurrency(server: FaultServer, tmp_path: Path, concurrency: int) -> None:
    server.answer = failing("order 3?", "order 11 ")
    judges = [polite(server), polite(server, "kind", instructions="Kind? {{ outputs }}"), length]
    found = []
    for number, many in enumerate((1, concurrency)):
        with Session(tmp_path / str(number)) as made, use_session(made):
            result = evaluate(rows(30, session=3), judges, run_id="x", concurrency=many)
            found.append(result_files(result.folder))
    assert found[0] == found[1]


def test_several_judges_judge_a_row_at_the_same_time(server: FaultServer, session: Session) -> None:
    together = threading.Barrier(2, timeout=20)

    def a(outputs: Any) -> bool:
        together.wait()
        return True

    def b(outputs: Any) -> bool:
        together.wait()
        return False

    result = evaluate(rows(1), [a, b], concurrency=2)
    assert result.metrics["a/mean"] == 1.0
    assert result.metrics["b/mean"] == 0.0


def test_unscored_rows_enter_no_figure_but_coverage(server: FaultServer, session: Session) -> None:
    server.answer = failing("Order 1 ", "Order 3 ", "Order 5 ")
    result = evaluate([*rows(8), {"id": "bare", "inputs": "only"}], polite(server))
    assert result.metrics["polite/coverage"] == pytest.approx(5 / 9)
    assert result.metrics["polite/mean"] == pytest.approx(1 / 5)
    unscored = result.judge_metrics["polite"].unscored
    assert unscored["missing_input"] == 1
    assert sum(unscored.values()) == 4
    states = dict(zip(result.result_df["id"], result.result_df["state"], strict=True))
    assert states["r0001"] == "ERROR"
    assert states["r0002"] == "OK"


def test_a_row_that_could_not_be_called_is_called_again_next_time(
    server: FaultServer, session: Session
) -> None:
    broken = True

    def answer(body: dict[str, Any]) -> str | Reply:
        failed = broken and "Order 2 " in body["messages"][-1]["content"]
        return Reply(status=500) if failed else say(body)

    server.answer = answer
    first = evaluate(rows(6), polite(server))
    assert first.judge_metrics["polite"].unscored == {"call_failed": 1}
    assert first.status == "complete"
    broken = False
    before = server.completions
    second = evaluate(rows(6), polite(server))
    assert server.completions == before + 1
    assert second.metrics["polite/coverage"] == 1.0


def test_a_key_that_is_refused_ends_the_run_after_few_calls(server: FaultServer, session: Session) -> None:
    server.answer = lambda body: Reply(status=401)
    with pytest.raises(CredentialsError) as caught:
        evaluate(rows(200), polite(server), run_id="refused", concurrency=4)
    assert server.completions <= 8
    assert "run_id='refused'" in caught.value.__notes__[0]
    server.answer = say
    with Session(session.home) as fresh, use_session(fresh):
        result = evaluate(rows(200), polite(server), run_id="refused")
    assert result.metrics["polite/coverage"] == 1.0


def test_an_endpoint_that_always_fails_ends_the_run_after_a_bounded_number(
    server: FaultServer, session: Session
) -> None:
    server.answer = lambda body: Reply(status=500)
    with pytest.raises(JudgeOptError):
        evaluate(rows(300), polite(server), concurrency=4)
    assert server.completions < 100


def test_a_budget_is_a_hard_stop_with_a_partial_result(server: FaultServer, session: Session) -> None:
    result = evaluate(rows(30), polite(server), run_id="b", budget=Budget(calls=10), concurrency=4)
    assert server.completions == 10
    assert result.status == "stopped"
    assert result.why_stopped is not None
    assert "10 calls" in result.why_stopped
    assert result.judge_metrics["polite"].unscored == {"cancelled": 20}
    assert result.metrics["polite/coverage"] == pytest.approx(1 / 3)
    spent = evaluate(rows(30), polite(server), run_id="b", budget=Budget(calls=10))
    assert (server.completions, spent.status) == (10, "stopped")
    whole = evaluate(rows(30), polite(server), run_id="b", budget=Budget(calls=30))
    assert (server.completions, whole.status) == (30, "complete")
    assert whole.metrics == {"polite/mean": 0.5, "polite/coverage": 1.0}


def test_the_budget_of_the_current_session_holds(server: FaultServer, home: Path) -> None:
    with Session(home, run_id="outer", budget=Budget(calls=5)) as made, use_session(made):
        assert evaluate(rows(30), polite(server), concurrency=2).status == "stopped"
    assert server.completions == 5


def test_a_run_id_that_is_taken_is_refused(server: FaultServer, session: Session) -> None:
    evaluate(rows(3), polite(server), run_id="mine")
    with pytest.raises(Conflict, match="other rows"):
        evaluate(rows(4), polite(server), run_id="mine")
    with pytest.raises(Conflict, match="other judges"):
        evaluate(rows(3), polite(server, instructions="{{ outputs }}?"), run_id="mine")
    with pytest.raises(UsageError, match="cannot name"):
        evaluate(rows(3), polite(server), run_id="../mine")
    assert server.completions == 3


def test_mistakes_are_found_before_anything_is_bought(server: FaultServer, session: Session) -> None:
    judge = polite(server)
    cases: list[tuple[str, dict[str, Any]]] = [
        ("two names for one thing", {"judges": judge, "scorers": judge}),
        ("no judge", {"judges": None}),
        ("Two judges", {"judges": [judge, judge]}),
        ("no criterion", {"judges": judge, "criteria": "polite is good"}),
        ("Did you mean 'polite'", {"judges": judge, "criteria": "polit >= 1"}),
        ("no judge here", {"judges": judge, "labels": {"tone": "x"}}),
        ("No row has a label", {"judges": judge, "labels": {"polite": "x"}}),
        ("cannot be called with the inputs", {"judges": judge, "predict_fn": lambda wrong: wrong}),
        ("takes 'answer'", {"judges": lambda answer: True}),
    ]
    for message, arguments in cases:
        with pytest.raises(JudgeOptError, match=message):
            evaluate(rows(3), **arguments)
    assert server.completions == 0
    assert list_evaluations() == []


def test_verdicts_are_recorded_as_assessments(server: FaultServer, session: Session, home: Path) -> None:
    server.answer = failing("Order 2 ")
    judge = polite(server)
    result = evaluate(rows(5, session=5), [judge, length])
    with Store(home / "store.db") as store:
        traces = store.search_traces().traces
        assert len(traces) == 5
        assert {one.session for one in traces} == {"s0"}
        by_id = {one.id: one for one in traces}
        for row in result.to_dicts():
            found = {word.name: word for word in store.assessments(row["trace_id"])}
            kept = by_id[row["trace_id"]]
            assert kept.inputs == row["inputs"]
            assert kept.outputs == row["outputs"]
            assert found["length"].source_type == "CODE"
            assert found["polite"].source_type == "LLM_JUDGE"
            assert found["polite"].source_id.startswith("polite@")
            assert found["polite"].metadata["evaluation"] == result.run_id
            if row["id"] == "r0002":
                assert found["polite"].error is not None
                assert not found["polite"].votes
            else:
                assert found["polite"].value is row["polite/value"]
                assert found["polite"].votes


def test_a_registered_judge_is_named_by_its_version_and_a_newer_word_replaces_the_older(
    server: FaultServer, session: Session, home: Path
) -> None:
    judge = polite(server)
    judge.register()
    evaluate(rows(2), judge, run_id="one")
    server.answer = lambda body: json.dumps({"verdict": "true"})
    with Session(home.parent / "other") as fresh, use_session(fresh):
        judge.register()
        evaluate(rows(2), judge, run_id="two", store=home / "store.db")
    with Store(home / "store.db") as store:
        for one in store.search_traces().traces:
            words = store.assessments(one.id)
            assert [word.votes for word in words] == [False, True]
            assert words[1].supersedes == words[0].id
    with Store(home / "store.db") as store:
        ids = {
            word.source_id for trace in store.search_traces().traces for word in store.assessments(trace.id)
        }
    assert ids == {"polite/1", words[1].source_id}


def test_store_false_records_nothing(server: FaultServer, session: Session, home: Path) -> None:
    assert evaluate(rows(3), polite(server), store=False).status == "complete"
    assert not (home / "store.db").exists()


def test_people_s_labels_give_agreement(server: FaultServer, session: Session) -> None:
    labelled = [{**row, "labels": {"manners": number % 4 == 1}} for number, row in enumerate(rows(40))]
    result = evaluate(labelled, polite(server), labels={"polite": "manners"})
    assert result.metrics["polite/agreement/agreement"] == 0.75
    assert result.judge_metrics["polite"].n_labelled == 40
    assert list(result.result_df["polite/label"]) == [number % 4 == 1 for number in range(40)]


@pytest.mark.parametrize(
    ("value_type", "reply", "expected"),
    [
        (categories("a", "b", "c"), "b", {"share/a": 0.0, "share/b": 1.0, "share/c": 0.0}),
        (categories("Yes", "no"), "no", {"share/Yes": 0.0, "share/no": 1.0, "mean": 0.0}),
        (ordered("low", "mid", "high"), "mid", {"mean_rank": 1.0, "share/mid": 1.0}),
        (scale(1, 5), 4, {"mean": 4.0, "p50": 4.0, "share/4": 1.0, "share/1": 0.0}),
        (float, 0.25, {"mean": 0.25, "p90": 0.25}),
        (str, "words", {}),
        (dict[str, int], {"x": 1}, {}),
    ],
)
def test_figures_of_every_value_type(
    server: FaultServer, session: Session, value_type: Any, reply: Any, expected: dict[str, float]
) -> None:
    server.answer = lambda body: json.dumps({"verdict": reply})
    result = evaluate(rows(4), polite(server, feedback_value_type=value_type))
    assert result.metrics["polite/coverage"] == 1.0, result.to_dicts()
    for name, value in expected.items():
        assert result.metrics[f"polite/{name}"] == value
    if not expected:
        assert set(result.metrics) == {"polite/coverage"}
    assert load_evaluation(result.run_id).metrics == result.metrics


failures: set[str] = set()


def agent_that_fails_once(question: str) -> dict[str, str]:
    """Fails on the rows in `failures`, the first time."""
    if question in failures:
        failures.discard(question)
        raise OSError("gone")
    return {"reply": f"{question} please"}


def test_progress_is_told(server: FaultServer, session: Session) -> None:
    told: list[EvaluationEvent] = []
    evaluate(rows(9), [polite(server), length], concurrency=1, events=told.append)
    assert [event.done for event in told] == list(range(1, 10))
    assert told[-1].total == 9
    assert told[-1].calls == 9
    assert told[-1].rows_per_second > 0
    assert told[0].seconds_left is not None
    broken = [{**row, "inputs": {"question": f"{row['id']}"}} for row in rows(4)]
    failures.update(("r0001", "r0003"))
    for expected in ([1, 2, 3, 4], [3, 4]):
        told.clear()
        evaluate(broken, polite(server), agent_that_fails_once, run_id="a", events=told.append, concurrency=1)
        assert [event.done for event in told] == expected


def test_a_stored_run_is_read_back_whole(server: FaultServer, session: Session, home: Path) -> None:
    result = evaluate(rows(6), [polite(server), length], criteria="polite >= 0.1 at 90 %", name="My run")
    loaded = load_evaluation(result.run_id)
    assert loaded.to_json() == result.to_json()
    assert loaded.to_dicts() == result.to_dicts()
    assert loaded.run_id.startswith("My-run-")
    assert [one.status for one in loaded.criteria] == [one.status for one in result.criteria]
    assert load_evaluation(result.run_id, home=home).status == "complete"


class TestAgent:
    def test_it_is_called_with_the_inputs(self, server: FaultServer, session: Session) -> None:
        def agent(question: str) -> dict[str, str]:
            return {"reply": f"{question} please" if "1" in question else "no"}

        data = [{"inputs": row["inputs"], "labels": {"polite": True}} for row in rows(10)]
        result = evaluate(data, polite(server), agent)
        assert result.metrics == {"polite/mean": 0.1, "polite/coverage": 1.0}  # labels are of other outputs
        assert result.to_dicts()[1]["outputs"] == {"reply": "Where is order 1? please"}
        assert result.costs.agent is not None

    def test_async_agents_share_one_loop(self, server: FaultServer, session: Session) -> None:
        loops = set()

        async def agent(question: str) -> dict[str, str]:
            loops.add(asyncio.get_running_loop())
            await asyncio.sleep(0.001)
            assert current_session() is session
            return {"reply": "please"}

        result = evaluate(rows(8), polite(server), agent, concurrency=4)
        assert result.metrics["polite/mean"] == 1.0
        assert len(loops) == 1

    def test_a_failure_is_its_row_s_only_and_never_a_verdict(
        self, server: FaultServer, session: Session
    ) -> None:
        def agent(question: str) -> Any:
            if "3" in question:
                raise ValueError("no such order")
            return object() if "4" in question else {"reply": f"{question} please"}

        result = evaluate(rows(6), [polite(server), length], agent)
        assert server.completions == 4
        assert result.metrics["polite/mean"] == 1.0
        assert result.judge_metrics["polite"].unscored == {"call_failed": 2}
        said = result.judgements("polite")
        assert isinstance(said[3], Unscored)
        assert "ValueError: no such order" in said[3].detail
        assert isinstance(said[4], Unscored)
        assert "not a JSON value" in said[4].detail
        assert isinstance(said[5], Scored)
        assert result.status == "complete"

    def test_each_call_is_a_new_run_unless_it_is_named(self, server: FaultServer, session: Session) -> None:
        ran = []

        def agent(question: str) -> dict[str, str]:
            ran.append(question)
            return {"reply": "please"}

        first, second = (evaluate(rows(3), polite(server), agent) for _ in range(2))
        assert first.run_id != second.run_id
        assert len(ran) == 6
        for _ in range(2):
            evaluate(rows(3), polite(server), agent, run_id="named")
        assert len(ran) == 9

    def test_one_that_always_fails_is_broken(self, server: FaultServer, session: Session) -> None:
        ran = []

        def agent(question: str) -> None:
            ran.append(question)
            raise KeyError("typo")

        with pytest.raises(JudgeOptError, match="failed on each of the first 25 rows"):
            evaluate(rows(500), polite(server), agent, concurrency=2)
        assert len(ran) <= 27
        few = evaluate(rows(5), polite(server), agent)
        assert few.metrics == {"polite/coverage": 0.0}
        assert server.completions == 0

    def test_its_model_calls_are_in_the_budget(self, server: FaultServer, session: Session) -> None:
        def agent(question: str) -> dict[str, str]:
            lm = current_session().lm("openai:/agent", purpose="agent", base_url=server.base_url)
            return {"reply": f"{question} {lm(question)}"}

        result = evaluate(rows(20), polite(server), agent, run_id="a", budget=Budget(calls=9), concurrency=2)
        assert server.completions == 9
        assert result.status == "stopped"
        whole = evaluate(rows(20), polite(server), agent, run_id="a", budget=Budget(calls=40))
        assert whole.status == "complete"
        assert server.completions == 40
        assert whole.costs.agent is not None
        assert whole.costs.agent.calls == 20

    def test_its_runs_are_traces_with_what_it_traces_itself(
        self, server: FaultServer, session: Session, home: Path
    ) -> None:
        @trace(name="look up", span_type="RETRIEVER")
        def look_up(question: str) -> list[str]:
            return ["sent on Monday"]

        def agent(question: str) -> dict[str, str]:
            return {"reply": f"{question} {look_up(question)[0]}, please"}

        looked = polite(server, "looked", instructions="Did it look up? {{ trace }}")
        result = evaluate(rows(3, session=3), [polite(server), looked], agent)
        assert result.metrics["looked/coverage"] == 1.0
        assert any("look up" in request.body["messages"][-1]["content"] for request in server.requests)
        with Store(home / "store.db") as store:
            for row in result.to_dicts():
                kept = store.get_trace(row["trace_id"])
                assert [span["name"] for span in kept.spans] == [agent.__qualname__, "look up"]
                assert kept.outputs == row["outputs"]
                assert kept.session == "s0"
                assert kept.metadata["evaluation"] == result.run_id
                assert {word.name for word in store.assessments(kept.id)} == {"polite", "looked"}


def test_verdicts_go_to_the_store_in_use(tmp_path: Path, session: Session) -> None:
    with use_store(tmp_path / "chosen.db") as chosen:
        evaluate(rows(4), length)
        assert len(chosen.feedback_names()) == 1
        assert not (Path(session.home) / "store.db").exists()
        evaluate(rows(4), length, home=tmp_path / "other")
        assert len(chosen.search_traces()) == 4  # a home that is named keeps its own
    assert (tmp_path / "other" / "store.db").exists()
    evaluate(rows(4), length)
    assert (Path(session.home) / "store.db").exists()


def test_a_run_is_found_by_its_title_where_one_alone_has_it(session: Session) -> None:
    first = evaluate(rows(3), length, name="before", store=False)
    assert load_evaluation("before").run_id == first.run_id
    second = evaluate(rows(4), length, name="before", store=False)
    with pytest.raises(UsageError, match="2 evaluations are called 'before'") as told:
        load_evaluation("before")
    assert first.run_id in str(told.value)
    assert second.run_id in str(told.value)
