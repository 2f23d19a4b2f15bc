"""A judge as DSPy's optimizers see it, with what they get wrong kept away from it.

They catch every exception, so what must end a run is remembered here and raised again; they run programs in
threads of their own, which know no session; they take a score's truth for success, and an object is true.
"""

import contextvars
import threading
from collections.abc import Callable, Sequence
from typing import Any

import dspy

from judge_opt.align.feedback import feedback_text
from judge_opt.align.instructions import with_instructions
from judge_opt.align.objective import Metric
from judge_opt.align.running import Alignment
from judge_opt.core.errors import JudgeOptError
from judge_opt.core.hashing import content_hash
from judge_opt.core.results import Scored, Unscored
from judge_opt.judges.feedback import Feedback
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import LabelledExample
from judge_opt.llm.errors import is_fatal, unwrap
from judge_opt.llm.session import use_session


class Ended(BaseException):
    """What must end a run, on its way through code that catches every Exception.

    Attributes:
        error: ours.
    """

    def __init__(self, error: JudgeOptError) -> None:
        super().__init__(str(error))
        self.error = error


class Agreement(dspy.Prediction):
    """A row's score with words for a reflection model. True only where the verdict is the experts' own: a
    bootstrapped example is shown as right."""

    score: float
    feedback: str
    right: bool

    def __bool__(self) -> bool:
        return self.right

    def __float__(self) -> float:
        return self.score


class Scope:
    """What a student's calls run in: the alignment's session in any thread, rows by their content, and the
    error that ended it."""

    def __init__(self, run: Alignment, rows: Sequence[LabelledExample]) -> None:
        self.run = run
        self.ended: JudgeOptError | None = None
        self.calls = 0
        self._rows = {_key(row.fields): row for row in rows}
        self._lock = threading.Lock()
        self._context = contextvars.copy_context()

    def row_of(self, item: Any) -> LabelledExample | None:
        """The labelled row with these fields."""
        return self._rows.get(_key(item))

    def judge(self, judge: Judge, item: dict[str, Any]) -> Feedback:
        """Judge one item; no example of its own group is recalled.

        Raises:
            Ended: nothing further can be asked.
        """
        if self.ended is not None:
            raise Ended(self.ended)
        row = self.row_of(item)
        try:
            with use_session(self.run.session):
                return judge.judge_item(item, not_group=row.group if row is not None else None)
        except Exception as error:
            ours = unwrap(error)
            if ours is None or not is_fatal(error):
                raise
            self.ended = ours
            raise Ended(ours) from error
        finally:
            with self._lock:
                self.calls += 1
            self.run.tell("search with DSPy")(0, 0)


class Student(dspy.Module):
    """A judge inside a `Scope`: what is handed to `compile`."""

    def __init__(self, judge: Judge, scope: Scope) -> None:
        super().__init__()
        self.judge = judge
        self._scope = scope

    def forward(self, **item: Any) -> Feedback:
        """As the judge's own."""
        return self._scope.judge(self.judge, item)

    def deepcopy(self) -> "Student":
        """An independent student in the same scope."""
        return Student(self.judge.copy(), self._scope)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Student":
        return self.deepcopy()


def row_metric(scope: Scope, metric: Metric, judge: Judge) -> Callable[..., Agreement]:
    """`metric` of one row as a DSPy metric: (example, prediction, ...) to an `Agreement` in [0, 1]."""
    value_type = judge.value_type

    def measured(example: Any, prediction: Any, *_: Any, **__: Any) -> Agreement:
        row = scope.row_of(dict(example.inputs().items()))
        result = prediction.result if isinstance(prediction, Feedback) else None
        judged = result if result is not None else Unscored("unparseable", "no prediction")
        if row is None:
            raise KeyError("DSPy asked about a row that it was not given")
        right = isinstance(judged, Scored) and judged.value == row.gold
        score = metric.row(row, judged, value_type) if isinstance(judged, Scored) else 0.0
        return Agreement(score=score, feedback=feedback_text(row, judged, value_type), right=right)

    return measured


def guarded(metric: Callable[..., Any]) -> Callable[..., Any]:
    """Somebody's own metric: a score of 0 in an object is no success."""

    def measured(*args: Any, **kwargs: Any) -> Any:
        found = metric(*args, **kwargs)
        score = getattr(found, "score", None)
        if score is None or isinstance(found, (bool, int, float)):
            return found
        words = str(getattr(found, "feedback", "") or "")
        return Agreement(score=float(score), feedback=words, right=float(score) > 0.5)

    return measured


def learned(program: Any, given: Judge) -> Judge | None:
    """The judge with what a compiled program learned: its instructions, repaired, and its demos. None where
    the program is no student, or its instructions cannot be repaired."""
    if not isinstance(program, Student):
        return None
    judge = given
    if program.judge.instructions != given.instructions:
        other = with_instructions(given, program.judge.instructions)
        if other is None:
            return None
        judge = other
    made = judge.copy()
    fields = set(given.predict.signature.fields) | {"augmented"}
    made.predict.demos = [
        dspy.Example(**{name: value for name, value in dict(demo).items() if name in fields})
        for demo in program.judge.predict.demos
    ]
    return made


def _key(item: Any) -> str:
    return content_hash({name: value for name, value in dict(item).items() if value is not None})
