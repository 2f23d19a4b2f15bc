"""Queues of items to label: leases, places, blindness, progress."""

from datetime import UTC, datetime, timedelta

import pytest

from judge_opt.core.errors import Conflict, DataError, NotFound, UsageError
from judge_opt.core.values import BOOL, scale
from judge_opt.labels.inputs import InputOrdinal, InputText
from judge_opt.labels.queues import create_queue, delete_queue, get_queue, list_queues
from judge_opt.labels.schemas import create_label_schema, delete_label_schema
from judge_opt.traces import AssessmentSource, Store, Trace

JUDGE = AssessmentSource("LLM_JUDGE", "tone/1")


class Clock:
    """A time that moves when a test says so."""

    def __init__(self):
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self):
        return self.now

    def later(self, seconds):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def store(store_url):
    with Store(store_url) as opened:
        opened.add_traces(
            Trace(f"t{n}", inputs={"n": n}, outputs=f"o{n}", tags={"half": str(n < 3)}) for n in range(6)
        )
        create_label_schema("tone", input=InputOrdinal(["poor", "fair", "good"]), store=opened)
        yield opened


@pytest.fixture
def clock():
    return Clock()


def make(store, clock, ids=("t0", "t1", "t2"), schemas="tone", **more):
    from dataclasses import replace

    options = {"raters_per_item": 2, "order": "given", "lease_seconds": 60}
    return replace(create_queue("q", ids, schemas, store=store, **(options | more)), clock=clock)


def test_every_item_gets_its_raters_and_nobody_gets_one_twice(store, clock):
    queue = make(store, clock)
    seen = {}
    for _ in range(3):
        for rater in ("ana", "bo", "cy"):
            if task := queue.next(rater):
                assert task.trace_id not in seen.setdefault(rater, [])
                seen[rater].append(task.trace_id)
                done = queue.submit(task, {"tone": "good"}, rationale=f"{rater} says so")
                assert [(said.source_id, said.value) for said in done.labels] == [(rater, "good")]
    assert all(queue.next(rater) is None for rater in ("ana", "bo", "cy"))
    progress = queue.progress()
    assert progress.done
    assert (progress.items, progress.labels, progress.labels_wanted) == (3, 6, 6)
    assert sum(one.labelled for one in progress.raters) == 6
    for example in queue.results():
        assert len(example.votes) == 2
        assert all(vote.rationale == f"{vote.rater} says so" for vote in example.votes)
    assert [one.id for one in queue.results(done_only=True)] == ["t0", "t1", "t2"]


def test_an_item_is_held_by_its_lease_and_free_after_it(store, clock):
    queue = make(store, clock, ids=["t0"], raters_per_item=1)
    ana = queue.next("ana")
    assert queue.next("bo") is None
    clock.later(59)
    assert queue.next("bo") is None
    clock.later(2)
    bo = queue.next("bo")
    assert (ana.trace_id, bo.trace_id) == ("t0", "t0")
    assert queue.next("ana") is None


def test_who_comes_back_gets_the_item_that_he_holds_with_a_new_lease(store, clock):
    queue = make(store, clock)
    first = queue.next("ana")
    clock.later(50)
    again = queue.next("ana")
    assert again.trace_id == first.trace_id
    clock.later(50)
    assert not queue.submit(again, "good").late
    assert queue.next("ana").trace_id != first.trace_id


def test_a_late_label_is_taken_where_the_item_still_needs_it(store, clock):
    queue = make(store, clock, ids=["t0"], raters_per_item=1)
    task = queue.next("ana")
    clock.later(1000)
    assert queue.submit(task, "good").late
    assert queue.progress().done


