"""An agent whose outputs follow its prompt, judged by a model with known truth: the truth gets better too."""

from judge_opt import current_session, load_prompt, optimize_prompts, register_prompt
from judge_opt.testing.lab import LabServer, Parameters, World
from judge_opt.testing.lab.items import find_items
from judge_opt.testing.lab.lexicon import TOPICS
from judge_opt.testing.lab.parameters import JudgeParameters


def questions(n, start):
    return [
        {"inputs": {"question": f"Case {i}: what about my {TOPICS[i % len(TOPICS)]}?"}}
        for i in range(start, start + n)
    ]


def test_the_true_quality_of_an_agent_gets_better(session):
    world = World(seed=1)
    chat = [
        {"role": "system", "content": "You answer customers."},
        {"role": "user", "content": "{{ question }}"},
    ]
    noisy = Parameters(seed=5, judge=JudgeParameters(policy=world.policy))
    with LabServer(Parameters(judge=world.perfect())) as lab, LabServer(noisy) as other:
        register_prompt("support", chat)

        def agent(question):
            messages = load_prompt("support").format(question=question)
            return current_session().lm("openai:/sim-agent", base_url=lab.base_url).ask(messages).message.text

        result = optimize_prompts(
            agent, questions(24, 0), questions(24, 100), [world.judge(lab)], test=questions(40, 200),
            guard=world.judge(other, name="guard"), reflection_lm="openai:/sim-reflect",
        )  # fmt: skip

        def truth(template):
            lm = current_session().lm("openai:/sim-agent", base_url=lab.base_url)
            right = 0
            for row in questions(60, 1000):
                messages = [template[0], {"role": "user", "content": row["inputs"]["question"]}]
                (item,) = find_items(lm.ask(messages).message.text)
                right += world.policy.label_of(world.policy.score(item.shown)) == world.parameters.labels[-1]
            return right / 60

        (better,) = result.optimized_prompts
        before, after = truth(chat), truth(better.template)
    assert result.changed
    assert after > before + 0.1
    assert result.confirmed == (result.guard.reasons == ())
    assert {line.purpose for line in result.ledger} == {"agent", "judge", "reflect"}
