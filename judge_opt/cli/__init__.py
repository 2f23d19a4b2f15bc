"""The command line, `judge-opt`: one file a verb. Only this package prints.

The verbs import what they need when they run, so that help and errors of use cost no model library.
"""

from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit with its code; see `docs/cli.md`."""
    import sys

    from judge_opt.cli.app import run

    sys.exit(run(list(sys.argv[1:] if arguments is None else arguments)))