def test_a_label_that_is_too_late_is_a_conflict_and_is_kept(store, clock):
    queue = make(store, clock, ids=["t0"], raters_per_item=1)
    late = queue.next("ana")
    clock.later(61)
    bo = queue.next("bo")
    with pytest.raises(Conflict, match=r"lease of 'ana' on trace 't0' ended at .* the labels do not count"):
        queue.submit(late, "poor", rationale="I was slow.")
    assert store.assessments("t0") == []
    queue.submit(bo, "good")
    with pytest.raises(Conflict):
        queue.submit(late, "fair")
    assert [(said.source_id, said.value) for said in store.assessments("t0")] == [("bo", "good")]
    (kept,) = queue.refused()
    assert (kept.trace_id, kept.rater, kept.labels, kept.rationale) == ("t0", "ana", {"tone": "fair"}, {})
    assert [(one.rater, one.labelled, one.refused) for one in queue.progress().raters] == [
        ("ana", 0, 1),
        ("bo", 1, 0),
    ]


def test_a_refused_label_counts_after_all_once_the_place_is_free_again(store, clock):
    queue = make(store, clock, ids=["t0"], raters_per_item=1)
    late = queue.next("ana")
    clock.later(61)
    bo = queue.next("bo")
    with pytest.raises(Conflict):
        queue.submit(late, "poor")
    queue.skip(bo)
    assert queue.submit(late, "poor").late
    assert queue.refused() == []


def test_submitting_twice_is_once_and_otherwise_a_conflict(store, clock):
    queue = make(store, clock)
    task = queue.next("ana")
    first = queue.submit(task, "good", "why")
    again = queue.submit(task, {"tone": "Good"}, {"tone": "why"})
    assert again.labels == first.labels
    assert len(store.assessments("t0")) == 1
    with pytest.raises(Conflict, match="labelled trace 't0' in queue 'q' before, otherwise"):
        queue.submit(task, "poor")
    with pytest.raises(Conflict):
        queue.skip(task)
    with pytest.raises(Conflict):
        queue.release(task)
    assert queue.progress().labels == 1


def test_nobody_overwrites_another_s_label(store, clock):
    queue = make(store, clock, ids=["t0"])
    ana, bo = queue.next("ana"), queue.next("bo")
    queue.submit(ana, "good")
    queue.submit(bo, "poor")
    (example,) = queue.results()
    assert [(vote.rater, vote.value) for vote in example.votes] == [("ana", "good"), ("bo", "poor")]
    assert example.soft == {"good": 0.5, "poor": 0.5}


def test_skipped_never_comes_back_and_released_comes_last(store, clock):
    queue = make(store, clock, raters_per_item=1)
    skipped = queue.next("ana")
    queue.skip(skipped)
    released = queue.next("ana")
    queue.release(released)
    third = queue.next("ana")
    assert len({skipped.trace_id, released.trace_id, third.trace_id}) == 3
    queue.submit(third, "fair")
    assert queue.next("ana").trace_id == released.trace_id
    queue.submit(queue.next("ana"), "fair")
    assert queue.next("ana") is None
    assert queue.next("bo").trace_id == skipped.trace_id


def test_a_rater_does_not_see_what_judges_and_others_say(store, clock):
    store.log_feedback("t0", "tone", "poor", rationale="the judge's reason", source=JUDGE)
    store.set_tag("t0", "verdict", "poor")
    queue = make(store, clock)
    queue.submit(queue.next("ana"), "good", "ana's reason")
    task = queue.next("bo")
    assert task.trace_id == "t0"
    assert task.judge_verdicts is None
    shown = str(task) + str(task.to_json())
    for hidden in ("judge's reason", "ana's reason", "verdict"):
        assert hidden not in shown.replace("judge_verdicts", "")
    after = queue.submit(task, "fair")
    assert [(said.value, said.rationale) for said in after.judge_verdicts] == [("poor", "the judge's reason")]


def test_an_open_queue_shows_the_verdicts(store, clock):
    store.log_feedback("t0", "tone", "poor", source=JUDGE)
    task = make(store, clock, blind=False).next("ana")
    assert [said.value for said in task.judge_verdicts] == ["poor"]
    assert task.to_json()["judge_verdicts"][0]["judge"] == "tone/1"


