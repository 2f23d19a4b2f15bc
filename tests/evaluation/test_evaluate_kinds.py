"""Every kind of judge goes through `evaluate`: aligned, jury, check, built-in, registered, on any database."""

from pathlib import Path
from typing import Any

import pytest
from alignment_world import answer, embed
from alignment_world import judge as dated_judge
from alignment_world import rows as labelled
from evaluation_world import polite, rows, say

from judge_opt.align.memalign import MemAlign
from judge_opt.core.hashing import content_hash
from judge_opt.evaluation import evaluate, forecast, load_evaluation
from judge_opt.judges.builtin import Fluency
from judge_opt.judges.checks import Length, check
from judge_opt.judges.jury import make_jury
from judge_opt.llm.session import Session
from judge_opt.registry.judges import get_judge
from judge_opt.testing.fault_server import FaultServer
from judge_opt.traces import Store, Trace


def test_an_aligned_judge_embeds_in_few_requests_and_recalls_no_row_of_the_item_s_group(
    server: FaultServer, session: Session
) -> None:
    server.answer, server.embed = answer, embed
    aligned = MemAlign(embedder="openai:/embed").align(dated_judge(server), labelled(24), seed=0).judge
    assert aligned.memory is not None
    assert aligned.memory.needs_vectors
    before = sum(request.path.endswith("/embeddings") for request in server.requests)
    fresh = labelled(30, seed=5)
    result = evaluate([*fresh, *labelled(4)], aligned, concurrency=4)
    embedded = sum(request.path.endswith("/embeddings") for request in server.requests) - before
    assert embedded <= 3
    assert result.metrics["dated/coverage"] == 1.0
    assert result.judge_metrics["dated"].n_labelled == 34
    for number, verdict in enumerate(result.verdicts()):
        group = result.rows[number].group
        near = [one["id"] for one in verdict["said"]["dated"]["metadata"].get("neighbours", [])]
        assert not any(one.id in near for one in labelled(24) if one.group == group)


def test_a_jury_a_check_and_a_built_in_judge_beside_each_other(server: FaultServer, session: Session) -> None:
    def reply(body: dict[str, Any]) -> str:
        enum = str(body.get("response_format"))
        return '{"rationale": "So.", "verdict": "yes"}' if "yes" in enum else say(body)

    server.answer = reply
    jurors = [
        polite(server, name, instructions=f"Is {{{{ outputs.reply }}}} {name}?")
        for name in ("polite", "kind", "friendly")
    ]

    @check(value_type=bool)
    def asks(outputs: Any) -> bool:
        return "please" in outputs["reply"]

    judges = [
        make_jury("jury", jurors),
        Length(max_length=4, unit="words", field="outputs.reply"),
        asks,
        Fluency(model="openai:/any", base_url=server.base_url),
    ]
    result = evaluate(rows(6), judges)
    assert result.metrics["jury/mean"] == 0.5
    assert result.metrics["asks/mean"] == 0.5
    assert all(metrics.coverage.value == 1.0 for metrics in result.judge_metrics.values()), result.text()
    sources = {one.name: one.source[0] for one in result.config.judges}
    assert sources["jury"] == "LLM_JUDGE"
    assert sources["asks"] == "CODE"
    assert load_evaluation(result.run_id).metrics == result.metrics
    more = [*rows(6), {"id": "new", "outputs": {"reply": "x"}}]
    planned = forecast(more, judges)
    assert planned["asks"].calls == 0
    assert (planned["jury"].rows, planned["jury"].calls, planned["jury"].cached) == (7, 3, 18)


def test_a_judge_from_the_registry_is_the_same_judge(server: FaultServer, session: Session) -> None:
    polite(server).register()
    judge = get_judge("polite")
    first = evaluate(rows(4), polite(server))
    again = evaluate(rows(4), judge)
    assert again.run_id == first.run_id
    assert first.config.judges[0].source == ("LLM_JUDGE", "polite/1")


