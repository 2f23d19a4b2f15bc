"""Who judges: judges, and functions of one's own, behind one small interface."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from judge_opt.core.errors import JudgeOptError, UsageError
from judge_opt.core.results import Judgement, Scored, Unscored
from judge_opt.core.values import BOOL, ValueType
from judge_opt.evaluation.plain import plain
from judge_opt.labels.examples import FIELDS


class Scorer(Protocol):
    """What the engine needs of whoever judges a row.

    Attributes:
        name: unique in its evaluation; also the name of the label.
        value_type: None where the verdicts themselves have to say (a function without an annotation).
        source_type: LLM_JUDGE or CODE, as stored with each assessment.
        digest: the content hash of everything that can change a verdict; None where that cannot be known.
        model: the model's URI; "" for code.
        embeds: True where `prepare` saves requests.
        reads_trace: True where it looks at the trace of an agent's run.
    """

    name: str
    value_type: ValueType | None
    source_type: str
    digest: str | None
    model: str
    embeds: bool
    reads_trace: bool

    def judge(self, fields: Mapping[str, Any], group: str) -> tuple[Judgement, dict[str, Any]]:
        """The judgement of one item and what else is known of it."""
        ...

    def prepare(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Told of the items that come next, before they are judged one by one."""
        ...


class JudgeScorer:
    """A `Judge`."""

    def __init__(self, judge: Any) -> None:
        self.subject = judge
        self.name: str = judge.name
        self.value_type: ValueType | None = judge.value_type
        self.model: str = str(getattr(judge, "model", "") or "")
        self.source_type = str(getattr(judge, "source_type", "LLM_JUDGE"))
        self.digest = _digest(judge)
        memory = getattr(judge, "memory", None)
        roots = {one.root for v in judge.template.variables for one in (v, *v.others)}
        self.reads_trace = "trace" in roots
        self.embeds = memory is not None and bool(memory.needs_vectors)

    def judge(self, fields: Mapping[str, Any], group: str) -> tuple[Judgement, dict[str, Any]]:
        said = self.subject.judge_item(fields, not_group=group)
        return said.result, dict(said.metadata)

    def prepare(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Embeds all items in few calls; each finds its vectors in the store then."""
        parts = [part for item in items if not isinstance(part := self.subject.parts(item), Unscored)]
        if parts:
            self.subject.embed(parts)


class FunctionScorer:
    """A function of one's own: its parameters name what it is given (`inputs`, `outputs`, ...), and it
    returns a value, or a value and its reason, or a Feedback."""

    source_type: str = "CODE"
    model: str = ""
    digest: str | None = None
    embeds: bool = False

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = str(getattr(function, "name", None) or getattr(function, "__name__", ""))
        try:
            parameters = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            raise UsageError(
                f"{function!r} cannot be called with a row.", "Pass a judge or a function."
            ) from None
        self._takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
        named = [p for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        unknown = [p.name for p in named if p.name not in FIELDS and p.default is p.empty]
        if not self.name.isidentifier() or unknown:
            wrong = f"takes {unknown[0]!r}" if unknown else "has no name"
            raise UsageError(
                f"The scorer {self.name or function!r} {wrong}.",
                f"Define it with parameters out of: {', '.join(FIELDS)}.",
            )
        self._parameters = {p.name: p.default is p.empty for p in named}
        self.reads_trace = "trace" in self._parameters or self._takes_all
        self.value_type = _annotated(function)

    def judge(self, fields: Mapping[str, Any], group: str) -> tuple[Judgement, dict[str, Any]]:
        """An exception of the function is its failure on this row, and no verdict."""
        missing = [name for name, needed in self._parameters.items() if needed and name not in fields]
        if missing:
            return Unscored("missing_input", f"the item has no {missing[0]}"), {}
        given = {name: fields[name] for name in fields if self._takes_all or name in self._parameters}
        try:
            said = self.function(**given)
        except JudgeOptError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a user's function raises
            return Unscored("call_failed", f"{type(error).__name__}: {str(error)[:200]}"), {}
        return self._read(said)

    def prepare(self, items: Sequence[Mapping[str, Any]]) -> None:
        """Nothing."""

    def _read(self, said: Any) -> tuple[Judgement, dict[str, Any]]:
        if isinstance(said, (Scored, Unscored)):
            return said, {}
        if isinstance(result := getattr(said, "result", None), (Scored, Unscored)):
            return result, dict(getattr(said, "metadata", None) or {})
        rationale = None
        if isinstance(said, tuple) and len(said) == 2 and isinstance(said[1], str):
            said, rationale = said
        elif hasattr(said, "value") and hasattr(said, "rationale"):
            said, rationale = said.value, said.rationale
        try:
            value = plain(said, "the value")
            if value is None:
                return Unscored("empty", "the function returned nothing"), {}
            if self.value_type is not None:
                value = self.value_type.read(value)
        except (ValueError, JudgeOptError) as error:
            return Unscored("out_of_set", str(error)[:200]), {}
        return Scored(value, rationale=rationale), {}


def make_scorers(judges: Any) -> list[Scorer]:
    """One scorer for each judge or function.

    Raises:
        UsageError: none, one of another type, or two of one name.
    """
    many = list(judges) if isinstance(judges, (list, tuple)) else [judges]
    if not many or many == [None]:
        raise UsageError("There is no judge.", "Pass judges=[...].")
    made: list[Scorer] = []
    for one in many:
        if hasattr(one, "judge_item"):
            made.append(JudgeScorer(one))
        elif callable(one):
            made.append(FunctionScorer(one))
        else:
            raise UsageError(
                f"A {type(one).__name__} cannot judge.", "Pass judges made by make_judge, or functions."
            )
    names = [one.name for one in made]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"Two judges are called {twice[0]!r}.", "Give each judge its own name.")
    return made


def value_type_of_values(values: Sequence[Any]) -> ValueType:
    """What a function's verdicts are, where it does not say: all bool, all whole, all numbers, or text (few
    distinct ones are categories)."""
    if values and all(isinstance(value, bool) for value in values):
        return BOOL
    if values and not any(isinstance(value, (bool, str, list, dict)) for value in values):
        return ValueType("int" if all(isinstance(value, int) for value in values) else "float")
    if values and all(isinstance(value, str) for value in values):
        distinct = sorted(set(values))
        if 2 <= len(distinct) <= 20 and len(distinct) < len(values):
            try:
                return ValueType("nominal", tuple(distinct))
            except JudgeOptError:  # labels that differ in case only: then they are texts
                pass
    return ValueType("text")


def _annotated(function: Callable[..., Any]) -> ValueType | None:
    if isinstance(declared := getattr(function, "value_type", None), ValueType):
        return declared
    try:
        annotation = inspect.signature(function, eval_str=True).return_annotation
        return ValueType.of(annotation) if annotation is not inspect.Signature.empty else None
    except (JudgeOptError, NameError, TypeError, ValueError):
        return None


def _digest(judge: Any) -> str | None:
    """The registry's hash of this judge; None for one that cannot be stored, such as a function."""
    from judge_opt.judges.stored import dump_judge
    from judge_opt.registry.versions import artefact_hash

    try:
        return artefact_hash(*dump_judge(judge))
    except JudgeOptError:
        return None
