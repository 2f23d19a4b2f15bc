"""What an optimization of prompts returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.llm.ledger import LedgerLine
from judge_opt.prompts.guard import GuardReport
from judge_opt.prompts.paired import HeldOut
from judge_opt.prompts.prompt import Prompt
from judge_opt.registry.diff import diff_payloads
from judge_opt.registry.judges import Home
from judge_opt.registry.registry import Registry


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
        candidates: what was tried, the seed first.
        warnings: what a reader has to know.
        stopped: "" where it came to its end; "budget" or "no progress".
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
    candidates: tuple[PromptCandidate, ...] = ()
    warnings: tuple[str, ...] = ()
    stopped: str = ""
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
