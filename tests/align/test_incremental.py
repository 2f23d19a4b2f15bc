"""Learning from more labels costs what the new ones cost, and forgets nothing."""

import alignment_world as world
import pytest

from judge_opt.align.memalign import WAITING, MemAlign
from judge_opt.judges.stored import dump_judge, read_judge, save_judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.memory.editing import add, pin


def memalign(**settings):
    return MemAlign(**{"embedder": "openai:/embed", "concurrency": 4, **settings})


ROWS = world.rows(60)
OLD, ONE, TEN = ROWS[:40], ROWS[:41], ROWS[:50]


def cited(body):
    """The world's reflection, which names one item for each rule: most old rows are unseen by it."""
    said = world.answer(body)
    return said.replace(world.RULE, f"{world.RULE} [1]")


@pytest.fixture
def aligned(server, in_session, tmp_path):
    """A judge that learned from 40 rows, loaded into another session, whose call store is empty."""
    in_session("first")
    server.answer = cited
    save_judge(memalign(shots=0).align(world.judge(server), OLD).judge, tmp_path / "saved")
    in_session("second")
    loaded = read_judge(tmp_path / "saved", trust_base_url=True)
    server.requests.clear()
    return loaded


def asked(server):
    """Texts of the items that the judge was asked about, one a call."""
    return [
        r.body["messages"][-1]["content"]
        for r in server.requests
        if r.path.endswith("/chat/completions") and len(r.body["messages"]) > 1
    ]


def embedded(server):
    return [t for r in server.requests if r.path.endswith("/embeddings") for t in r.body["input"]]


def text_of(judge):
    state, blobs = dump_judge(judge)
    return str(state), blobs


def test_the_same_rows_again_buy_nothing_and_give_the_same_judge(aligned, server):
    again = memalign(shots=0).align(aligned, OLD)
    assert server.completions == 0
    assert embedded(server) == []
    assert text_of(again.judge) == text_of(aligned)


def test_one_more_label_is_asked_about_alone(aligned, server):
    learned = memalign(shots=0).align(aligned, ONE)
    new = ONE[-1].fields["outputs"]
    assert learned.changed
    assert 1 <= server.completions <= 2
    assert all(new in item for item in asked(server))
    assert embedded(server) == [new]
    assert len(learned.judge.memory.episodic) == 41
    assert ONE[-1].id not in learned.judge.memory.read


def test_ten_more_labels_cost_calls_in_proportion(aligned, server):
    settings = memalign(shots=0)
    learned = settings.align(aligned, TEN)
    assert 10 <= server.completions <= settings.estimate(10)[1]
    assert len(learned.judge.memory.episodic) == 50
    assert learned.judge.memory.read == {row.id for row in TEN}


def test_rows_that_waited_are_read_when_there_are_enough(aligned, server):
    judge = aligned
    for n in range(41, 40 + WAITING):
        judge = memalign(shots=0).align(judge, ROWS[:n]).judge
    assert judge.memory.read == {row.id for row in OLD}
    judge = memalign(shots=0).align(judge, ROWS[: 40 + WAITING]).judge
    assert judge.memory.read == {row.id for row in ROWS[: 40 + WAITING]}


def test_only_the_new_rows_give_the_same_as_all_of_them(aligned):
    alone = memalign(shots=0).align(aligned, TEN[40:]).judge
    whole = memalign(shots=0).align(aligned, TEN).judge
    assert len(alone.memory.episodic) == 50
    assert text_of(alone) == text_of(whole)


def test_a_relabelled_row_revises_what_stands_on_it(aligned, server):
    stood = {s for g in aligned.memory.guidelines for s in g.sources}
    row = next(r for r in OLD if r.id in stood)
    turned = "bad" if row.gold == "good" else "good"
    other = LabelledExample(row.id, row.group, row.fields, (Vote("ann", turned, "I was wrong.", "z1"),))
    learned = memalign(shots=0).align(aligned, [other]).judge.memory
    episode = next(e for e in learned.episodic.episodes if e.id == row.id)
    assert (episode.gold, episode.rationale, len(learned.episodic)) == (turned, "I was wrong.", 40)
    assert row.id not in learned.read
    assert row.id not in {s for g in learned.guidelines for s in g.sources}
    assert all(row.fields["outputs"] in item for item in asked(server))
    assert embedded(server) == []


