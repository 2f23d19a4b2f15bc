"""The third workflow that this project began from, step by step, with our imports.

Judge alignment and prompt optimization: a base judge, an evaluation whose good traces are tagged, labelling by
experts, MemAlign, and the agent's own prompt rewritten by the aligned judge. The endpoint is scripted; everything
else is real. What differs from the page: the scale is a type and not only words in the instructions, the labelling
session is a queue, the aligned judge is a new version and no update of the old one, and a gain is compared on rows
of its own and held against a second judge before anybody calls it one.
"""

import json
import re

import pytest

from judge_opt import (
    InputNumeric,
    MemAlign,
    Session,
    create_label_schema,
    create_queue,
    current_session,
    evaluate,
    get_scorer,
    interval,
    load_prompt,
    make_judge,
    optimize_prompts,
    register_prompt,
    search_traces,
    set_trace_tag,
    use_session,
)
from judge_opt.testing.fault_server import FaultServer

RULE = "Replies that name a day are completely acceptable, replies without one are not."
NAMES_DAY = "Always name a day."
DAYS = ("Monday", "Friday")


def endpoint(body):
    """The agent does what its prompt says. The judge likes thanks until it has learned what experts look for. The
    reflection model finds out what that is, of a judge and of a prompt."""
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema") or {}
    wanted = schema.get("properties", {})
    text = "\n".join(message["content"] for message in body["messages"])
    if "rules" in wanted:
        return json.dumps({"rules": [RULE]})
    if "instructions" in wanted:
        shown = re.search(r"```\n(.*?)\n```", text, re.DOTALL)[1]
        return json.dumps({"instructions": f"{shown}\n{NAMES_DAY}"})
    if "verdict" not in wanted:
        number = int(re.findall(r"number (\d+)", text)[-1])
        day = (
            f" It will be done by {DAYS[number % 2]}."
            if NAMES_DAY in text or number % 3 == 0
            else " Some day."
        )
        return f"About number {number}:{day}" + (" Thank you." if number % 2 else "")
    item = [message["content"] for message in body["messages"] if message["role"] == "user"][-1]
    strict = "Does it help" in text
    informed = strict or RULE in text or any(m["role"] == "assistant" for m in body["messages"])
    good = any(day in item for day in DAYS) if informed else "Thank" in item
    return json.dumps({"rationale": "Seen.", "verdict": 5 if good else 1})


def embed(text):
    return [1.0 if any(d in text for d in DAYS) else -1.0, 0.5 if "Thank" in text else -0.5, len(text) / 200]


@pytest.fixture
def server():
    with FaultServer(endpoint, embed=embed) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGE_OPT_HOME", str(tmp_path))
    with Session(tmp_path) as session, use_session(session):
        yield tmp_path


def questions(n, start=0):
    return [f"Question number {start + i}: where is it?" for i in range(n)]


def test_judge_alignment_and_prompt_optimization(server):
    prompt = register_prompt(
        "support", "You answer customers.\n{{ question }}", commit_message="the first one"
    )

    def ask(question):
        lm = current_session().lm("openai:/agent", base_url=server.base_url)
        return lm(load_prompt(prompt.uri).format(question=question))[0]

    class AGENT:
        @staticmethod
        def predict(request):
            return {"response": ask(request["input"][-1]["content"])}

    # Design a base judge
    domain_quality_judge = make_judge(
        name="domain_quality_base",
        instructions=(
            "Evaluate if the response in {{ outputs }} appropriately addresses the question in {{ inputs }}. "
            "The response should be accurate, contextually relevant, and actionable. Grading criteria: "
            "1: Completely unacceptable. 2: Mostly unacceptable. 3: Somewhat acceptable. "
            "4: Mostly acceptable. 5: Completely acceptable."
        ),
        feedback_value_type=interval(1.0, 5.0),
        model="openai:/gpt-4o-mini",
        base_url=server.base_url,
    )
    registered_judge = domain_quality_judge.register()
    assert registered_judge.version == 1

    # Run evaluation and tag traces for expert review
    eval_data = [{"inputs": {"input": [{"role": "user", "content": q}]}} for q in questions(40)]
    results = evaluate(
        data=eval_data,
        predict_fn=lambda input: AGENT.predict({"input": input}),
        scorers=[domain_quality_judge],
    )
    ok_traces = results.result_df.loc[results.result_df["state"] == "OK", "trace_id"]
    for trace_id in ok_traces:
        set_trace_tag(trace_id=trace_id, key="eval", value="complete")
    assert len(ok_traces) == 40

    # Create a labelling session for domain experts
    tagged_traces = search_traces("tag.eval = 'complete'", max_results=100)
    assert len(tagged_traces) == 40
    feedback_schema = create_label_schema(
        name="domain_quality_base",
        type="feedback",
        title="domain_quality_base",
        input=InputNumeric(min_value=1.0, max_value=5.0),
        instruction="Rate the response quality from 1 (unacceptable) to 5 (excellent).",
        enable_comment=True,
        overwrite=True,
    )
    labeling_session = create_queue("quality_review_sme", tagged_traces, feedback_schema, raters_per_item=2)
    for expert in ("expert1@company.com", "expert2@company.com"):
        while (task := labeling_session.next(expert)) is not None:
            good = any(day in task.outputs["response"] for day in DAYS)
            labeling_session.submit(task, 5.0 if good else 1.0, "It names a day." if good else "No day.")
    assert labeling_session.progress().items_done == 40

    # Align the judge with MemAlign
    traces_for_alignment = search_traces("tag.eval = 'complete'", max_results=100, return_type="list")
    optimizer = MemAlign(embedder="openai:/embed", first_rows=10, trial_calls=30)
    base_judge = get_scorer(name="domain_quality_base")
    aligned_judge = base_judge.align(traces=traces_for_alignment, optimizer=optimizer)
    assert aligned_judge.register().version == 2
    polite = {"inputs": {"input": "?"}, "outputs": {"response": "Some day. Thank you."}}
    assert base_judge(**polite).value > 4
    assert aligned_judge(**polite).value < 3
    for guideline in aligned_judge.memory.guidelines:
        assert guideline.text == RULE

    # Automate prompt improvement with GEPA
    def rows(n, start):
        facts = {"expected_facts": ["a day is named"]}
        return [{"inputs": {"query": q}, "expectations": facts} for q in questions(n, start)]

    def my_agent_fn(query):
        return {"response": ask(query)}

    second = make_judge(
        "second_opinion",
        "Does it help? {{ outputs }}",
        "openai:/another",
        interval(1, 5),
        base_url=server.base_url,
    )
    result = optimize_prompts(
        predict_fn=my_agent_fn,
        train_data=rows(32, 100),
        prompt_uris=[prompt.uri],
        scorers=[aligned_judge],
        reflection_lm="openai:/gpt-4o",
        test=rows(24, 200),
        guard=second,
    )
    (better,) = result.optimized_prompts
    assert NAMES_DAY in better.template
    assert better.variables == {"question"}
    assert result.confirmed, result.verdict
    assert result.held_out.total.after > result.held_out.total.before + 0.3
    (promoted,) = result.register(alias="production")
    assert promoted.uri == "prompts:/support/2"
    assert load_prompt("prompts:/support@production").template == better.template