def test_verdicts_are_recorded_on_any_database(server: FaultServer, session: Session, store_url: str) -> None:
    result = evaluate(rows(7), polite(server), store=store_url)
    again = evaluate(rows(7), polite(server), store=store_url)
    assert again.run_id == result.run_id
    with Store(store_url) as store:
        found = [(kept.id, [word.value for word in kept.assessments]) for kept in store.iter_traces()]
    assert sorted(found) == sorted((row["trace_id"], [row["polite/value"]]) for row in result.to_dicts())


def test_a_row_with_the_id_of_a_stored_trace_is_that_trace(
    server: FaultServer, session: Session, store_url: str
) -> None:
    one, two, three = rows(3)
    with Store(store_url) as store:
        store.add_trace(Trace(id=one["id"], inputs=one["inputs"], outputs=one["outputs"]))
        store.add_trace(Trace(id=two["id"], inputs=two["inputs"], outputs="another"))
        store.log_feedback(one["id"], "polite", False, rater="ana")
    result = evaluate([one, two, {**three, "trace_id": "mine"}], polite(server), store=store_url)
    ids = [row["trace_id"] for row in result.to_dicts()]
    assert ids[0] == one["id"]
    assert ids[1] not in (two["id"], None)
    assert ids[2] == "mine"
    with Store(store_url) as store:
        assert sorted(word.source_type for word in store.assessments(one["id"])) == ["HUMAN", "LLM_JUDGE"]
        labelled_traces = list(store.iter_traces())
        assert len(labelled_traces) == 4
    measured = evaluate(labelled_traces, polite(server), store=store_url)
    assert measured.judge_metrics["polite"].n_labelled == 1
    assert content_hash(sorted(row.id for row in measured.rows)) == content_hash(
        sorted(kept.id for kept in labelled_traces)
    )


@pytest.mark.parametrize("value", ["words", 3])
def test_a_function_of_another_type_than_it_says_is_unscored(session: Session, value: Any) -> None:
    def odd(outputs: Any) -> bool:
        return value  # type: ignore[no-any-return]

    assert evaluate(rows(2), odd).judge_metrics["odd"].unscored == {"out_of_set": 2}


def test_traces_of_one_store_are_recorded_whole_in_another(
    server: FaultServer, session: Session, tmp_path: Path
) -> None:
    with Store(tmp_path / "from.db") as source:
        for one in rows(3):
            spans = ({"span_id": "1" * 16, "parent_id": None, "name": "answer", "start_ns": 1, "end_ns": 2},)
            source.add_trace(
                Trace(one["id"], one["inputs"], one["outputs"], {"fact": 1}, "s", {"a": "b"}, {"v": 2}, spans)
            )
            source.log_feedback(one["id"], "polite", True, rater="ana")
            source.log_expectation(one["id"], "answer", "x", rater="ana")
        data = [
            source.search_traces(),
            source.search_traces().traces,
            source.search_traces(return_type="pandas"),
            source.search_traces(return_type="arrow"),
        ]
        runs = [
            evaluate(some, polite(server), store=tmp_path / "to.db", name=str(n))
            for n, some in enumerate(data)
        ]
        assert len({run.config.rows_digest for run in runs}) == 1
        assert runs[0].judge_metrics["polite"].n_labelled == 3
        assert runs[0].to_dicts()[0]["expectations"] == {"fact": 1, "answer": "x"}
        with Store(tmp_path / "to.db") as target:
            for kept in source.iter_traces():
                copy = target.get_trace(kept.id)
                assert [word.source_type for word in copy.assessments] == ["LLM_JUDGE"] * len(
                    copy.assessments
                )
                parts = ("inputs", "outputs", "expectations", "session", "tags", "metadata", "spans")
                assert all(getattr(copy, part) == getattr(kept, part) for part in parts)


def test_a_run_that_goes_on_with_another_store_is_whole_in_both(
    server: FaultServer, session: Session, tmp_path: Path
) -> None:
    first, second = tmp_path / "first.db", tmp_path / "second.db"
    for store in (first, first, second, second):
        evaluate(rows(5), [polite(server), polite(server, "again")], run_id="run", store=store)
    assert server.completions == 5
    for store in (first, second):
        with Store(store) as opened:
            words = [len(kept.assessments) for kept in opened.iter_traces()]
        assert words == [2] * 5