def test_bad_labels_store_nothing_and_keep_the_lease(store, clock):
    create_label_schema("safe", input=BOOL, store=store)
    queue = make(store, clock, schemas=["tone", "safe"])
    task = queue.next("ana")
    for labels, message in (
        ({"tone": "good"}, "the label 'safe' is missing"),
        ({"tone": "god", "safe": True}, r"Did you mean 'good'\?"),
        ({"tone": "good", "save": True}, r"does not ask for 'save'. Did you mean 'safe'\?"),
        ("good", "asks for 2 labels, got one value"),
    ):
        with pytest.raises(DataError, match=message):
            queue.submit(task, labels)
    with pytest.raises(DataError, match="does not ask for 'save'"):
        queue.submit(task, {"tone": "good", "safe": True}, {"save": "because"})
    assert store.assessments("t0") == []
    assert queue.next("ana").trace_id == "t0"
    done = queue.submit(task, {"tone": "good", "safe": "no"}, {"safe": "because"})
    assert [(said.name, said.value, said.rationale) for said in done.labels] == [
        ("tone", "good", None),
        ("safe", False, "because"),
    ]
    assert [vote.value for vote in queue.results("safe")[0].votes] == [False]
    with pytest.raises(DataError, match=r"no labels called 'save'. Did you mean 'safe'\?"):
        queue.results("save")


def test_expectations_can_be_asked_for(store, clock):
    create_label_schema("facts", input=InputText(), type="expectation", store=store)
    queue = make(store, clock, schemas=["tone", "facts"])
    queue.submit(queue.next("ana"), {"tone": "good", "facts": "It cites the policy."})
    assert store.labelled_examples("tone", str)[0].fields["expectations"] == {"facts": "It cites the policy."}


def test_labels_say_how_they_were_made(store, clock):
    queue = make(store, clock)
    task = queue.next("ana")
    clock.later(12)
    (said,) = queue.submit(task, "good", metadata={"screen": "small"}).labels
    assert said.metadata == {"queue": "q", "blind": True, "seconds": 12.0, "screen": "small"}
    assert queue.progress().raters[0].median_seconds == 12.0


def test_a_deleted_trace_leaves_the_queue(store, clock):
    queue = make(store, clock)
    task = queue.next("ana")
    store.delete_traces(["t0"])
    with pytest.raises(NotFound, match="it was deleted"):
        queue.submit(task, "good")
    assert queue.progress().items == 2


def test_a_task_that_was_never_taken_is_refused(store, clock):
    queue = make(store, clock)
    task = queue.next("ana")
    from dataclasses import replace

    with pytest.raises(NotFound, match="'eve' has not taken trace 't0'"):
        queue.submit(replace(task, rater="eve"), "good")
    with pytest.raises(NotFound, match="'eve' has not taken trace 't0'"):
        queue.task("eve", "t0")
    assert queue.task("ana", "t0").trace_id == "t0"


def test_queues_are_opened_listed_extended_and_deleted(store, clock):
    queue = make(store, clock, ids=["t0", Trace("new", inputs=1), "t0"])
    assert store.get_trace("new").inputs == 1
    assert queue.progress().items == 2
    assert queue.add(["t1", "t0"]) == 1
    again = get_queue("q", store=store)
    assert (again.id, again.schemas, again.blind, again.order["order"]) == (
        queue.id,
        queue.schemas,
        True,
        "given",
    )
    assert [one.name for one in list_queues(store=store)] == ["q"]
    with pytest.raises(Conflict, match="There is a queue 'q' already"):
        make(store, clock)
    with pytest.raises(Conflict, match="Queue 'q' asks for 'tone'"):
        delete_label_schema("tone", store=store)
    queue.submit(queue.next("ana"), "good")
    delete_queue("q", store=store)
    assert store.assessments("t0")[0].value == "good"
    delete_label_schema("tone", store=store)
    with pytest.raises(NotFound, match="There is no queue 'q'"):
        get_queue("q", store=store)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"raters_per_item": 0}, UsageError, "no number of people"),
        ({"raters_per_item": True}, UsageError, "no number of people"),
        ({"lease_seconds": 0}, UsageError, "no time"),
        ({"lease_seconds": float("inf")}, UsageError, "no time"),
        ({"order": "radom"}, UsageError, r"Did you mean 'random'\?"),
        ({"order": "distance"}, UsageError, "needs an embedder"),
        ({"order": "uncertainty"}, DataError, "has label probabilities"),
        ({"order": "stratified", "key": "inputs.topic"}, DataError, "nothing at 'inputs.topic'"),
        ({"ids": []}, DataError, "has no items"),
        ({"ids": ["t9"]}, NotFound, r"no trace 't9'"),
        ({"ids": [3]}, UsageError, "no trace"),
        ({"schemas": "tonne"}, NotFound, r"Did you mean 'tone'\?"),
        ({"schemas": []}, UsageError, "asks for nothing"),
        ({"schemas": ["tone", "tone"]}, UsageError, "one label twice"),
        ({"order": lambda traces: [1.0]}, UsageError, "1 scores for 3 traces"),
    ],
)
def test_what_makes_no_queue(store, clock, change, error, message):
    with pytest.raises(error, match=message):
        make(store, clock, **change)
    assert list_queues(store=store) == []


