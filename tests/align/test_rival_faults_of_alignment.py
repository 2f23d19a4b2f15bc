"""What the rival's alignment gets wrong, by the numbers of the list of its faults (docs/memory.md); here each is
right. Its episodic memory: tests/memory/test_rival_faults.py."""

import json
import logging
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import alignment_world as world
import numpy as np
import pytest

from judge_opt.align.memalign import MemAlign
from judge_opt.core.errors import DataError, JudgeOptError, ModelError, UsageError
from judge_opt.judges.stored import dump_judge
from judge_opt.labels.examples import LabelledExample, Vote
from judge_opt.testing.fault_server import HTML, FaultServer, Reply
from judge_opt.traces import Store
from judge_opt.traces.schema import Trace

ROOT = Path(__file__).parents[2]


def memalign(**settings):
    return MemAlign(**{"embedder": "openai:/embed", "concurrency": 4, **settings})


@pytest.fixture
def judge(server):
    return world.judge(server)


def distils(body):
    return "rules" in str(body.get("response_format"))


def bodies(server):
    return [r.body for r in server.requests if r.path.endswith("/chat/completions")]


# -- 7: a failed distillation is a success without guidelines; misnamed traces vanish, or stop everything -------


@pytest.mark.parametrize(
    "reply",
    [Reply(text=""), Reply(text='{"rules": ["A reply tha'), Reply(raw=HTML), Reply(status=400)],
    ids=["empty", "cut off", "HTML", "refused"],
)
def test_07_a_failed_distillation_is_an_error(judge, server, in_session, reply):
    in_session()
    server.answer = lambda body: reply if distils(body) else world.answer(body)
    with pytest.raises(ModelError):
        memalign(shots=0, fusion=False).align(judge, world.rows(40))
    assert sum(map(distils, bodies(server))) >= 1


@pytest.fixture
def traced(tmp_path):
    """Forty labelled traces, ten of them under a misspelt name."""
    with Store(tmp_path / "lab.db") as store:
        for number, row in enumerate(world.rows(50)):
            store.add_trace(Trace(row.id, outputs=row.fields["outputs"]))
            name = "datd" if number >= 40 else "dated"
            store.log_feedback(row.id, name, row.gold, row.votes[0].rationale, rater="ann")
        yield store


def test_07_misnamed_traces_are_told_and_do_not_stop_the_others(judge, in_session, traced, caplog):
    in_session()
    with caplog.at_level(logging.WARNING):
        aligned = judge.align(traced.search_traces(max_results=100), memalign(guidelines=0))
    assert len(aligned.memory.episodic) == 40
    (told,) = [r.message for r in caplog.records if "datd" in r.message]
    assert told.startswith("10 of 50 traces")
    assert "'dated'" in told


def test_07_where_all_are_misnamed_the_error_names_what_is_there(judge, server, in_session, traced):
    in_session()
    misnamed = [t for t in traced.search_traces(max_results=100) if t.assessments[0].name == "datd"]
    with pytest.raises(DataError, match=r"None of 10 traces .* 'dated'; names found: 'datd'"):
        judge.align(misnamed, memalign())
    assert server.completions == 0


# -- 9: nothing is validated on held-out rows, no score is returned, rows retrieve their own label --------------


def test_09_alignment_returns_scores_on_rows_that_were_not_learned_from(judge, in_session):
    in_session()
    result = memalign().align(judge, world.rows(40))
    untouched, *others = result.candidates
    (chosen,) = [c for c in result.candidates if c.chosen]
    assert untouched.name == "untouched"
    assert others
    assert chosen.score > untouched.score + 0.5
    assert 0 < chosen.rows <= 40
    assert {c.name for c in result.components} == {"guidelines", "examples", "fusion"}
    assert all(c.why for c in result.components)


