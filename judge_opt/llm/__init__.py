"""The one door to models: URI -> backend -> engine -> dspy.LM, with retries, cache, ledger and budget.

    from judge_opt.llm import Budget, Session

    with Session(Path(".judge_opt"), run_id="demo", budget=Budget(calls=100)) as session:
        lm = session.lm("openai:/gpt-4o-mini")
        lm("Is the sky blue?")
        print(session.ledger())

Names are imported when they are first used, so that `import judge_opt.llm` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.llm.backend import Backend
    from judge_opt.llm.budget import Budget
    from judge_opt.llm.embed import Embedder
    from judge_opt.llm.engine import CallEvent
    from judge_opt.llm.errors import is_fatal, reason_of, unwrap
    from judge_opt.llm.forecast import Estimate, estimate
    from judge_opt.llm.keys import repeat
    from judge_opt.llm.ledger import LedgerLine
    from judge_opt.llm.parallel import map_threads
    from judge_opt.llm.retry import RetryPolicy
    from judge_opt.llm.session import Session, current_session, use_session
    from judge_opt.llm.store import CallStore
    from judge_opt.llm.uri import ModelURI

_HOME = {
    "Backend": "backend",
    "Budget": "budget",
    "CallEvent": "engine",
    "CallStore": "store",
    "Embedder": "embed",
    "Estimate": "forecast",
    "LedgerLine": "ledger",
    "ModelURI": "uri",
    "RetryPolicy": "retry",
    "Session": "session",
    "current_session": "session",
    "estimate": "forecast",
    "is_fatal": "errors",
    "map_threads": "parallel",
    "reason_of": "errors",
    "repeat": "keys",
    "unwrap": "errors",
    "use_session": "session",
}

__all__ = [
    "Backend",
    "Budget",
    "CallEvent",
    "CallStore",
    "Embedder",
    "Estimate",
    "LedgerLine",
    "ModelURI",
    "RetryPolicy",
    "Session",
    "current_session",
    "estimate",
    "is_fatal",
    "map_threads",
    "reason_of",
    "repeat",
    "unwrap",
    "use_session",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
