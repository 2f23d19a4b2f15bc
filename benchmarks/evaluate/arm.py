"""One arm, in a process of its own; prints one JSON line. Runs in our environment or in MLflow's.

    python benchmarks/evaluate/arm.py ours BASE_URL FOLDER ROWS
    python benchmarks/evaluate/arm.py mlflow BASE_URL FOLDER ROWS [WORKERS]

CPU is this whole process's (all threads, user and system), over the one call of `evaluate`; imports, and three
rows that warm it up, come before.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Literal

RULES = "Answer yes only when every fact in the answer is supported, and be strict about numbers. " * 8
INSTRUCTIONS = f"Decide whether {{{{ outputs }}}} answers {{{{ inputs }}}} correctly. {RULES}"


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """About 300 tokens a row with the instructions; no two alike."""
    return [
        {
            "inputs": {
                "question": f"Number {n}: what is the capital of France and how many live in it? " * 5
            },
            "outputs": f"Answer {n}. " + "The capital of France is Paris, with 2.1 million. " * 8,
        }
        for n in range(start, start + count)
    ]


def ours(base_url: str, folder: Path, count: int) -> dict[str, Any]:
    from judge_opt import make_judge
    from judge_opt.evaluation import evaluate, load_evaluation
    from judge_opt.llm import Session, use_session
    from judge_opt.traces import Store

    judge = make_judge("quality", INSTRUCTIONS, "openai:/any", Literal["yes", "no"], base_url=base_url)
    with Session(folder / "warm") as session, use_session(session):
        evaluate(rows(3, start=10**6), judge)
    data = rows(count)
    with Session(folder / "home") as session, use_session(session):
        seconds, result = timed(lambda: evaluate(data, judge))
    read = load_evaluation(result.run_id, home=folder / "home")
    with Store(folder / "home" / "store.db") as store:
        recorded = sum(word.votes for trace in store.iter_traces() for word in trace.assessments)
    return {
        **seconds,
        "rows_returned": len(result.result_df),
        "rows_with_verdict": int(result.result_df["quality/value"].notna().sum()),
        "rows_on_disk": sum("error" not in one["said"]["quality"] for one in read.verdicts()),
        "assessments_recorded": recorded,
    }


def mlflow_s(base_url: str, folder: Path, count: int, workers: int | None) -> dict[str, Any]:
    os.environ.update(
        OPENAI_API_KEY="none",
        OPENAI_API_BASE=base_url,
        OPENAI_BASE_URL=base_url,
        MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db",
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_MODEL_CATALOG_URI="",
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        DSPY_CACHEDIR=str(folder / "dspy"),
        TQDM_DISABLE="1",
        GIT_PYTHON_REFRESH="quiet",
        NO_PROXY="*",
    )
    if workers:
        os.environ["MLFLOW_GENAI_EVAL_MAX_WORKERS"] = str(workers)
    os.chdir(folder)
    import mlflow
    from mlflow.genai.judges import make_judge

    mlflow.set_experiment("benchmark")
    judge = make_judge(
        name="quality",
        instructions=INSTRUCTIONS,
        model="openai:/gpt-4.1-mini",
        feedback_value_type=Literal["yes", "no"],
    )
    mlflow.genai.evaluate(data=rows(3, start=10**6), scorers=[judge])
    data = rows(count)
    seconds, result = timed(lambda: mlflow.genai.evaluate(data=data, scorers=[judge]))
    table = result.result_df
    return {
        **seconds,
        "version": mlflow.__version__,
        "rows_returned": 0 if table is None else len(table),
        "rows_with_verdict": 0 if table is None else int(table["quality/value"].notna().sum()),
    }


def timed(work: Any) -> tuple[dict[str, float], Any]:
    cpu, wall = time.process_time(), time.perf_counter()
    made = work()
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}, made


def main() -> None:
    who, base_url, folder, count = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    if who == "ours":
        found = ours(base_url, folder, count)
    else:
        found = mlflow_s(base_url, folder, count, int(sys.argv[5]) if len(sys.argv) > 5 else None)
    sys.stdout.write("\n" + json.dumps(found) + "\n")
    sys.stdout.flush()
    os._exit(0)  # MLflow's threads may hang; what was measured is out


if __name__ == "__main__":
    main()
