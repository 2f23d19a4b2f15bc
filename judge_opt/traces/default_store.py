"""The store that functions without a store argument use: `store.db` in the home folder.

set_store("lab.db")                    # for the process
with use_store("other.db") as store:   # inside the block, in this thread or task
    ...
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from judge_opt.traces.store import Store

if TYPE_CHECKING:
    from judge_opt.traces.database import Database

FILE = "store.db"
"""The registry's file too: one database a home folder."""

_here: ContextVar[Store | None] = ContextVar("judge_opt_store", default=None)
_set: Store | None = None
_opened: dict[str, Store] = {}
_lock = threading.Lock()


def home_store_path() -> Path:
    """`store.db` of the home folder: the current session's, or JUDGE_OPT_HOME, or `./.judge_opt`."""
    session = sys.modules.get("judge_opt.llm.session")  # loading it here would load DSPy
    if session is not None:
        home = Path(session.current_session().home)
    else:
        home = Path(os.environ.get("JUDGE_OPT_HOME") or ".judge_opt")
    return (home / FILE).absolute()


def current_store() -> Store:
    """The store of the surrounding `use_store`, or of `set_store`, or of the home folder; opened once.

    Raises:
        UsageError, IntegrityError: it cannot be opened.
    """
    store = chosen_store()
    if store is not None:
        return store
    path = str(home_store_path())
    with _lock:
        if path not in _opened:
            _opened[path] = Store(path)
        return _opened[path]


def chosen_store() -> Store | None:
    """The store of the surrounding `use_store`, or of `set_store`; None where neither names one."""
    return _here.get() or _set


def store_here() -> Store | None:
    """The store of the surrounding `use_store`; None where there is none."""
    return _here.get()


def set_store(store: "Store | Database | str | Path | None") -> Store:
    """Makes a store this process's default; None goes back to the home folder's.

    Args:
        store: an open one, a file path, or an SQLAlchemy URL.

    Returns:
        The store that is the default now.

    Raises:
        UsageError, IntegrityError: it cannot be opened; the default is then as before.
    """
    global _set
    if store is None:
        _set = None
        return current_store()
    _set = _open(store)
    return _set


@contextmanager
def use_store(store: "Store | Database | str | Path") -> Iterator[Store]:
    """Makes a store the default inside the block, for this thread or task; traces that begin inside go there.

    A store that the block opened is closed at its end.

    Raises:
        UsageError, IntegrityError: it cannot be opened.
    """
    opened = _open(store)
    token = _here.set(opened)
    try:
        yield opened
    finally:
        _here.reset(token)
        if opened is not store:
            opened.close()


def _open(store: "Store | Database | str | Path") -> Store:
    return store if isinstance(store, Store) else Store(store)
