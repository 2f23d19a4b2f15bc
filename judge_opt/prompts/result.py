"""What an optimization of prompts returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from judge_opt.core.errors import UsageError
from judge_opt.llm.ledger import LedgerLine
from judge_opt.prompts import people
from judge_opt.prompts.guard import GuardReport
from judge_opt.prompts.objectives import Objective
from judge_opt.prompts.paired import HeldOut
from judge_opt.prompts.people import ComparedRow
from judge_opt.prompts.prompt import Prompt
from judge_opt.registry.diff import diff_payloads
from judge_opt.registry.judges import Home
from judge_opt.registry.registry import Registry
from judge_opt.validate.corrected_estimate import Corrected

if TYPE_CHECKING:
    from judge_opt.labels.queues.queue import LabelQueue


@dataclass(frozen=True, slots=True)
class PromptCandidate:
    """Texts that were tried.

    Attributes:
        name: "seed", or "prompt 3".
        parent: the name of what it was made from; "" for the seed.
        component: what was rewritten in it.
        texts: component to text.
        learned_from: ids of the rows that the reflection model saw: where its words may come from.
        score: mean on the rows for choosing; None where it was not run on them.
        gain: over the seed there.
        judges: judge's name to its mean gain there; empty like `score`.
        front: no other prompt that was run on them is at least as good for every judge and better for one.
        coverage: share of those rows that have a score.
        why: why it was not taken; "" where it was.
        chosen: it is the result.
    """

    name: str
    parent: str
    component: str
    texts: Mapping[str, str]
    learned_from: tuple[str, ...]
    score: float | None
    gain: float | None
    judges: Mapping[str, float]
    front: bool
    coverage: float
    why: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class PromptResult:
    """The best texts, and what is known of them.

    Attributes:
        texts, seed_texts: component to text: of the best candidate, and as they were.
        changed: False where the seed is kept.
        prompts: the best prompts by the URI of the version that they replace; not registered yet. Empty for a
            DSPy program.
        program: a copy of the DSPy program with the best texts; None for a function.
        held_out: the comparison of seed and best; None where the seed is kept, or the budget had no room for it.
        guard: what the judges that were not optimized against see; None like `held_out`.
        confirmed: the gain is shown on held-out rows, and the guard confirms it.
        verdict: all that in words.
        rows: the held-out rows side by side; empty like `held_out`.
        candidates: what was tried, the seed first.
        warnings: what a reader has to know.
        stopped: "" where it came to its end; "budget" or "no progress".
        noise: share of the seed's outputs that have another score when they are judged again; None: not measured.
        repeats: times that each output was judged; scores are the means.
        ledger: what was asked, by purpose (agent, judge, reflect) and model; of all attempts, where it was resumed.
        lineage: of the prompts, JSON: data, judges, settings, seed, code.
    """

    texts: Mapping[str, str]
    seed_texts: Mapping[str, str]
    changed: bool
    prompts: Mapping[str, Prompt]
    program: Any
    held_out: HeldOut | None
    guard: GuardReport | None
    verdict: str
    rows: tuple[ComparedRow, ...] = ()
    candidates: tuple[PromptCandidate, ...] = ()
    warnings: tuple[str, ...] = ()
    stopped: str = ""
    noise: float | None = None
    repeats: int = 1
    ledger: tuple[LedgerLine, ...] = ()
    lineage: Mapping[str, Any] = field(default_factory=dict)

    @property
    def confirmed(self) -> bool:
        return self.changed and self.guard is not None and self.guard.confirmed

    @property
    def optimized_prompts(self) -> list[Prompt]:
        """The best prompts. MLflow's name."""
        return list(self.prompts.values())

    @property
    def diff(self) -> list[str]:
        """What changed in the texts, in words: read it before a prompt goes into production."""
        return diff_payloads(dict(self.seed_texts), dict(self.texts))

    def examples(self, n: int = 5) -> tuple[list[ComparedRow], list[ComparedRow]]:
        """(the `n` rows that got better by most, the `n` that got worse by most), to read side by side."""
        known = [(row.gain, row) for row in self.rows if row.gain is not None]
        ordered = sorted(known, key=lambda one: (-one[0], one[1].id))
        better = [row for gain, row in ordered if gain > 0][:n]
        return better, [row for gain, row in reversed(ordered) if gain < 0][:n]

    def queue(
        self, name: str, schema: Any, *, rows: int = 20, seed: int = 0, store: Any = None, **options: Any
    ) -> "LabelQueue":
        """A queue in which people label the outputs before and after of `rows` held-out rows, blind. See
        `judge_opt.prompts.people`.

        Args:
            schema: a label schema that is there, its id or its name.
            options: as of `create_queue`: raters_per_item, lease_seconds.

        Raises:
            UsageError, Conflict, NotFound: there is nothing to compare; see `create_queue`.
        """
        return people.make_queue(self.rows, name, schema, rows, seed, store, **options)

    def corrected_gain(
        self,
        queue: "LabelQueue",
        *,
        objective: Objective | None = None,
        rows: int = 20,
        seed: int = 0,
        confidence: float = 0.95,
    ) -> Corrected:
        """The gain that people would see on the held-out rows, from the judges' verdicts on all of them and what
        people said in the queue (PPI++). An interval above 0 is their confirmation.

        Args:
            objective: what labels are worth, where they do not say so themselves.
            rows, seed: as the queue was made with.

        Raises:
            UsageError, DataError: see `people.corrected_gain`.
        """
        value_type = queue.schemas[0].value_type
        labelled = queue.results(queue.schemas[0].name)
        return people.corrected_gain(self.rows, labelled, value_type, objective, rows, seed, confidence)

    def register(
        self,
        *,
        alias: str | None = None,
        force: bool = False,
        tags: Mapping[str, str] | None = None,
        home: Home = None,
        registry: Registry | None = None,
    ) -> list[Prompt]:
        """Register the prompts that changed as new versions, tagged with whether the gain is confirmed.

        Args:
            alias: pointed at the new versions. Refused for a gain that is not confirmed: it would go live.
            force: point it all the same.

        Raises:
            UsageError: there is nothing to register, or the alias is refused.
        """
        from judge_opt.prompts.registered import register_prompt

        if self.program is not None:
            raise UsageError(
                "A DSPy program's texts are in no registry.", "Take result.program, and save it."
            )
        if not self.changed:
            raise UsageError(
                f"There is nothing to register. {self.verdict}", "The seed is registered already."
            )
        if alias is not None and not self.confirmed and not force:
            raise UsageError(
                f"The alias {alias!r} stays where it is: {self.verdict}",
                "Look at result.diff and result.guard.doubtful, or pass force=True.",
            )
        seen = {"confirmed": str(self.confirmed).lower(), **(tags or {})}
        return [
            register_prompt(
                prompt.name,
                prompt.template,
                self.verdict,
                seen,
                alias=alias,
                lineage={**self.lineage, "parent": prompt.version, "verdict": self.verdict},
                home=home,
                registry=registry,
            )
            for uri, prompt in self.prompts.items()
            if any(self.texts[name] != self.seed_texts[name] for name in self.texts if _of(name, uri))
        ]


def _of(component: str, uri: str) -> bool:
    return component == uri or component.startswith(f"{uri}#")
