"""DSPy's own optimizers on a judge written in DSPy. The metric is agreement with the label."""

from typing import Literal

import dspy

NAMES = {"inputs": "request", "outputs": "response"}  # `inputs` is a method of DSPy's examples


class JudgeProgram(dspy.Module):
    """One predictor. Its class lies in a file, since SIMBA reads its source."""

    def __init__(self, signature):
        super().__init__()
        self.judge = dspy.Predict(signature)

    def forward(self, request, response):
        return self.judge(request=request, response=response)


def models(task):
    """The judge's LM as DSPy's default, and the reflection LM."""
    shared = {"api_base": task["server"], "api_key": task["key"]}
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
    judge = dspy.LM(f"openai/{task['judge']}", **shared)
    dspy.configure(lm=judge)
    return judge, dspy.LM(f"openai/{task['reflection']}", **shared, temperature=1.0, max_tokens=8000)


def program(task):
    """The untouched judge."""
    text = task["instructions"]
    for old, new in NAMES.items():
        text = text.replace("{{ " + old + " }}", f"the {new}")
    fields = {
        "request": (str, dspy.InputField()),
        "response": (str, dspy.InputField()),
        "rationale": (str, dspy.OutputField()),
        "verdict": (Literal[tuple(task["labels"])], dspy.OutputField()),
    }
    return JudgeProgram(dspy.make_signature(fields, text))


def examples(task):
    """The labelled rows, with their reasons where there are some."""
    made = []
    for row in task["train"]:
        given = {"request": row["inputs"], "response": row["outputs"], "verdict": row["label"]}
        if row.get("rationale"):
            given["rationale"] = row["rationale"]
        made.append(dspy.Example(**given).with_inputs("request", "response"))
    return made


def agrees(gold, pred, trace=None):
    """Same label."""
    return str(getattr(pred, "verdict", None)).lower() == str(gold.verdict).lower()


def feedback_of(gold, pred):
    """What an expert would tell: right or wrong, the right label, and why."""
    said = getattr(pred, "verdict", None)
    text = f"The judge said {said}. The experts' verdict is {gold.verdict}."
    if gold.get("rationale"):
        text += f" The experts' reason: {gold.rationale}"
    return text


def told(gold, pred, trace=None, pred_name=None, pred_trace=None):
    """Agreement, with gold label and reason as feedback."""
    return dspy.Prediction(score=float(agrees(gold, pred)), feedback=feedback_of(gold, pred))


def compiled(optimize):
    """An arm of `optimize(task, program, rows, reflection LM)`."""

    def arm(task):
        _, reflection = models(task)
        found = optimize(task, program(task), examples(task), reflection)

        def judge(row):
            return found(request=row["inputs"], response=row["outputs"]).verdict

        predictor = found.judge
        learned = {"instructions": predictor.signature.instructions, "demos": len(predictor.demos)}
        return judge, learned

    return arm


def _untouched(task, student, rows, reflection):
    return student


def _simba(metric, **settings):
    def optimize(task, student, rows, reflection):
        chosen = {"bsize": min(32, len(rows))} | settings
        optimizer = dspy.SIMBA(metric=metric, prompt_model=reflection, num_threads=task["threads"], **chosen)
        return optimizer.compile(student, trainset=rows, seed=task["seed"])

    return optimize


def _gepa(auto):
    def optimize(task, student, rows, reflection):
        optimizer = dspy.GEPA(
            metric=told, auto=auto, reflection_lm=reflection, num_threads=task["threads"], seed=task["seed"]
        )
        return optimizer.compile(student, trainset=rows)

    return optimize


def _mipro(auto, **settings):
    def optimize(task, student, rows, reflection):
        # Its seed of 0 is taken for none, so seeds begin at 1.
        optimizer = dspy.MIPROv2(
            metric=agrees, prompt_model=reflection, auto=auto, num_threads=task["threads"], seed=1 + task["seed"],
            **settings,
        )  # fmt: skip
        return optimizer.compile(student, trainset=rows)

    return optimize


def _bootstrap(task, student, rows, reflection):
    return dspy.BootstrapFewShot(metric=agrees).compile(student, trainset=rows)


def _bootstrap_search(task, student, rows, reflection):
    optimizer = dspy.BootstrapFewShotWithRandomSearch(
        metric=agrees, num_candidate_programs=10, num_threads=task["threads"]
    )
    return optimizer.compile(student, trainset=rows)


def _labelled(k):
    def optimize(task, student, rows, reflection):
        return dspy.LabeledFewShot(k=k or len(rows)).compile(student, trainset=rows)

    return optimize


ARMS = {
    "dspy.untouched": compiled(_untouched),
    "dspy.labelled_few_shot": compiled(_labelled(16)),
    "dspy.bootstrap": compiled(_bootstrap),
    "dspy.bootstrap.best": compiled(_bootstrap_search),
    "dspy.simba": compiled(_simba(agrees)),
    "dspy.simba.best": compiled(_simba(told)),
    "dspy.gepa": compiled(_gepa("light")),
    "dspy.gepa.best": compiled(_gepa("heavy")),
    "dspy.mipro": compiled(_mipro("light")),
    "dspy.mipro.best": compiled(_mipro("heavy")),
}
