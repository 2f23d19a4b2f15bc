"""Reflection: a model reads runs of the agent with the judges' verdicts and reasons, and writes the prompt anew.

How strangers' text is kept from being more than material, and how a reply is read, is that of
`judge_opt.align.reflecting`. What comes back is cleaned, gets its variables back, and is refused where it quotes a
row: see `template.repaired` and `copied`.
"""

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from judge_opt.align.reflecting import PART_CHARS, ask, cut, fill, line, read_rewrite
from judge_opt.align.work import Work
from judge_opt.core.results import Scored
from judge_opt.evaluation.metrics import positive_label
from judge_opt.judges.rendering import section, value_text
from judge_opt.prompts.board import Rollout
from judge_opt.prompts.copied import quoted
from judge_opt.prompts.objectives import Aim
from judge_opt.prompts.targets import Target
from judge_opt.prompts.template import variables_of

_FOLDER = files("judge_opt.prompts").joinpath("texts")


class Rewriter:
    """Asks the reflection model.

    Args:
        work: that pays.
        uri: of the model.
        base_url: where it is served; None: the provider's own address.
        max_chars: of a text; twice the length of the text as it was is always allowed.
    """

    def __init__(
        self,
        work: Work,
        target: Target,
        aims: Sequence[Aim],
        uri: str,
        base_url: str | None,
        max_chars: int,
    ) -> None:
        self.work = work
        self.target = target
        self.aims = aims
        self.max_chars = max_chars
        self.lm = work.session.lm(uri, purpose="reflect", base_url=base_url, temperature=1.0, max_tokens=None)

    def rewrite(
        self, component: str, text: str, rollouts: Sequence[Rollout] | None, number: int
    ) -> str | None:
        """A new text of a component; None, with a warning, where the reply holds none that can be used.

        Args:
            rollouts: runs with this text; None: it is written anew without any.
            number: of the proposal: equal prompts are drawn anew.

        Raises:
            JudgeOptError: the endpoint cannot be used at all.
        """
        most = max(self.max_chars, 2 * len(text))
        values = {
            "instructions": text.strip().replace("```", "`\u200b`\u200b`"),
            "ratings": "\n".join(f"- {aim.name}: {_scale(aim)}" for aim in self.aims),
            "keep": _keep(text),
            "chars": str(most),
            "rows": "\n\n".join(run_text(n, one, self.aims) for n, one in enumerate(rollouts or (), 1)),
        }
        wanted: dict[str, Any] = {"instructions": {"type": "string"}}
        asked = fill("anew" if rollouts is None else "rewrite", values, _FOLDER)
        reply = ask(self.work, self.lm, asked, "rewrite", wanted, most // 3 + 300, number)
        if reply is None:
            return None
        found = read_rewrite(reply)
        made = None if found is None else self.target.repaired(component, found)
        if made is None:
            self.work.warn(
                "a reflection reply held no whole prompt that can keep its variables, and was dropped"
            )
        elif len(made) > most:
            self.work.warn(f"a rewritten prompt of more than {most} characters was dropped")
        elif copy := quoted(made, text, rollouts or ()):
            self.work.warn(
                f"a rewritten prompt that quotes an item was dropped ({line(copy)[:80]!r}): look at the items "
                f"{', '.join(one.row.id for one in rollouts or ())[:200]}"
            )
        else:
            return made
        return None


def run_text(number: int, rollout: Rollout, aims: Sequence[Aim]) -> str:
    """One run as text: its parts between marks, then each judge's rating and reason."""
    lines = [f"ITEM {number}"]
    fields = rollout.row.fields
    shown = {"inputs": fields.get("inputs"), "outputs": rollout.ran.outputs}
    shown["expectations"] = fields.get("expectations")
    lines += [
        section(name, cut(value_text(value), PART_CHARS))
        for name, value in shown.items()
        if value is not None
    ]
    if rollout.ran.error is not None:
        lines.append(f"The run failed: {line(rollout.ran.error)}")
    for aim, said in zip(aims, rollout.said, strict=True):
        if isinstance(said, Scored):
            value = aim.value_type.text_of(said.value) if aim.value_type is not None else str(said.value)
            why = f" because: {line(said.rationale)}" if said.rationale else ""
            lines.append(f"RATING of {aim.name}: {line(value)}{why}")
        elif rollout.ran.error is None:
            lines.append(f"RATING of {aim.name}: none ({said.reason})")
    return "\n".join(one.replace("```", "`\u200b`\u200b`") for one in lines)


def _keep(text: str) -> str:
    names = ", ".join(f"{{{{ {name} }}}}" for name in sorted(variables_of(text)))
    return f"- Keep {names} as it is written: the agent's input stands there.\n" if names else ""


def _scale(aim: Aim) -> str:
    kind, objective = aim.value_type, aim.objective
    turned = objective.lower_is_better
    if objective.scores is not None:
        ordered = sorted(objective.scores, key=lambda label: objective.scores[label])  # type: ignore[index]
    elif kind is not None and (good := positive_label(kind)) is not None:
        ordered = [*(label for label in kind.labels if label != good), good]
    elif kind is not None and kind.scale == "ordered":
        ordered = list(kind.choices())
    else:
        return "a number, " + ("the lower the better" if turned else "the higher the better")
    return ", ".join(reversed(ordered) if turned else ordered)
