"""Queues of items to label: several raters an item, leases, blind, in a useful order.

queue = create_queue("tone-1", traces, ["tone"], raters_per_item=3)
while task := queue.next("ana"):
    queue.submit(task, {"tone": ask(task)}, rationale="...")
examples = queue.results()
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.labels.queues.answers import Refused, Submitted
    from judge_opt.labels.queues.making import create_queue, delete_queue, get_queue, list_queues
    from judge_opt.labels.queues.progress import Progress, RaterProgress
    from judge_opt.labels.queues.queue import LabelQueue
    from judge_opt.labels.queues.task import Task

_HOMES = {
    "LabelQueue": "queue",
    "Progress": "progress",
    "RaterProgress": "progress",
    "Refused": "answers",
    "Submitted": "answers",
    "Task": "task",
    "create_queue": "making",
    "delete_queue": "making",
    "get_queue": "making",
    "list_queues": "making",
}

__all__ = [
    "LabelQueue",
    "Progress",
    "RaterProgress",
    "Refused",
    "Submitted",
    "Task",
    "create_queue",
    "delete_queue",
    "get_queue",
    "list_queues",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
