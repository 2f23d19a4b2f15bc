"""MLflow's judges and alignment optimizers, called as its documentation calls them. Its defects are left in."""

import logging
from typing import Literal

import mlflow
from mlflow.entities import AssessmentSource
from mlflow.genai.judges import make_judge
from mlflow.genai.judges.optimizers import GEPAAlignmentOptimizer, MemAlignOptimizer, SIMBAAlignmentOptimizer

NAME = "accepted"


def value_type(task):
    """What MLflow is told of the verdict."""
    return bool if sorted(task["labels"]) == ["false", "true"] else Literal[tuple(task["labels"])]


def value_of(task, label):
    return label == "true" if value_type(task) is bool else label


def judge_of(task, instructions=None, **more):
    """The judge before alignment."""
    return make_judge(
        name=NAME,
        instructions=instructions or task["instructions"],
        model=f"openai:/{task['judge']}",
        feedback_value_type=value_type(task),
        **more,
    )


def make_database(path):
    """An empty tracking database with the newest schema."""
    mlflow.set_tracking_uri(f"sqlite:///{path}")
    mlflow.set_experiment("rivals")


def aligning(arm):
    """An arm whose traces are written before."""
    arm.prepare = traces
    return arm


def traces(task):
    """The labelled rows as traces with human feedback, written to and read from the tracking store."""
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    mlflow.set_experiment("rivals")
    made = []
    for row in task["train"]:
        with mlflow.start_span(name="app") as span:
            span.set_inputs({"question": row["inputs"]})
            span.set_outputs(row["outputs"])
            made.append(span.trace_id)
    mlflow.flush_trace_async_logging()
    for trace_id, row in zip(made, task["train"], strict=False):
        for vote in row["votes"]:
            mlflow.log_feedback(
                trace_id=trace_id,
                name=NAME,
                value=value_of(task, vote["label"]),
                rationale=vote.get("rationale"),
                source=AssessmentSource(source_type="HUMAN", source_id=vote["rater"]),
            )
    return [mlflow.get_trace(trace_id) for trace_id in made]


def asked(task, judge, fields=("inputs", "outputs")):
    """A judge as a function of a row."""

    def ask(row):
        given = {"inputs": {"question": row["inputs"]}, "outputs": row["outputs"]}
        feedback = judge(**{name: given[name] for name in fields})
        if feedback.error is not None:
            raise RuntimeError(f"{feedback.error.error_code}: {feedback.error.error_message}")
        value = feedback.value
        return str(value).lower() if isinstance(value, bool) else value

    return ask


def learned(judge):
    return {"instructions": judge.instructions}


def untouched(task):
    judge = judge_of(task)
    return asked(task, judge), learned(judge)


def memalign(outputs_only=False, **settings):
    """`outputs_only`: instructions that name the outputs alone, so that examples are retrieved by them."""

    def arm(task):
        fields, text = ("inputs", "outputs"), task["instructions"]
        if outputs_only:
            fields, text = ("outputs",), text.replace("{{ inputs }}", "the request")
        optimizer = MemAlignOptimizer(
            reflection_lm=f"openai:/{task['reflection']}",
            embedding_model=f"openai:/{task['embedder']}",
            **settings,
        )
        judge = judge_of(task, text).align(task["prepared"], optimizer=optimizer)
        return asked(task, judge, fields), learned(judge) | {"guidelines": len(judge._semantic_memory)}

    return arm


def simba(best=False):
    """At its best: DSPy's own batch size, and sampling that samples, since the judge is given a temperature
    while it is being aligned."""

    def arm(task):
        more = {"simba_kwargs": {"num_threads": task["threads"]}}
        if best:
            more["batch_size"] = min(32, len(task["train"]))
        optimizer = SIMBAAlignmentOptimizer(
            model=f"openai:/{task['reflection']}", seed=task["seed"] or None, **more
        )
        start = judge_of(task, inference_params={"temperature": 1.0}) if best else judge_of(task)
        judge = start.align(task["prepared"], optimizer=optimizer)
        if best:
            judge = judge_of(task, judge.instructions)
        return asked(task, judge), learned(judge)

    return arm


def gepa(best=False):
    """At its best: a budget as large as DSPy's heavy preset has for as many examples, about 25 evaluations of
    each."""

    def arm(task):
        more = {"max_metric_calls": 25 * len(task["train"])} if best else {}
        kwargs = {"seed": task["seed"], "num_threads": task["threads"]}
        optimizer = GEPAAlignmentOptimizer(model=f"openai:/{task['reflection']}", gepa_kwargs=kwargs, **more)
        judge = judge_of(task).align(task["prepared"], optimizer=optimizer)
        return asked(task, judge), learned(judge)

    return arm


ARMS = {
    "mlflow.untouched": untouched,
    "mlflow.memalign": aligning(memalign()),
    "mlflow.memalign.best": aligning(memalign(outputs_only=True, retrieval_k=10)),
    "mlflow.simba": aligning(simba()),
    "mlflow.simba.best": aligning(simba(best=True)),
    "mlflow.gepa": aligning(gepa()),
    "mlflow.gepa.best": aligning(gepa(best=True)),
}