def test_what_a_person_pinned_outlives_an_alignment_that_finds_it_useless(aligned):
    judge = aligned.with_memory(add(aligned.memory, "A reply in capital letters is always a bad reply."))
    learned = memalign(shots=0).align(judge, TEN).judge.memory
    kept = [g for g in learned.guidelines if "capital" in g.text]
    assert [(g.pinned, g.state) for g in kept] == [(True, "active")]


# -- what had been learned before is questioned by new labels ---------------------------------------------------


def polite(n, seed):
    """Rows whose experts now share the untouched judge's own taste: polite is good, whatever day it names."""
    made = []
    for row in world.rows(n, seed=seed):
        label = "good" if "thank" in row.fields["outputs"] else "bad"
        made.append(LabelledExample(row.id, row.group, row.fields, (Vote("ann", label, None, f"p{row.id}"),)))
    return made


@pytest.fixture
def ruled(server, in_session):
    """A judge that learned the rule alone, and a reflection model that has nothing more to say."""
    in_session()
    optimizer = memalign(shots=0, fusion=False)
    judge = optimizer.align(world.judge(server), OLD).judge
    assert [g.text for g in judge.memory.guidelines if g.state == "active"] == [world.RULE]
    idle = "The number of the order has nothing to do with the verdict."

    def answer(body):
        wants_rules = "rules" in str(body.get("response_format"))
        return f'{{"rules": ["{idle}"]}}' if wants_rules else world.answer(body)

    server.answer = answer
    return judge, optimizer


def verdicts(judge):
    return [f.value for f in judge.batch([row.fields for row in world.rows(30, seed=9)])]


def test_what_new_labels_show_to_be_harmful_is_switched_off_and_its_labels_stay(ruled, server):
    judge, optimizer = ruled
    learned = optimizer.align(judge, polite(120, 5))
    assert learned.changed
    assert any("switched off" in w and "better without" in w for w in learned.warnings)
    memory = learned.judge.memory
    assert not [g for g in memory.guidelines if g.state == "active"]
    assert (memory.shots, memory.fusion, len(memory.episodic)) == (0, None, 160)
    assert not any(c.on for c in learned.components)
    assert verdicts(learned.judge) == verdicts(world.judge(server))
    bought = server.completions
    again = optimizer.align(learned.judge, polite(120, 5))
    assert server.completions == bought
    assert text_of(again.judge) == text_of(learned.judge)


def test_what_is_neither_better_nor_worse_stays_and_labels_come_up_to_date(ruled):
    judge, optimizer = ruled
    moved = polite(40, 5)
    turned = LabelledExample(OLD[0].id, OLD[0].group, OLD[0].fields, (Vote("bo", "good", "No.", "z"),))
    assert OLD[0].gold == "bad"
    learned = optimizer.align(judge, [*moved, turned])
    assert learned.changed
    assert any("is kept (guidelines)" in w for w in learned.warnings)
    memory = learned.judge.memory
    assert [g.text for g in memory.guidelines if g.state == "active"] == [world.RULE]
    assert [c.on for c in learned.components if c.name == "guidelines"] == [True]
    assert len(memory.episodic) == 80
    (episode,) = [e for e in memory.episodic.episodes if e.id == turned.id]
    assert (episode.gold, [v.rater for v in episode.ballots]) == ("good", ["bo"])
    assert turned.id not in {s for g in memory.guidelines if g.text == world.RULE for s in g.sources}
    assert verdicts(learned.judge) == verdicts(judge)


def test_a_pinned_guideline_stays_also_where_it_harms(ruled):
    judge, optimizer = ruled
    kept = judge.with_memory(pin(judge.memory, 1))
    learned = optimizer.align(kept, polite(120, 5)).judge.memory
    assert [(g.text, g.pinned) for g in learned.guidelines if g.state == "active"] == [(world.RULE, True)]
