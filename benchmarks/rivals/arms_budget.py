"""DSPy's and MLflow's SIMBA and GEPA with a number of judge calls (`task["calls"]`) instead of their defaults.

GEPA takes such a number. SIMBA does not: batch, candidates and steps are chosen so that what it plans to ask,
final evaluation included, comes close to the number and not above. Where the labelled rows are too many for the
number (one evaluation of all of them would use it up), the first rows that fit are given.
"""

import dspy
from arms_dspy import compiled, told
from arms_mlflow import aligning, asked, judge_of, learned, traces
from mlflow.genai.judges.optimizers import GEPAAlignmentOptimizer, SIMBAAlignmentOptimizer


def fitting(task):
    """How many rows to give: all of them where the number allows four evaluations of each."""
    return max(10, min(len(task["train"]), task["calls"] // 4))


def simba_plan(rows, calls):
    """(batch size, candidates, steps) of the largest plan within `calls`; the smallest plan where none fits. A
    step asks for the batch with as many samples as candidates, and then with one candidate more; in the end
    candidates + 1 of the steps' winners at most judge all rows."""
    plans = []
    for candidates in (2, 3, 4, 6):
        for batch in (4, 8, 12, 16, 24, 32):
            for steps in range(1, 9):
                if batch <= rows:
                    cost = steps * batch * (2 * candidates + 1) + min(candidates + 1, steps + 1) * rows
                    plans.append((cost, steps, batch, candidates))
    within = [plan for plan in plans if plan[0] <= calls]
    _, steps, batch, candidates = max(within) if within else min(plans)
    return batch, candidates, steps


def _dspy_simba(task, student, rows, reflection):
    rows = rows[: fitting(task)]
    batch, candidates, steps = simba_plan(len(rows), task["calls"])
    optimizer = dspy.SIMBA(
        metric=told, prompt_model=reflection, num_threads=task["threads"], bsize=batch, num_candidates=candidates,
        max_steps=steps,
    )  # fmt: skip
    return optimizer.compile(student, trainset=rows, seed=task["seed"])


def _dspy_gepa(task, student, rows, reflection):
    optimizer = dspy.GEPA(
        metric=told, max_metric_calls=task["calls"], reflection_lm=reflection, num_threads=task["threads"],
        seed=task["seed"],
    )  # fmt: skip
    return optimizer.compile(student, trainset=rows, valset=rows[: fitting(task)])


def _fewer(task):
    return traces({**task, "train": task["train"][: fitting(task)]})


def _mlflow_simba(task):
    rows = task["prepared"]
    batch, candidates, steps = simba_plan(len(rows), task["calls"])
    optimizer = SIMBAAlignmentOptimizer(
        model=f"openai:/{task['reflection']}", seed=task["seed"] or None, batch_size=batch,
        simba_kwargs={"num_threads": task["threads"], "num_candidates": candidates, "max_steps": steps},
    )  # fmt: skip
    judge = judge_of(task).align(rows, optimizer=optimizer)
    return asked(task, judge), learned(judge)


def _mlflow_gepa(task):
    optimizer = GEPAAlignmentOptimizer(
        model=f"openai:/{task['reflection']}", max_metric_calls=task["calls"],
        gepa_kwargs={"seed": task["seed"], "num_threads": task["threads"]},
    )  # fmt: skip
    judge = judge_of(task).align(task["prepared"], optimizer=optimizer)
    return asked(task, judge), learned(judge)


def _with_fewer(arm):
    arm = aligning(arm)
    arm.prepare = _fewer
    return arm


ARMS = {
    "dspy.simba.budget": compiled(_dspy_simba),
    "dspy.gepa.budget": compiled(_dspy_gepa),
    "mlflow.simba.budget": _with_fewer(_mlflow_simba),
    "mlflow.gepa.budget": _with_fewer(_mlflow_gepa),
}
