"""`judge-opt compare`: two evaluations on the rows that both judged."""

from typing import Annotated

import typer

from judge_opt.cli import output, quiet
from judge_opt.cli.options import DEFAULT_HOME, Home, Json
from judge_opt.core.errors import EXIT_OK


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="An evaluation's id or folder.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The one that is held against A.")],
    alpha: Annotated[
        float, typer.Option("--alpha", min=0.0, max=1.0, help="The chance of any false difference.")
    ] = 0.05,
    seed: Annotated[int, typer.Option("--seed", help="Of the resampling.")] = 0,
    home: Home = DEFAULT_HOME,
    as_json: Json = False,
) -> int:
    """Compare evaluation B with A on exactly the rows that both judged.

    Yes/no verdicts: exact McNemar. Ordered labels and numbers: Wilcoxon. Categories: Bhapkar. Where rows
    form groups: swaps of whole groups. Several judges are corrected by Holm's method.
    """
    from judge_opt.evaluation import compare as compare_runs

    quiet.after_imports()
    found = compare_runs(a, b, home=home, alpha=alpha, seed=seed)
    if as_json:
        output.emit(found.to_json())
    else:
        print(found.text())
    return EXIT_OK
