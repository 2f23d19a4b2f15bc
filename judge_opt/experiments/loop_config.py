"""The configuration of a loop: an agent's prompt, a judge, the people who label, and what is done with them."""

from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from judge_opt.core.hashing import content_hash
from judge_opt.experiments.config import (
    BudgetConfig,
    DataConfig,
    ExperimentConfig,
    GateConfig,
    JudgeConfig,
    OptimizerConfig,
    RegisterConfig,
    SplitConfig,
    load_yaml,
)
from judge_opt.experiments.config import _Strict as Strict
from judge_opt.prompts.objectives import Objective

StepName = Literal["run", "label", "align", "prompts", "register"]
STEPS: tuple[StepName, ...] = ("run", "label", "align", "prompts", "register")


class AgentConfig(Strict):
    """A prompt with a model; see `judge_opt.prompts.agents.prompted_agent`.

    Attributes:
        prompt: its name; or, without a template, any reference to a registered version.
        template: a text, or messages; registered under the name where it is not there yet.
        model, base_url, inference_params: as of a judge.
    """

    prompt: str
    template: str | list[dict[str, str]] | None = None
    model: str
    base_url: str | None = None
    inference_params: dict[str, Any] = Field(default_factory=dict)


class LabelConfig(Strict):
    """What people are asked.

    Attributes:
        items: inputs that the agent runs on for them.
        raters: people who label each item.
        queue: its name; default: the loop's id.
        order: of the items; see `judge_opt.labels.queues.order`.
        question: shown to them.
        path: labelled rows that are there already: then nothing is run or asked.
    """

    items: int = Field(ge=4)
    raters: int = Field(default=2, ge=1)
    queue: str | None = None
    order: Literal["given", "random", "stratified", "uncertainty"] = "random"
    question: str | None = None
    path: str | None = None


class AlignConfig(Strict):
    """How the judge is aligned and held against the untouched one; the keys are those of `align`."""

    optimizer: OptimizerConfig = OptimizerConfig()
    split: SplitConfig
    gate: GateConfig = GateConfig()
    budget: BudgetConfig = BudgetConfig()
    register_as: RegisterConfig = Field(default=RegisterConfig(), alias="register")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class PromptsConfig(Strict):
    """How the prompt is rewritten; see `judge_opt.optimize_prompts`.

    Attributes:
        train, valid, test: numbers of inputs, apart from those that people see.
        guard: a judge that nothing is optimized against; "untouched": the judge before it was aligned.
        objectives: judge's or guard's name to its weight or `Objective`; the untouched judge has the judge's.
        max_calls: the hard stop of this step.
        usd: another one.
        alias: pointed at the new prompt where its gain is confirmed; none otherwise.
    """

    train: int = Field(ge=2)
    valid: int = Field(ge=2)
    test: int = Field(ge=2)
    guard: JudgeConfig | Literal["untouched"] | None = "untouched"
    objectives: dict[str, Objective | float] = Field(default_factory=dict)
    reflection_lm: str | None = None
    reflection_base_url: str | None = None
    method: Literal["gepa", "one shot", "random"] = "gepa"
    proposals: int = Field(default=40, ge=1)
    patience: int = Field(default=10, ge=1)
    max_calls: int = Field(ge=1)
    usd: float | None = Field(default=None, gt=0)
    alias: str | None = "production"


class LoopConfig(Strict):
    """The whole file.

    Attributes:
        round: another number is another loop with the same settings, such as the next one.
        inputs: a file of rows with `inputs`; relative to the configuration.
        group: a dotted path to what makes rows dependent.
        skip: steps to leave out.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$")
    description: str = ""
    round: int = 1
    inputs: str
    group: str | None = None
    agent: AgentConfig
    judge: JudgeConfig
    label: LabelConfig
    align: AlignConfig
    prompts: PromptsConfig
    skip: tuple[StepName, ...] = ()
    seed: int = 0
    concurrency: int = Field(default=8, ge=1, le=512)

    @model_validator(mode="after")
    def _fits(self) -> "LoopConfig":
        sizes = [self.align.split.train, self.align.split.test]
        wanted = sum(int(n) if n >= 1 else 0 for n in sizes)
        if self.label.path is None and wanted > self.label.items:
            raise ValueError(f"align.split wants {wanted} rows, and label.items is {self.label.items}")
        return self

    def loop_id(self, inputs_sha256: str) -> str:
        """The same settings and inputs are the same loop; what is skipped, and how fast it goes, are no part of it."""
        said = self.model_dump(
            mode="json", by_alias=True, exclude={"skip", "concurrency", "description", "inputs"}
        )
        return f"{self.name}-{content_hash([said, inputs_sha256])[:8]}"

    def experiment(self, labels: Path) -> ExperimentConfig:
        """The alignment of the judge on a file of labels."""
        return ExperimentConfig(
            name=self.name,
            description=self.description,
            data=DataConfig(path=str(labels.resolve())),
            judge=self.judge,
            optimizer=self.align.optimizer,
            split=self.align.split,
            gate=self.align.gate,
            budget=self.align.budget,
            register=self.align.register_as,
            seed=self.seed,
            concurrency=self.concurrency,
        )


def load_loop(path: Path, changes: dict[str, Any] | None = None) -> tuple[LoopConfig, Path]:
    """Read and check a file; see `load_yaml`."""
    return load_yaml(path, changes, LoopConfig, "loop.yaml")
