"""What the judge says of labelled rows with guidelines or with examples; what is known of old rows is kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from judge_opt.align.rows import TrainingRow
from judge_opt.align.semantic import judged_unseen
from judge_opt.core.results import Judgement
from judge_opt.judges.judge import Judge
from judge_opt.llm.parallel import map_threads
from judge_opt.memory.evidence import Kind, as_json, from_json
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.memory import Memory

if TYPE_CHECKING:
    from judge_opt.align.memalign import MemAlign


class AskedRows:
    """The rows of one alignment, as the judge was asked about them.

    Args:
        settings, judge, seed: of the alignment; the judge is untouched.
        rows: judged by it, sorted by id.
        before: what the judge had learned.
        fresh: ids of the rows that are new or have changed.
        tell: phase to a function of (done, total).

    Attributes:
        evidence: example id to what the judge said of it, see `memory.evidence`.
    """

    def __init__(
        self,
        settings: "MemAlign",
        judge: Judge,
        rows: Sequence[TrainingRow],
        before: Memory | None,
        fresh: frozenset[str],
        seed: int,
        tell: Callable[[str], Callable[[int, int], None]],
    ) -> None:
        self.settings = settings
        self.judge = judge
        self.rows = rows
        self.fresh = fresh
        self.seed = seed
        self.tell = tell
        self.evidence: dict[str, dict[str, Any]] = {}
        for row in rows:
            said = (
                {} if before is None or row.example.id in fresh else before.evidence.get(row.example.id, {})
            )
            self.evidence[row.example.id] = {**said, "plain": as_json(row.judged)}

    def judged(
        self,
        kind: Kind,
        unseen: Sequence[Sequence[Guideline]] | None,
        demos: Any,
        which: Sequence[int] | None = None,
    ) -> dict[int, Judgement]:
        """What the judge says of rows with guidelines, or with examples too; what it said of old rows is kept.
        At most `check_rows` are asked about."""
        rows = self.rows
        wanted = self.order()[: self.settings.check_rows] if which is None else list(which)
        out: dict[int, Judgement] = {}
        for i in range(len(rows)) if which is None else wanted:
            said = self.remembered(kind, rows[i])
            if said is not None:
                out[i] = said
        ask = [i for i in wanted if i not in out]
        if out:  # the others were left out when the judge learned from them: only what is new is asked about
            ask = [i for i in self.order() if rows[i].example.id in self.fresh and i not in out]
            ask = ask[: self.settings.check_rows]
        phase = "judge with guidelines" if kind == "guided" else "judge with examples"
        told = self.tell(phase)
        given = [() for _ in rows] if unseen is None else unseen
        if kind == "guided":
            found = judged_unseen(self.judge, rows, given, ask, self.settings.concurrency, told)
        else:
            done = 0

            def one(i: int) -> Judgement:
                nonlocal done
                active = [replace(g, state="active") for g in given[i]]
                said = self.judge.ask(rows[i].parts, guidelines=active, demos=demos(i))
                done += 1
                told(done, len(ask))
                return said

            found = dict(zip(ask, map_threads(one, ask, self.settings.concurrency), strict=True))
        for i, said in found.items():
            self.evidence[rows[i].example.id][kind] = as_json(said)
        return out | found

    def remembered(self, kind: Kind, row: TrainingRow) -> Judgement | None:
        """What it said of a row that has not changed since; None where it was not asked."""
        data = None if row.example.id in self.fresh else self.evidence[row.example.id].get(kind)
        return None if data is None else from_json(data, self.judge.value_type)

    def order(self) -> list[int]:
        """Positions of the rows in the order in which they are asked about."""
        return [int(i) for i in np.random.default_rng(self.seed).permutation(len(self.rows))]
