"""The work itself: agent and judges on threads, each result in the journal at once, in the store in batches.

    next task -> agent or judge -> journal (one write) -> board -> every so often: fsync, then the store

A task that has ended is never done again, whenever the process is killed: the journal has it, and a model's
reply has been in the call store before that. What the store still lacked is written when the run resumes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from judge_opt.core.errors import BudgetExceeded, JudgeOptError
from judge_opt.core.killpoints import reach
from judge_opt.evaluation.agent import Agent
from judge_opt.evaluation.board import Board, said_json
from judge_opt.evaluation.journal import Journal
from judge_opt.evaluation.recording import Word, new_trace_id, record
from judge_opt.evaluation.scorers import Scorer
from judge_opt.evaluation.tally import Tally, tallied
from judge_opt.judges.item import as_mapping
from judge_opt.llm.parallel import map_threads
from judge_opt.llm.retry import cancelled
from judge_opt.traces.store import Store
from judge_opt.traces.writer import flush_traces

BATCH_WORDS = 250
BATCH_SECONDS = 1.0
AGENT_FAILURES = 25
"""An agent that has failed on its first rows, all of them and this many, is broken: the run stops."""

_EMBED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class EvaluationEvent:
    """How far an evaluation is.

    Attributes:
        phase: "embed items" or "judge rows".
        done, total: rows; a row is done when every judge has said something of it.
        rows_per_second: since this process began.
        seconds_left: at that rate; None before it is known.
        calls, cached: model calls bought and answered without buying, by this process.
        usd: dollars that they are known to have cost.
    """

    phase: str
    done: int
    total: int
    rows_per_second: float = 0.0
    seconds_left: float | None = None
    calls: int = 0
    cached: int = 0
    usd: float = 0.0


Task = tuple[int, int]
"""(row, judge); judge -1 stands for the agent."""


class Engine:
    """One pass over the rows of an evaluation.

    Args:
        sources: (source type, source id) of each judge, as assessments name it.
        store: None to record nothing.
        events: told of every row that is done; from any thread, quick, must not raise.

    Attributes:
        stopped: the budget's error, where it ended the pass before all rows were judged.
    """

    def __init__(
        self,
        run_id: str,
        board: Board,
        journal: Journal,
        scorers: Sequence[Scorer],
        sources: Sequence[tuple[str, str]],
        agent: Agent | None,
        store: Store | None,
        events: Callable[[EvaluationEvent], None] | None,
    ) -> None:
        self.run_id = run_id
        self.board = board
        self.journal = journal
        self.scorers = scorers
        self.sources = dict(zip((one.name for one in scorers), sources, strict=True))
        self.agent = agent
        self.store = store
        self.events = events
        self.stopped: JudgeOptError | None = None
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._words: list[Word] = []
        self._flushed = time.monotonic()
        self._begun = time.monotonic()
        self._spent = Tally()
        self._failed_first = 0
        self._left = {
            number: len(tasks) for number in range(len(board.rows)) if (tasks := self._todo(number))
        }
        self._done_before = len(board.rows) - len(self._left)

    @property
    def idle(self) -> bool:
        """True where nothing is to be done."""
        return not self._left

    def run(self, concurrency: int) -> None:
        """Do all that is still to be done.

        Raises:
            JudgeOptError: a model cannot be asked at all, or the agent is broken; what was done is kept.
            KeyboardInterrupt: what was in flight has ended and is kept.
        """
        self._catch_up()
        self._embed()
        queue = _Queue(self._tasks())

        def work(_: int) -> None:
            stop = cancelled.get()
            while (task := queue.next(stop)) is not None:
                more: Sequence[Task] = ()
                try:
                    more = self._do(task)
                except BudgetExceeded as error:
                    self.stopped = error
                    queue.close()
                except BaseException:
                    queue.close()
                    raise
                finally:
                    queue.done(more)

        self._begun = time.monotonic()
        try:
            map_threads(work, range(concurrency), concurrency)
        finally:
            queue.close()
            self._flush()

    def _tasks(self) -> Iterator[Task]:
        for number in list(self._left):
            yield from self._todo(number)

    def _todo(self, number: int) -> list[Task]:
        return [(number, -1)] if self.board.needs_agent(number) else self._judging(number)

    def _judging(self, number: int) -> list[Task]:
        needs = self.board.needs_judge
        return [(number, j) for j, one in enumerate(self.scorers) if needs(number, one.name)]

    def _do(self, task: Task) -> Sequence[Task]:
        number, j = task
        row = self.board.rows[number]
        begun = time.monotonic()
        if j < 0:
            assert self.agent is not None
            with tallied() as tally:
                ran = self.agent.run(row, self.run_id if self.store is not None else "")
            reach("evaluation.agent_done")
            entry = {"r": number, "outputs": ran.outputs, "error": ran.error, "trace_id": ran.trace_id}
            more = self._note(entry, begun, tally)
            self._check_agent(ran.error)
            return more
        scorer = self.scorers[j]
        fields = self._shown(number, scorer)
        with tallied() as tally:
            result, metadata = scorer.judge(fields, row.group)
        reach("evaluation.judged")
        return self._note({"r": number, "j": scorer.name, "said": said_json(result, metadata)}, begun, tally)

    def _shown(self, number: int, scorer: Scorer) -> dict[str, Any]:
        """The fields of a row, with the agent's trace for a judge that looks at it."""
        fields = self.board.fields(number)
        ran = self.board.ran[number]
        if scorer.reads_trace and self.store is not None and ran is not None and ran.get("trace_id"):
            flush_traces()
            fields["trace"] = as_mapping(self.store.get_trace(ran["trace_id"]))
        return fields

    def _note(self, entry: dict[str, Any], begun: float, tally: Tally) -> list[Task]:
        """Keep what a task gave, and return the tasks that it makes possible."""
        entry["t"] = round(time.monotonic() - begun, 6)
        entry["c"] = tally.to_json()
        number = entry["r"]
        with self._lock:
            self.journal.append(entry)
            self.board.take(entry)
            self._spent.add(tally)
            more = self._judging(number) if "j" not in entry and entry["error"] is None else []
            if "j" in entry:
                self._words.append(self._word(number, entry["j"]))
            self._left[number] += len(more) - 1
            if finished := not self._left[number]:
                del self._left[number]
            event = self._event() if finished and self.events is not None else None
            due = len(self._words) >= BATCH_WORDS or time.monotonic() - self._flushed >= BATCH_SECONDS
            if due:
                self._flushed = time.monotonic()
        reach("evaluation.journal_written")
        if event is not None and self.events is not None:
            self.events(event)
        if due:
            self._flush()
        return more

    def _flush(self) -> None:
        """Make what is noted durable, and record it."""
        with self._writing:
            with self._lock:
                words, self._words = self._words, []
                covered = len(self.board.noted)
            self.journal.sync()
            if self.store is not None and words:
                if self.agent is not None:
                    flush_traces()
                try:
                    record(self.store, self.run_id, words)
                except BaseException:
                    with self._lock:
                        self._words = words + self._words  # a later flush must not pass them over
                    raise
                self._cover(covered)

    def _cover(self, covered: int) -> None:
        """Note that the store has so many of the noted judgements, so that no later process writes them."""
        assert self.store is not None
        entry = {"covered": covered, "store": self.store.database.name}
        with self._lock:
            self.journal.append(entry)
            self.board.take(entry)

    def _catch_up(self) -> None:
        """Record what an earlier process had noted and perhaps not recorded; what is there stays."""
        if self.store is None:
            return
        noted = self.board.noted[self.board.covered.get(self.store.database.name, 0) :]
        words = [self._word(number, judge) for number, judge in noted if judge in self.board.said[number]]
        for start in range(0, len(words), BATCH_WORDS):
            record(self.store, self.run_id, words[start : start + BATCH_WORDS])
        if words:
            self._cover(len(self.board.noted))

    def _word(self, number: int, judge: str) -> Word:
        board, fields = self.board, self.board.fields(number)
        trace_id = board.trace_id(number) or new_trace_id(board.rows[number], fields)
        return Word(
            board.rows[number], trace_id, fields, judge, self.sources[judge], board.saying(number, judge)
        )

    def _embed(self) -> None:
        """Let judges with a memory embed many items in one request, where the items are known."""
        if self.agent is not None:
            return
        waiting = [number for number in range(len(self.board.rows)) if self._judging(number)]
        for scorer in self.scorers:
            if not scorer.embeds:
                continue
            for start in range(0, len(waiting), _EMBED_AT_ONCE):
                some = waiting[start : start + _EMBED_AT_ONCE]
                scorer.prepare([self.board.fields(number) for number in some])
                if self.events is not None:
                    self.events(EvaluationEvent("embed items", start + len(some), len(waiting)))

    def _check_agent(self, error: str | None) -> None:
        with self._lock:
            if error is None:
                self._failed_first = -1
            elif self._failed_first >= 0:
                self._failed_first += 1
            broken = self._failed_first == AGENT_FAILURES and len(self.board.rows) > AGENT_FAILURES
        if broken:
            raise JudgeOptError(
                f"predict_fn failed on each of the first {AGENT_FAILURES} rows, the last time with: {error}.",
                "Correct it and run the same again: it goes on where it stopped.",
            )

    def _event(self) -> EvaluationEvent:
        seconds = max(time.monotonic() - self._begun, 1e-6)
        total, spent = len(self.board.rows), self._spent
        done = total - len(self._left)
        rate = (done - self._done_before) / seconds
        left = len(self._left) / rate if rate > 0 else None
        return EvaluationEvent("judge rows", done, total, rate, left, spent.calls, spent.cached, spent.usd)


class _Queue:
    """Tasks for many threads; a task may bring more, which come before the rest."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._rest = iter(tasks)
        self._ready: deque[Task] = deque()
        self._busy = 0
        self._closed = False
        self._changed = threading.Condition()

    def next(self, stop: threading.Event | None) -> Task | None:
        """The next task; None where there is none and none can come any more, or `stop` is set."""
        with self._changed:
            while not self._closed and not (stop is not None and stop.is_set()):
                task = self._ready.popleft() if self._ready else next(self._rest, None)
                if task is not None:
                    self._busy += 1
                    return task
                if not self._busy:
                    return None
                self._changed.wait()
            return None

    def done(self, more: Sequence[Task]) -> None:
        """A task has ended, and brought these."""
        with self._changed:
            self._busy -= 1
            self._ready.extend(more)
            if more or not self._busy:
                self._changed.notify_all()

    def close(self) -> None:
        """Give out nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
