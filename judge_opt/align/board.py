"""The board of a search: forms of one judge, what each says of which row, and what that is worth.

A form is the judge with other instructions or demos. A row counts for a form only where the form did not learn
from it: no reflection of it or of its ancestors was shown that row or another of its group. So every label
serves twice, for learning in one line of descent and for choosing in the others, and with few labels nothing is
split away (cross-fitting by descent). Where labels abound, or the caller gave rows for choosing, the two are
split for good.
"""

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from judge_opt.align.fit import gain, same_value
from judge_opt.align.instructions import with_instructions
from judge_opt.align.objective import Metric, class_weights
from judge_opt.align.running import Alignment
from judge_opt.core.results import Judgement, Scored
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample

Demo = Mapping[str, Any]
MIN_CLEAN = 8
"""Rows that a form did not learn from, below which it cannot be measured."""


@dataclass(slots=True)
class Form:
    """Attributes:
    number: place on the board; 0 is the untouched judge.
    judge: with this form's instructions and demos.
    learned: groups of rows that it or an ancestor was shown.
    parents: forms that it was made from.
    origin: how: "untouched", "reflection", "merge", "rule", "demo".
    said: row to judgement.
    settled: its trial is over, and it is in the pool.
    """

    number: int
    judge: Judge
    learned: frozenset[str]
    parents: tuple[int, ...]
    origin: str
    said: dict[int, Judgement] = field(default_factory=dict)
    settled: bool = False

    @property
    def text(self) -> str:
        """Its instructions."""
        return self.judge.instructions


class Board:
    """See the module's text.

    Args:
        run: the alignment, in whose session calls are bought.
        judge: the untouched one.
        rows: all rows, those for choosing included.
        learn, choose: places in `rows`; the same where they are cross-fitted.
        metric: what agreement is measured by.
        concurrency: calls in flight.
    """

    def __init__(
        self,
        run: Alignment,
        judge: Judge,
        rows: Sequence[LabelledExample],
        learn: Sequence[int],
        choose: Sequence[int],
        metric: Metric,
        concurrency: int,
    ) -> None:
        self.run = run
        self.rows = list(rows)
        self.learn = list(learn)
        self.choose = list(choose)
        self.crossed = bool(set(self.learn) & set(self.choose))
        self.metric = metric
        self.value_type = judge.value_type
        self.concurrency = concurrency
        weights = class_weights([self.rows[i] for i in self.choose], judge.value_type)
        self._weights = dict(zip(self.choose, weights, strict=True))
        self._known: set[str] = set()
        self.forms: list[Form] = []
        untouched = self._put(judge, frozenset(), (), "untouched")
        assert untouched is not None

    # -- forms ---------------------------------------------------------------------------------------------

    def make(
        self,
        text: str,
        *,
        learned: Iterable[int],
        parents: Sequence[Form],
        origin: str,
        demos: Sequence[Demo] | None = None,
    ) -> Form | None:
        """A new form; None where `text` cannot be repaired to instructions that keep the template's variables,
        or the form is on the board already.

        Args:
            learned: rows that were shown to make it, besides those of its parents.
            demos: default: those of the first parent.
        """
        judge = with_instructions(parents[0].judge, text)
        if judge is None:
            return None
        if demos is not None:
            judge.predict.demos = [dict(demo) for demo in demos]
        groups = {self.rows[i].group for i in learned}
        groups.update(*(parent.learned for parent in parents))
        return self._put(judge, frozenset(groups), tuple(p.number for p in parents), origin)

    def _put(
        self, judge: Judge, learned: frozenset[str], parents: tuple[int, ...], origin: str
    ) -> Form | None:
        key = repr((judge.instructions, [sorted(map(repr, demo.items())) for demo in judge.predict.demos]))
        if key in self._known:
            return None
        self._known.add(key)
        form = Form(len(self.forms), judge, learned, parents, origin)
        self.forms.append(form)
        return form

    @property
    def untouched(self) -> Form:
        return self.forms[0]

    def descends(self, form: Form, other: Form) -> bool:
        """True where `other` is `form` or an ancestor of it."""
        todo, seen = [form.number], set[int]()
        while todo:
            number = todo.pop()
            if number == other.number:
                return True
            if number not in seen:
                seen.add(number)
                todo += self.forms[number].parents
        return False

    # -- rows ----------------------------------------------------------------------------------------------

    def clean(self, form: Form) -> list[int]:
        """Rows for choosing that count for `form`, in an order of its own (labels take turns), so that a first
        part of them is a fair sample."""
        places = [i for i in self.choose if self.rows[i].group not in form.learned]
        random.Random(f"{self.run.seed} order {form.number}").shuffle(places)
        queues: dict[str, list[int]] = {}
        for i in places:
            gold = self.rows[i].gold
            label = "" if gold is None or not self.value_type.is_choice else self.value_type.text_of(gold)
            queues.setdefault(label, []).append(i)
        turns = [
            (turn / len(queue), label, i) for label, queue in queues.items() for turn, i in enumerate(queue)
        ]
        return [i for _, _, i in sorted(turns)]

    def measurable(self, learned: frozenset[str]) -> bool:
        """True where enough rows are left that a form which learned from these groups did not see."""
        left = sum(self.rows[i].group not in learned for i in self.choose)
        return left >= min(MIN_CLEAN, len(self.choose))

    def judge(self, form: Form, places: Sequence[int], phase: str) -> int:
        """Have `form` judge rows that it has not judged yet.

        Returns:
            how many that was.
        """
        todo = [i for i in dict.fromkeys(places) if i not in form.said]
        if todo:
            judged = self.run.judge(form.judge, [self.rows[i] for i in todo], phase, self.concurrency)
            form.said.update(zip(todo, judged, strict=True))
        return len(todo)

    def wrong(self, form: Form, place: int) -> bool:
        """True where the form judged the row, and not as the experts do."""
        return not same_value(self.rows[place], form.said[place], self.value_type)

    def gains(self, form: Form, over: Form | None = None) -> dict[int, float]:
        """Row to what `form` gains over another (default: the untouched judge), on rows that count for both and
        that both judged; every label counts the same in their mean."""
        base = over or self.untouched
        found = {}
        for i in self.choose:
            group = self.rows[i].group
            if i not in form.said or i not in base.said or group in form.learned or group in base.learned:
                continue
            more = gain(self.rows[i], base.said[i], form.said[i], self.value_type, self.metric)
            if more is not None:
                found[i] = self._weights[i] * more
        return found

    def score(self, form: Form, places: Sequence[int]) -> float | None:
        """Agreement by the metric on those of the rows that it judged; None where there are none."""
        pairs = [(self.rows[i], j) for i in places if isinstance(j := form.said.get(i), Scored)]
        if not pairs:
            return None
        return self.metric.pooled([row for row, _ in pairs], [j for _, j in pairs], self.value_type)


