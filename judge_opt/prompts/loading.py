"""What an agent loads while it runs under an optimization, and which candidate it gets instead.

    loading = Loading()
    with use_loading(loading):                  # the seed: what is loaded is noted
        agent(question="...")
    with use_loading(loading.with_templates({...})):  # a candidate
        agent(question="...")

It holds inside the block, in tasks and in the threads that carry the context along; in threads that an agent
starts itself too, as long as one candidate runs at a time in this process.
"""

import contextvars
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from judge_opt.core.errors import UsageError
from judge_opt.prompts.prompt import Prompt
from judge_opt.prompts.template import Template

Reference = tuple[str, int | str | None]
"""(name, version, alias or None), as an agent asked for it."""


class Loading:
    """What was loaded, and the templates of a candidate.

    A reference is looked up once: an alias that somebody moves meanwhile changes nothing, so that all candidates
    are measured in the same place.

    Args:
        templates: URI of the version that was found to the template that stands in for its own.
        pinned: what references were found to be, shared by all candidates.
    """

    def __init__(
        self,
        templates: Mapping[str, Template] | None = None,
        pinned: dict[Reference, Prompt] | None = None,
    ) -> None:
        self.templates = dict(templates or {})
        self._pinned: dict[Reference, Prompt] = {} if pinned is None else pinned
        self._lock = threading.Lock()
        self.context = contextvars.copy_context()

    @property
    def prompts(self) -> dict[str, Prompt]:
        """What was loaded so far, as it is in the registry, by URI, sorted."""
        with self._lock:
            found = {prompt.uri: prompt for prompt in self._pinned.values()}
        return {uri: found[uri] for uri in sorted(found)}

    def with_templates(self, templates: Mapping[str, Template]) -> "Loading":
        """For a candidate."""
        return Loading(templates, self._pinned)

    def load(self, reference: Reference, find: Callable[[], Prompt]) -> Prompt:
        """The prompt, with the candidate's template where it has one."""
        with self._lock:
            prompt = self._pinned.get(reference)
        if prompt is None:
            prompt = find()
            with self._lock:
                prompt = self._pinned.setdefault(reference, prompt)
        other = self.templates.get(prompt.uri)
        return prompt if other is None else prompt.with_template(other)


_OUTSIDE = "outside"
_current: ContextVar[Loading | str | None] = ContextVar("judge_opt_prompts", default=None)
"""None: nothing is known, as in a thread that an agent started."""
_in_use: list[Loading] = []
_lock = threading.Lock()


def seen(reference: Reference, find: Callable[[], Prompt]) -> Prompt:
    """What `load_prompt` gives: through the `Loading` at work, where there is one. A thread that an agent started
    finds it in the store that the optimization was started with. Raises as `_at_work`."""
    loading = _at_work()
    if loading is None:
        return find()
    if _current.get() is None:
        return loading.load(reference, lambda: loading.context.copy().run(find))
    return loading.load(reference, find)


def shown(prompt: Prompt) -> Prompt:
    """A prompt that was loaded at any time, as the `Loading` at work has it. Raises as `_at_work`."""
    loading = _at_work()
    return prompt if loading is None else loading.load((prompt.name, prompt.version), lambda: prompt)


def _at_work() -> Loading | None:
    """Raises:
    UsageError: several are at work, and this thread was told of none.
    """
    loading = _current.get()
    if loading is not None:
        return loading if isinstance(loading, Loading) else None
    with _lock:
        if any(other is not _in_use[0] for other in _in_use):
            raise UsageError(
                "Two optimizations run in this process, and a thread that an agent started knows of neither.",
                "Run one at a time, or start the thread's function in contextvars.copy_context().",
            )
        return _in_use[0] if _in_use else None


@contextmanager
def outside() -> Iterator[None]:
    """Inside the block, and in what takes its context over, prompts are as they are in the registry: for judges,
    which run beside agents."""
    token = _current.set(_OUTSIDE)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def use_loading(loading: Loading) -> Iterator[Loading]:
    """Load through `loading` inside the block."""
    token = _current.set(loading)
    with _lock:
        _in_use.append(loading)
    try:
        yield loading
    finally:
        _current.reset(token)
        with _lock:
            _in_use.remove(loading)
