"""The judge: a DSPy module made from a template.

    judge = make_judge("tone", "Is {{ outputs }} polite?", feedback_value_type=bool, model="local:/smollm2")
    judge(outputs="Go away.").value

Its one predictor is an ordinary `dspy.Predict`, so DSPy's optimizers rewrite its instructions and demos.
What MemAlign learned is in `memory`, as data, and is brought in anew for each item.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import dspy
import numpy as np

from judge_opt.core.errors import UsageError
from judge_opt.core.results import Judgement, Unscored
from judge_opt.core.text import nearest
from judge_opt.core.values import ValueType
from judge_opt.judges import learning
from judge_opt.judges.adapter import JudgeAdapter
from judge_opt.judges.asking import Question, adrive, asking, drive
from judge_opt.judges.bar import Wanted
from judge_opt.judges.batching import abatch, batch
from judge_opt.judges.calibration import Calibration
from judge_opt.judges.calls import acall, call
from judge_opt.judges.decide import decide
from judge_opt.judges.distributions import distribution as distribution
from judge_opt.judges.dspy_road import watched
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.item import Parts, parts_of
from judge_opt.judges.options import AskOptions
from judge_opt.judges.template import Template
from judge_opt.judges.verdict import RATIONALE, VERDICT
from judge_opt.labels.examples import FIELDS, LabelledExample
from judge_opt.llm.session import Session, current_session
from judge_opt.llm.uri import ModelURI
from judge_opt.memory.guidelines import Guideline, with_guidelines
from judge_opt.memory.memory import Memory, Recall, demo
from judge_opt.memory.vectors import Vectors
from judge_opt.traces.schema import SourceType

LOGPROB_PROVIDERS = ("local", "openai", "gateway", "endpoints", "openai-compatible")


class Judge(dspy.Module):
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
        self.predict = dspy.Predict(_signature(template, rationale))
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
        return cast(str, self.predict.signature.instructions)

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
            return self._feedback(parts, None)
        recall, shown = self._recalled(vector, not_group)
        judged = self.ask(parts, guidelines=recall.guidelines if recall else (), demos=shown)
        return self._feedback(self._settled(judged, recall), recall, parts.cut)

    async def ajudge_parts(
        self, parts: "Parts | Unscored", vector: Vectors | None, not_group: str | None
    ) -> Feedback:
        """As `judge_parts`, in an event loop."""
        if isinstance(parts, Unscored):
            return self._feedback(parts, None)
        recall, shown = self._recalled(vector, not_group)
        judged = await self.aask(parts, guidelines=recall.guidelines if recall else (), demos=shown)
        return self._feedback(self._settled(judged, recall), recall, parts.cut)

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

    def _recalled(
        self, vector: Vectors | None, not_group: str | None
    ) -> tuple[Recall | None, list[dict[str, Any]]]:
        if self.memory is None:
            return None, []
        recall = self.memory.recall(vector, not_group)
        return recall, [demo(episode, self._fields) for episode, _ in recall.shown]

    def _settled(self, asked: Judgement, recall: Recall | None) -> Judgement:
        """The model's own answer, pooled with what the examples say, then calibrated."""
        fused = self._fused(asked, recall)
        return fused if self.calibration is None else self.calibration.apply(fused, self.value_type)

    def _fused(self, asked: Judgement, recall: Recall | None) -> Judgement:
        if recall is None or self.memory is None or self.memory.fusion is None or isinstance(asked, Unscored):
            return asked
        own = np.asarray([distribution(asked, self.value_type)])
        odds = self.memory.fusion.of({"judge": own, **recall.sources})[0]
        pooled = {label: float(p) for label, p in zip(self.value_type.choices(), odds, strict=True)}
        value = decide(pooled, self.value_type)
        return replace(
            asked, value=value, confidence=pooled[self.value_type.text_of(value)], probabilities=pooled
        )

    def _feedback(self, result: Judgement, recall: Recall | None, cut: Sequence[Any] = ()) -> Feedback:
        metadata: dict[str, Any] = dict(result.details)
        if cut:
            metadata["cut"] = list(cut)
        if recall is not None:
            metadata |= {
                "guidelines": [g.text for g in recall.guidelines if g.state == "active"],
                "examples": [{"id": e.id, "similarity": s} for e, s in reversed(recall.shown)],
                "neighbours": [
                    {"id": e.id, "value": self.value_type.text_of(e.gold), "similarity": s}
                    for e, s in recall.near
                ],
            }
            if recall.left_out:
                metadata["examples_left_out"] = recall.left_out
        return Feedback(
            result,
            name=self.name,
            source=self.model or self.name,
            source_type=self.source_type,
            metadata=metadata,
        )

    # -- learning and state ------------------------------------------------------------------------------

    def align(
        self, labelled: Any = None, optimizer: Any = None, *, traces: Any = None, **options: Any
    ) -> "Judge":
        """A judge that agrees better with the labels; this one is not changed. MLflow's name and habit:
        `judge.align(optimizer, traces)` and `judge.align(traces)` are understood too.

        Args:
            labelled: labelled examples (see `judge_opt.load_examples` and `judge_opt.make_split`), or
                traces with people's feedback of this judge's name; keep some rows back, for
                `judge_opt.validate_judges`.
            optimizer: anything with `align` (see `judge_opt.align.contract`); default: `MemAlign()`. Call
                its `align` yourself for the whole `AlignmentResult`. One that returns a judge is fine.
            traces: the same as `labelled`.
            **options: handed to the optimizer: seed, budget, callbacks.

        Raises:
            UsageError: nothing to learn from was given.
            DataError: no trace has a label of this judge's name; the names that there are are listed.
            JudgeOptError: see the optimizer.
        """
        return learning.align(self, labelled, optimizer, traces, options)

    def unalign(
        self,
        traces: Any = None,
        *,
        assessments: Any = None,
        rater: str | Sequence[str] | None = None,
    ) -> "Judge":
        """A judge without what it learned from some labels; this one is not changed, and no model is asked.
        Examples and votes go, and guidelines that stand on them alone; what is left is fitted anew. Taking all
        of them back gives the untouched judge. MLflow's name.

        Args:
            traces: traces, labelled examples, or their ids: whole examples go.
            assessments: assessments or their ids: single votes go.
            rater: one or several raters, all of whose votes go.

        Raises:
            UsageError: the judge has learned nothing, or nothing was named.
            NotFound: something that was named is not in its memory; nothing is changed.
        """
        return learning.unalign(self, traces, assessments, rater)

    def explain(self, item: Any, *, measure: bool = False) -> Any:
        """What stood behind one judgement: the guidelines and examples that were used and what each
        contributed; `print` it.

        Args:
            item: as of `judge_item`.
            measure: also judge the item without each of its guidelines and examples: one call each.
        """
        from judge_opt.judges.explaining import explain

        return explain(self, item, measure=measure)

    def register(self, name: str | None = None, tags: Mapping[str, str] | None = None) -> Any:
        """Store this judge as an immutable version; see `judge_opt.register_judge`."""
        from judge_opt.registry.judges import register

        return register(self, name, tags=dict(tags or {}))

    def with_memory(self, memory: Memory | None) -> "Judge":
        """A copy of this judge with another memory; this one is not changed."""
        other = self.copy()
        other.memory = memory
        return other

    def with_calibration(self, calibration: Calibration | None) -> "Judge":
        """A copy of this judge with another calibration; this one is not changed."""
        other = self.copy()
        other.calibration = calibration
        return other

    def save(self, path: str | Path, *_: Any, **__: Any) -> None:
        """Write this judge to a folder as JSON of our own, with hashes; `judge_opt.load_judge` reads it.
        DSPy's arguments are taken and not needed: nothing is ever pickled."""
        from judge_opt.judges.stored import save_judge

        save_judge(self, Path(path))

    def load(self, path: str | Path, *_: Any, **__: Any) -> None:
        """Become the judge that was saved to a folder, at this one's `base_url`. DSPy's habit;
        `judge_opt.load_judge` is plainer.

        Raises:
            UsageError: the folder holds a judge of another kind.
            NotFound, IntegrityError: see `judge_opt.load_judge`.
        """
        learning.load(self, path)

    def example(self, labelled: LabelledExample) -> dspy.Example:
        """A labelled row as DSPy's optimizers take it: the item's fields are its inputs; `value`, the
        predictor's own fields and its verdict are there for metrics and for demos."""
        return learning.example(self, labelled)

    def copy(self) -> "Judge":
        """An independent judge with the same state."""
        other = self._made_again()
        other.memory = self.memory
        other.calibration = self.calibration
        other.predict.signature = self.predict.signature
        other.predict.demos = copy.deepcopy(self.predict.demos)
        other.predict.lm = self.predict.lm
        return other

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

    def deepcopy(self) -> "Judge":
        """DSPy's name for `copy`: what optimizers call."""
        return self.copy()

    def __deepcopy__(self, memo: dict[int, Any]) -> "Judge":
        return self.copy()

    def __repr__(self) -> str:
        learned = "" if self.memory is None else f", {len(self.memory.episodic)} examples"
        return f"{type(self).__name__}({self.name!r}, {self.value_type.describe()!r}, model={self.model!r}{learned})"


def _signature(template: Template, rationale: bool) -> Any:
    fields: dict[str, Any] = {v.field: (Any, dspy.InputField(desc=v.name)) for v in template.variables}
    if rationale:
        fields[RATIONALE] = (str | None, dspy.OutputField(desc="the reasons, before the verdict"))
    fields[VERDICT] = (Any, dspy.OutputField(desc="the verdict"))
    return dspy.make_signature(fields, template.text)
