"""Prompts that get better by what judges say: found where they are used, compared on held-out rows, or kept."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import dspy
import pytest
from prompt_world import (
    BETTER,
    NAMES_DAY,
    OBJECTIVES,
    WRITTEN,
    agent_of,
    judge,
    rows,
    strict,
)

from judge_opt import (
    Budget,
    Guard,
    Objective,
    current_session,
    load_prompt,
    optimize_prompts,
    register_prompt,
    search_prompts,
)
from judge_opt.core.errors import (
    BudgetExceeded,
    JudgeOptError,
    LeakageError,
    ModelError,
    UsageError,
)
from judge_opt.prompts import list_prompt_versions
from judge_opt.testing.fault_server import Reply

TRAIN, VALID, TEST = rows(12), rows(16, 100), rows(24, 200)


@pytest.fixture
def prompt(session):
    return register_prompt("support", WRITTEN)


def optimize(target, server, **more):
    given = {"test": TEST, "objectives": OBJECTIVES, "reflection_lm": "openai:/reflect", "patience": 3} | more
    given.setdefault("guard", Guard([strict(server)], {"strict": Objective(scores=BETTER)}))
    judges = given.pop("judges", None) or [judge(server)]
    return optimize_prompts(target, given.pop("train", TRAIN), given.pop("valid", VALID), judges, **given)


def test_a_prompt_is_found_rewritten_compared_and_confirmed(prompt, server):
    result = optimize(agent_of(server), server)
    assert result.changed
    assert result.confirmed
    (better,) = result.optimized_prompts
    assert NAMES_DAY in better.template
    assert better.variables == {"question"}
    assert result.held_out.split == "test"
    assert (result.held_out.total.before, result.held_out.total.after) == (0.25, 1.0)
    assert result.held_out.total.p_value < 0.01
    assert result.held_out.tokens_before == result.held_out.tokens_after == 12  # as the server says of each
    assert result.guard.shares == {"strict": 1.0}
    assert result.verdict.startswith("Confirmed: 0.25 -> 1.00")
    assert result.diff == [f"changed prompts:/support/1: {WRITTEN!r} -> {better.template!r}"]
    chosen = next(one for one in result.candidates if one.chosen)
    assert set(chosen.learned_from) <= {row_id for row_id in chosen.learned_from if row_id.startswith("row-")}

    # nothing was registered, and what is registered says what is known of it
    assert [one.version for one in list_prompt_versions("support")] == [1]
    (stored,) = result.register(alias="production")
    assert (stored.version, stored.tags["confirmed"]) == (2, "true")
    assert load_prompt("prompts:/support@production").template == better.template
    assert stored.lineage["parent"] == 1


def test_calls_are_booked_apart_and_as_the_server_counts_them(prompt, server):
    result = optimize(agent_of(server), server)
    booked = {line.purpose: line.attempts for line in result.ledger}
    models = [request.body["model"] for request in server.requests]
    assert booked == {
        "agent": models.count("agent"),
        "judge": models.count("judge"),
        "reflect": models.count("reflect"),
    }
    assert min(booked.values()) > 0


def test_the_reflection_model_sees_the_run_and_why_it_was_rated_so(prompt, server, world):
    given = [row | {"expectations": {"facts": ["names the carrier"]}} for row in TRAIN]
    optimize(agent_of(server), server, train=given)
    shown = world.reflections[0]
    for part in ("where is my parcel?", "It comes soon.", "names the carrier", "RATING of quality: bad"):
        assert part in shown
    assert "because: It names no day." in shown
    assert "- quality: bad, good" in shown
    assert "Keep {{ question }} as it is written" in shown


def test_the_same_seed_gives_the_same_result_at_any_concurrency(prompt, server):
    one = optimize(agent_of(server), server, concurrency=1)
    bought = server.completions
    other = optimize(agent_of(server), server, concurrency=8)
    assert server.completions == bought
    assert one.candidates == other.candidates
    assert one.held_out == other.held_out
    assert one.verdict == other.verdict


def test_test_rows_that_another_run_opened_are_said_so(prompt, server):
    first = optimize(agent_of(server), server)
    again = optimize(agent_of(server), server)
    assert first.warnings == again.warnings == ()  # the same run, gone through twice
    other = optimize(agent_of(server), server, seed=1)
    assert other.warnings == ("the test rows were opened by 1 other runs before: a gain on them proves less",)


def test_an_agent_that_answers_in_a_loop_and_one_that_starts_threads(prompt, server):
    plain = agent_of(server)

    async def in_a_loop(question):
        await asyncio.sleep(0)
        prompt = load_prompt("support")
        lm = current_session().lm("openai:/agent", base_url=server.base_url)
        return {"reply": (await lm.acall(prompt.format(question=question)))[0]}

    def in_threads(question):
        with ThreadPoolExecutor(1) as pool:  # knows nothing of the context around it
            return pool.submit(plain, question).result()

    for agent, test in ((in_a_loop, TEST), (in_threads, rows(24, 300))):
        result = optimize(agent, server, test=test)
        assert result.held_out.total.after == 1.0, agent.__name__
        assert not result.warnings


def test_a_prompt_that_was_loaded_before_the_function_ran(prompt, server):
    loaded = load_prompt("support")

    def agent(question):
        lm = current_session().lm("openai:/agent", base_url=server.base_url)
        return lm(loaded.format(question=question))[0]

    result = optimize_prompts(
        predict_fn=agent, train_data=rows(24), prompt_uris=[loaded.uri], scorers=[judge(server)],
        objectives=OBJECTIVES, reflection_lm="openai:/reflect",
    )  # fmt: skip
    assert list(result.prompts) == ["prompts:/support/1"]
    assert NAMES_DAY in result.prompts["prompts:/support/1"].template
    assert any("12 of the train rows" in one for one in result.warnings) or any(
        "kept for choosing" in one for one in result.warnings
    )
    assert not result.confirmed  # no guard
    assert "there is no guard" in result.verdict
    assert loaded.format(question="x") == "You answer customers. x"


def test_an_alias_that_moves_meanwhile_changes_nothing(prompt, server):
    register_prompt("support", "Another text. {{ question }}", alias="live")
    inner = agent_of(server, "prompts:/support@live")
    moved = []

    def agent(question):
        if not moved:
            moved.append(True)
            made = inner(question)
            register_prompt("support", f"{NAMES_DAY} {{{{ question }}}}", alias="live")
            return made
        return inner(question)

    result = optimize(agent, server, concurrency=1)
    assert list(result.seed_texts) == ["prompts:/support/2"]
    assert result.held_out.total.before == 0.25


def test_messages_of_a_chat_and_several_prompts_evolve_each_by_itself(session, server, world):
    chat = [{"role": "system", "content": "You are short."}, {"role": "user", "content": "{{ question }}"}]
    register_prompt("chat", chat)
    register_prompt("greeting", "Be kind.")

    def agent(question):
        lm = current_session().lm("openai:/agent", base_url=server.base_url)
        messages = load_prompt("chat").format(question=question)
        messages[0]["content"] += load_prompt("greeting").format()
        return lm.ask(messages).message.text

    result = optimize(agent, server)
    assert sorted(result.texts) == ["prompts:/chat/1#0", "prompts:/greeting/1"]
    changed = [name for name in result.texts if result.texts[name] != result.seed_texts[name]]
    assert changed
    assert result.prompts["prompts:/chat/1"].template[1] == chat[1]
    assert result.held_out.total.after == 1.0
    only = optimize(agent, server, prompt_uris=["prompts:/greeting/1"])
    assert list(only.texts) == ["prompts:/greeting/1"]
    assert any("not rewritten: prompts:/chat/1" in one for one in only.warnings)


def test_a_dspy_program(session, server, world):
    class Support(dspy.Module):
        def __init__(self):
            super().__init__()
            self.answer = dspy.Predict("question -> reply")

        def forward(self, question):
            return self.answer(question=question)

    def reply(body):
        text = "\n".join(str(message["content"]) for message in body["messages"])
        said = world(body)
        return (
            said if "[[ ## reply ## ]]" not in text else f"[[ ## reply ## ]]\n{said}\n\n[[ ## completed ## ]]"
        )

    server.answer = reply
    lm = session.lm("openai:/agent", purpose="agent", base_url=server.base_url)
    with dspy.context(lm=lm):
        program = Support()
        before = program.answer.signature.instructions
        result = optimize(program, server)
    assert list(result.texts) == ["answer"]
    assert result.held_out.total.after == 1.0
    assert NAMES_DAY in result.program.answer.signature.instructions
    assert program.answer.signature.instructions == before
    assert {line.purpose for line in result.ledger} == {"agent", "judge", "reflect"}
    bound = Support()
    bound.answer.lm = lm
    assert optimize(bound, server).held_out.total.after == 1.0
    assert bound.answer.lm is lm
    with pytest.raises(UsageError, match="no registry"):
        result.register()


@pytest.mark.parametrize(
    "written", ["Answer.", "{{ question }} {{ customer }}", "{{ question }} {{", "}} {{ {{question}}"]
)
def test_whatever_the_reflection_model_does_to_variables_the_prompt_keeps_its_own(
    prompt, server, world, written
):
    world.say = lambda shown: f"{written} {NAMES_DAY}"
    result = optimize(agent_of(server), server)
    assert result.optimized_prompts[0].variables == {"question"}
    assert result.held_out.total.after == 1.0


@pytest.mark.parametrize("reply", ["", "no json", "{}", '{"instructions": 3}', '{"instructions": "cut off'])
def test_a_reflection_that_cannot_be_read_changes_nothing(prompt, server, world, reply):
    server.answer = lambda body: reply if body["model"].endswith("reflect") else world(body)
    result = optimize(agent_of(server), server)
    assert not result.changed
    assert not result.confirmed
    assert result.texts == result.seed_texts
    assert result.verdict == "The seed is kept: no other prompt was tried."
    assert any("held no whole prompt" in one for one in result.warnings)


def test_a_worse_prompt_is_not_taken(prompt, server, world):
    world.say = lambda shown: "Say nothing of use. {{ question }}"
    result = optimize(agent_of(server), server)
    assert not result.changed
    assert all(one.why for one in result.candidates[1:])
    with pytest.raises(UsageError, match="nothing to register"):
        result.register()
    assert result.verdict.startswith("The seed is kept: of 1 prompts tried none does better")


def test_rows_that_are_not_judged_change_no_score(prompt, server, world):
    clean = optimize(agent_of(server), server)
    world.refuse = {203, 207, 210}
    result = optimize(agent_of(server), server, judges=[judge(server, words="Is {{ outputs }} good?")])
    assert result.held_out.rows == len(TEST) - 3
    assert result.held_out.total.after == clean.held_out.total.after == 1.0
    assert result.held_out.coverage_after == pytest.approx(21 / 24)


def test_a_judge_that_wavers_is_asked_three_times_and_one_that_does_not_once(prompt, server, world):
    steady = optimize(agent_of(server), server)
    assert (steady.noise, steady.repeats) == (0.0, 1)

    plain, asked = world.__call__, {}

    def wavering(body):
        said = plain(body)
        if not body["model"].endswith("judge") or "help the customer" in str(body):
            return said
        key = json.dumps(body, sort_keys=True)
        asked[key] = asked.get(key, 0) + 1
        turned = asked[key] == 2 and "Case 1" in str(body)  # the second time, of the rows for choosing
        return said.replace("good", "bad") if turned and "Thursday" in str(body) else said

    server.answer = wavering
    judges = [judge(server, words="Is {{ outputs }} really good?")]
    result = optimize(agent_of(server), server, judges=judges)
    assert result.noise == pytest.approx(3 / 12)
    assert result.repeats == 3
    assert result.candidates[0].score == pytest.approx(0.25 * 2 / 3)
    assert set(asked.values()) == {3}
    assert result.confirmed
    assert optimize(agent_of(server), server, judges=judges, repeats=2).repeats == 2


def test_a_judge_that_loads_a_prompt_keeps_its_own(prompt, server):
    register_prompt("checklist", "Thursday")

    def lists(outputs) -> bool:
        return load_prompt("checklist").format() in outputs["reply"]

    result = optimize(
        agent_of(server), server, judges=[lists], objectives={}, reflection_base_url=server.base_url
    )
    assert list(result.texts) == ["prompts:/support/1"]
    assert result.held_out.total.after == 1.0
    assert not result.warnings


def test_an_agent_that_fails_on_a_row_loses_that_row_only(prompt, server):
    inner = agent_of(server)

    def agent(question):
        if "Case 101:" in question:
            raise RuntimeError("no such parcel")
        return inner(question)

    result = optimize(agent, server)
    assert result.held_out.total.after == 1.0
    assert "the agent failed on 1 of 16 rows for choosing" in result.warnings


def test_several_judges_are_weighed(prompt, server):
    brevity = Objective(low=0, high=100, lower_is_better=True, weight=0.5)

    def length(outputs) -> float:
        return float(len(outputs["reply"]))

    result = optimize(
        agent_of(server), server, judges=[judge(server), length], objectives=OBJECTIVES | {"length": brevity}
    )
    held = result.held_out
    assert set(held.judges) == {"quality", "length"}
    mean = (held.judges["quality"].after + 0.5 * held.judges["length"].after) / 1.5
    assert held.total.after == pytest.approx(mean)
    assert held.judges["length"].gain.value < 0 < held.judges["quality"].gain.value
    first, best = result.candidates[0], next(one for one in result.candidates if one.chosen)
    assert first.judges == {"quality": 0.0, "length": 0.0}
    assert best.judges["length"] < 0 < best.judges["quality"]
    assert first.front  # shorter than any other
    assert best.front


def test_a_prompt_that_is_worse_for_every_judge_is_on_no_front(prompt, server, world):
    said = iter([NAMES_DAY, f"{NAMES_DAY} So there."])
    world.say = lambda shown: f"{WRITTEN} {next(said, '')}"

    def reply(body):
        made = world(body)
        return made + " Well." * 9 if "So there." in str(body) and body["model"].endswith("agent") else made

    def length(outputs) -> float:
        return float(len(outputs["reply"]))

    server.answer = reply
    brevity = Objective(low=0, high=400, lower_is_better=True, weight=0.1)
    result = optimize(
        agent_of(server), server, judges=[judge(server), length], objectives=OBJECTIVES | {"length": brevity}
    )
    assert [one.front for one in result.candidates if one.score is not None] == [True, True]
    assert result.candidates[1].chosen
    assert (
        result.candidates[2].why == "not better than the prompt that it was made from, on rows for learning"
    )


def test_one_shot_rewrites_once_from_a_few_runs(prompt, server, world):
    result = optimize(agent_of(server), server, method="one shot")
    assert result.confirmed
    assert len(world.reflections) == 1
    assert "ITEM 1" in world.reflections[0]
    assert len(result.candidates) == 2


def test_random_search_shows_no_run_and_takes_the_best(prompt, server, world):
    said = iter(["One.", "Two.", NAMES_DAY, "Three."])
    world.say = lambda shown: f"{WRITTEN} {next(said, 'One.')}"
    result = optimize(agent_of(server), server, method="random", proposals=6)
    assert result.confirmed
    assert not any("ITEM" in one or "Case" in one for one in world.reflections)
    assert all("Keep {{ question }} as it is written" in one for one in world.reflections)
    assert len(result.candidates) == 5
    assert [one.chosen for one in result.candidates] == [False, False, False, True, False]
    assert {one.parent for one in result.candidates[1:]} == {"seed"}
    assert all(one.learned_from == () for one in result.candidates)


@pytest.mark.parametrize("method", ["one shot", "random"])
@pytest.mark.parametrize("calls", [60, 150, 200])
def test_the_budget_is_a_hard_stop_of_the_cheap_ways_too(prompt, server, method, calls):
    optimize(agent_of(server), server, method=method, budget=Budget(calls=calls))
    assert server.completions <= calls


def test_an_unknown_method_is_refused(prompt, server):
    with pytest.raises(UsageError, match="one shot"):
        optimize(agent_of(server), server, method="oneshot")


def test_what_must_not_fall_keeps_a_prompt_from_being_taken(prompt, server, world):
    def safe(outputs) -> bool:
        return "promise" not in outputs["reply"]

    plain = world.__call__
    world.say = lambda shown: f"{shown} {NAMES_DAY} Promise it." if NAMES_DAY not in shown else shown

    def answer(body):
        said = plain(body)
        promised = body["model"].endswith("agent") and "Promise it." in str(body) and "Case 113:" in str(body)
        return f"{said} I promise." if promised else said

    server.answer = answer
    judges, aims = [judge(server), safe], OBJECTIVES | {"safe": Objective(weight=0, must_not_fall=True)}
    result = optimize(agent_of(server), server, judges=judges, objectives=aims)
    assert not result.changed
    assert result.candidates[1].gain > 0.5
    assert result.candidates[1].why == "safe fell, which must not"
    without = optimize(agent_of(server), server, judges=judges, objectives=OBJECTIVES | {"safe": 0.001})
    assert without.changed

    # where it falls on the held-out rows only, the gain is not confirmed
    server.answer = lambda body: answer(json.loads(json.dumps(body).replace("Case 413:", "Case 113:")))
    later = optimize(
        agent_of(server), server, judges=judges, objectives=aims, valid=rows(16, 150), test=rows(24, 400)
    )
    assert later.changed
    assert not later.confirmed
    assert "safe fell, which must not" in later.verdict


@pytest.mark.parametrize("calls", [40, 70, 120, 200, 300])
def test_the_budget_is_a_hard_stop_and_what_was_found_comes_back(prompt, server, calls):
    budget = Budget(calls=calls)
    try:
        result = optimize(agent_of(server), server, budget=budget)
    except BudgetExceeded:
        assert calls == 40 and server.completions <= calls  # noqa: PT018
        return
    assert server.completions <= calls
    assert sum(line.attempts for line in result.ledger) == server.completions
    if result.changed and result.held_out is None:
        assert "Not confirmed" in result.verdict
    assert result.confirmed or calls < 300


def test_a_budget_too_small_for_the_seed_is_an_error(prompt, server):
    with pytest.raises(BudgetExceeded):
        optimize(agent_of(server), server, budget=Budget(calls=10))
    assert server.completions <= 10


def test_calls_that_pass_by_the_session_are_told(prompt, server, session):
    outer = session.lm("openai:/agent", purpose="agent", base_url=server.base_url)

    def agent(question):
        return outer(load_prompt("support").format(question=question))[0]

    result = optimize(agent, server)
    assert any("asks no model through this session" in one for one in result.warnings)


def test_what_does_not_fit_together_costs_no_call(prompt, server):
    agent, one = agent_of(server), judge(server)
    with pytest.raises(LeakageError, match="stands in train too"):
        optimize_prompts(agent, TRAIN, TRAIN[:6], [one], objectives=OBJECTIVES)
    named, twin = TRAIN[0] | {"id": "a", "group": "g"}, TEST[0] | {"id": "a", "group": "h"}
    with pytest.raises(LeakageError, match="id of the test row"):
        optimize(agent, server, train=[named, *TRAIN[1:]], test=[twin])
    with pytest.raises(LeakageError, match="stands in valid too"):
        optimize(agent, server, test=VALID)
    with pytest.raises(UsageError, match="not known which verdicts"):
        optimize_prompts(agent, TRAIN, VALID, [one])
    with pytest.raises(UsageError, match="names no judge"):
        optimize(agent, server, objectives={"qualty": 1.0})
    with pytest.raises(UsageError, match="is the judge 'quality'"):
        optimize(agent, server, guard=Guard([judge(server, "another name")], None))
    with pytest.raises(UsageError, match="question"):
        optimize(lambda query: query, server)

    def length(outputs) -> float:
        return float(len(outputs))

    with pytest.raises(UsageError, match="No model is named"):
        optimize_prompts(agent, TRAIN, VALID, [length])
    with pytest.raises(UsageError, match="numbers without bounds"):
        optimize(agent, server, judges=[one, length])
    assert server.completions == 0


def test_an_agent_without_prompts_and_one_that_never_loads_what_was_named(prompt, server):
    with pytest.raises(UsageError, match="loaded no prompt"):
        optimize(lambda question: {"reply": f"{question} Thursday"}, server)
    register_prompt("other", "x")
    with pytest.raises(UsageError, match="never loaded prompts:/other/1"):
        optimize(agent_of(server), server, prompt_uris=["prompts:/other/1"])


def test_an_agent_that_always_fails_and_a_judge_that_never_judges(prompt, server, world):
    def broken(question):
        load_prompt("support")
        raise ValueError("no key")

    with pytest.raises(JudgeOptError, match="ValueError: no key"):
        optimize(broken, server)
    world.refuse = set(range(1000))
    with pytest.raises(ModelError, match="could be judged"):
        optimize(agent_of(server), server)


def test_a_broken_endpoint_ends_it_and_nothing_is_bought_twice(prompt, server, world):
    asked = []

    def answer(body):
        if body["model"].endswith("reflect"):
            asked.append(1)
            return Reply(status=401, text="")
        return world(body)

    server.answer = answer
    with pytest.raises(ModelError):
        optimize(agent_of(server), server, repeats=1)
    bought = server.completions - len(asked)
    server.answer = world
    result = optimize(agent_of(server), server, repeats=1)
    assert result.confirmed
    models = [
        json.dumps(r.body, sort_keys=True) for r in server.requests if not r.body["model"].endswith("reflect")
    ]
    assert len(models) == len(set(models)) >= bought
    assert [one.name for one in search_prompts()] == ["support"]
