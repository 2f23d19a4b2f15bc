"""The two workflows that this project began from, step by step, with our imports.

End to end: make a judge, trace an application, judge its traces, label them, align, test, register, load,
evaluate. Alignment: a built-in and a custom judge, MemAlign by default and by name, validation, an optimizer
of one's own. The endpoint is scripted; everything else is real.
"""

import json

import pandas as pd
import pytest

import judge_opt
from judge_opt import (
    AssessmentSource,
    AssessmentSourceType,
    Judge,
    MemAlign,
    RelevanceToQuery,
    Session,
    get_scorer,
    make_judge,
    ordered,
    use_session,
)
from judge_opt.core.errors import DataError, NotFound
from judge_opt.testing.fault_server import FaultServer

RATINGS = ordered("poor", "needs_improvement", "good", "excellent")
RULE = "A reply that names a day is excellent, one that does not is poor."
DAYS = ("Monday", "Friday")


def endpoint(body):
    """The judge likes thanks until it is told the rule, or shown examples; the reflection model finds it."""
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema") or {}
    if "rules" in schema.get("properties", {}):
        return json.dumps({"rules": [RULE]})
    allowed = schema["properties"]["verdict"]["enum"]
    low, high = (allowed[0], allowed[-1]) if allowed[0] == "poor" else ("no", "yes")
    text = "\n".join(m["content"] for m in body["messages"])
    item = [m["content"] for m in body["messages"] if m["role"] == "user"][-1]
    informed = RULE in text or any(m["role"] == "assistant" for m in body["messages"])
    good = any(day in item for day in DAYS) if informed else "Thank" in item
    return json.dumps({"rationale": "Seen.", "verdict": high if good else low})


def embed(text):
    return [1.0 if any(d in text for d in DAYS) else -1.0, 0.5 if "Thank" in text else -0.5, len(text) / 200]


@pytest.fixture
def server():
    with FaultServer(endpoint, embed=embed) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGE_OPT_HOME", str(tmp_path))
    with Session(tmp_path) as session, use_session(session), judge_opt.use_store(tmp_path / "judge_opt.db"):
        yield tmp_path


def app(issue):
    """A support application."""
    day = f"It will be done by {DAYS[len(issue) % 2]}." if hash_of(issue) % 2 else "We will look into it."
    thanks = " Thank you for your patience." if hash_of(issue) % 3 == 0 else ""
    return {"response": f"About '{issue}': {day}{thanks}"}


def hash_of(text):
    return sum(map(ord, text))


def truth(outputs, high="excellent", low="poor"):
    return high if any(day in outputs["response"] for day in DAYS) else low


def make_support_judge(server):
    return make_judge(
        name="support_quality",
        instructions=(
            "Rate this reply of a support team.\n"
            "- Does it deal with the customer's issue?\n"
            "- Does the customer know what happens next?\n"
            "Look at {{ outputs }}, the answer to {{ inputs }}."
        ),
        model="openai:/gpt-4o-mini",
        feedback_value_type=RATINGS,
        base_url=server.base_url,
    )


def optimizer(**settings):
    return MemAlign(embedder="openai:/embed", first_rows=10, trial_calls=30, **settings)


def traced_and_labelled(judge, issues, *, label=True):
    """Steps 2 and 3: run the application under tracing, judge it, and label it."""
    run = judge_opt.trace(app)
    trace_ids = []
    for issue in issues:
        result = run(issue)
        trace_id = judge_opt.get_last_active_trace_id()
        trace_ids.append(trace_id)
        assessment = judge(inputs={"issue": issue}, outputs=result)
        judge_opt.log_assessment(trace_id=trace_id, assessment=assessment)
        if label:
            judge_opt.log_feedback(
                trace_id=trace_id,
                name=judge.name,  # must be the judge's name
                value=truth(result) if judge.name != "relevance_to_query" else truth(result, "yes", "no"),
                rationale="It names a day." if truth(result) == "excellent" else "No day is named.",
                source=AssessmentSource(source_type=AssessmentSourceType.HUMAN, source_id="ground_truth"),
            )
    return trace_ids


ISSUES = [f"Problem number {i} with {thing}" for i, thing in enumerate(["login", "billing", "delivery"] * 14)]


