"""Evaluations that are kept in a home: listed, and read back."""

from pathlib import Path

from judge_opt.core.errors import IntegrityError
from judge_opt.evaluation import folder as folders
from judge_opt.evaluation.board import Board
from judge_opt.evaluation.journal import NAME, read_journal
from judge_opt.evaluation.result import EvaluationResult
from judge_opt.llm.session import current_session


def load_evaluation(run_id: str, *, home: "Path | str | None" = None) -> EvaluationResult:
    """An evaluation of a home, as far as it went; also one that is running.

    Args:
        run_id: its id, or the path of its folder.
        home: default: the current session's.

    Raises:
        NotFound: there is none.
        IntegrityError: a file of it was changed or damaged; the message names it.
    """
    folder = folders.find(_home(home), run_id)
    config = folders.read_config(folder)
    results = folders.read_results(folder)
    judges = [one.name for one in config.judges]
    board = Board(folders.read_rows(folder, config), judges, with_agent=config.agent is not None)
    result = EvaluationResult(config, board.replay(read_journal(folder, config.id)), folder)
    if results is not None and results["status"] == "complete" and result.status != "complete":
        raise IntegrityError(
            f"{folder / NAME} lacks rows that the run had.",
            "Restore the file, or evaluate again: what was bought is in the call store.",
        )
    return result


def list_evaluations(home: "Path | str | None" = None) -> list[str]:
    """The ids of a home's evaluations, the latest first. `load_evaluation` reads one.

    Args:
        home: default: the current session's.
    """
    found = [path.parent for path in folders.evaluations(_home(home)).glob(f"*/{folders.CONFIG}")]
    return [path.name for path in sorted(found, key=lambda path: (-path.stat().st_mtime, path.name))]


def _home(home: "Path | str | None") -> Path:
    return Path(home) if home is not None else current_session().home
