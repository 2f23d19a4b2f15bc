"""MemAlign: a memory of guidelines and labelled examples that makes a judge rate as the experts do.

After MemAlign of MLflow and Databricks (2025): semantic memory distilled by a reflection LM, episodic
memory of retrieved examples. What differs: the judge is run on the labelled rows first, and the
reflection LM sees where it went wrong; guidelines are distilled from batches and tried on the rows of other
batches; the judge's label probabilities are fused with what the examples alone predict; parts that do not
help are switched off, and the untouched judge is returned where nothing helps; and aligning again with more
labels asks about these only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from judge_opt.align.contract import AlignmentResult, Callback, CandidateResult, Component
from judge_opt.align.forms import Compared, Form, Forms
from judge_opt.align.objective import metric_for, metric_name
from judge_opt.align.rows import TrainingRow, episode_of, rows_of_memory
from judge_opt.align.running import Alignment, alignment
from judge_opt.align.semantic import (
    SemanticSettings,
    judged_unseen,
    learn_guidelines,
    reflection_calls,
)
from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget
from judge_opt.llm.parallel import map_threads
from judge_opt.llm.session import current_session
from judge_opt.memory.episodic import Episode, EpisodicMemory
from judge_opt.memory.evidence import Kind, as_json, from_json
from judge_opt.memory.fitting import Predictors, fit_pool, fit_predictors
from judge_opt.memory.forgetting import standing
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.memory import Memory, demo
from judge_opt.memory.vectors import ItemEmbedder
from judge_opt.memory.weighting import chosen_weights

WAITING = 8
"""New labels that wait for more before guidelines are distilled from them, where guidelines are there."""


@dataclass(frozen=True, slots=True)
class MemAlign:
    """The default optimizer.

    Attributes:
        reflection_lm: URI of the model that distils guidelines; None: the judge's own.
        embedder: URI of the embedding model.
        weights: part of the item to its weight in similarity; None: equal, or one part alone where that
            predicts the labels better.
        guidelines: guidelines asked for in one reflection call at most; 0 switches them off.
        shots: examples shown for one item; 0 switches them off.
        fusion: pool the judge's probabilities with what the examples alone predict.
        batch_rows: there is one reflection call for so many labelled rows, and one more.
        batch_chars: characters of rows in one reflection call (about four a token).
        trial_calls: calls with which single guidelines are tried; None: one and a half for each new label, at
            most 300.
        check_rows: rows on which guidelines together, and examples, are checked at most.
        first_rows: rows on which examples must look helpful before others are judged with them.
        token_budget: of the examples shown for one item.
        concurrency: calls in flight.
    """

    reflection_lm: str | None = None
    embedder: str = "local:/minilm"
    weights: dict[str, float] | None = None
    guidelines: int = 4
    shots: int = 3
    fusion: bool = True
    batch_rows: int = 50
    batch_chars: int = 24000
    trial_calls: int | None = None
    check_rows: int = 200
    first_rows: int = 20
    token_budget: int = 3000
    concurrency: int = 8

    @property
    def name(self) -> str:
        return "memalign"

    def estimate(self, n_train: int) -> tuple[int, int]:
        """(fewest, most) model calls for `n_train` new rows: each judged once; with guidelines and with
        examples, `check_rows` at most; trials of guidelines; reflection, with one call to merge."""
        reflect = reflection_calls(n_train, self.batch_rows) + 1 if self.guidelines else 0
        checks = min(n_train, self.check_rows)
        most = n_train + reflect
        if self.guidelines:
            most += checks + self.trials(n_train)
        if self.shots:
            most += min(checks, max(self.first_rows, int(0.8 * n_train)))
        return n_train, most

    def trials(self, n_new: int) -> int:
        """Calls for trying single guidelines."""
        return min(int(1.5 * n_new), 300) if self.trial_calls is None else self.trial_calls

    def align(
        self,
        judge: Judge,
        train: Sequence[LabelledExample],
        *,
        valid: Sequence[LabelledExample] | None = None,
        budget: Budget | None = None,
        seed: int = 0,
        callbacks: Sequence[Callback] = (),
    ) -> AlignmentResult:
        """Learn from `train`. Of a judge that has a memory already, its examples are kept, those that `train`
        has too are replaced where they changed, and only what is new is asked about. `valid` is not needed:
        choices are made on rows of `train` that were held out.

        Raises:
            DataError, ModelError, BudgetExceeded: see `rows.check_training` and the session.
        """
        if judge.predict.demos and self.shots:
            raise UsageError(
                f"Judge {judge.name!r} already has fixed demos.", "Use shots=0, or a judge without demos."
            )
        with alignment(self, judge, train, valid, budget, seed, callbacks) as run:
            return _Run(self, judge, run).align(train)


class _Run:
    """One alignment: the steps, and what they hand to each other."""

    def __init__(self, settings: MemAlign, judge: Judge, run: Alignment) -> None:
        self.settings = settings
        self.judge = judge.with_memory(None)
        self.original = judge
        self.run = run
        self.seed = run.seed
        self.components: list[Component] = []
        self.evidence: dict[str, dict[str, Any]] = {}

    def align(self, train: Sequence[LabelledExample]) -> AlignmentResult:
        before = self.original.memory
        given, contested = rows_of_memory(self.judge, train, before, self._untouched)
        rows, fresh = given
        if contested:
            self.run.warn(f"{contested} rows without a majority among their raters were left out")
        for row in rows:
            said = (
                {} if before is None or row.example.id in fresh else before.evidence.get(row.example.id, {})
            )
            self.evidence[row.example.id] = {**said, "plain": as_json(row.judged)}
        coverage = sum(isinstance(r.judged, Scored) for r in rows) / len(rows)
        memory = self.remember(rows, before)
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
            forms.add(("guidelines",), self.judged("guided", rows, unseen, fresh, None))
            told["guidelines"] = forms.decide("guidelines", ("guidelines", *tail), tail)
            parts = ("guidelines",) if told["guidelines"][1] else ()
        # Examples that were tried and left out are tried again when the labels have doubled.
        settled = before is not None and before.shots == 0 and 2 * len(fresh) < len(rows)
        if self.settings.shots and self.judge.model and not settled:
            shown = self.with_examples(rows, memory, unseen if parts else None, forms, fresh, parts)
            if shown is not None:
                forms.add((*parts, "examples"), shown)
                told["examples"] = forms.decide("examples", (*parts, "examples", *tail), (*parts, *tail))
                parts = (*parts, "examples") if told["examples"][1] else parts
        if tail:
            told["fusion"] = forms.decide("fusion", (*parts, *tail), parts)
            parts = (*parts, *tail) if told["fusion"][1] else parts
        chosen = self.choose(forms, forms.made[parts], told)
        if "guidelines" not in chosen.parts:
            guidelines = tuple(
                replace(g, state="retired", why=f"better without; {g.why}")
                if g.state == "active" and not g.pinned
                else g
                for g in guidelines
            )
        learned = self.settle(chosen, predictors, memory, guidelines, read)
        metric = metric_name(self.judge.value_type)
        table = forms.table(metric_for(self.judge.value_type, name=metric))
        for name, (score, n) in table.items():
            calls = len(rows) if name == "untouched" else 0
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

    # -- episodic memory -----------------------------------------------------------------------------------

    def remember(self, rows: Sequence[TrainingRow], before: Memory | None) -> Memory:
        """The labelled rows as episodes; those that were there are not embedded again."""
        settings = self.settings
        base_url = self.judge.endpoint_of(settings.embedder)
        embedder = current_session().embedder(settings.embedder, base_url)
        told = self.run.tell("embed the labelled rows")
        told(0, len(rows))
        episodes = [episode_of(row, self.judge) for row in rows]
        names = tuple(v.name for v in self.judge.template.variables)
        if settings.weights is not None:
            weights = {name: float(settings.weights.get(name, 1.0)) for name in names}
        elif before is not None and tuple(before.weights) == names:
            weights = dict(before.weights)
        else:
            weights = dict(chosen_weights(episodes, names, embedder, self.judge.value_type, self.seed))
        space = ItemEmbedder(embedder, names, weights)
        kept = _reusable(before, embedder.name, weights, space.pieces)
        new = [e for e in episodes if e.id not in kept or dict(kept[e.id][0].parts) != dict(e.parts)]
        made = EpisodicMemory.remember(new, space)
        fresh = {e.id for e in new}
        old = [replace(e, cuts=kept[e.id][0].cuts) for e in episodes if e.id not in fresh]
        if old:
            vectors = np.stack([kept[e.id][1] for e in old])
            made = EpisodicMemory(old, vectors, embedder.name, space.pieces).plus(made)
        told(len(rows), len(rows))
        return Memory(
            value_type=self.judge.value_type,
            embedder=settings.embedder,
            base_url=base_url,
            weights=weights,
            episodic=made,
            shots=settings.shots,
            token_budget=settings.token_budget,
            seed=self.seed,
        )

    def with_examples(
        self,
        rows: Sequence[TrainingRow],
        memory: Memory,
        unseen: Sequence[Sequence[Guideline]] | None,
        forms: Forms,
        fresh: frozenset[str],
        prefix: tuple[str, ...],
    ) -> dict[int, Judgement] | None:
        """Rows judged with their nearest examples of other groups; None where a first look at
        `first_rows` of them does not show that examples help."""
        fields = {v.name: v.field for v in self.judge.template.variables}
        assert isinstance(memory.episodic, EpisodicMemory)
        vectors = memory.episodic.vectors

        def demos(i: int) -> list[dict[str, Any]]:
            recall = memory.recall(vectors[i], rows[i].example.group)
            return [demo(episode, fields) for episode, _ in recall.shown]

        order = self._order(rows)
        found: dict[int, Judgement] = {}
        old = [i for i in order if self._remembered("shown", rows[i], fresh) is not None]
        if old:  # examples were kept when these rows were learned from: only new rows are asked about
            new = [i for i in order if rows[i].example.id in fresh]
            return self.judged("shown", rows, unseen, fresh, demos, sorted({*old, *new}))
        limit = min(self.settings.check_rows, max(self.settings.first_rows, int(0.8 * len(rows))))
        first, rest = order[: self.settings.first_rows], order[self.settings.first_rows : limit]
        for part in (first, rest):
            found |= self.judged("shown", rows, unseen, fresh, demos, part)
            if part is first and rest and not self.worthwhile(forms, prefix, found):
                why = f"no better than without on the first {len(first)} rows, and several times longer"
                self.components.append(Component("examples", False, why=why))
                for row in rows:
                    self.evidence[row.example.id].pop("shown", None)
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

    # -- semantic memory -----------------------------------------------------------------------------------

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

    def judged(
        self,
        kind: Kind,
        rows: Sequence[TrainingRow],
        unseen: Sequence[Sequence[Guideline]] | None,
        fresh: frozenset[str],
        demos: Any,
        which: Sequence[int] | None = None,
    ) -> dict[int, Judgement]:
        """What the judge says of rows with guidelines, or with examples too; what it said of old rows is kept.
        At most `check_rows` are asked about."""
        wanted = self._order(rows)[: self.settings.check_rows] if which is None else list(which)
        out: dict[int, Judgement] = {}
        for i in range(len(rows)) if which is None else wanted:
            said = self._remembered(kind, rows[i], fresh)
            if said is not None:
                out[i] = said
        ask = [i for i in wanted if i not in out]
        if out:  # the others were left out when the judge learned from them: only what is new is asked about
            ask = [i for i in self._order(rows) if rows[i].example.id in fresh and i not in out]
            ask = ask[: self.settings.check_rows]
        phase = "judge with guidelines" if kind == "guided" else "judge with examples"
        told = self.run.tell(phase)
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

    def _remembered(self, kind: Kind, row: TrainingRow, fresh: frozenset[str]) -> Judgement | None:
        data = None if row.example.id in fresh else self.evidence[row.example.id].get(kind)
        return None if data is None else from_json(data, self.judge.value_type)

    def _order(self, rows: Sequence[TrainingRow]) -> list[int]:
        return [int(i) for i in np.random.default_rng(self.seed).permutation(len(rows))]

    # -- the choice ----------------------------------------------------------------------------------------

    def choose(self, forms: Forms, best: Form, told: Mapping[str, tuple[Compared, bool]]) -> Form:
        """The form whose parts help, if it surely agrees better than the untouched judge; else the first other
        that does; else the untouched judge."""
        value_type = self.judge.value_type
        metric = metric_for(value_type, name=metric_name(value_type))
        plain = forms.made[()]
        chosen, reason = plain, "no part of memory made the judge surely better"
        for form in [best, *(f for f in forms.ranked() if f is not best)]:
            if not form.parts:
                continue
            verdict = forms.harmless(form, metric)
            if verdict.keep:
                chosen, reason = form, verdict.why
                break
            if form is best:
                reason = verdict.why
        table = forms.table(metric)
        for part, (found, stays) in told.items():
            on = part in chosen.parts
            with_it = (
                chosen
                if on
                else max(
                    (f for f in forms.made.values() if part in f.parts and f.name in table),
                    key=lambda f: table[f.name][0],
                    default=plain,
                )
            )
            rest = forms.made.get(tuple(p for p in with_it.parts if p != part), plain)
            sign = "+" if found.gain >= 0 else "−"
            said = f"{sign}{abs(found.gain):.3f} ± {found.error:.3f} log probability a row over {found.rows} rows"
            why = said if stays == on else f"{said}; {chosen.name!r} was chosen: {reason}"
            score, without = table.get(with_it.name), table.get(rest.name)
            self.components.append(
                Component(
                    part,
                    on,
                    metric.name,
                    None if score is None else score[0],
                    None if without is None else without[0],
                    found.rows,
                    why,
                )
            )
        for name in (f.name for f in forms.made.values() if not forms.covers(f)):
            self.run.warn(f"{name!r} left too many rows without a verdict and was not considered")
        return chosen

    def settle(
        self,
        chosen: Form,
        predictors: Predictors | None,
        memory: Memory,
        guidelines: tuple[Guideline, ...],
        read: frozenset[str],
    ) -> Memory | None:
        """The memory with what was chosen switched on; None for the untouched judge."""
        if not chosen.parts:
            return None
        made = replace(
            memory,
            guidelines=guidelines,
            shots=self.settings.shots if "examples" in chosen.parts else 0,
            evidence={id: dict(said) for id, said in sorted(self.evidence.items())},
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


def _reusable(
    before: Memory | None, embedder: str, weights: dict[str, float], pieces: int
) -> dict[str, tuple[Episode, Any]]:
    """Id to (episode, vector) of a memory in the same space."""
    if before is None or not isinstance(before.episodic, EpisodicMemory):
        return {}
    episodic = before.episodic
    if (episodic.embedder, dict(before.weights), episodic.pieces) != (embedder, weights, pieces):
        return {}
    return {e.id: (e, episodic.vectors[i]) for i, e in enumerate(episodic.episodes)}


def _weights_note(weights: Any) -> list[str]:
    total = sum(weights.values())
    if total > 0 and weights.get("judge", 0.0) / total < 0.1:
        share = weights.get("judge", 0.0) / total
        return [f"the language model's own answer has only {share:.0%} of the weight in fusion"]
    return []