def test_09_no_row_is_scored_with_its_own_label(judge, server, in_session):
    """Labels by chance, and vectors that tell every text apart: who retrieves the row itself is always right."""
    in_session()
    server.embed = lambda text: [float(x) for x in np.random.default_rng(list(text.encode())).normal(size=16)]
    server.answer = follows_the_nearest
    rng = random.Random(5)
    rows = [
        LabelledExample(r.id, r.id, r.fields, (Vote("ann", rng.choice(["good", "bad"])),))
        for r in world.rows(60)
    ]
    result = memalign(first_rows=60).align(judge, rows)
    scores = {c.name: c.score for c in result.candidates}
    assert any("fusion" in name for name in scores)
    assert any("examples" in name for name in scores)
    assert all(score < 0.4 for score in scores.values()), scores


def follows_the_nearest(body):
    """The label of the last example that is shown, which is the most similar one."""
    shown = [m["content"] for m in body["messages"][1:-1] if '"verdict"' in m["content"]]
    return world.verdict(json.loads(shown[-1])["verdict"]) if shown else world.answer(body)


# -- 13: duplicates are found by exact string only, nothing revises a guideline, it survives a relabelling ------

SAME = "A reply that names any day is good, and one without a day is bad."
HARMFUL = "Every reply that names a day is a bad one to give to anybody."


def told_rules(*rules):
    """The world's endpoint, where the calls of reflection bring these lists, one after the other."""
    waiting = list(rules)

    def answer(body):
        if distils(body):
            return json.dumps({"rules": waiting.pop(0)})
        system, item = body["messages"][0]["content"], body["messages"][-1]["content"]
        if HARMFUL in system and world.RULE not in system:
            return world.verdict("bad" if "Thursday" in item else "good")
        return world.answer(body)

    return answer


def test_13_the_same_in_other_words_is_one_guideline_with_the_sources_of_both(judge, server, in_session):
    in_session()
    server.answer = told_rules([f"{world.RULE} [1, 2]"], [f"{SAME} [3]"])
    (kept,) = memalign(shots=0).align(judge, world.rows(40)).guidelines
    assert kept.text == world.RULE
    assert len(kept.sources) == 3


def test_13_a_guideline_that_does_harm_is_retired_and_not_shown(judge, server, in_session):
    in_session()
    server.answer = told_rules([world.RULE, HARMFUL], [world.RULE])
    aligned = memalign(shots=0).align(judge, world.rows(40)).judge
    state = {g.text: g.state for g in aligned.memory.guidelines}
    assert state == {world.RULE: "active", HARMFUL: "retired"}
    server.requests.clear()
    aligned(outputs="On Thursday.")
    (body,) = bodies(server)
    assert world.RULE in body["messages"][0]["content"]
    assert HARMFUL not in str(body)


def test_13_a_guideline_goes_with_the_labels_that_it_stood_on(judge, server, in_session):
    in_session()
    other = "A reply that thanks the reader is neither better nor worse for it."
    server.answer = told_rules([f"{world.RULE} [1]", f"{other} [2, 3, 4]"], [f"{world.RULE} [1]"])
    rows = world.rows(40)
    aligned = memalign(shots=0).align(judge, rows).judge
    (rule,) = [g for g in aligned.memory.guidelines if g.text == world.RULE]
    assert len(rule.sources) == 2
    turned = [
        LabelledExample(r.id, r.group, r.fields, (Vote("ann", "bad" if r.gold == "good" else "good"),))
        for r in rows
        if r.id in rule.sources
    ]
    again = memalign(shots=0).align(aligned, turned)
    assert again.changed
    assert world.RULE not in [g.text for g in again.judge.memory.guidelines]


# -- 15: the order in prompts depends on PYTHONHASHSEED and on which batch ends first ---------------------------

CHILD = """
import json, sys
import alignment_world as world
from judge_opt.align.memalign import MemAlign
from judge_opt.judges.make import make_judge
from judge_opt.judges.stored import dump_judge
from judge_opt.llm.session import Session, use_session

judge = make_judge("dated", "Is {{ outputs }} a good reply?", "openai:/sim", world.LABELS, base_url=sys.argv[1])
with Session(sys.argv[2]) as session, use_session(session):
    aligned = MemAlign(embedder="openai:/embed").align(judge, world.rows(40)).judge
    aligned.batch([row.fields for row in world.rows(10, seed=3)])
state, blobs = dump_judge(aligned)
print(json.dumps([state, {name: data.hex() for name, data in blobs.items()}]))
"""


