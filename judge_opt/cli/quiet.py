"""Other libraries' chatter: off the terminal, into the run's log.

With JUDGE_OPT_DEBUG set, nothing is silenced.
"""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # or LiteLLM fetches a price list at import
    "LITELLM_LOG": "ERROR",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}


def before_imports() -> None:
    """What must be set before the libraries are imported."""
    if os.environ.get("JUDGE_OPT_DEBUG"):
        logging.basicConfig(level=logging.INFO, stream=sys.stderr)
        return
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger().addHandler(logging.NullHandler())  # or warnings go to stderr for want of a handler
    logging.captureWarnings(True)
    warnings.simplefilter("default")
    warnings.simplefilter("ignore", ResourceWarning)  # at exit, when nobody can log them any more


def after_imports() -> None:
    """Take away the handlers that libraries gave their loggers; the records go up to the root's."""
    if os.environ.get("JUDGE_OPT_DEBUG"):
        return
    for name in list(logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        if any(isinstance(handler, logging.StreamHandler) for handler in logger.handlers):
            logger.handlers = [h for h in logger.handlers if isinstance(h, logging.FileHandler)]
            logger.propagate = True


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Inside the block, log records and warnings of every library are appended to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    handler.setLevel(logging.INFO)
    after_imports()
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()
