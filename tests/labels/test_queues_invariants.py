"""C3 by random walks: whatever raters do and whenever leases end, a queue keeps its promises."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from judge_opt.core.errors import Conflict
from judge_opt.core.values import scale
from judge_opt.labels.queues import create_queue, delete_queue
from judge_opt.labels.schemas import create_label_schema
from judge_opt.traces import Store, Trace

RATERS = st.sampled_from(["ana", "bo", "cy"])
PLACES, ITEMS = 1, 2


class QueueWalk(RuleBasedStateMachine):
    def __init__(self, store):
        super().__init__()
        self.store = store
        traces = [Trace(f"t{n}") for n in range(ITEMS)]
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        made = create_queue("q", traces, "stars", raters_per_item=PLACES, lease_seconds=10, store=self.store)
        self.queue = replace(made, clock=lambda: self.now)
        self.tasks = []
        self.labels = {}  # (rater, trace) -> value, as acknowledged
        self.skipped = set()

    def teardown(self):
        delete_queue("q", store=self.store)
        self.store.delete_traces([f"t{n}" for n in range(ITEMS)])

    @rule(rater=RATERS)
    def take(self, rater):
        task = self.queue.next(rater)
        if task is not None:
            assert (rater, task.trace_id) not in self.labels
            assert (rater, task.trace_id) not in self.skipped
            self.tasks.append(task)

    @rule(seconds=st.just(11))
    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), value=st.integers(1, 5))
    def submit(self, data, value):
        task = data.draw(st.sampled_from(self.tasks))
        key = (task.rater, task.trace_id)
        before = self.labels.get(key)
        try:
            done = self.queue.submit(task, value)
        except Conflict:
            # Another answer of the same rater, or no place; with a lease that has not ended there is one.
            assert before not in (None, value) or self.now >= task.expires or key in self.skipped
            return
        assert [said.value for said in done.labels] == [value]
        assert before in (None, value)
        self.labels[key] = value
        self.skipped.discard(key)

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), for_good=st.booleans())
    def give_back(self, data, for_good):
        task = data.draw(st.sampled_from(self.tasks))
        key = (task.rater, task.trace_id)
        try:
            (self.queue.skip if for_good else self.queue.release)(task)
        except Conflict:
            assert key in self.labels
            return
        assert key not in self.labels
        self.tasks = [one for one in self.tasks if (one.rater, one.trace_id) != key]
        (self.skipped.add if for_good else self.skipped.discard)(key)

    @invariant()
    def every_acknowledged_label_is_stored_and_no_other(self):
        stored = {
            (said.source_id, said.trace_id): said.value
            for n in range(ITEMS)
            for said in self.store.assessments(f"t{n}")
        }
        assert stored == self.labels
        assert sum(len(self.store.assessments(f"t{n}")) for n in range(ITEMS)) == len(self.labels)

    @invariant()
    def no_item_has_more_labels_than_places(self):
        for n in range(ITEMS):
            assert sum(trace == f"t{n}" for _, trace in self.labels) <= PLACES
        progress = self.queue.progress()
        assert progress.labels == len(self.labels)
        held = sum(one.holds for one in progress.raters)
        assert held + progress.labels <= PLACES * ITEMS


def test_any_walk_of_raters_keeps_the_promises(store_url):
    with Store(store_url) as store:
        create_label_schema("stars", input=scale(1, 5), store=store)
        # Shrinking would take minutes: every step is a write to a database.
        few = settings(
            max_examples=25, stateful_step_count=30, deadline=None, phases=[Phase.explicit, Phase.generate]
        )
        run_state_machine_as_test(lambda: QueueWalk(store), settings=few)
