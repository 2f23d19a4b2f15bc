"""What is optimized: an agent whose prompts come from the registry, or a DSPy program.

A target has named texts (its components), and can be run with other texts in their place. A new kind of target is a
class with the methods of `Target`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import dspy

from judge_opt.core.errors import UsageError
from judge_opt.core.hashing import content_hash
from judge_opt.evaluation.agent import Agent, Ran
from judge_opt.evaluation.rows import Row
from judge_opt.llm.lm import SessionLM
from judge_opt.llm.session import current_session
from judge_opt.prompts.loading import Loading, use_loading
from judge_opt.prompts.prompt import Prompt, parse_reference
from judge_opt.prompts.template import Template, cleaned, repaired, variables_of

Texts = dict[str, str]
"""Component to text: a candidate."""
MOST = 20_000
"""Characters of a text at most."""


class Target(Protocol):
    """Attributes:
    name: for people, and in the name of the optimization.
    digest: of what it is before it runs.
    """

    name: str
    digest: str

    def check(self, row: Row) -> None:
        """Raises:
        UsageError: it cannot be called with the inputs of a row.
        """

    def running(self, texts: Texts | None) -> AbstractContextManager[Callable[[Row], Ran]]:
        """A function that runs it with these texts (None: its own), inside the block; nothing else that runs
        there, such as a judge, sees them."""
        ...

    def components(self) -> Texts:
        """Its texts, in a fixed order; asked for when it has run with its own on some rows.

        Raises:
            UsageError: there is none.
        """
        ...

    def repaired(self, component: str, text: str) -> str | None:
        """A rewritten text that can stand in for a component's; None where there is none."""
        ...

    def close(self) -> None:
        """End what it started."""


class PromptedAgent:
    """A function, sync or async, whose prompts come from the registry. What it loads is found out while it runs.

    Its components are the prompts: a text prompt is one, named by its URI; of a chat the system messages are
    (the first message where there are none), named by the URI and their number: `prompts:/qa/1#0`.

    Args:
        function: called as `function(**inputs)`.
        uris: the prompts to rewrite; None: all that it loads.
    """

    def __init__(self, function: Callable[..., Any], uris: Sequence[str] | None) -> None:
        self.agent = Agent(function)
        self.name = self.agent.name
        self.loading = Loading()
        if isinstance(uris, str):
            uris = [uris]
        self._wanted = None if uris is None else [self._found(uri) for uri in uris]
        self.digest = content_hash([self.name, sorted(self._wanted or [])])

    def check(self, row: Row) -> None:
        self.agent.check(row)

    @contextmanager
    def running(self, texts: Texts | None) -> Iterator[Callable[[Row], Ran]]:
        loading = self.loading if texts is None else self.loading.with_templates(self.templates(texts))
        lm = _lm_of_the_session()

        def run(row: Row) -> Ran:
            with use_loading(loading), dspy.context(lm=lm) if lm is not None else nullcontext():
                return self.agent.run(row)

        yield run

    def prompts(self) -> dict[str, Prompt]:
        """The prompts that are rewritten, by URI."""
        loaded = self.loading.prompts
        wanted = loaded if self._wanted is None else self._wanted
        return {uri: loaded[uri] for uri in wanted if uri in loaded}

    def others(self) -> list[str]:
        """Prompts that it loads and that are not rewritten."""
        return [uri for uri in self.loading.prompts if uri not in self.prompts()]

    def components(self) -> Texts:
        prompts = self.prompts()
        if lacking := [uri for uri in self._wanted or () if uri not in prompts]:
            loaded = ", ".join(self.loading.prompts) or "none"
            raise UsageError(
                f"{self.name} never loaded {lacking[0]} while it ran (loaded: {loaded}): another text there "
                "would change nothing.",
                "Name a prompt that it loads, by load_prompt() or by format() of a loaded prompt.",
            )
        if not prompts:
            raise UsageError(
                f"{self.name} loaded no prompt from the registry while it ran.",
                "Register its prompt, and take it from load_prompt() in the function.",
            )
        return {name: text for uri, prompt in prompts.items() for name, text in _parts(uri, prompt.template)}

    def repaired(self, component: str, text: str) -> str | None:
        made = repaired(text, variables_of(self.components()[component]))
        return made if made is not None and len(made) <= MOST else None

    def templates(self, texts: Mapping[str, str]) -> dict[str, Template]:
        """URI to template, of a candidate."""
        made: dict[str, Template] = {}
        for uri, prompt in self.prompts().items():
            if isinstance(prompt.template, str):
                made[uri] = texts[uri]
            else:
                made[uri] = [
                    {**message, "content": texts.get(f"{uri}#{number}", message["content"])}
                    for number, message in enumerate(prompt.template)
                ]
        return made

    def close(self) -> None:
        self.agent.close()

    def _found(self, uri: str) -> str:
        from judge_opt.prompts.registered import load_prompt

        parse_reference(uri)
        return str(load_prompt(uri).uri)


