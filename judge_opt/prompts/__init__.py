"""Prompts of agents: registered, found in whatever uses them, and rewritten by aligned judges.

    register_prompt("support", "You answer customers. Question: {{ question }}")

    def agent(question):
        prompt = load_prompt("prompts:/support@latest")
        return lm(prompt.format(question=question))[0]

    result = optimize_prompts(agent, train, valid, judges=[aligned], test=test, guard=other_judge)
    print(result.verdict)

A gain counts where it is shown on rows that nothing was learned from or chosen by, and where a judge that was not
optimized against sees it too. See docs/prompts.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from judge_opt.prompts.agents import http_agent, prompted_agent
    from judge_opt.prompts.guard import Guard, GuardReport
    from judge_opt.prompts.objectives import Objective
    from judge_opt.prompts.optimize import optimize_prompts
    from judge_opt.prompts.prompt import Prompt
    from judge_opt.prompts.registered import (
        delete_prompt_alias,
        diff_prompts,
        list_prompt_versions,
        load_prompt,
        register_prompt,
        search_prompts,
        set_prompt_alias,
        set_prompt_tag,
    )
    from judge_opt.prompts.result import PromptResult

_HOMES = {
    "Guard": "guard",
    "GuardReport": "guard",
    "Objective": "objectives",
    "Prompt": "prompt",
    "PromptResult": "result",
    "delete_prompt_alias": "registered",
    "diff_prompts": "registered",
    "http_agent": "agents",
    "list_prompt_versions": "registered",
    "load_prompt": "registered",
    "optimize_prompts": "optimize",
    "prompted_agent": "agents",
    "register_prompt": "registered",
    "search_prompts": "registered",
    "set_prompt_alias": "registered",
    "set_prompt_tag": "registered",
}

__all__ = [
    "Guard",
    "GuardReport",
    "Objective",
    "Prompt",
    "PromptResult",
    "delete_prompt_alias",
    "diff_prompts",
    "http_agent",
    "list_prompt_versions",
    "load_prompt",
    "optimize_prompts",
    "prompted_agent",
    "register_prompt",
    "search_prompts",
    "set_prompt_alias",
    "set_prompt_tag",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
