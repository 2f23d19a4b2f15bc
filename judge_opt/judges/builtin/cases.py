"""The hand-written cases of each built-in judge, and what a judge makes of them.

    judge = case_judge("Correctness", model="openai:/gpt-4o-mini")
    table = run_cases(judge, builtin_cases("Correctness"))
    print(table.agreement, table.coverage, [row.case.id for row in table.rows if not row.right])

Twelve cases or more each: some that clearly pass, some that clearly fail, and traps (fluent and wrong, right and
rude, orders to the judge inside the judged text, numbers off by one, another language). They show whether a
model can judge this criterion at all; they are too few to rank models by.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, get_args

from judge_opt.core.errors import NotFound, UsageError
from judge_opt.core.results import Judgement, Scored, Value
from judge_opt.core.text import nearest
from judge_opt.judges.bar import Progress
from judge_opt.judges.builtin.catalog import BUILT_INS, AnyBuiltIn
from judge_opt.judges.judge import Judge
from judge_opt.labels.examples import FIELDS, LabelledExample, Vote

Kind = Literal["pass", "fail", "trap"]


@dataclass(frozen=True, slots=True)
class Case:
    """One item whose verdict is beyond doubt.

    Attributes:
        id: unique among the judge's cases.
        kind: a clear pass, a clear fail, or a trap (which may be either).
        fields: what the judge is given: inputs, outputs, expectations, trace, conversation.
        expected: the right verdict.
        why: the reason, one line.
    """

    id: str
    kind: Kind
    fields: Mapping[str, Any]
    expected: Value
    why: str

    def labelled(self) -> LabelledExample:
        """As a labelled example, each a group of its own, for `align` and `validate_judges`."""
        return LabelledExample(
            self.id, self.id, dict(self.fields), (Vote("case author", self.expected, self.why),)
        )


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case and what the judge said."""

    case: Case
    judged: Judgement

    @property
    def right(self) -> bool | None:
        """None where there is no verdict."""
        return self.judged.value == self.case.expected if isinstance(self.judged, Scored) else None


@dataclass(frozen=True, slots=True)
class CaseTable:
    """What a judge made of cases, in their order."""

    judge: str
    rows: tuple[CaseRow, ...] = field(repr=False)

    @property
    def coverage(self) -> float:
        """Share of cases with a verdict; 0.0 where there are no cases."""
        return len(self._judged()) / len(self.rows) if self.rows else 0.0

    @property
    def agreement(self) -> float | None:
        """Share of right verdicts among the verdicts; None where there is none. A failure is no verdict:
        look at `coverage` beside it."""
        judged = self._judged()
        return sum(row.right is True for row in judged) / len(judged) if judged else None

    @property
    def constant(self) -> float:
        """The share that the most frequent expected verdict alone gets right."""
        expected = [row.case.expected for row in self.rows]
        return max((expected.count(value) for value in set(expected)), default=0) / max(len(expected), 1)

    def of_kind(self, kind: Kind) -> "CaseTable":
        """The rows of one kind."""
        return CaseTable(self.judge, tuple(row for row in self.rows if row.case.kind == kind))

    def to_rows(self) -> list[dict[str, Any]]:
        """One dictionary a case, for a data frame: id, kind, expected, value, right, reason, why."""
        return [
            {
                "id": row.case.id,
                "kind": row.case.kind,
                "expected": row.case.expected,
                "value": row.judged.value if isinstance(row.judged, Scored) else None,
                "right": row.right,
                "reason": row.judged.rationale
                if isinstance(row.judged, Scored)
                else f"{row.judged.reason}: {row.judged.detail}",
                "why": row.case.why,
            }
            for row in self.rows
        ]

    def _judged(self) -> list[CaseRow]:
        return [row for row in self.rows if row.right is not None]


def built_in(title: str) -> AnyBuiltIn:
    """A built-in judge by its name, for example "Correctness".

    Raises:
        NotFound: there is none of that name; the nearest one is named.
    """
    found = BUILT_INS.get(title)
    if found is None:
        raise NotFound(
            f"There is no built-in judge {title!r}.{nearest(title, BUILT_INS)}",
            f"Use one of: {', '.join(BUILT_INS)}.",
        )
    return found


def builtin_cases(title: str) -> list[Case]:
    """The cases of a built-in judge.

    Args:
        title: for example "Correctness".

    Raises:
        NotFound: there is no built-in judge of that name.
    """
    name = built_in(title).name
    return [_case(name, json.loads(line)) for line in _file(f"{name}.jsonl").splitlines()]


def case_judge(title: str, **options: Any) -> Judge:
    """The judge that the cases were written for: guidelines are those of the cases.

    Args:
        **options: see the built-in's call: model, name, base_url and so on.

    Raises:
        NotFound: there is no built-in judge of that name.
    """
    arguments: dict[str, Any] = json.loads(_file("arguments.json")).get(title, {})
    made: Judge = built_in(title)(**{**arguments, **options})
    return made


def run_cases(
    judge: Judge, cases: Sequence[Case], *, concurrency: int = 8, progress: Progress | None = None
) -> CaseTable:
    """Judge every case.

    Args:
        progress: called with (cases done, cases in all).

    Raises:
        JudgeOptError: the endpoint cannot be used at all. What concerns one case only is `Unscored`.
    """
    said = judge.batch([case.fields for case in cases], concurrency=concurrency, progress=progress)
    return CaseTable(
        judge.name, tuple(CaseRow(case, one.result) for case, one in zip(cases, said, strict=True))
    )


@lru_cache(maxsize=64)
def _file(name: str) -> str:
    return files("judge_opt.judges.builtin").joinpath(f"cases/{name}").read_text(encoding="utf-8")


def _case(name: str, data: dict[str, Any]) -> Case:
    fields = {field: data.pop(field) for field in FIELDS if field in data}
    if data.keys() != {"id", "kind", "expected", "why"} or data["kind"] not in get_args(Kind):
        raise UsageError(
            f"cases/{name}.jsonl: case {data.get('id')!r} has wrong keys or a wrong kind.",
            "A case has id, kind (pass, fail or trap), expected, why, and the fields that are judged.",
        )
    return Case(fields=fields, **data)