def test_the_whole_life_of_a_judge(server, home):
    support_judge = make_support_judge(server)
    trace_ids = traced_and_labelled(support_judge, ISSUES)
    assert len(set(trace_ids)) == len(ISSUES)

    # traces with both a judge's and a person's assessment
    traces = judge_opt.search_traces(return_type="list", max_results=100)
    both = []
    for trace in traces:
        assessments = trace.search_assessments(name="support_quality")
        sources = {a.source.source_type for a in assessments}
        if {AssessmentSourceType.LLM_JUDGE, AssessmentSourceType.HUMAN} <= sources:
            both.append(trace)
    assert len(both) == len(ISSUES)

    # align: MLflow's order of arguments, and its other one
    aligned_judge = support_judge.align(optimizer(), both)
    again = support_judge.align(both, optimizer())
    assert aligned_judge.name == "support_quality"
    assert aligned_judge.memory is not None
    assert support_judge.memory is None

    # test it on new data
    cases = [
        {
            "inputs": {"issue": "I cannot log in"},
            "outputs": {"response": "Your password is reset by Monday."},
        },
        {"inputs": {"issue": "A refund"}, "outputs": {"response": "Thank you for asking."}},
    ]
    said = [aligned_judge(**case).value for case in cases]
    assert said == ["excellent", "poor"]
    assert [again(**case).value for case in cases] == said
    assert [support_judge(**case).value for case in cases] == ["poor", "excellent"]

    # register, and load for production
    version = aligned_judge.register(tags={"team": "support"})
    assert version.version == 1
    production_judge = get_scorer(name="support_quality")
    assert [production_judge(**case).value for case in cases] == said

    # evaluate
    results = judge_opt.evaluate(data=pd.DataFrame(cases), scorers=[production_judge])
    table = results.tables["eval_results"]
    assert len(table) == 2
    assert set(results.result_df["support_quality/value"]) == {"excellent", "poor"}
    assert any(key.startswith("support_quality/") for key in results.metrics)

    # the verdicts are on record
    recorded = judge_opt.search_traces("feedback.support_quality = 'excellent'", return_type="list")
    assert recorded


def agreement(judge, traces):
    """The rival's documentation validates so, by hand: only on traces that were not trained on."""
    right = total = 0
    for trace in traces:
        human = next((a for a in trace.search_assessments(name=judge.name) if a.source_type == "HUMAN"), None)
        if human is None:
            continue
        total += 1
        right += judge(trace=trace).value == human.value
    return right / total


@pytest.mark.parametrize("kind", ["built-in", "custom"])
def test_a_judge_is_aligned_validated_and_registered_under_a_new_name(server, home, kind):
    if kind == "built-in":
        initial_judge = RelevanceToQuery(model="openai:/gpt-4o-mini", base_url=server.base_url)
        assert initial_judge.name == "relevance_to_query"
    else:
        initial_judge = make_support_judge(server)
    traced_and_labelled(initial_judge, ISSUES)
    traces = judge_opt.search_traces(max_results=100, return_type="list")
    train, test = traces[:28], traces[28:]

    # judges take whole traces
    assert initial_judge(trace=test[0]).error is None

    result = judge_opt.validate_judges  # the honest road: held-out rows, intervals, a gate
    aligned_judge = initial_judge.align(train, optimizer())
    assert agreement(aligned_judge, test) > agreement(initial_judge, test)

    from judge_opt.labels.stored import as_examples

    held_out = as_examples(test, initial_judge.name, initial_judge.value_type)
    learned = as_examples(train, initial_judge.name, initial_judge.value_type)
    report = result(initial_judge, aligned_judge, held_out, learned, embedder="openai:/embed")
    assert report.comparison.difference.value > 0
    assert report.headline

    version = aligned_judge.register(
        name=f"{initial_judge.name}_aligned", tags={"num_traces": str(len(train))}
    )
    loaded = get_scorer(name=f"{initial_judge.name}_aligned")
    assert version.tags["num_traces"] == "28"
    assert [loaded(trace=t).value for t in test[:5]] == [aligned_judge(trace=t).value for t in test[:5]]


class MyOptimizer:
    """The rival's page on custom optimizers, bettered: what it is given are labelled rows, and what it
    returns is a judge."""

    name = "mine"

    def __init__(self, model=None):
        self.model = model

    def align(self, judge, train, **_):
        improved = self._instructions(judge, train)
        return make_judge(
            name=judge.name, instructions=improved, model=judge.model, base_url=judge.base_url,
            feedback_value_type=judge.value_type,
        )  # fmt: skip

    def _instructions(self, judge, train):
        wrong = [row for row in train if judge(**row.fields).value != row.gold]
        return f"{judge.instructions}\n{RULE}" if wrong else judge.instructions


def test_an_optimizer_of_ones_own(server, home):
    judge = make_support_judge(server)
    traced_and_labelled(judge, ISSUES[:20])
    traces = judge_opt.search_traces(max_results=100, return_type="list")
    aligned = judge.align(traces, MyOptimizer(model="any"))
    assert isinstance(aligned, Judge)
    assert RULE in aligned.instructions
    assert agreement(aligned, traces) == 1.0 > agreement(judge, traces)


def test_a_misspelt_name_is_an_error_with_the_names_that_there_are(server, home):
    judge = make_support_judge(server)
    trace_ids = traced_and_labelled(judge, ISSUES[:12], label=False)
    for trace_id in trace_ids:
        judge_opt.log_feedback(trace_id=trace_id, name="suport_quality", value="good", source="HUMAN")
    with pytest.raises(DataError, match="suport_quality"):
        judge.align(judge_opt.search_traces(return_type="list", max_results=50))
    with pytest.raises(NotFound):
        get_scorer(name="never_registered")
