"""The judge: a DSPy module made from a template.

    judge = make_judge("tone", "Is {{ outputs }} polite?", feedback_value_type=bool, model="local:/smollm2")
    judge(outputs="Go away.").value

Its one predictor is an ordinary `dspy.Predict`, so DSPy's optimizers rewrite its instructions and demos.
What MemAlign learned is in `memory`, as data, and is brought in anew for each item.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import dspy

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Unscored
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.judges.adapter import JudgeAdapter
from judge_opt.judges.asking import Question, adrive, asking, drive
from judge_opt.judges.bar import Wanted
from judge_opt.judges.batching import abatch, batch
from judge_opt.judges.calibration import Calibration
from judge_opt.judges.calls import acall, call
from judge_opt.judges.distributions import distribution as distribution
from judge_opt.judges.dspy_road import watched
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.item import Parts, parts_of
from judge_opt.judges.learner import Learner
from judge_opt.judges.options import AskOptions
from judge_opt.judges.recalling import feedback_of, recalled, settled
from judge_opt.judges.signature import signature_of
from judge_opt.judges.template import Template
from judge_opt.labels.examples import FIELDS
from judge_opt.llm.session import Session, current_session
from judge_opt.llm.uri import ModelURI
from judge_opt.memory.guidelines import Guideline, with_guidelines
from judge_opt.memory.memory import Memory
from judge_opt.memory.vectors import Vectors
from judge_opt.traces.schema import SourceType

LOGPROB_PROVIDERS = ("local", "openai", "gateway", "endpoints", "openai-compatible")


class Judge(Learner, dspy.Module):
    """Made by `make_judge`; its learned state is `predict.signature.instructions`, `predict.demos` and
    `memory`.

    A subclass that finds its verdict in another way (a jury, a function, an agent) overrides `ask` and
    `aask`; judging, memory, alignment and storing are then the same.

    Attributes:
        name: also the name of the label that people give to what it judges.
        template, value_type, model, description: as made.
        base_url, params, rationale: see `make_judge`.
        options: how it asks: samples, repair, swapped positions.
        memory: what was learned from labels, or None.
        calibration: what was learned of its bias, applied to each verdict; or None.
    """

    kind = "judge"
    """How it is stored; see `judge_opt.judges.stored`."""
    source_type: SourceType = "LLM_JUDGE"
    # dspy.Module's own looks at the name of every attribute, to warn of `judge.forward(...)`: a tenth of a call.
    __getattribute__ = object.__getattribute__

    def __init__(
        self,
        name: str,
        template: Template,
        value_type: ValueType,
        model: str,
        *,
        base_url: str | None = None,
        params: Mapping[str, Any] | None = None,
        rationale: bool = True,
        description: str = "",
        memory: Memory | None = None,
        options: AskOptions | None = None,
    ) -> None:
        super().__init__()
        self.name = name
        self.template = template
        self.value_type = value_type
        self.model = model
        self.base_url = base_url
        self.params = dict(params or {})
        self.rationale = rationale
        self.description = description
        self.memory = memory
        self.calibration: Calibration | None = None
        self.options = options or AskOptions()
        self.predict = dspy.Predict(signature_of(template, rationale))
        self._read: tuple[Any, str | None, str] = (None, None, "")
        self._fields = {v.name: v.field for v in template.variables}
        self.adapter = JudgeAdapter(
            value_type, {field: name for name, field in self._fields.items()}, template.shown, rationale
        )
        self._config: dict[str, Any] = {"response_format": self.adapter.response_format()}
        provider = model.split(":", 1)[0]
        if value_type.is_choice and (provider in LOGPROB_PROVIDERS or base_url):
            self._config |= {"logprobs": True, "top_logprobs": 20}

    # -- judging -------------------------------------------------------------------------------------------

    @property
    def instructions(self) -> str:
        """The template as it stands now, optimizers' rewriting included."""
        signature = self.predict.signature
        if self._read[:2] != (signature, signature.__doc__):  # DSPy tidies the text at each reading
            self._read = (signature, signature.__doc__, signature.instructions)
        return self._read[2]

    def __call__(self, *args: Any, **item: Any) -> Feedback:
        """`forward`, seen by DSPy's callbacks, usage tracker and traces where there are any."""
        self._check_named(args)
        if self.callbacks or watched():
            return cast(Feedback, super().__call__(**item))
        return self.forward(**item)

    async def acall(self, *args: Any, **item: Any) -> Feedback:
        """`aforward`, as `__call__`."""
        self._check_named(args)
        if self.callbacks or watched():
            return cast(Feedback, await super().acall(**item))
        return await self.aforward(**item)

    def forward(self, **item: Any) -> Feedback:
        """Judge one item: `judge(inputs=..., outputs=...)`. The fields that the template names are needed,
        others are ignored. A `trace` stands for the inputs, outputs and expectations that are not given;
        a `session` (traces in order) stands for the conversation.

        Raises:
            UsageError: a field that the template needs is missing, and one that no judge knows was given.
            JudgeOptError: the endpoint cannot be used at all (key, address, budget). Everything that
                concerns this item only is an error on the feedback.
        """
        self._check_names(item)
        return self.judge_item(item)

    async def aforward(self, **item: Any) -> Feedback:
        """As `forward`, in an event loop: `await judge.acall(inputs=..., outputs=...)`."""
        self._check_names(item)
        return await self.ajudge_item(item)

    def judge_item(self, item: Any, *, not_group: str | None = None) -> Feedback:
        """Args:
        item: field name ("inputs", ...) to its value; or a `Trace`, or a labelled example.
        not_group: where the item is a labelled row: its group, of which no example may be recalled.
        """
        parts = self.parts(item)
        vector = None
        if self.memory is not None and self.memory.needs_vectors and not isinstance(parts, Unscored):
            vector = self.embed([parts])[0]
        return self.judge_parts(parts, vector, not_group)

    async def ajudge_item(self, item: Any, *, not_group: str | None = None) -> Feedback:
        """As `judge_item`, in an event loop."""
        parts = self.parts(item)
        vector = None
        if self.memory is not None and self.memory.needs_vectors and not isinstance(parts, Unscored):
            from asyncio import to_thread

            vector = (await to_thread(self.embed, [parts]))[0]
        return await self.ajudge_parts(parts, vector, not_group)

    def judge_parts(
        self, parts: "Parts | Unscored", vector: Vectors | None, not_group: str | None
    ) -> Feedback:
        """Judge what `parts` and `embed` gave."""
        if isinstance(parts, Unscored):
            return feedback_of(self, parts, None)
        recall, shown = recalled(self, vector, not_group)
        judged = self.ask(parts, guidelines=recall.guidelines if recall else (), demos=shown)
        return feedback_of(self, settled(self, judged, recall), recall, parts.cut)

    async def ajudge_parts(
        self, parts: "Parts | Unscored", vector: Vectors | None, not_group: str | None
    ) -> Feedback:
        """As `judge_parts`, in an event loop."""
        if isinstance(parts, Unscored):
            return feedback_of(self, parts, None)
        recall, shown = recalled(self, vector, not_group)
        judged = await self.aask(parts, guidelines=recall.guidelines if recall else (), demos=shown)
        return feedback_of(self, settled(self, judged, recall), recall, parts.cut)

    def batch(
        self,
        items: Sequence[Any],
        *,
        not_groups: Sequence[str | None] | None = None,
        concurrency: int = 8,
        progress: Wanted = None,
    ) -> list[Feedback]:
        """Judge many items at a time, in input order. Items are embedded together.

        Args:
            items: as of `judge_item`.
            not_groups: as `not_group` of `judge_item`, one an item.
            concurrency: how many are judged at a time.
            progress: a function that is called with (items done, items in all), perhaps from another thread;
                or True or False for a bar (rows, rate, time left, cost so far) on stderr or none. By default
                there is a bar where stderr is a terminal, of what takes longer than a second.
        """
        return batch(self, items, not_groups, concurrency, progress)

    async def abatch(
        self,
        items: Sequence[Any],
        *,
        not_groups: Sequence[str | None] | None = None,
        concurrency: int = 8,
        progress: Wanted = None,
    ) -> list[Feedback]:
        """As `batch`, in an event loop, without threads where the endpoint is asked over HTTP."""
        return await abatch(self, items, not_groups, concurrency, progress)

    def parts(self, item: Any) -> "Parts | Unscored":
        """The parts of an item that the template names, or why it cannot be judged."""
        return parts_of(item, self.template, self.options.view_tokens)

    def embed(self, parts: Sequence[Mapping[str, Any]]) -> Vectors:
        """Vectors of items in this judge's memory's space."""
        assert self.memory is not None
        embedder = current_session().embedder(self.memory.embedder, self.memory.base_url)
        return self.memory.item_embedder(embedder).embed(parts)

    def ask(
        self,
        parts: Mapping[str, Any],
        *,
        guidelines: Sequence[Guideline] = (),
        demos: Sequence[Mapping[str, Any]] = (),
    ) -> Judgement:
        """The model's own verdict, nothing fused, with the probabilities of the labels where the endpoint
        gives them or samples were asked for."""
        return drive(asking(self, parts, guidelines, demos), lambda question: call(self, question))

    async def aask(
        self,
        parts: Mapping[str, Any],
        *,
        guidelines: Sequence[Guideline] = (),
        demos: Sequence[Mapping[str, Any]] = (),
    ) -> Judgement:
        """As `ask`, in an event loop."""
        return await adrive(asking(self, parts, guidelines, demos), lambda question: acall(self, question))

    def question(
        self,
        parts: Mapping[str, Any],
        guidelines: Sequence[Guideline],
        demos: Sequence[Mapping[str, Any]],
        sample: int,
    ) -> Question:
        """The call that asks for one verdict."""
        instructions = with_guidelines(self.instructions, guidelines) if guidelines else self.instructions
        messages = self.adapter.messages(instructions, [*self.predict.demos, *demos], self.dspy_inputs(parts))
        return Question(messages, self._config, sample, parts, guidelines, demos)

    def dspy_inputs(self, parts: Mapping[str, Any]) -> dict[str, Any]:
        """DSPy field name to value."""
        return {self._fields[name]: value for name, value in parts.items()}

    def lm(self, session: Session | None = None) -> Any:
        """The `dspy.LM` that this judge asks, in `session` (default: the current one)."""
        params = {"temperature": 0.0 if self.options.samples == 1 else 1.0, "max_tokens": 512, **self.params}
        return (session or current_session()).lm(
            self.model, purpose="judge", base_url=self.base_url, **params
        )

    def get_lm(self) -> Any:
        """DSPy's name for the LM that its optimizers copy for sampling: the judge's own, unless another one
        was set."""
        return self.predict.lm or self.lm()

    def endpoint_of(self, uri: str) -> str | None:
        """The judge's own endpoint serves reflection and embeddings too, where they name its provider."""
        same = ModelURI.parse(uri).provider == ModelURI.parse(self.model).provider
        return self.base_url if same else None

    def _check_named(self, args: Sequence[Any]) -> None:
        if args:
            fields = ", ".join(dict.fromkeys(f"{v.root}=..." for v in self.template.variables))
            raise UsageError(f"{self.name!r} takes what it judges by name.", f"Call it as judge({fields}).")

    def _check_names(self, item: Mapping[str, Any]) -> None:
        unknown = [name for name in item if name not in FIELDS and name != "session"]
        if unknown and isinstance(self.parts(item), Unscored):
            near = nearest(unknown[0], FIELDS)
            raise UsageError(
                f"{self.name!r} knows no field {unknown[0]!r}.{near}", f"Give {', '.join(FIELDS)} or session."
            )

    # -- state ---------------------------------------------------------------------------------------------

    def _made_again(self) -> "Judge":
        """As it was made: nothing learned."""
        return Judge(
            self.name,
            self.template,
            self.value_type,
            self.model,
            base_url=self.base_url,
            params=self.params,
            rationale=self.rationale,
            description=self.description,
            options=self.options,
        )

    def extra_state(self) -> dict[str, Any]:
        """What a subclass stores beside what every judge stores: JSON values, nothing secret."""
        return {}

    @classmethod
    def from_state(cls, extra: Mapping[str, Any], **made: Any) -> "Judge":
        """A judge from what `extra_state` gave and the arguments of `Judge`."""
        return cls(**made)

    def __repr__(self) -> str:
        learned = "" if self.memory is None else f", {len(self.memory.episodic)} examples"
        return f"{type(self).__name__}({self.name!r}, {self.value_type.describe()!r}, model={self.model!r}{learned})"
