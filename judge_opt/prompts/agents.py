"""Agents that are no code of one's own: a prompt with a model, and an agent behind an address."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from judge_opt.core.errors import JudgeOptError, UsageError
from judge_opt.core.text import printable
from judge_opt.llm.session import current_session
from judge_opt.prompts.prompt import parse_reference


def prompted_agent(
    prompt: str, model: str, *, base_url: str | None = None, **params: Any
) -> Callable[..., str]:
    """A prompt with a model: called with the prompt's variables, it gives the reply's text.

    Args:
        prompt: its name or URI; loaded at each call.
        model: `provider:/name`.
        base_url, params: as of `Session.lm`; its calls are booked as the agent's.

    Raises:
        UsageError: `prompt` is no address of a prompt.
    """
    parse_reference(prompt)

    def answer(**variables: Any) -> str:
        from judge_opt.prompts.registered import load_prompt

        asked = load_prompt(prompt).format(**variables)
        messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
        lm = current_session().lm(model, purpose="agent", base_url=base_url, **params)
        return str(lm.ask(messages).message.text or "")

    answer.__qualname__ = f"{prompt} with {model}"
    return answer


def http_agent(
    url: str,
    prompts: Sequence[str],
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Callable[..., Any]:
    """An agent behind an address, which takes its prompts from the request.

    It gets `POST {"inputs": {...}, "prompts": {name: template}}` and answers `{"outputs": ...}`, any JSON value. What
    its models cost is its own affair: neither ledger nor budget know of it, and a run that is resumed asks it again.

    Args:
        url: http or https.
        prompts: names or URIs of the prompts that it works with.
        headers: sent with every request, such as a key; never stored.
        timeout: seconds for a whole answer.

    Raises:
        UsageError: the address is malformed, or no prompt is named.
    """
    from judge_opt.llm.connection import ConnectionPool, Origin

    if isinstance(prompts, str) or not prompts:
        raise UsageError("An agent behind an address needs the names of its prompts.", "Pass a list of them.")
    for one in prompts:
        parse_reference(one)
    pool = ConnectionPool(Origin(url))
    sent = {"content-type": "application/json", "accept": "application/json", **(headers or {})}

    def ask(**inputs: Any) -> Any:
        from judge_opt.prompts.registered import load_prompt

        loaded = [load_prompt(one) for one in prompts]
        body = {"inputs": inputs, "prompts": {one.name: one.template for one in loaded}}
        data = json.dumps(body, ensure_ascii=True).encode("ascii")
        reply = pool.request("POST", "", data, sent, timeout)
        if reply.status != 200:
            raise JudgeOptError(
                f"{url} answered {reply.status}: {printable(reply.body[:200].decode('utf-8', 'replace'))}", ""
            )
        try:
            answered = json.loads(reply.body)
        except ValueError:
            raise JudgeOptError(f"{url} answered what is no JSON.", "") from None
        if not isinstance(answered, dict) or "outputs" not in answered:
            raise JudgeOptError(f"{url} answered without outputs.", 'Answer {"outputs": ...}.')
        return answered["outputs"]

    ask.__qualname__ = url
    return ask
