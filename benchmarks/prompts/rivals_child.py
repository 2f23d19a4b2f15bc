"""`dspy.GEPA` and MLflow's `optimize_prompts` on the same agent and judge. Runs under the rivals' interpreter.

One JSON object on stdin (see `run.py`), one on stdout: the best system prompt, or the rival's error.
"""

import functools
import json
import os
import sys
import tempfile
import traceback

os.environ.update(
    LITELLM_LOCAL_MODEL_COST_MAP="True", MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true", TQDM_DISABLE="1",
    MLFLOW_MODEL_CATALOG_URI="", GIT_PYTHON_REFRESH="quiet", NO_PROXY="*", DSPY_CACHEDIR=tempfile.mkdtemp(),
)  # fmt: skip


def replies(task):
    """(system, question) to the agent's output: a plain request, as an application would send it."""
    import openai

    client = openai.OpenAI(base_url=task["server"], api_key=task["key"])

    def ask(system, question):
        messages = [{"role": "system", "content": system}, {"role": "user", "content": question}]
        done = client.chat.completions.create(model="sim-agent", messages=messages)
        return done.choices[0].message.content

    return ask


def worth(task, label):
    """A label as a number from 0 to 1, worst to best; 0 where there is none, as DSPy has it."""
    labels = task["labels"]
    return labels.index(label) / (len(labels) - 1) if label in labels else 0.0


def judge_of(task):
    from typing import Literal

    from mlflow.genai.judges import make_judge

    return make_judge(
        name="quality",
        instructions=task["instructions"],
        model="openai:/sim-judge",
        feedback_value_type=Literal[tuple(task["labels"])],
    )


def dspy_gepa(task):
    import dspy

    ask, judge = replies(task), judge_of(task)
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=True)
    dspy.configure(lm=dspy.LM("openai/sim-agent", api_base=task["server"], api_key=task["key"]))
    reflection = dspy.LM(
        "openai/sim-reflect", api_base=task["server"], api_key=task["key"], temperature=1.0, max_tokens=8000
    )

    class Agent(dspy.Module):
        """The agent asks its model without an adapter, as the other arms do; the predictor holds its prompt."""

        def __init__(self):
            super().__init__()
            self.write = dspy.Predict(dspy.Signature("question -> reply", task["system"]))

        def forward(self, question):
            made = dspy.Prediction(reply=ask(self.write.signature.instructions, question))
            if dspy.settings.trace is not None:
                dspy.settings.trace.append((self.write, {"question": question}, made))
            return made

    @functools.cache
    def judged(question, reply):
        """DSPy asks its metric twice for one output: the score, and the feedback."""
        return judge(inputs={"question": question}, outputs=reply)

    def metric(gold, pred, trace=None, pred_name=None, pred_trace=None):
        said = judged(gold.question, pred.reply)
        return dspy.Prediction(
            score=worth(task, said.value), feedback=f"Rating: {said.value}. Reason: {said.rationale}"
        )

    def rows(questions):
        return [dspy.Example(question=q).with_inputs("question") for q in questions]

    optimizer = dspy.GEPA(
        metric=metric,
        max_metric_calls=task["metric_calls"],
        reflection_lm=reflection,
        num_threads=8,
        seed=task["seed"],
    )
    found = optimizer.compile(Agent(), trainset=rows(task["train"]), valset=rows(task["valid"]))
    return found.write.signature.instructions


def mlflow_optimize_prompts(task):
    import mlflow
    from mlflow.entities import Feedback
    from mlflow.genai import optimize_prompts
    from mlflow.genai.optimize.optimizers import GepaPromptOptimizer
    from mlflow.genai.scorers import scorer

    mlflow.set_tracking_uri(f"sqlite:///{tempfile.mkdtemp()}/mlflow.db")
    ask, judge = replies(task), judge_of(task)
    uri = mlflow.genai.register_prompt(name="support", template=task["system"]).uri

    def agent(question):
        return ask(mlflow.genai.load_prompt(uri).format(), question)

    @functools.cache
    def judged(question, reply):
        return judge(inputs={"question": question}, outputs=reply)

    @scorer
    def quality(inputs, outputs):
        said = judged(inputs["question"], outputs)
        return Feedback(value=worth(task, said.value), rationale=said.rationale)

    def rows(questions):
        return [{"inputs": {"question": q}} for q in questions]

    # It chooses by the training rows unless it is told of others.
    search = {"valset": rows(task["valid"]), "seed": task["seed"]}
    made = optimize_prompts(
        predict_fn=agent,
        train_data=rows(task["train"]),
        prompt_uris=[uri],
        optimizer=GepaPromptOptimizer("openai:/sim-reflect", task["metric_calls"], gepa_kwargs=search),
        scorers=[quality],
    )
    return made.optimized_prompts[0].template


ARMS = {"dspy.GEPA": dspy_gepa, "MLflow": mlflow_optimize_prompts}


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the rivals print goes to stderr
    task = json.loads(sys.stdin.read())
    os.environ.update(
        OPENAI_API_KEY=task["key"], OPENAI_API_BASE=task["server"], OPENAI_BASE_URL=task["server"]
    )
    try:
        made = {"system": ARMS[task["method"]](task), "error": ""}
    except Exception as error:  # noqa: BLE001 - whatever a rival raises is its result
        traceback.print_exc()
        made = {"system": task["system"], "error": f"{type(error).__name__}: {error}"[:500]}
    out.write(json.dumps(made))
    out.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
