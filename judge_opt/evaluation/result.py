"""What `evaluate` returns and `load_evaluation` reads: rows, verdicts, figures, costs."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from judge_opt.core.results import Judgement, Scored
from judge_opt.core.values import ValueType
from judge_opt.evaluation.board import Board
from judge_opt.evaluation.costs import Costs, costs_of
from judge_opt.evaluation.criteria import Outcome, decide, locate, parse_criteria
from judge_opt.evaluation.folder import Config
from judge_opt.evaluation.metrics import JudgeMetrics, gold_of, measure
from judge_opt.evaluation.rows import Row
from judge_opt.evaluation.scorers import value_type_of_values

if TYPE_CHECKING:
    import pandas
    import pyarrow

RunStatus = Literal["complete", "stopped"]


class EvaluationResult:
    """An evaluation, whole or as far as it went.

    Attributes:
        run_id: its id; `evaluate(..., run_id=...)` resumes it, `load_evaluation` reads it.
        folder: where it is kept.
        rows: in the order in which they were given.
        costs: calls, tokens, dollars and latency, over all processes that worked on it.
    """

    def __init__(self, config: Config, board: Board, folder: Path, *, stopped: str | None = None) -> None:
        self.config = config
        self.run_id = config.id
        self.folder = folder
        self.rows: Sequence[Row] = board.rows
        self._board = board
        self._why = stopped

    @property
    def name(self) -> str:
        """Its title."""
        return self.config.name

    @property
    def judges(self) -> tuple[str, ...]:
        """The judges' names, in their order."""
        return self._board.judges

    @property
    def status(self) -> RunStatus:
        """complete: every row has a verdict, or a reason of its own for having none; stopped: the run ended
        (budget, Ctrl-C, kill) before all rows were judged, and `evaluate` with its run_id goes on."""
        return "complete" if all(map(self._board.complete, range(len(self.rows)))) else "stopped"

    @property
    def why_stopped(self) -> str | None:
        """What ended this pass early, in one line; None where nothing did, or it is not known."""
        return self._why

    @cached_property
    def costs(self) -> Costs:
        return costs_of(self._board)

    def judgements(self, judge: str) -> list[Judgement]:
        """A judge's judgement of each row, `Scored` or `Unscored`."""
        return self._board.judgements(judge)

    def value_type(self, judge: str) -> ValueType:
        """What a judge's verdicts are; for a function that does not say, what they turned out to be."""
        declared = next(one.value_type for one in self.config.judges if one.name == judge)
        if declared is not None:
            return ValueType.from_json(declared)
        return value_type_of_values([one.value for one in self.judgements(judge) if isinstance(one, Scored)])

    def labels(self, judge: str) -> "tuple[list[Any], int]":
        """The people's label of each row (None without a majority), and how many rows are tied. None at all
        where an agent was run: people labelled other outputs."""
        if self._board.with_agent:
            return [None] * len(self.rows), 0
        name = self.config.labels.get(judge, judge)
        return gold_of(self.rows, name, self.value_type(judge), alone=len(self.judges) == 1)

    @cached_property
    def judge_metrics(self) -> dict[str, JudgeMetrics]:
        """Judge to its figures, with intervals."""
        return self.measured(self.config.confidence)

    def measured(self, confidence: float) -> dict[str, JudgeMetrics]:
        """As `judge_metrics`, at another confidence."""
        found = {}
        for judge in self.judges:
            gold, contested = self.labels(judge)
            found[judge] = measure(
                judge,
                self.rows,
                self.judgements(judge),
                self.value_type(judge),
                gold,
                contested,
                n_boot=self.config.n_boot,
                seed=self.config.seed,
                confidence=confidence,
            )
        return found

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Flat, under MLflow's names: `support_quality/mean`, `tone/share/rude`, `tone/coverage`."""
        flat: dict[str, float] = {}
        for one in self.judge_metrics.values():
            flat |= one.flat()
        return flat

    @cached_property
    def criteria(self) -> list[Outcome]:
        """How each criterion stands."""
        outcomes = []
        by_confidence: dict[float, Mapping[str, JudgeMetrics]] = {self.config.confidence: self.judge_metrics}
        for one in parse_criteria(self.config.criteria):
            locate(one.figure, self.judges)
            if one.confidence not in by_confidence:
                by_confidence[one.confidence] = self.measured(one.confidence)
            outcomes.append(decide(one, by_confidence[one.confidence], self.config.min_coverage))
        return outcomes

    @property
    def criteria_met(self) -> bool:
        """True where every criterion is met; undecided is not met."""
        return all(one.status == "met" for one in self.criteria)

    # -- tables

    def to_dicts(self) -> list[dict[str, Any]]:
        """One dictionary a row: id, trace_id, state ("OK" where the agent answered and every judge scored the
        row, else "ERROR"), group, inputs, outputs, expectations, and for each judge `<judge>/value`,
        `/rationale`, `/confidence`, `/error` and, where people labelled rows, `/label`."""
        golds = {judge: self.labels(judge)[0] for judge in self.judges}
        return [self._dict(number, golds) for number in range(len(self.rows))]

    def _dict(self, number: int, golds: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        row, fields = self.rows[number], self._board.fields(number)
        said = {judge: self._board.saying(number, judge) for judge in self.judges}
        out: dict[str, Any] = {
            "id": row.id,
            "trace_id": self._board.trace_id(number),
            "state": "ERROR" if any("error" in one for one in said.values()) else "OK",
            "group": row.group,
            **{name: fields.get(name) for name in ("inputs", "outputs", "expectations")},
        }
        for judge, one in said.items():
            out |= {f"{judge}/{name}": one.get(name) for name in ("value", "rationale", "confidence")}
            error = f"{one['error']}: {one.get('detail', '')}".rstrip(": ") if "error" in one else None
            out[f"{judge}/error"] = error
            if any(label is not None for label in golds[judge]):
                out[f"{judge}/label"] = golds[judge][number]
        return out

    def to_pandas(self) -> "pandas.DataFrame":
        """`to_dicts` as a table."""
        import pandas

        return pandas.DataFrame(self.to_dicts())

    def to_arrow(self) -> "pyarrow.Table":
        """`to_dicts` as an Arrow table; structured cells as JSON text."""
        try:
            import pyarrow
        except ImportError:
            from judge_opt.core.errors import UsageError

            raise UsageError("An Arrow table needs pyarrow.", "Run: pip install pyarrow") from None
        from judge_opt.evaluation.export import flat_rows

        rows = flat_rows(self)
        columns = list(dict.fromkeys(key for row in rows for key in row))
        return pyarrow.table({column: pyarrow.array([row.get(column) for row in rows]) for column in columns})

    def to_csv(self, path: "str | Path") -> None:
        """Write the table for a spreadsheet: cells that it would read as formulas are prefixed with '."""
        from judge_opt.evaluation.export import write_csv

        write_csv(self, Path(path))

    def to_jsonl(self, path: "str | Path") -> None:
        """Write the table without loss, one JSON object a line."""
        from judge_opt.evaluation.export import write_jsonl

        write_jsonl(self, Path(path))

    @property
    def result_df(self) -> "pandas.DataFrame":
        """MLflow's name for `to_pandas()`."""
        return self.to_pandas()

    @property
    def tables(self) -> dict[str, "pandas.DataFrame"]:
        """MLflow's name for the table, under both keys that it has had."""
        table = self.to_pandas()
        return {"eval_results": table, "eval_results_table": table}

    # -- for people and machines

    def to_json(self) -> dict[str, Any]:
        """Figures and criteria, without anything that differs between two equal runs: no times, no costs."""
        return {
            "id": self.run_id,
            "name": self.name,
            "status": self.status,
            "rows": len(self.rows),
            "rows_digest": self.config.rows_digest,
            "judges": {name: one.model_dump(mode="json") for name, one in self.judge_metrics.items()},
            "metrics": self.metrics,
            "criteria": [one.model_dump(mode="json") for one in self.criteria],
        }

    def verdicts(self) -> list[dict[str, Any]]:
        """One line a row for `verdicts.jsonl`: what was said, and the agent's outputs."""
        return list(self.iter_verdicts())

    def iter_verdicts(self) -> Iterator[dict[str, Any]]:
        """The lines of `verdicts`, one after the other."""
        for number, row in enumerate(self.rows):
            said = {judge: self._board.saying(number, judge) for judge in self.judges}
            line: dict[str, Any] = {"id": row.id, "said": said}
            if self._board.with_agent:
                line["outputs"] = self._board.fields(number).get("outputs")
            yield line

    def text(self) -> str:
        """A summary for people."""
        from judge_opt.evaluation.text import evaluation_text

        return evaluation_text(self)

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return (
            f"EvaluationResult({self.run_id!r}, {len(self.rows)} rows, {self.status}, judges={self.judges})"
        )
