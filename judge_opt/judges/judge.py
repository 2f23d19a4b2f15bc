"""The judge: a DSPy module made from a template.

    judge = make_judge("tone", "Is {{ outputs }} polite?", feedback_value_type=bool, model="local:/smollm2")
    judge(outputs="Go away.").value

Its one predictor is an ordinary `dspy.Predict`, so DSPy's optimizers rewrite its instructions and demos.
What MemAlign learned is in `memory`, as data, and is brought in anew for each item.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import dspy
import numpy as np

from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import ValueType
from judge_opt.judges.adapter import JudgeAdapter, VerdictError
from judge_opt.judges.decide import decide
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.template import Template
from judge_opt.judges.verdict import RATIONALE, VERDICT, label_probabilities
from judge_opt.labels.examples import FIELDS, LabelledExample
from judge_opt.llm.errors import is_fatal, reason_of
from judge_opt.llm.parallel import map_threads
from judge_opt.llm.session import Session, current_session
from judge_opt.llm.uri import ModelURI
from judge_opt.memory.guidelines import Guideline, with_guidelines
from judge_opt.memory.memory import Memory, Recall, demo
from judge_opt.memory.vectors import Vectors

Progress = Callable[[int, int], None]
"""Called with (rows done, rows in all)."""

LOGPROB_PROVIDERS = ("local", "openai")


class Judge(dspy.Module):
    """Made by `make_judge`; its learned state is `predict.signature.instructions`, `predict.demos` and
    `memory`.

    Attributes:
        name: also the name of the label that people give to what it judges.
        template, value_type, model, description: as made.
        base_url, params, rationale: see `make_judge`.
        memory: what was learned from labels, or None.
    """

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
        self.predict = dspy.Predict(_signature(template, rationale))
        self._fields = {v.name: v.field for v in template.variables}
        self._adapter = JudgeAdapter(
            value_type, {field: name for name, field in self._fields.items()}, template.shown, rationale
        )

    # -- judging -------------------------------------------------------------------------------------------

    @property
    def instructions(self) -> str:
        """The template as it stands now, optimizers' rewriting included."""
        return cast(str, self.predict.signature.instructions)

    def forward(self, **item: Any) -> Feedback:
        """Judge one item: `judge(inputs=..., outputs=...)`. The fields that the template names are needed,
        others are ignored.

        Raises:
            JudgeOptError: the endpoint cannot be used at all (key, address, budget). Everything that
                concerns this item only is an error on the feedback.
        """
        return self.judge_item({name: item[name] for name in FIELDS if name in item})

    def judge_item(self, item: Mapping[str, Any], *, not_group: str | None = None) -> Feedback:
        """Args:
        item: field name ("inputs", ...) to its value.
        not_group: where the item is a labelled row: its group, of which no example may be recalled.
        """
        parts = self.parts(item)
        if isinstance(parts, Unscored):
            return self._feedback(parts, None)
        recall = None
        if self.memory is not None:
            vector = self.embed([parts])[0] if self.memory.needs_vectors else None
            recall = self.memory.recall(vector, not_group)
        return self._feedback(self._ask_and_fuse(parts, recall), recall)

    def batch(
        self,
        items: Sequence[Mapping[str, Any]],
        *,
        not_groups: Sequence[str | None] | None = None,
        concurrency: int = 8,
        progress: Progress | None = None,
    ) -> list[Feedback]:
        """Judge many items, in input order. Items are embedded together, judged `concurrency` at a time."""
        parts = [self.parts(item) for item in items]
        vectors: dict[int, Vectors] = {}
        memory = self.memory
        if memory is not None and memory.needs_vectors:
            whole = [i for i, part in enumerate(parts) if not isinstance(part, Unscored)]
            if whole:
                embedded = self.embed([cast(dict[str, Any], parts[i]) for i in whole])
                vectors = dict(zip(whole, embedded, strict=True))
        done = 0

        def one(index: int) -> Feedback:
            nonlocal done
            part = parts[index]
            recall = None
            if isinstance(part, Unscored):
                result: Judgement = part
            else:
                if memory is not None:
                    group = not_groups[index] if not_groups is not None else None
                    recall = memory.recall(vectors.get(index), group)
                result = self._ask_and_fuse(part, recall)
            done += 1
            if progress is not None:
                progress(done, len(items))
            return self._feedback(result, recall)

        return map_threads(one, range(len(items)), concurrency)

    def parts(self, item: Mapping[str, Any]) -> "dict[str, Any] | Unscored":
        """The parts of an item that the template names, or why it cannot be judged."""
        try:
            return {variable.name: variable.of(dict(item)) for variable in self.template.variables}
        except KeyError as missing:
            return Unscored("missing_input", f"the item has no {missing.args[0]}")

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
        """One call of the model, nothing fused: its verdict and, where the endpoint gives them, the
        probabilities of the labels."""
        signature = self.predict.signature
        if guidelines:
            signature = signature.with_instructions(with_guidelines(self.instructions, guidelines))
        config: dict[str, Any] = {"response_format": self._adapter.response_format()}
        if self.value_type.is_choice and self.model.split(":", 1)[0] in LOGPROB_PROVIDERS:
            config |= {"logprobs": True, "top_logprobs": 20}
        inputs = {self._fields[name]: value for name, value in parts.items()}
        try:
            with dspy.context(adapter=self._adapter, lm=self.lm()):
                prediction = self.predict(
                    signature=signature, demos=[*self.predict.demos, *demos], config=config, **inputs
                )
        except VerdictError as error:
            return error.unscored
        except Exception as error:
            known = reason_of(error)
            if known is None or is_fatal(error):
                raise
            return Unscored(*known)
        odds = label_probabilities(prediction.get("logprobs"), self.value_type)
        value = prediction[VERDICT]
        return Scored(
            value,
            rationale=prediction[RATIONALE] if self.rationale else None,
            confidence=odds[self.value_type.text_of(value)] if odds else None,
            probabilities=odds,
        )

    def lm(self, session: Session | None = None) -> Any:
        """The `dspy.LM` that this judge asks, in `session` (default: the current one)."""
        params = {"temperature": 0.0, "max_tokens": 512, **self.params}
        return (session or current_session()).lm(
            self.model, purpose="judge", base_url=self.base_url, **params
        )

    def endpoint_of(self, uri: str) -> str | None:
        """The judge's own endpoint serves reflection and embeddings too, where they name its provider."""
        same = ModelURI.parse(uri).provider == ModelURI.parse(self.model).provider
        return self.base_url if same else None

    def _ask_and_fuse(self, parts: Mapping[str, Any], recall: Recall | None) -> Judgement:
        if recall is None or self.memory is None:
            return self.ask(parts)
        demos = [demo(episode, self._fields) for episode, _ in recall.shown]
        asked = self.ask(parts, guidelines=recall.guidelines, demos=demos)
        if self.memory.fusion is None or isinstance(asked, Unscored):
            return asked
        own = np.asarray([distribution(asked, self.value_type)])
        odds = self.memory.fusion.of({"judge": own, **recall.sources})[0]
        pooled = {label: float(p) for label, p in zip(self.value_type.choices(), odds, strict=True)}
        value = decide(pooled, self.value_type)
        return replace(
            asked, value=value, confidence=pooled[self.value_type.text_of(value)], probabilities=pooled
        )

    def _feedback(self, result: Judgement, recall: Recall | None) -> Feedback:
        metadata: dict[str, Any] = {}
        if recall is not None:
            metadata = {
                "guidelines": [g.text for g in recall.guidelines if g.state == "active"],
                "examples": [{"id": e.id, "similarity": s} for e, s in reversed(recall.shown)],
                "neighbours": [
                    {"id": e.id, "value": self.value_type.text_of(e.gold), "similarity": s}
                    for e, s in recall.near
                ],
            }
            if recall.left_out:
                metadata["examples_left_out"] = recall.left_out
        return Feedback(result, name=self.name, source=self.model, metadata=metadata)

    # -- learning ------------------------------------------------------------------------------------------

    def align(self, labelled: Sequence[LabelledExample], optimizer: Any = None, **options: Any) -> "Judge":
        """A judge that agrees better with the labels; this one is not changed. MLflow's name and habit.

        Args:
            labelled: see `judge_opt.load_examples` and `judge_opt.make_split`; keep some rows back, for
                `judge_opt.validate_judges`.
            optimizer: anything with `align` (see `judge_opt.align.contract`); default: `MemAlign()`. Call
                its `align` yourself for the whole `AlignmentResult`.
            **options: handed to it: seed, budget, callbacks.

        Raises:
            JudgeOptError: see the optimizer.
        """
        if optimizer is None:
            from judge_opt.align.memalign import MemAlign

            optimizer = MemAlign()
        return cast(Judge, optimizer.align(self, labelled, **options).judge)

    def register(self, name: str | None = None, tags: Mapping[str, str] | None = None) -> Any:
        """Store this judge as an immutable version; see `judge_opt.register_judge`."""
        from judge_opt.registry.judges import register

        return register(self, name, tags=dict(tags or {}))

    def with_memory(self, memory: Memory | None) -> "Judge":
        """A copy of this judge with another memory; this one is not changed."""
        other = self.copy()
        other.memory = memory
        return other

    def copy(self) -> "Judge":
        """An independent judge with the same state."""
        other = Judge(
            self.name,
            self.template,
            self.value_type,
            self.model,
            base_url=self.base_url,
            params=self.params,
            rationale=self.rationale,
            description=self.description,
            memory=self.memory,
        )
        other.predict.signature = self.predict.signature
        other.predict.demos = copy.deepcopy(self.predict.demos)
        return other

    def __repr__(self) -> str:
        learned = "" if self.memory is None else f", {len(self.memory.episodic)} examples"
        return f"Judge({self.name!r}, {self.value_type.describe()!r}, model={self.model!r}{learned})"


def distribution(judged: Scored, value_type: ValueType) -> list[float]:
    """A verdict's distribution over the labels; where the endpoint gave none, the verdict with 0.8 and
    the rest evenly (fusion's fitted weight says what that is worth)."""
    labels = value_type.choices()
    if judged.probabilities is not None:
        return [judged.probabilities[label] for label in labels]
    verdict = value_type.text_of(judged.value)
    rest = 0.2 / (len(labels) - 1)
    return [0.8 if label == verdict else rest for label in labels]


def _signature(template: Template, rationale: bool) -> Any:
    fields: dict[str, Any] = {v.field: (Any, dspy.InputField(desc=v.name)) for v in template.variables}
    if rationale:
        fields[RATIONALE] = (str | None, dspy.OutputField(desc="the reasons, before the verdict"))
    fields[VERDICT] = (Any, dspy.OutputField(desc="the verdict"))
    return dspy.make_signature(fields, template.text)
