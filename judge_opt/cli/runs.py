"""`judge-opt runs`: the runs of a home folder."""

from datetime import UTC, datetime

from judge_opt.cli import output
from judge_opt.cli.options import DEFAULT_HOME, Home, Json
from judge_opt.core.errors import EXIT_OK


def runs(home: Home = DEFAULT_HOME, as_json: Json = False) -> int:
    """List the runs, newest first."""
    from judge_opt.experiments.runs import list_runs

    found = list_runs(home)
    if as_json:
        rows = [
            {
                "run_id": run.run_id,
                "status": run.status,
                "headline": run.headline,
                "created": run.created,
                "folder": str(run.folder),
                "seconds": run.seconds,
            }
            for run in found
        ]
        output.emit({"runs": rows})
    elif not found:
        output.say(f"There is no run in {home}. Start one: judge-opt align configs/quickstart.yaml")
    else:
        for run in found:
            begun = f"{datetime.fromtimestamp(run.created, UTC):%Y-%m-%d %H:%M}"
            output.line(
                f"{run.run_id}  {run.status.replace('_', ' ')}  begun {begun} UTC, {run.seconds:.0f} s"
            )
            output.line(f"    {run.headline}")
    return EXIT_OK
