"""The addresses in a judge that came from elsewhere are not believed.

A judge is stored with the `base_url` of its endpoint. Whoever loads it sends there what is judged, and the
API key that the environment holds for the provider. A judge that somebody handed over could so collect
both. So a judge from a bundle, or from a folder, is loaded with its addresses only where the loader says
that they are known to be good, or gives one to use instead:

    judge = load_judge("handed/over", trust_base_url=True)
    judge = load_judge("handed/over", base_url="http://localhost:8000/v1")

An address to which this machine would send the same model's requests anyway, as OPENAI_BASE_URL sets it for
`openai:/...`, is no news and needs neither. One on this machine (localhost) is not believed for being near: what
listens there can be another user's, or a service that was never meant to get prompts and keys.

The same goes for parameters that could carry an address to the endpoint's client: only those that shape a
sample are taken. A judge of a provider's own endpoint needs none of this. What was registered here is ours.
"""

import copy
from collections.abc import Iterator
from typing import Any

from judge_opt.core.errors import IntegrityError, UsageError
from judge_opt.llm.connection import Origin
from judge_opt.llm.uri import ModelURI, usual_address

SAMPLING = frozenset(
    (
        "temperature", "max_tokens", "max_completion_tokens", "top_p", "top_k", "min_p", "stop", "seed",
        "logprobs", "top_logprobs", "frequency_penalty", "presence_penalty", "repetition_penalty",
        "logit_bias", "reasoning_effort", "rollout_id", "service_tier",
    )
)  # fmt: skip
"""Parameters that say how to sample, and nothing of where to."""


def checked_endpoints(
    state: dict[str, Any], what: str, *, trust_base_url: bool = False, base_url: str | None = None
) -> dict[str, Any]:
    """The state of a judge (see `judge_opt.judges.stored.dump_judge`) as it may be loaded.

    Args:
        what: names the judge in errors.
        trust_base_url: its addresses and parameters are known to be good; it is returned as it is.
        base_url: replaces every address in it, also those of its jurors and of its memory's embedder; the
            models are taken to be the same there.

    Raises:
        UsageError: it holds an address or a parameter that is not trusted; the message shows it.
        IntegrityError: it is no judge's state.
    """
    if trust_base_url and base_url is None:
        return state
    state = copy.deepcopy(state)
    for part in _parts(state):
        if (found := part.get("base_url")) is None:
            continue
        if base_url is not None:
            _move(part, str(found), base_url)
        elif not _sent_there_anyway(part, found):
            raise UsageError(
                f"{what} came from elsewhere and would send what it judges, and your key, to "
                f"{ascii(found)[:120]}.",
                "If you know that address, as that of a judge that you saved yourself, load it with "
                "trust_base_url=True (command line: registry import --trust-base-url); else give your own as "
                "base_url.",
            )
    for part in _parts(state):
        params = part.get("params") or {}
        unknown = sorted(set(params) - SAMPLING) if isinstance(params, dict) else ["params"]
        if unknown and not trust_base_url:
            raise UsageError(
                f"{what} came from elsewhere and sets {ascii(unknown[0])[:60]}, which could send your key to "
                "another address.",
                "Load it with trust_base_url=True if you know what it does there, or leave it out.",
            )
    return state


def _sent_there_anyway(part: dict[str, Any], address: Any) -> bool:
    """Whether the part's model, named without an address, would be asked at this one: then nobody gets anything
    that he would not get without the judge."""
    model = part.get("model") or part.get("embedder")
    try:
        usual = usual_address(ModelURI.parse(model))  # type: ignore[arg-type] # parse refuses what is no text
        return usual is not None and Origin(address).url == Origin(usual).url
    except (UsageError, AttributeError, TypeError):
        return False


def _move(part: dict[str, Any], old: str, new: str) -> None:
    """Another address for a judge or a memory. A memory knows its embedding model by name and address:
    whoever gives the address says that the same model answers there."""
    part["base_url"] = new
    if "embedder_name" in part and part["embedder_name"] == f"{part.get('embedder')}@{Origin(old).url}":
        part["embedder_name"] = f"{part['embedder']}@{Origin(new).url}"


def _parts(state: Any) -> Iterator[dict[str, Any]]:
    """Everything in a judge's state that can have an address: itself, its memory, its jurors and theirs.

    What it judged (examples, demos) is data, and is not looked at.
    """
    if not isinstance(state, dict):
        raise IntegrityError("A judge's state is no object.", "Ask for it again from its source.")
    yield state
    if isinstance(memory := state.get("memory"), dict):
        yield memory
    yield from _nested(state.get("extra"))


def _nested(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        if "template" in value and "kind" in value:
            yield from _parts(value)
        else:
            yield value
            for inner in value.values():
                yield from _nested(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _nested(inner)
