"""One alignment in a process of its own, which the suite kills: `python -m judge_opt.testing.conformance.child`."""

import sys
from importlib import import_module
from pathlib import Path

from judge_opt.testing.conformance.bench import choosing, home, judge_at, training


def main(made_by: str, folder: str, base_url: str) -> None:
    """Align once.

    Args:
        made_by: "module:function" that makes the optimizer.
        folder: of the session.
        base_url: of the lab's server.
    """
    module, _, name = made_by.partition(":")
    make = getattr(import_module(module), name)
    with home(Path(folder)):
        make(4).align(judge_at(base_url), training(), valid=choosing(), seed=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