def sent(server):
    """Every prompt, in an order of its own: calls of one phase are sent in any order."""
    return sorted(json.dumps(body) for body in bodies(server))


def test_15_neither_prompts_nor_judge_depend_on_the_hash_seed(tmp_path):
    found = []
    for seed in ("0", "4242"):
        with FaultServer(answer=world.answer, embed=world.embed) as server:
            done = subprocess.run(
                [sys.executable, "-c", CHILD, server.base_url, str(tmp_path / seed)],
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stderr
            found.append((done.stdout.replace(server.base_url, "URL"), sent(server)))
    assert len(found[0][1]) > 80
    assert found[0] == found[1]


def test_15_neither_prompts_nor_judge_depend_on_which_call_ends_first(in_session):
    found = []
    for name in ("one order", "another order"):
        waits = random.Random(name)

        def answer(body, waits=waits):
            time.sleep(waits.random() * (0.1 if distils(body) else 0.02))
            return world.answer(body)

        with FaultServer(answer=answer, embed=world.embed) as server:
            in_session(name)
            aligned = memalign(concurrency=8).align(world.judge(server), world.rows(40)).judge
            state, blobs = dump_judge(aligned)
            found.append((json.dumps(state).replace(server.base_url, "URL"), blobs, sent(server)))
    assert found[0] == found[1]


# -- 17: taking everything back crashes, and what the caller did wrong is reported as an internal error ---------


def test_17_taking_every_label_back_gives_the_untouched_judge(judge, server, in_session):
    in_session()
    rows = world.rows(40)
    aligned = memalign().align(judge, rows).judge
    test = [row.fields for row in world.rows(6, seed=3)]
    before = [f.value for f in judge.batch(test)]
    asked = server.completions
    for bare in (
        aligned.unalign(rows),
        aligned.unalign(rater="ann"),
        aligned.unalign(assessments=[row.votes[0].assessment_id for row in rows]),
    ):
        assert dump_judge(bare) == dump_judge(judge)
        assert [f.value for f in bare.batch(test)] == before
    assert server.completions == asked, "what the untouched judge said is known"


def rows_with(**changes):
    first, *rest = world.rows(40)
    return [
        LabelledExample(**{**{n: getattr(first, n) for n in ("id", "group", "fields", "votes")}, **changes}),
        *rest,
    ]


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (None, UsageError),
        (7, UsageError),
        ("rows.jsonl", UsageError),
        ([{"outputs": "x"}], UsageError),
        ([], DataError),
        (world.rows(5), DataError),
        ([r for r in world.rows(80) if r.gold == "good"], DataError),
        (rows_with(votes=(Vote("ann", "excellent"),)), DataError),
        (rows_with(fields={"inputs": "x"}), DataError),
    ],
    ids=["nothing", "number", "path", "dict", "empty", "few", "one label", "unknown label", "no outputs"],
)
def test_17_wrong_input_to_align_is_named_with_a_remedy(judge, server, in_session, given, kind):
    in_session()
    with pytest.raises(kind) as met:
        judge.align(given, memalign())
    assert met.value.remedy
    assert server.completions == 0


@pytest.mark.parametrize(
    ("named", "code"),
    [
        ({}, 2),
        ({"traces": 7}, 2),
        ({"traces": [7]}, 2),
        ({"traces": "nobody"}, 7),
        ({"assessments": "nobody"}, 7),
        ({"rater": "nobody"}, 7),
    ],
    ids=str,
)
def test_17_wrong_input_to_unalign_is_named_with_a_remedy(judge, in_session, named, code):
    in_session()
    aligned = memalign(guidelines=0, shots=0).align(judge, world.rows(40)).judge
    before = dump_judge(aligned)
    with pytest.raises(JudgeOptError) as met:
        aligned.unalign(**named)
    assert (met.value.exit_code, bool(met.value.remedy)) == (code, True)
    assert dump_judge(aligned) == before
