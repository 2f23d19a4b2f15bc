"""Named points where a crash test kills the process, as a power cut would.

A test sets `JUDGE_OPT_KILL_AT=llm.reply_received` (the first time) or `llm.reply_received:3` (the third
time) in a child process; `reach("llm.reply_received")` then ends it with SIGKILL, so that no handler, no
`finally` and no flush runs. Without the variable, `reach` is one comparison.
"""

import os
import signal
import threading

_TARGET, _, _NUMBER = os.environ.get("JUDGE_OPT_KILL_AT", "").partition(":")
_REMAINING = int(_NUMBER) if _NUMBER.isdigit() else 1
_LOCK = threading.Lock()


def reach(name: str) -> None:
    """Kill this process with SIGKILL where `name` is the point that the environment asked for."""
    if name == _TARGET:
        _count_down()


def _count_down() -> None:
    global _REMAINING
    with _LOCK:
        _REMAINING -= 1
        if _REMAINING == 0:
            os.kill(os.getpid(), signal.SIGKILL)
