"""What calling a judge returns: MLflow's names on top of Scored | Unscored."""

from typing import Any

import dspy

from judge_opt.core.results import Judgement, Scored, Unscored, Value
from judge_opt.traces.schema import MAX_NAME, AssessmentSource, SourceType


class Feedback(dspy.Prediction):
    """One judgement, as a `dspy.Prediction`, so that DSPy's metrics and optimizers take it as it is.

    Attributes:
        result: `Scored` or `Unscored`: the truth; the names below read it.
        name: the judge's name.
        value: the verdict, or None where the row was not judged.
        rationale, confidence, probabilities: see `Scored`; None where not judged.
        error: None, or why the row was not judged, in one line.
        source: who judged: its type and the model's URI, or the function's name.
        metadata: what else is known: which guidelines and examples were used, the jurors' votes, what was
            cut for lack of room.
    """

    def __init__(
        self,
        result: Judgement,
        *,
        name: str = "",
        source: str = "",
        source_type: SourceType = "LLM_JUDGE",
        metadata: dict[str, Any] | None = None,
    ) -> None:
        scored = result if isinstance(result, Scored) else None
        super().__init__(
            value=scored.value if scored else None, rationale=scored.rationale if scored else None
        )
        # `dspy.Prediction` looks at each name that is set.
        self.__dict__.update(
            _result=result, _name=name, _source=(source_type, source), _metadata=metadata or {}
        )

    _result: Judgement
    _name: str
    _source: tuple[SourceType, str]
    _metadata: dict[str, Any]
    value: Value | None
    rationale: str | None

    def __repr__(self) -> str:
        if isinstance(self._result, Unscored):
            return f"Feedback(name={self._name!r}, value=None, error={self.error!r})"
        sure = "" if self.confidence is None else f", confidence={self.confidence:.3g}"
        return f"Feedback(name={self._name!r}, value={self.value!r}{sure}, rationale={self.rationale!r})"

    @property
    def result(self) -> Judgement:
        return self._result

    @property
    def name(self) -> str:
        return self._name

    @property
    def source(self) -> AssessmentSource:
        kind, who = self._source
        return AssessmentSource(kind, (who or self._name or "judge")[:MAX_NAME])

    @property
    def metadata(self) -> dict[str, Any]:
        return self._metadata

    @property
    def confidence(self) -> float | None:
        return self.result.confidence if isinstance(self.result, Scored) else None

    @property
    def probabilities(self) -> dict[str, float] | None:
        if isinstance(self.result, Scored) and self.result.probabilities is not None:
            return dict(self.result.probabilities)
        return None

    @property
    def error(self) -> str | None:
        if isinstance(self.result, Unscored):
            return f"{self.result.reason}: {self.result.detail}".rstrip(": ")
        return None