def test_the_order_is_by_policy(store, clock):
    for n, p in enumerate([0.99, 0.5, 0.7, 0.9, 0.6]):
        store.log_feedback(
            f"t{n}",
            "tone",
            "good",
            source=JUDGE,
            metadata={"probabilities": {"poor": 1 - p, "good": p, "fair": 0.0}},
        )
    second = AssessmentSource("LLM_JUDGE", "tone/2")
    store.log_feedback("t3", "tone", "poor", source=second)
    store.log_feedback("t4", "tone", "good", source=second)
    ids = [f"t{n}" for n in range(6)]

    def order(**how):
        queue = make(store, clock, ids=ids, **how)
        out = []
        while task := queue.next("ana"):
            out.append(task.trace_id)
            queue.skip(task)
        delete_queue("q", store=store)
        return out

    assert order() == ids
    assert order(order="uncertainty") == ["t1", "t4", "t2", "t3", "t0", "t5"]  # t5 has no verdict
    assert order(order="disagreement")[0] == "t3"
    assert order(order=lambda traces: [trace.inputs["n"] for trace in traces]) == ids[::-1]
    shuffled = order(order="random", seed=1)
    assert sorted(shuffled) == ids
    assert shuffled == order(order="random", seed=1)
    assert len({tuple(order(order="random", seed=seed)) for seed in range(4)}) > 1
    by_half = order(order="stratified", key="tags.half")
    assert all(len({int(one[1]) < 3 for one in by_half[k : k + 2]}) == 2 for k in (0, 2, 4))
    assert len(order(order="stratified")) == 6


class OneNumber:
    """Embeds a text as the direction that its last digit says."""

    def embed(self, texts):
        import numpy as np

        angle = np.array([float(text[-1]) for text in texts])
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def test_distance_takes_the_farthest_from_what_is_labelled(store, clock):
    store.log_feedback("t0", "tone", "good", rater="ana")
    queue = make(store, clock, ids=[f"t{n}" for n in range(1, 6)], order="distance", embedder=OneNumber())
    assert queue.next("ana").trace_id == "t3"  # 3 radians from 0: nearly opposite
    queue.reorder(lambda traces: [trace.inputs["n"] for trace in traces])
    assert queue.next("ana").trace_id == "t3"  # what she holds stays with her
    assert queue.next("bo").trace_id == "t5"
    queue.reorder("distance", embedder=OneNumber())
    assert queue.progress().items == 5


def test_hostile_names_of_raters_and_content_round_trip(store, clock):
    rater = "\u202eana\x00\\\ud800"
    store.add_trace(Trace("x\x00\ud800", inputs="\ud800\x00"))
    queue = make(store, clock, ids=["x\x00\ud800"])
    task = queue.next(rater)
    assert (task.inputs, task.rater) == ("\ud800\x00", rater)
    queue.submit(task, "good", "\ud800")
    assert [(vote.rater, vote.rationale) for vote in queue.results()[0].votes] == [(rater, "\ud800")]
    for wrong in ("", "x" * 251):
        with pytest.raises(UsageError):
            queue.next(wrong)


def test_numbers_can_be_asked_for_too(store, clock):
    create_label_schema("stars", input=scale(1, 5), store=store)
    queue = make(store, clock, schemas="stars")
    queue.submit(queue.next("ana"), "4")
    assert queue.results()[0].votes[0].value == 4
