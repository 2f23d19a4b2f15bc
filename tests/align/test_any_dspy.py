"""What is broken in DSPy's optimizers stays with them."""

import dspy
import pytest
from alignment_world import answer, judge, perfect, rows, verdict

from judge_opt.align.any_dspy import AnyDSPy
from judge_opt.align.calibrate import Calibrate
from judge_opt.align.chain import Chain
from judge_opt.align.dspy_bridge import Agreement, guarded
from judge_opt.align.memalign import MemAlign
from judge_opt.core.errors import BudgetExceeded, ConfigError, CredentialsError, UsageError
from judge_opt.llm.budget import Budget
from judge_opt.testing.fault_server import Reply

EMBED = "openai:/embed"


class Recording:
    """A teleprompter that notes what it is given, and returns what the test wants."""

    def __init__(self, metric=None, seed=9, make=None):
        self.metric, self.seed, self.make = metric, seed, make or (lambda student, train: student)

    def compile(self, student, *, trainset, seed=None):
        self.trainset, self.compile_seed = trainset, seed
        return self.make(student, trainset)


def kept(**options):
    """The optimizer, and the teleprompter that it made."""
    made = []

    def make(metric):
        made.append(Recording(metric, **options))
        return made[-1]

    return AnyDSPy(make, concurrency=4), made


def test_a_wrong_verdict_is_no_success_however_near(server, in_session):
    assert not Agreement(score=0.9, feedback="", right=False)
    assert Agreement(score=0.0, feedback="", right=True)
    assert not guarded(lambda *_: dspy.Prediction(score=0.0))(None, None)
    assert guarded(lambda *_: dspy.Prediction(score=1.0, feedback="x"))(None, None).feedback == "x"
    assert guarded(lambda *_: 0.0)(None, None) == 0.0
    in_session()
    optimizer = AnyDSPy(
        "BootstrapFewShot", {"max_labeled_demos": 0, "max_bootstrapped_demos": 4}, concurrency=4
    )
    result = optimizer.align(judge(server), rows(40), valid=rows(20, seed=1))
    gold = {r.fields["outputs"]: r.gold for r in rows(40)}
    for demo in result.judge.predict.demos:
        assert demo["verdict"] == gold[demo["outputs"]]
    assert [c.what for c in result.candidates][1] == "4 examples"


def test_seed_zero_is_a_seed_and_every_seed_another_order(server, in_session):
    in_session()
    orders = []
    for seed in (0, 0, 1):
        optimizer, made = kept()
        optimizer.align(judge(server), rows(40), seed=seed)
        assert made[0].compile_seed == seed + 1
        orders.append([e["outputs"] for e in made[0].trainset])
    assert orders[0] == orders[1] != orders[2]


def test_the_best_of_what_it_kept_is_returned_and_not_the_last(server, in_session):
    in_session()
    rule = "A reply that names a day is good, one without a day is bad."

    def make(student, trainset):
        best, last = student.deepcopy(), student.deepcopy()
        for one, text in (
            (best, f"Is {{{{ outputs }}}} good? {rule}"),
            (last, "Be strict with {{ outputs }}."),
        ):
            one.judge.predict.signature = one.judge.predict.signature.with_instructions(text)
        last.candidate_programs = [{"program": best, "score": 1.0}]
        return last

    optimizer, _ = kept(make=make)
    result = optimizer.align(judge(server), rows(60))
    assert result.changed
    assert rule in result.judge.instructions
    assert [c.name for c in result.candidates if c.chosen] == ["candidate 1"]
    assert {c.name for c in result.candidates} == {"untouched", "compiled", "candidate 1"}


def test_rows_to_choose_by_are_never_shown_to_it(server, in_session):
    in_session()
    optimizer, made = kept()
    result = optimizer.align(judge(server), rows(40))
    shown = {e["outputs"] for e in made[0].trainset}
    groups = {r.group for r in rows(40) if r.fields["outputs"] in shown}
    assert 0 < len(shown) < 40
    assert not [r for r in rows(40) if r.group in groups and r.fields["outputs"] not in shown]
    assert result.candidates[0].rows == 40 - len(shown)


def test_instructions_that_break_the_template_are_repaired(server, in_session):
    in_session()

    def make(student, trainset):
        text = "Look for {{ x }} and name {{{{ a day. A reply that names a day is good, one without a day is bad."
        student.judge.predict.signature = student.judge.predict.signature.with_instructions(text)
        return student

    optimizer, _ = kept(make=make)
    result = optimizer.align(judge(server), rows(60))
    assert result.changed
    assert result.judge.template.keeps_variables(result.judge.instructions)
    assert result.judge(outputs="on Thursday").value == "good"