def panel(
    rows: Sequence[LabelledExample], judge: Judge, limit: int | None, seed: int
) -> tuple[list[int], list[int]]:
    """(places to learn from, places to choose on): all rows for both where they are few or the budget is
    large enough to judge them all often; else a part of them, drawn by whole groups with its share of every
    label, is kept for choosing.

    Args:
        limit: calls that may be asked; None: no limit.
    """
    everything = list(range(len(rows)))
    most = 100 if limit is None else max(2 * MIN_CLEAN, min(100, limit // 4))
    if len(rows) < 1.5 * most:
        return everything, everything
    labels = [
        "" if row.gold is None or not judge.value_type.is_choice else judge.value_type.text_of(row.gold)
        for row in rows
    ]
    groups: dict[str, Counter[str]] = {}
    for row, label in zip(rows, labels, strict=True):
        groups.setdefault(row.group, Counter())[label] += 1
    wanted = {label: most * n / len(rows) for label, n in Counter(labels).items()}
    order, kept = sorted(groups), set[str]()
    random.Random(f"{seed} panel").shuffle(order)
    for group in order:
        # Taken where it brings the labels closer to their shares than it takes them beyond.
        more = sum(min(n, wanted[label]) - max(0.0, n - wanted[label]) for label, n in groups[group].items())
        if more > 0:
            kept.add(group)
            for label, n in groups[group].items():
                wanted[label] = max(0.0, wanted[label] - n)
    choose = [i for i in everything if rows[i].group in kept]
    learn = [i for i in everything if rows[i].group not in kept]
    return (learn, choose) if learn and choose else (everything, everything)
