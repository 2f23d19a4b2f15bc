"""What was said of the traces of a store: logging, correcting, taking back, reading."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from judge_opt.core.errors import UsageError
from judge_opt.traces import assessments as words
from judge_opt.traces import search
from judge_opt.traces.database import Database
from judge_opt.traces.schema import (
    Assessment,
    AssessmentSource,
    Kind,
    LabelledTrace,
    SourceType,
    new_assessment_id,
    now,
)


class StoredAssessments:
    """What `judge_opt.traces.Store` does with assessments."""

    database: Database

    def log_feedback(
        self,
        trace_id: str,
        name: str,
        value: Any,
        rationale: str | None = None,
        source: AssessmentSource | SourceType | None = None,
        rater: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        strict: bool = True,
    ) -> Assessment:
        """Stores what one source says of a trace. It replaces what the same source said under the same
        name before, which is kept as history: a rater has one vote.

        Args:
            source: an AssessmentSource or a source type; a human by default.
            rater: the source's id; "default" where neither names one.
            strict: in a store with label schemas, people's labels must have the name of one of them; False
                lets this one pass. Values are checked in any case (see `judge_opt.labels.schemas`).

        Raises:
            NotFound: there is no such trace.
            DataError, UsageError: a value that cannot be stored, or that the label schema does not allow.
        """
        return self._log(
            trace_id,
            "feedback",
            name,
            value,
            rationale,
            words.source_of(source, rater),
            metadata,
            strict=strict,
        )

    def log_expectation(
        self,
        trace_id: str,
        name: str,
        value: Any,
        rationale: str | None = None,
        source: AssessmentSource | SourceType | None = None,
        rater: str | None = None,
        *,
        metadata: Mapping[str, Any] | None = None,
        strict: bool = True,
    ) -> Assessment:
        """Stores what would have been right; else as `log_feedback`. Judges see it among the expectations."""
        return self._log(
            trace_id,
            "expectation",
            name,
            value,
            rationale,
            words.source_of(source, rater),
            metadata,
            strict=strict,
        )

    def log_assessment(self, trace_id: str, assessment: Any) -> Assessment:
        """Stores any object with `name`, `value` and, where it has them, `rationale`, `source`, `error`,
        `metadata` and `kind`: a judge's Feedback, or an Assessment of another store.

        Raises:
            UsageError: the object has no name.
        """
        if not isinstance(getattr(assessment, "name", None), str):
            raise UsageError(
                f"A {type(assessment).__name__} without a name is no assessment.", "Pass one with a name."
            )
        source = getattr(assessment, "source", None)
        if source is None and hasattr(assessment, "source_type"):
            source = assessment
        error = getattr(assessment, "error", None)
        return self._log(
            trace_id,
            getattr(assessment, "kind", "feedback"),
            assessment.name,
            getattr(assessment, "value", None),
            getattr(assessment, "rationale", None),
            words.source_of(source, None),
            getattr(assessment, "metadata", None),
            None if error is None else str(error),
        )

    def override(
        self,
        assessment_id: str,
        value: Any,
        rationale: str | None = None,
        rater: str | None = None,
        *,
        source: AssessmentSource | SourceType | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> Assessment:
        """A person's correction of one current assessment, whoever made it; the old one stays as history.

        Args:
            source: who corrects, where it is no person.

        Raises:
            NotFound: there is no such assessment.
            Conflict: it is not current any more.
        """
        source = words.source_of(source, rater)
        with self.database.write() as connection:
            old = words.get(connection, assessment_id)
            new = replace(
                old,
                id=new_assessment_id(),
                value=value,
                rationale=rationale,
                source_type=source.source_type,
                source_id=source.source_id,
                created=now(),
                supersedes=old.id,
                metadata=metadata or {},
            )
            return words.replace(connection, old, new)

    def retract(self, assessment_id: str) -> Assessment:
        """Takes an assessment back: it never votes again, and what it had replaced does not come back.

        Raises:
            NotFound: there is no such assessment.
        """
        with self.database.write() as connection:
            return words.retract(connection, assessment_id)

    def assessments(self, trace_id: str, name: str | None = None) -> list[Assessment]:
        """A trace's assessments, oldest first, with the replaced and the retracted ones.

        Raises:
            NotFound: there is no such trace.
        """
        with self.database.read() as connection:
            seq = words.trace_number(connection, trace_id, self.database.name)
            return words.of_trace(connection, seq, name)

    def labelled_traces(self, name: str, source_type: SourceType = "HUMAN") -> list[LabelledTrace]:
        """Every trace with feedback of this name that votes, sorted by trace id, in one snapshot."""
        with self.database.read() as connection:
            return search.labelled(connection, name, source_type)

    def feedback_names(self) -> list[str]:
        """The names under which there is feedback, sorted."""
        with self.database.read() as connection:
            return words.names(connection, "feedback")

    def _log(
        self,
        trace_id: str,
        kind: Kind,
        name: str,
        value: Any,
        rationale: str | None,
        source: AssessmentSource,
        metadata: Mapping[str, Any] | None,
        error: str | None = None,
        *,
        strict: bool = True,
    ) -> Assessment:
        new = Assessment(
            id=new_assessment_id(),
            trace_id=trace_id,
            kind=kind,
            name=name,
            value=value,
            rationale=rationale,
            source_type=source.source_type,
            source_id=source.source_id,
            created=now(),
            error=error,
            metadata=metadata or {},
        )
        with self.database.write() as connection:
            seq = words.trace_number(connection, trace_id, self.database.name)
            return words.insert(connection, seq, new, strict=strict)