class Program:
    """A `dspy.Module`; its components are the instructions of its predictors, by their DSPy names."""

    def __init__(self, module: dspy.Module) -> None:
        self.module = module
        self.name = type(module).__qualname__
        state = {name: predictor.dump_state() for name, predictor in module.named_predictors()}
        self.digest = content_hash([self.name, {name: str(one) for name, one in state.items()}])

    def check(self, row: Row) -> None:
        if not isinstance(row.fields.get("inputs"), Mapping):
            raise UsageError(
                f"Row {row.id!r} has no object as inputs, which a DSPy program takes by name.",
                'Give {"inputs": {"question": ...}}.',
            )

    @contextmanager
    def running(self, texts: Texts | None) -> Iterator[Callable[[Row], Ran]]:
        program, session = self.with_texts(self.components() if texts is None else texts), current_session()
        for predictor in program.predictors():
            if isinstance(predictor.lm, SessionLM):
                predictor.lm = predictor.lm.within(session, "agent")
        agent, lm = Agent(lambda **inputs: program(**inputs)), _lm_of_the_session()

        def run(row: Row) -> Ran:
            with dspy.context(lm=lm) if lm is not None else nullcontext():
                return agent.run(row)

        yield run

    def components(self) -> Texts:
        found = {name: one.signature.instructions for name, one in self.module.named_predictors()}
        if not found:
            raise UsageError(f"{self.name} has no predictor.", "Give a module with a dspy.Predict in it.")
        return found

    def repaired(self, component: str, text: str) -> str | None:
        made = cleaned(text)
        return made if 0 < len(made) <= MOST else None

    def with_texts(self, texts: Mapping[str, str]) -> dspy.Module:
        """A copy of the program with other instructions."""
        program = self.module.deepcopy()
        for name, predictor in program.named_predictors():
            predictor.signature = predictor.signature.with_instructions(texts[name])
        return program

    def close(self) -> None:
        """Nothing."""


def target_of(target: Any, uris: Sequence[str] | None) -> PromptedAgent | Program:
    """The target that `optimize_prompts` was given.

    Raises:
        UsageError: it is no function and no DSPy module.
    """
    if isinstance(target, dspy.Module):
        if uris is not None:
            raise UsageError("A DSPy program's texts are its predictors'.", "Leave prompt_uris out.")
        return Program(target)
    if isinstance(target, str) and target.startswith(("http://", "https://")):
        from judge_opt.prompts.agents import http_agent

        return PromptedAgent(http_agent(target, uris or ()), uris)
    if not callable(target):
        raise UsageError(
            f"{str(target)[:60]!r}, a {type(target).__name__}, cannot be optimized.",
            'Pass a function, a dspy.Module, the address of an agent, or prompted_agent("prompts:/...", model).',
        )
    return PromptedAgent(target, uris)


def _parts(uri: str, template: Template) -> list[tuple[str, str]]:
    if isinstance(template, str):
        return [(uri, template)]
    told = [n for n, one in enumerate(template) if one["role"] in ("system", "developer")] or [0]
    return [(f"{uri}#{n}", template[n]["content"]) for n in told]


def _lm_of_the_session() -> SessionLM | None:
    """DSPy's own LM, where it is one of ours, as one that books in the current session as the agent's."""
    lm = dspy.settings.lm
    return lm.within(current_session(), "agent") if isinstance(lm, SessionLM) else None