def test_an_error_that_ends_everything_is_raised_though_dspy_catches_it(server, in_session):
    in_session()
    state = {"n": 0}

    def fails_later(body):
        state["n"] += 1
        return Reply(status=401) if state["n"] > 45 else answer(body)

    server.answer = fails_later
    settings = {"num_candidate_programs": 4, "max_bootstrapped_demos": 4, "max_labeled_demos": 4}
    with pytest.raises(CredentialsError):
        AnyDSPy("BootstrapFewShotWithRandomSearch", settings, concurrency=4).align(judge(server), rows(40))
    assert server.completions < 60


def test_a_budget_that_ends_in_the_search_leaves_the_untouched_judge(server, in_session):
    in_session()
    settings = {"num_candidate_programs": 4, "max_bootstrapped_demos": 4, "max_labeled_demos": 4}
    optimizer = AnyDSPy("BootstrapFewShotWithRandomSearch", settings, concurrency=4)
    given = judge(server)
    result = optimizer.align(given, rows(40), budget=Budget(calls=60))
    assert result.judge is given
    assert result.stopped == "budget"
    assert server.completions <= 60
    with pytest.raises(BudgetExceeded):
        optimizer.align(given, rows(40, seed=3), budget=Budget(calls=10))


def test_nearest_examples_become_a_memory_that_can_be_stored(server, in_session):
    in_session()
    optimizer = AnyDSPy("KNNFewShot", {"k": 3}, embedder=EMBED, concurrency=4)
    result = optimizer.align(judge(server), rows(60))
    assert result.changed
    assert result.judge.memory.shots == 3
    assert result.judge(outputs="we will fix your refund on Thursday.").value == "good"


def test_the_judge_is_not_given_its_own_row_while_dspy_searches(server, in_session):
    in_session()
    given = MemAlign(embedder=EMBED, guidelines=0, fusion=False).align(judge(server), rows(40)).judge
    assert given.memory is not None
    before = len(server.requests)
    optimizer, _ = kept(make=lambda student, train: [student(**e.inputs()) for e in train[:5]] and student)
    optimizer.align(given, rows(40))
    group = {row.fields["outputs"]: row.group for row in rows(40)}
    for record in server.requests[before:]:
        texts = [
            m["content"].removeprefix("<outputs>\n").removesuffix("\n</outputs>")
            for m in (record.body.get("messages") or [])
        ]
        if len(texts) > 2:
            assert group[texts[-1]] not in {group[t] for t in texts[1:-1] if t in group}


def test_names_and_settings_are_checked_before_a_call(server, in_session):
    in_session()
    with pytest.raises(UsageError, match=r"no optimizer 'MIPRO3'.*MIPROv2"):
        AnyDSPy("MIPRO3").align(judge(server), rows(40))
    assert server.completions == 0
    with pytest.raises(UsageError, match="refuses its settings"):
        AnyDSPy("LabeledFewShot", {"kk": 3}).align(judge(server), rows(40))


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("MIPROv2", {"auto": None, "num_candidates": 2, "max_bootstrapped_demos": 1, "max_labeled_demos": 1}),
        ("InferRules", {"num_candidates": 2, "num_rules": 3}),
    ],
)
def test_the_others_run_to_their_end(name, settings, server, in_session):
    in_session()

    def talk(body):
        text = str(body["messages"])
        if "[[ ## " in text:
            import re

            fields = re.findall(r"\[\[ ## (\w+) ## \]\]", body["messages"][0]["content"])
            return "\n".join(
                f"[[ ## {f} ## ]]\nA reply that names a day is good, one without a day is bad."
                for f in dict.fromkeys(fields)
            )
        return answer(body)

    server.answer = talk
    compile_ = {"num_trials": 3} if name == "MIPROv2" else {}
    result = AnyDSPy(name, settings, compile_, concurrency=4).align(
        judge(server), rows(40), valid=rows(20, seed=1)
    )
    assert not result.warnings
    assert result.calls == server.completions
    assert any(c.name == "compiled" for c in result.candidates)


def test_a_chain_keeps_what_each_step_learned(server, in_session):
    in_session()
    server.answer = lambda body: verdict(
        {"good": "bad", "bad": "good"}[__import__("json").loads(perfect(body))["verdict"]]
    )
    memory = MemAlign(embedder=EMBED, guidelines=0, shots=0, concurrency=4)
    chain = Chain([memory, Calibrate(concurrency=4), {"name": "noop"}])
    result = chain.align(judge(server), rows(60))
    assert result.changed
    assert result.judge.memory is not None
    assert any(c.name.startswith("1/3 memalign: ") and c.on for c in result.components)
    assert any(c.name == "2/3 calibrate: calibration" for c in result.components)
    assert result.judge(outputs="on Thursday").value == "good"
    assert result.settings["steps"][1]["name"] == "calibrate"
    assert sum(c.chosen for c in result.candidates) <= 1
    with pytest.raises(ConfigError):
        Chain([{"name": "nothing"}])
    with pytest.raises(UsageError):
        Chain([])
