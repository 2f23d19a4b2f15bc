"""The runs of a home folder, as they stand on disk."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from judge_opt.core.errors import IntegrityError, NotFound
from judge_opt.core.text import nearest
from judge_opt.experiments.report.model import RunReport
from judge_opt.experiments.seal import AGAIN, sealed_bytes


@dataclass(frozen=True, slots=True)
class RunSummary:
    """Attributes:
    status: promoted, not_promoted, failed, or unfinished for a run without a report.
    created: seconds since the epoch at which the run was begun.
    seconds: of all its phases.
    """

    run_id: str
    status: str
    headline: str
    created: float
    folder: Path
    seconds: float


def list_runs(home: Path) -> list[RunSummary]:
    """Every run of a home folder, newest first."""
    found = []
    for folder in (home / "runs").glob("*/"):
        config = folder / "config.yaml"
        if not config.is_file():
            continue
        try:
            report = load_report(home, str(folder))
            status: str
            status, headline, seconds = report.status, report.conclusion, sum(report.timings.values())
        except NotFound:
            status, headline, seconds = "unfinished", "Run the same configuration again to resume.", 0.0
        except IntegrityError as error:
            status, headline, seconds = "damaged", str(error), 0.0
        log = folder / "events.jsonl"
        created = (log if log.is_file() else config).stat().st_ctime
        found.append(RunSummary(folder.name, status, headline, created, folder, seconds))
    return sorted(found, key=lambda run: (-run.created, run.run_id))


def load_report(home: Path, run: str) -> RunReport:
    """The report of a run, by its id or its folder.

    Raises:
        NotFound: no such run, or it did not come to its end.
        IntegrityError: its report cannot be read.
    """
    known = [home / "runs" / run, Path(run)]
    folder = next((path for path in known if (path / "config.yaml").is_file()), None)
    if folder is None:
        names = [path.name for path in (home / "runs").glob("*/")]
        raise NotFound(f"There is no run {run!r}.{nearest(run, names)}", "See: judge-opt runs")
    path = folder / "report.json"
    if not path.is_file():
        raise NotFound(
            f"The run {folder.name} has no report yet.", "Run its configuration again: it resumes."
        )
    try:
        return RunReport.model_validate_json(sealed_bytes(path))
    except ValidationError:
        raise IntegrityError(f"The report of {folder.name} is damaged: {path}.", AGAIN) from None
