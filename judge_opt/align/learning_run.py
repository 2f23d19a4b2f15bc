"""One alignment by MemAlign, step by step: rows, examples, guidelines, what each part is worth, the choice."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from judge_opt.align.asked_rows import AskedRows
from judge_opt.align.carrying import carried
from judge_opt.align.contract import AlignmentResult, CandidateResult, Component
from judge_opt.align.forms import Compared, Form, Forms
from judge_opt.align.objective import metric_for, metric_name
from judge_opt.align.parts import choose
from judge_opt.align.remembering import remember
from judge_opt.align.rows import TrainingRow, rows_of_memory
from judge_opt.align.running import Alignment
from judge_opt.align.semantic import SemanticSettings, learn_guidelines
from judge_opt.core.results import Judgement, Scored
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.session import current_session
from judge_opt.memory.episodic import EpisodicMemory
from judge_opt.memory.fitting import Predictors, fit_pool, fit_predictors
from judge_opt.memory.forgetting import standing
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.memory import Memory, demo

if TYPE_CHECKING:
    from judge_opt.align.memalign import MemAlign

WAITING = 8
"""New labels that wait for more before guidelines are distilled from them, where guidelines are there."""


class LearningRun:
    """One alignment: the steps, and what they hand to each other."""

    def __init__(self, settings: "MemAlign", judge: Judge, run: Alignment) -> None:
        self.settings = settings
        self.judge = judge.with_memory(None)
        self.original = judge
        self.run = run
        self.seed = run.seed
        self.components: list[Component] = []

    def align(self, train: Sequence[LabelledExample]) -> AlignmentResult:
        before = self.original.memory
        given, contested = rows_of_memory(self.judge, train, before, self._untouched)
        rows, fresh = given
        if contested:
            self.run.warn(f"{contested} rows without a majority among their raters were left out")
        asked = AskedRows(self.settings, self.judge, rows, before, fresh, self.seed, self.run.tell)
        coverage = sum(isinstance(r.judged, Scored) for r in rows) / len(rows)
        memory = remember(self.settings, self.judge, rows, before, self.seed, self.run.tell)
        predictors = fit_predictors(memory, self.seed) if self.settings.fusion else None
        if (
            self.settings.fusion
            and self.judge.value_type.is_choice
            and not (predictors and predictors.sources)
        ):
            self.run.warn("fewer than five groups of rows: fusion cannot be checked and is off")
        if predictors is not None:
            memory = predictors.memory
        forms = Forms(
            rows,
            self.judge.value_type,
            predictors.sources if predictors else {},
            predictors.labels if predictors else np.zeros(0, dtype=np.int64),
            self.seed,
        )
        forms.add((), {i: row.judged for i, row in enumerate(rows)})
        guidelines, unseen, read = self.learn(rows, memory, before, fresh)
        active = [g for g in guidelines if g.state == "active"]
        tail = ("fusion",) if forms.sources else ()
        parts: tuple[str, ...] = ()
        told: dict[str, tuple[Compared, bool]] = {}
        if active:
            forms.add(("guidelines",), asked.judged("guided", unseen, None))
            told["guidelines"] = forms.decide("guidelines", ("guidelines", *tail), tail)
            parts = ("guidelines",) if told["guidelines"][1] else ()
        # Examples that were tried and left out are tried again when the labels have doubled.
        settled = before is not None and before.shots == 0 and 2 * len(fresh) < len(rows)
        if self.settings.shots and self.judge.model and not settled:
            shown = self.with_examples(asked, memory, unseen if parts else None, forms, parts)
            if shown is not None:
                forms.add((*parts, "examples"), shown)
                told["examples"] = forms.decide("examples", (*parts, "examples", *tail), (*parts, *tail))
                parts = (*parts, "examples") if told["examples"][1] else parts
        if tail:
            told["fusion"] = forms.decide("fusion", (*parts, *tail), parts)
            parts = (*parts, *tail) if told["fusion"][1] else parts
        chosen, said = choose(forms, forms.made[parts], told, self.judge.value_type, self.run.warn)
        self.components += said
        if not chosen.parts and before is not None and fresh:
            went_on = carried(forms, before, memory, guidelines, asked.evidence, read)
            if went_on.note:
                self.run.warn(went_on.note)
            self.components = [
                replace(c, on=True, why=f"{c.why}; kept from before") if c.name in went_on.parts else c
                for c in self.components
            ]
            kept = went_on.memory
            return self.told(forms, went_on.form or chosen, kept, kept.guidelines, coverage)
        if "guidelines" not in chosen.parts:
            guidelines = tuple(
                replace(g, state="retired", why=f"better without; {g.why}")
                if g.state == "active" and not g.pinned
                else g
                for g in guidelines
            )
        learned = self.settle(chosen, predictors, memory, guidelines, read, asked)
        return self.told(forms, chosen, learned, guidelines, coverage)

    def told(
        self,
        forms: Forms,
        chosen: Form,
        learned: Memory | None,
        guidelines: tuple[Guideline, ...],
        coverage: float,
    ) -> AlignmentResult:
        """The result; `learned` is None where the judge that was given is returned."""
        metric = metric_name(self.judge.value_type)
        table = forms.table(metric_for(self.judge.value_type, name=metric))
        for name, (score, n) in table.items():
            calls = len(forms.rows) if name == "untouched" else 0
            self.run.tried(CandidateResult(name, score, n, coverage, calls))
        return self.run.result(
            self.original if learned is None else self.judge.with_memory(learned),
            chosen.name,
            changed=learned is not None,
            components=tuple(self.components),
            guidelines=guidelines,
            history=tuple((name, metric, score) for name, (score, _) in table.items()),
            coverage=coverage,
            metric=metric,
        )

    def _untouched(self, items: Sequence[LabelledExample]) -> list[Judgement]:
        said = self.judge.batch(
            [e.fields for e in items],
            concurrency=self.settings.concurrency,
            progress=self.run.tell("judge the labelled rows"),
        )
        return [feedback.result for feedback in said]

    def with_examples(
        self,
        asked: AskedRows,
        memory: Memory,
        unseen: Sequence[Sequence[Guideline]] | None,
        forms: Forms,
        prefix: tuple[str, ...],
    ) -> dict[int, Judgement] | None:
        """Rows judged with their nearest examples of other groups; None where a first look at
        `first_rows` of them does not show that examples help."""
        rows = asked.rows
        fields = {v.name: v.field for v in self.judge.template.variables}
        assert isinstance(memory.episodic, EpisodicMemory)
        vectors = memory.episodic.vectors

        def demos(i: int) -> list[dict[str, Any]]:
            recall = memory.recall(vectors[i], rows[i].example.group)
            return [demo(episode, fields) for episode, _ in recall.shown]

        order = asked.order()
        found: dict[int, Judgement] = {}
        old = [i for i in order if asked.remembered("shown", rows[i]) is not None]
        if old:  # examples were kept when these rows were learned from: only new rows are asked about
            new = [i for i in order if rows[i].example.id in asked.fresh]
            return asked.judged("shown", unseen, demos, sorted({*old, *new}))
        limit = min(self.settings.check_rows, max(self.settings.first_rows, int(0.8 * len(rows))))
        first, rest = order[: self.settings.first_rows], order[self.settings.first_rows : limit]
        for part in (first, rest):
            found |= asked.judged("shown", unseen, demos, part)
            if part is first and rest and not self.worthwhile(forms, prefix, found):
                why = f"no better than without on the first {len(first)} rows, and several times longer"
                self.components.append(Component("examples", False, why=why))
                for row in rows:
                    asked.evidence[row.example.id].pop("shown", None)
                return None
        return found

    def worthwhile(self, forms: Forms, prefix: tuple[str, ...], found: dict[int, Judgement]) -> bool:
        """True where examples look better than none on a first part of the rows, each fused with what the
        examples alone predict (their prompts are several times longer: a draw goes to the shorter)."""
        trial = Forms(forms.rows, forms.value_type, forms.sources, forms.labels, forms.seed)
        plain = forms.made[prefix].own
        trial.add((), {i: plain[i] for i in found if i in plain})
        trial.add(("examples",), found)
        tail = ("fusion",) if forms.sources else ()
        if not trial.covers(trial.made["examples", *tail]):
            return False
        gained = trial.compare(trial.made[tail], trial.made["examples", *tail])
        return gained.gain > 0

    def learn(
        self, rows: Sequence[TrainingRow], memory: Memory, before: Memory | None, fresh: frozenset[str]
    ) -> tuple[tuple[Guideline, ...], Sequence[Sequence[Guideline]], frozenset[str]]:
        """Guidelines, those that each row was not used for, and the ids of the rows that were read."""
        settings = self.settings
        known, read = _known(before, rows, fresh)
        nothing = [[g for g in known if g.state == "active"] for _ in rows]
        if not self.judge.model:
            self.run.warn("this judge asks no model: neither guidelines nor examples could change it")
            return (), nothing, read
        if not settings.guidelines:
            return (), nothing, read
        unread = [i for i, row in enumerate(rows) if row.example.id not in read]
        if known and len(unread) < WAITING:
            # So few rows say little: they are examples at once, and are read when there are more.
            return known, _unseen(known, rows), read
        uri = settings.reflection_lm or self.judge.model
        session = current_session()
        lm = session.lm(uri, purpose="reflect", base_url=self.judge.endpoint_of(uri), temperature=0.0)
        assert isinstance(memory.episodic, EpisodicMemory)
        learned = learn_guidelines(
            self.judge,
            rows,
            memory.episodic.vectors,
            unread,
            known,
            lm=lm,
            space=session.embedder(settings.embedder, self.judge.endpoint_of(settings.embedder)),
            settings=SemanticSettings(
                settings.guidelines,
                settings.batch_rows,
                settings.batch_chars,
                settings.trials(len(unread)),
                settings.concurrency,
                self.seed,
            ),
            tell=self.run.tell,
        )
        for text in learned.warnings:
            self.run.warn(text)
        if not any(g.state == "active" for g in learned.guidelines):
            self.components.append(Component("guidelines", False, why=learned.why))
        return learned.guidelines, learned.unseen, frozenset(r.example.id for r in rows)

    def settle(
        self,
        chosen: Form,
        predictors: Predictors | None,
        memory: Memory,
        guidelines: tuple[Guideline, ...],
        read: frozenset[str],
        asked: AskedRows,
    ) -> Memory | None:
        """The memory with what was chosen switched on; None for the untouched judge."""
        if not chosen.parts:
            return None
        made = replace(
            memory,
            guidelines=guidelines,
            shots=self.settings.shots if "examples" in chosen.parts else 0,
            evidence={id: dict(said) for id, said in sorted(asked.evidence.items())},
            read=read,
        )
        if "fusion" not in chosen.parts or predictors is None:
            return replace(made, vote=None, head=None)
        made = fit_pool(replace(predictors, memory=made), chosen.own)
        assert made.fusion is not None
        for text in _weights_note(made.fusion.weights):
            self.run.warn(text)
        return made


def _known(
    before: Memory | None, rows: Sequence[TrainingRow], fresh: frozenset[str]
) -> tuple[tuple[Guideline, ...], frozenset[str]]:
    """Guidelines of the memory that still stand, and the ids of rows that were read and have not changed
    since. A guideline loses the sources that were relabelled, and goes with the last of them."""
    if before is None:
        return (), frozenset()
    read = before.read & frozenset(row.example.id for row in rows) - fresh
    return standing(before.guidelines, fresh), read


def _unseen(known: Sequence[Guideline], rows: Sequence[TrainingRow]) -> list[list[Guideline]]:
    active = [g for g in known if g.state == "active"]
    return [[g for g in active if row.example.id not in set(g.sources)] for row in rows]


def _weights_note(weights: Any) -> list[str]:
    total = sum(weights.values())
    if total > 0 and weights.get("judge", 0.0) / total < 0.1:
        share = weights.get("judge", 0.0) / total
        return [f"the language model's own answer has only {share:.0%} of the weight in fusion"]
    return []
