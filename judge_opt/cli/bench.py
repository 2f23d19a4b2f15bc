"""`judge-opt bench`: optimizers compared in the simulated lab."""

from pathlib import Path
from typing import Annotated, Any

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.options import DEFAULT_HOME, Home, Json
from judge_opt.core.errors import EXIT_OK


def bench(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG", help="A file such as configs/bench/small.yaml.")
    ],
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Worker processes at a time.")] = 1,
    report_only: Annotated[
        bool, typer.Option("--report", help="Run nothing; report what has ended so far.")
    ] = False,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Compare optimizers, ours and others', in worlds with known truth. A killed run resumes.

    No model and no network is needed: the model is simulated, and what it shows and does not show stands in
    docs/lab.md.
    """
    from judge_opt.testing.bench.config import load_bench
    from judge_opt.testing.bench.report import write_report
    from judge_opt.testing.bench.run import lines_of, run_bench

    quiet.after_imports()
    loaded = load_bench(config)
    folder = home / "bench" / f"{loaded.name}-{loaded.run_id}"

    def progress(done: int, total: int, line: dict[str, Any]) -> None:
        if not as_json:
            said = line["error"] or f"kappa {line['kappa']}"
            print(
                f"{done}/{total} {line['family']}, world {line['world']}, {line['labels']} labels, "
                f"{line['arm']}: {said}",
                flush=True,
            )

    if not report_only:
        folder = run_bench(loaded, home, jobs, progress)
    page = write_report(folder, loaded, lines_of(folder, loaded))
    if as_json:
        output.emit({"folder": str(folder), "report": str(page)})
    else:
        print(page.read_text(encoding="utf-8"))
    return EXIT_OK
