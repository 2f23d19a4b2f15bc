"""What says the same is merged; what is merely alike, or the contrary, is not."""

import json

import numpy as np
import pytest
from episodes import LABELS
from hypothesis import given, settings
from hypothesis import strategies as st

from judge_opt.llm.retry import RetryPolicy
from judge_opt.llm.session import Session
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.merging import merge, opposed
from judge_opt.testing.fault_server import FaultServer


class Space:
    """Vectors by hand: an angle for each text."""

    name = "angles"

    def __init__(self, angles):
        self.angles = angles

    def embed(self, texts):
        turned = np.radians([self.angles[text] for text in texts])
        return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


DAY = "A reply that names a day is what experts like."
SAME = "A reply that names any day is what experts like."
NOT = "A reply that does not name a day is what experts like."
HOUR = "A reply that names an hour is what experts like."
FAR = "Replies about coupons quote the number of the order."
SPACE = Space({DAY: 0, SAME: 5, NOT: 6, HOUR: 40, FAR: 90})


def rules(*texts):
    return [Guideline(text, (f"e{i}",)) for i, text in enumerate(texts)]


@pytest.fixture
def asked(tmp_path):
    """merge with a reflection LM that replies as told; the server is there to count."""
    quick = RetryPolicy(attempts=1, first_wait=0.01, longest_wait=0.01, timeout=5.0, deadline=5.0)
    with FaultServer() as server, Session(tmp_path, retry=quick) as session:
        lm = session.lm("openai:/reflect", purpose="reflect", base_url=server.base_url, temperature=0.0)

        def ask(texts, reply):
            server.answer = lambda body: reply if isinstance(reply, str) else json.dumps(reply)
            return merge(rules(*texts), LABELS, SPACE, lm, 0), server.completions

        yield ask


def test_twins_become_one_with_the_sources_of_both_and_nobody_is_asked():
    made = merge(rules(DAY, FAR, SAME), LABELS, SPACE, None, 0)
    assert [g.text for g in made.guidelines] == [DAY, FAR]
    assert made.guidelines[0].sources == ("e0", "e2")
    assert made.members == ((0, 2), (1,))
    assert not made.asked


def test_the_contrary_is_never_merged_whatever_the_lm_says(asked):
    made, _ = asked([DAY, NOT], {"same": [[1, 2]], "contradict": []})
    assert [g.text for g in made.guidelines] == [DAY, NOT]


def test_the_lm_decides_on_what_is_alike(asked):
    made, calls = asked([DAY, HOUR, FAR], {"same": [[1, 2]], "contradict": []})
    assert [g.text for g in made.guidelines] == [DAY, FAR]
    assert calls == 1


def test_pairs_that_are_not_alike_are_not_believed(asked):
    made, _ = asked([DAY, HOUR, FAR], {"same": [[1, 3]], "contradict": [[1, 3]]})
    assert len(made.guidelines) == 3
    assert made.contradictions == ()


def test_numbers_that_are_not_there_are_no_pairs(asked):
    made, _ = asked([DAY, HOUR], {"same": [[0, 1], [1, 9], "12", [1]], "contradict": []})
    assert len(made.guidelines) == 2
    assert made.warnings == ()


def test_contradictions_are_named_by_their_places_after_merging(asked):
    made, _ = asked([FAR, DAY, SAME, NOT], {"same": [], "contradict": [[2, 3]]})
    assert [g.text for g in made.guidelines] == [FAR, DAY, NOT]
    assert made.contradictions == ((1, 2),)


@pytest.mark.parametrize("reply", ["sorry", "{", '{"same": 3, "contradict": []}', '{"same": []}', "{]}"])
def test_an_unreadable_reply_merges_nothing_and_is_told(asked, reply):
    made, _ = asked([DAY, HOUR], reply)
    assert len(made.guidelines) == 2
    assert ["were not merged" in text for text in made.warnings] == [True]


def test_a_pin_survives_merging():
    made = merge([Guideline(DAY), Guideline(SAME, pinned=True)], LABELS, SPACE, None, 0)
    assert [g.pinned for g in made.guidelines] == [True]


@given(st.lists(st.text(alphabet="abc ", min_size=1), min_size=2, max_size=7), st.data())
@settings(max_examples=60, deadline=None)
def test_no_family_has_two_members_that_say_the_contrary(heads, data):
    texts = [
        f"{head} {data.draw(st.sampled_from(['', 'not', 'good', 'bad']))} {i}" for i, head in enumerate(heads)
    ]
    space = Space({text: data.draw(st.integers(0, 40)) for text in texts})
    made = merge(rules(*texts), LABELS, space, None, 0)
    assert sorted(m for several in made.members for m in several) == list(range(len(texts)))
    for several in made.members:
        assert not [1 for a in several for b in several if opposed(texts[a], texts[b], LABELS)]
