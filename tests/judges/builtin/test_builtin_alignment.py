"""Every built-in judge can be aligned: what was learned stands in the request that is sent, and it is stored."""

import builtin_world as world
import pytest

from judge_opt.align.memalign import MemAlign
from judge_opt.judges.builtin import BUILT_INS, builtin_cases
from judge_opt.judges.stored import dump_judge, load_judge
from judge_opt.labels.examples import LabelledExample

FORMS = {"guidelines": {"shots": 0, "fusion": False}, "examples": {"guidelines": 0, "fusion": False}}


def labelled(title):
    """Each case twice, so that there are enough rows to learn from and to try on."""
    rows = [case.labelled() for case in builtin_cases(title)]
    again = [LabelledExample(f"{r.id}-2", f"{r.group}-2", r.fields, r.votes) for r in rows]
    return rows + again


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("title", list(BUILT_INS))
def test_memory_is_in_the_request_of_every_built_in(title, form, server):
    judge = world.made(title, server)
    server.answer = world.learns(judge.value_type.choices()[0])
    result = MemAlign(embedder="openai:/embed", **FORMS[form]).align(judge, labelled(title))
    assert result.changed, result.components
    case = next(c for c in builtin_cases(title) if c.expected != judge.value_type.choices()[0])
    for aligned in (result.judge, load_judge(*dump_judge(result.judge))):
        feedback = aligned(**case.fields)
        assert (feedback.value, feedback.error) == (case.expected, None)
        if form == "guidelines":
            assert feedback.metadata["guidelines"] == [world.RULE]
        else:
            assert feedback.metadata["examples"]
    sent = [r.body["messages"] for r in server.requests if "messages" in (r.body or {})]
    if form == "guidelines":
        assert any(world.RULE in messages[0]["content"] for messages in sent)
    else:
        assert any(len(messages) > 2 and '"verdict"' in messages[2]["content"] for messages in sent)
    assert judge.memory is None
