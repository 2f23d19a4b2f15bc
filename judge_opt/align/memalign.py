"""MemAlign: a memory of guidelines and labelled examples that makes a judge rate as the experts do.

After MemAlign of MLflow and Databricks (2025): semantic memory distilled by a reflection LM, episodic
memory of retrieved examples. What differs: the judge is run on the labelled rows first, and the
reflection LM sees where it went wrong; every part must earn its place on rows whose group it did not
learn from; the judge's label probabilities are fused with what the examples alone predict; and the
untouched judge is returned where nothing helps.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from judge_opt.align.candidates import MIN_COVERAGE, Candidate, choose
from judge_opt.align.contract import AlignmentResult, Callback, Component, Event
from judge_opt.align.objective import metric_name
from judge_opt.align.rows import TrainingRow, check_training, episode_of, judge_rows
from judge_opt.align.semantic import learn_guidelines
from judge_opt.align.trials import mean_and_error
from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.judges.judge import Judge, distribution
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.budget import Budget
from judge_opt.llm.parallel import map_threads
from judge_opt.llm.session import Session, current_session, use_session
from judge_opt.memory.episodic import EpisodicMemory
from judge_opt.memory.fusion import fit_fusion, held_out_fusion
from judge_opt.memory.guidelines import Guideline
from judge_opt.memory.memory import Memory, demo, label_index
from judge_opt.memory.predictors import fit_head, fit_vote
from judge_opt.memory.vectors import ItemEmbedder

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MemAlign:
    """The default optimizer.

    Attributes:
        reflection_lm: URI of the model that distils guidelines; None: the judge's own.
        embedder: URI of the embedding model.
        weights: part of the item to its weight in similarity; equal by default.
        guidelines: most guidelines asked for in one reflection call; 0 switches them off.
        shots: examples shown for one item; 0 switches them off.
        fusion: pool the judge's probabilities with what the examples alone predict.
        batch_rows: labelled rows in one reflection call.
        batch_chars: characters of rows in one reflection call (about four a token).
        trial_rows, race_rows: rows on which all guidelines together, and each alone, are tried at most.
        first_rows: rows on which examples must look helpful before the others are judged with them.
        token_budget: of the examples shown for one item.
        concurrency: calls in flight.
    """

    reflection_lm: str | None = None
    embedder: str = "local:/minilm"
    weights: dict[str, float] | None = None
    guidelines: int = 6
    shots: int = 3
    fusion: bool = True
    batch_rows: int = 50
    batch_chars: int = 12000
    trial_rows: int = 40
    race_rows: int = 24
    first_rows: int = 30
    token_budget: int = 3000
    concurrency: int = 8

    @property
    def name(self) -> str:
        return "memalign"

    def estimate(self, n_train: int) -> tuple[int, int]:
        """(fewest, most) model calls for `n_train` rows: rows judged once; with examples once more; the
        reflection calls; the guidelines' trials."""
        reflect = -(-n_train // self.batch_rows) if self.guidelines else 0
        trials = reflect and 2 * self.trial_rows + self.guidelines * reflect * self.race_rows
        return n_train + reflect, n_train * (1 + bool(self.shots)) + reflect + trials

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
        """Learn from `train`. `valid` is not needed: choices are made by holding groups of `train` out.

        Raises:
            DataError, ModelError, BudgetExceeded: see `rows.check_training` and the session.
        """
        if judge.predict.demos and self.shots:
            raise UsageError(
                f"Judge {judge.name!r} already has fixed demos.", "Use shots=0, or a judge without demos."
            )
        outer = current_session()
        if budget is None:
            return _Run(self, judge, seed, callbacks).align(train)
        with Session(outer.home, outer.run_id, budget, events=outer.events) as session, use_session(session):
            return _Run(self, judge, seed, callbacks).align(train)


class _Run:
    """One alignment: the steps, and what they hand to each other."""

    def __init__(self, settings: MemAlign, judge: Judge, seed: int, callbacks: Sequence[Callback]) -> None:
        self.settings = settings
        self.judge = judge.with_memory(None)
        self.original = judge
        self.seed = seed
        self.callbacks = callbacks
        self.warnings: list[str] = []
        self.components: list[Component] = []

    def tell(self, phase: str) -> Any:
        def told(done: int, total: int) -> None:
            for callback in self.callbacks:
                callback(Event(phase, done, total))

        return told

    def align(self, train: Sequence[LabelledExample]) -> AlignmentResult:
        checked = check_training(self.judge, train)
        if contested := len(train) - len(checked):
            self.warnings.append(f"{contested} rows without a majority among their raters were left out")
        rows = judge_rows(
            self.judge, checked, self.settings.concurrency, self.tell("judge the labelled rows")
        )
        coverage = sum(isinstance(r.judged, Scored) for r in rows) / len(rows)
        memory = self.remember(rows)
        guidelines = self.guidelines(rows)
        active = [g for g in guidelines if g.state == "active"]
        fused = self.settings.fusion and memory.vote is not None
        plain = [r.judged for r in rows]
        candidates = [Candidate("untouched", plain, 0)]
        if fused:
            candidates.append(Candidate("fusion", plain, 1, self.sources))
        if active:
            plain = self.ask_all(rows, [()] * len(rows), active, "judge with guidelines")
            candidates.append(Candidate("guidelines", plain, 2))
            if fused:
                candidates.append(Candidate("guidelines + fusion", plain, 3, self.sources))
        if self.settings.shots and self.judge.model:
            prefix = "guidelines + " if active else ""
            shown = self.with_examples(rows, memory, active, plain)
            if shown is not None:
                candidates.append(Candidate(f"{prefix}examples", shown, 4))
                if fused:
                    candidates.append(Candidate(f"{prefix}examples + fusion", shown, 5, self.sources))
        distilled = {source for g in active for source in g.sources}
        best, table = choose(candidates, rows, self.judge.value_type, self.groups, self.seed, distilled)
        for left_out in [c.name for c in candidates if c.name not in table]:
            self.warnings.append(f"{left_out!r} left too many rows without a verdict and was not considered")
        self.note(best.name, table)
        learned = self.settle(best, memory, guidelines, rows)
        return AlignmentResult(
            judge=self.original if learned is None else self.judge.with_memory(learned),
            optimizer=self.settings.name,
            changed=learned is not None,
            components=tuple(self.components),
            guidelines=guidelines if learned is None else learned.guidelines,
            history=tuple(
                (name, metric_name(self.judge.value_type), score) for name, (score, _) in table.items()
            ),
            coverage=coverage,
            warnings=tuple(self.warnings),
            settings=asdict(self.settings) | {"seed": self.seed},
        )

    # -- episodic memory -----------------------------------------------------------------------------------

    def remember(self, rows: Sequence[TrainingRow]) -> Memory:
        """The labelled rows as episodes, with what they alone predict of each other."""
        value_type, settings = self.judge.value_type, self.settings
        weights = {
            v.name: float((settings.weights or {}).get(v.name, 1.0)) for v in self.judge.template.variables
        }
        embedder = current_session().embedder(settings.embedder, self.judge.endpoint_of(settings.embedder))
        self.tell("embed the labelled rows")(0, len(rows))
        space = ItemEmbedder(embedder, tuple(weights), weights)
        episodic = EpisodicMemory.remember([episode_of(row, self.judge) for row in rows], space)
        self.tell("embed the labelled rows")(len(rows), len(rows))
        episodes, vectors = episodic.episodes, episodic.vectors
        self.vectors = vectors
        self.groups = [e.group for e in episodes]
        memory = Memory(
            value_type=value_type,
            embedder=settings.embedder,
            base_url=self.judge.endpoint_of(settings.embedder),
            weights=weights,
            episodic=episodic,
            shots=settings.shots,
            token_budget=settings.token_budget,
        )
        self.sources: dict[str, Floats] = {}
        if not value_type.is_choice or not settings.fusion:
            return memory
        if len(set(self.groups)) < 5:
            self.warnings.append("fewer than five groups of rows: fusion cannot be checked and is off")
            return memory
        labels = self.labels = np.asarray([label_index(value_type, e) for e in episodes], dtype=np.int64)
        n_labels = len(value_type.choices())
        vote, self.sources["neighbours"] = fit_vote(vectors, labels, self.groups, n_labels)
        fitted = fit_head(vectors, labels, self.groups, n_labels, self.seed)
        if fitted is not None:
            self.sources["classifier"] = fitted[1]

        return replace(memory, vote=vote, head=fitted[0] if fitted is not None else None)

    def with_examples(
        self,
        rows: Sequence[TrainingRow],
        memory: Memory,
        active: Sequence[Guideline],
        plain: Sequence[Judgement],
    ) -> list[Judgement] | None:
        """Every row judged with its nearest examples of other groups; None where a first look at
        `first_rows` of them does not show that examples help."""
        fields = {v.name: v.field for v in self.judge.template.variables}
        shown = []
        for i, row in enumerate(rows):
            recall = memory.recall(self.vectors[i], row.example.group)
            shown.append([demo(episode, fields) for episode, _ in recall.shown])
        order = np.random.default_rng(self.seed).permutation(len(rows)).tolist()
        first, rest = order[: self.settings.first_rows], order[self.settings.first_rows :]
        phase = "judge with examples"
        found: dict[int, Judgement] = {}
        for part in (first, rest):
            said = self.ask_all([rows[i] for i in part], [shown[i] for i in part], active, phase)
            found |= dict(zip(part, said, strict=True))
            if part is first and rest and not self.worthwhile(rows, plain, found):
                why = f"no better than without on the first {len(first)} rows, and several times longer"
                self.components.append(Component("examples", False, why=why))
                return None
        return [found[i] for i in range(len(rows))]

    def worthwhile(
        self, rows: Sequence[TrainingRow], plain: Sequence[Judgement], found: dict[int, Judgement]
    ) -> bool:
        """True where examples look better than none on a first part of the rows, each fused with what the
        examples alone predict (their prompts are several times longer: a draw goes to the shorter)."""
        both = [i for i in found if isinstance(found[i], Scored) and isinstance(plain[i], Scored)]
        if len(both) < MIN_COVERAGE * len(found):
            return False
        gains: list[float] = []
        if self.sources:
            labels, groups = self.labels[both], [self.groups[i] for i in both]
            sources = {name: odds[both] for name, odds in self.sources.items()}
            logs = []
            for side in ([plain[i] for i in both], [found[i] for i in both]):
                own = np.asarray(
                    [distribution(j, self.judge.value_type) for j in side if isinstance(j, Scored)]
                )
                odds = held_out_fusion({"judge": own} | sources, labels, groups, self.seed)
                logs.append(np.log(odds[np.arange(len(both)), labels]))
            gains = (logs[1] - logs[0]).tolist()
        else:
            gold = [rows[i].gold for i in both]
            pairs = zip(both, gold, strict=True)
            gains = [self.nearness(found[i], g) - self.nearness(plain[i], g) for i, g in pairs]
        mean, error = mean_and_error(gains)
        return mean > error

    def nearness(self, judged: Judgement, gold: Value) -> float:
        """Minus the distance on a numeric scale, else 1 for the same value."""
        assert isinstance(judged, Scored)
        a, b = (self.judge.value_type.number_of(v) for v in (judged.value, gold))
        return -abs(a - b) if a is not None and b is not None else float(judged.value == gold)

    def ask_all(
        self,
        rows: Sequence[TrainingRow],
        demos: Sequence[Sequence[Any]],
        active: Sequence[Guideline],
        phase: str,
    ) -> list[Judgement]:
        done = 0
        told = self.tell(phase)

        def one(i: int) -> Judgement:
            nonlocal done
            said = self.judge.ask(rows[i].parts, guidelines=active, demos=demos[i])
            done += 1
            told(done, len(rows))
            return said

        return map_threads(one, range(len(rows)), self.settings.concurrency)

    def guidelines(self, rows: Sequence[TrainingRow]) -> tuple[Guideline, ...]:
        """Semantic memory, see `semantic.learn_guidelines`."""
        settings = self.settings
        if not self.judge.model:
            self.warnings.append("this judge asks no model: neither guidelines nor examples could change it")
            return ()
        if not settings.guidelines:
            return ()
        learned = learn_guidelines(
            self.judge,
            rows,
            reflection_lm=settings.reflection_lm,
            embedder=settings.embedder,
            limit=settings.guidelines,
            batch_rows=settings.batch_rows,
            batch_chars=settings.batch_chars,
            trial_rows=settings.trial_rows,
            race_rows=settings.race_rows,
            concurrency=settings.concurrency,
            seed=self.seed,
            tell=self.tell,
        )
        self.warnings += learned.warnings
        if not any(g.state == "active" for g in learned.guidelines):
            self.components.append(Component("guidelines", False, why=learned.why))
        return learned.guidelines

    # -- the choice ----------------------------------------------------------------------------------------

    def note(self, chosen: str, table: dict[str, tuple[float, int]]) -> None:
        """What each part was worth, for the report."""
        metric = metric_name(self.judge.value_type)
        for part in ("guidelines", "examples", "fusion"):
            with_it = [name for name in table if part in name.split(" + ")]
            if not with_it:
                continue
            # The form that was chosen, or else the best that has this part, and the same without it.
            form = chosen if chosen in with_it else max(with_it, key=lambda name: table[name][0])
            rest = " + ".join(p for p in form.split(" + ") if p != part) or "untouched"
            if rest not in table:
                rest = "untouched"
            on = part in chosen.split(" + ")
            score, base = table[form][0], table[rest][0]
            why = f"{form!r} against {rest!r}; " + ("kept" if on else f"{chosen!r} was chosen")
            self.components.append(Component(part, on, metric, score, base, table[form][1], why))

    def settle(
        self, best: Candidate, memory: Memory, guidelines: tuple[Guideline, ...], rows: Sequence[TrainingRow]
    ) -> Memory | None:
        """The memory with what was chosen switched on; None for the untouched judge."""
        if best.name == "untouched":
            return None

        if "guidelines" not in best.name:
            guidelines = tuple(
                replace(g, state="retired", why="better without") if g.state == "active" else g
                for g in guidelines
            )
        memory = replace(
            memory, guidelines=guidelines, shots=self.settings.shots if "examples" in best.name else 0
        )
        if best.sources is None:
            return memory
        kept = [i for i, j in enumerate(best.judged) if isinstance(j, Scored)]
        own = np.asarray(
            [distribution(j, self.judge.value_type) for j in best.judged if isinstance(j, Scored)]
        )
        sources = {"judge": own} | {name: odds[kept] for name, odds in best.sources.items()}
        fusion = fit_fusion(sources, self.labels[kept])
        self.warnings += _weights_note(fusion.weights)
        return replace(memory, fusion=fusion)


def _weights_note(weights: Any) -> list[str]:
    total = sum(weights.values())
    if total > 0 and weights.get("judge", 0.0) / total < 0.1:
        share = weights.get("judge", 0.0) / total
        return [f"the language model's own answer has only {share:.0%} of the weight in fusion"]
    return []
