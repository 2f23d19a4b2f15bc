"""What calls would cost is counted before any is made."""

from llm_helpers import lm_of

from judge_opt.llm import Budget, Estimate, estimate, repeat


def test_nothing_is_sent_and_what_is_stored_is_free(session, server):
    lm = lm_of(session, server)
    lm.ask([{"role": "user", "content": "a"}])
    sent = server.completions
    found = estimate(lm, ["a", "b", [{"role": "user", "content": "b"}], "c" * 300], output_tokens=10)
    assert server.completions == sent
    assert (found.calls, found.usd, found.cached) == (2, None, 2)
    assert 100 + 2 * 10 <= found.tokens <= 200
    assert estimate(lm, ["a"]) == Estimate(0, 0, 0.0, 1)
    assert estimate(lm, []) == Estimate(0, 0, 0.0, 0)


def test_another_setting_or_repeat_is_another_call(session, server):
    lm = lm_of(session, server)
    lm.ask([{"role": "user", "content": "a"}])
    assert estimate(lm, ["a"], temperature=0.5).calls == 1
    assert estimate(lm.copy(rollout_id=1, temperature=1.0), ["a"]).calls == 1
    with repeat(1):
        assert estimate(lm, ["a"]).calls == 1


def test_a_known_price(session):
    lm = session.lm("openai:/gpt-4o-mini", max_tokens=1000)
    found = estimate(lm, ["x" * 3000])
    assert found.usd is not None
    assert 0.0001 < found.usd < 0.01
    assert estimate(lm, ["x" * 3000], output_tokens=1).usd < found.usd


def test_a_budget_of_the_estimate_is_enough(make_session, server):
    prompts = [f"question {i}" for i in range(20)]
    whole = estimate(lm_of(make_session(), server, max_tokens=20), prompts)
    session = make_session(budget=Budget(calls=whole.calls, tokens=whole.tokens))
    lm = lm_of(session, server, max_tokens=20)
    for prompt in prompts:
        lm.ask([{"role": "user", "content": prompt}])
    assert server.completions == 20
