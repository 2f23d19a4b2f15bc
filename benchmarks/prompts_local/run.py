"""Two agents on the embedded model, and what a search over their prompts makes of them.

python -m benchmarks.prompts_local.run [HOME]

HOME keeps the calls: the same command goes on where it was stopped.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import numpy as np

from benchmarks.prompts_local.tasks import right, rows, short, usable
from benchmarks.record import ROOT, check, write_results
from judge_opt import (
    Guard,
    Objective,
    Session,
    current_session,
    load_prompt,
    optimize_prompts,
    register_prompt,
    use_session,
)
from judge_opt.validate.means import mean_figure, sign_flip_test

HERE = Path(__file__).parent
MODEL = "local:/smollm2"
SEED_PROMPT = "Answer the question."
BY_HAND = (
    "Answer with one word, as here.\n"
    "Question: What is the capital of Wales? Answer: Cardiff\n"
    "Question: Which animal lays eggs and clucks? Answer: hen\n"
    "Question: What is the opposite of wet? Answer: dry"
)
"""Written before any result was seen: whether a better prompt is there to be found."""
UNIT = Objective(low=0.0, high=1.0)
ROWS = rows()
TRAIN, VALID, TEST = ROWS[:12], ROWS[12:26], ROWS[26:50]


def function() -> Callable[[str], str]:
    """A plain function; its prompt comes from the registry."""
    chat = [{"role": "system", "content": SEED_PROMPT}, {"role": "user", "content": "{{ question }}"}]
    register_prompt("quiz", chat)

    def agent(question: str) -> str:
        lm: Any = current_session().lm(MODEL, max_tokens=40)
        return str(lm.ask(load_prompt("quiz").format(question=question)).message.text)

    return agent


class Quiz(dspy.Module):  # type: ignore[misc]
    """One predictor, asked through DSPy's JSON adapter."""

    def __init__(self, instructions: str = SEED_PROMPT) -> None:
        super().__init__()
        self.answer = dspy.Predict(dspy.Signature("question -> answer", instructions))

    def forward(self, question: str) -> Any:
        return self.answer(question=question)


def text_of(outputs: Any) -> str:
    """The answer in what a target puts out: a text, or a program's fields."""
    return str(outputs["answer"] if isinstance(outputs, dict) else outputs)


def judged_short(outputs: Any) -> tuple[float, str]:
    return short(text_of(outputs))


def judged_right(outputs: Any, expectations: dict[str, Any]) -> tuple[float, str]:
    return right(text_of(outputs), expectations)


def judged_usable(outputs: Any, expectations: dict[str, Any]) -> tuple[float, str]:
    return usable(text_of(outputs), expectations)


def optimized(target: Any) -> dict[str, Any]:
    result = optimize_prompts(
        target,
        TRAIN,
        VALID,
        [judged_short, judged_right],
        test=TEST,
        guard=Guard([judged_usable], {"judged_usable": UNIT}),
        objectives={"judged_short": UNIT, "judged_right": UNIT},
        reflection_lm=MODEL,
        proposals=4,
        minibatch=4,
        max_chars=500,
        max_calls=200,
        repeats=1,
        concurrency=1,
    )
    held = result.held_out
    return {
        "changed": result.changed,
        "confirmed": result.confirmed,
        "verdict": result.verdict,
        "texts": dict(result.texts),
        "held_out": None if held is None else held.model_dump(mode="json"),
        "candidates": [{"name": c.name, "why": c.why, "score": c.score} for c in result.candidates],
        "prompts": [next(iter(c.texts.values())) for c in result.candidates],
        "warnings": list(result.warnings),
        "stopped": result.stopped,
    }


def scores(answers: list[str]) -> np.ndarray:
    """What the search climbs, of answers to the held-out questions."""
    said = zip(answers, TEST, strict=True)
    return np.array([(short(a)[0] + right(a, row["expectations"])[0]) / 2 for a, row in said])


def by_hand(name: str, lm: Any) -> dict[str, Any]:
    """The prompt written by hand against the seed, on the held-out rows."""
    found = []
    for text in (SEED_PROMPT, BY_HAND):
        answers = []
        for row in TEST:
            question = row["inputs"]["question"]
            if name == "function":
                asked = [{"role": "system", "content": text}, {"role": "user", "content": question}]
                answers.append(str(lm.copy(max_tokens=40).ask(asked).message.text))
            else:
                answers.append(str(Quiz(text)(question=question).answer))
        found.append(answers)
    before, after = map(scores, found)
    groups = np.arange(len(TEST))
    return {
        "before": float(before.mean()),
        "after": float(after.mean()),
        "gain": mean_figure(after - before, groups).model_dump(mode="json"),
        "p_value": sign_flip_test(after - before, groups),
        "answers": [list(pair) for pair in zip(*(one[:6] for one in found), strict=True)],
    }


def main() -> None:
    home = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / ".judge_opt" / "prompts_local"
    table = []
    with Session(home, run_id="prompts_local") as session, use_session(session):
        lm: Any = session.lm(MODEL, purpose="agent", max_tokens=60)
        with dspy.context(lm=lm, adapter=dspy.JSONAdapter()):
            for name, target in (("function", function()), ("dspy.Module", Quiz())):
                table.append({"target": name, **optimized(target), "by_hand": by_hand(name, lm)})
                print(table[-1], flush=True)
        # Of all runs in this home: a run that goes on finds its replies bought, and the ledger of its own part empty.
        bought = {line.purpose: line.attempts for line in session.ledger(everything=True)}
    told = [bool(row["changed"] and row["held_out"] is None) for row in table]
    checks = [
        check("calls", "calls bought, of all runs in this home", sum(bought.values()), "<=", 700),
        check("untold", "prompts that were changed without a held-out comparison", sum(told), "==", 0),
    ]
    write_results(
        HERE,
        "python -m benchmarks.prompts_local.run",
        table,
        checks,
        ["dspy", "gepa", "xllamacpp"],
        model=MODEL,
        calls_bought=bought,
        rows_of={"train": len(TRAIN), "valid": len(VALID), "test": len(TEST)},
    )


if __name__ == "__main__":
    main()
