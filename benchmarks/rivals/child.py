"""The rivals' process: JSON lines in, JSON lines out. Runs under the rivals' interpreter, imports nothing of ours.

It imports the rivals once (seconds), and then forks for each task: no cache, tracking database, setting or
memory of one task is there in the next. A task:

    {"arm": "mlflow.memalign", "server": "http://127.0.0.1:1/v1", "key": "run-1", "seed": 0, "threads": 8,
     "judge": "sim-judge", "reflection": "sim-reflect", "embedder": "sim-embed",
     "instructions": "Is {{ outputs }} a good reply to {{ inputs }}?", "labels": ["fail", "pass"],
     "train": [{"id": "a", "inputs": "...", "outputs": "...", "label": "pass", "rationale": "...",
                "votes": [{"rater": "r0", "label": "pass", "rationale": "..."}]}],
     "held_out": [{"id": "b", "inputs": "...", "outputs": "..."}], "limit_s": 3600}

and its result:

    {"verdicts": ["pass", null, ...], "errors": {"b": "..."}, "learned": {...}, "error": null,
     "seconds": {"align": 1.0, "judge": 2.0}, "cpu_seconds": {...}, "calls": {"align": {...}, "judge": {...}}}

A verdict is what the rival returned, as text, valid or not; null where it returned none.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Before any import that reads them: no price list or catalogue over the network, no telemetry, no progress bars.
os.environ.update(
    LITELLM_LOCAL_MODEL_COST_MAP="True", MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true",
    MLFLOW_MODEL_CATALOG_URI="", GIT_PYTHON_REFRESH="quiet", TQDM_DISABLE="1", NO_PROXY="*",
    OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", DSPY_CACHEDIR=tempfile.mkdtemp(prefix="rivals_dspy_"),
)  # fmt: skip
# In memory where possible: a tracking database on a slow disk would be measured instead of the rival.
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
WORK = Path(tempfile.mkdtemp(prefix="rivals_", dir=MEMORY))


def arms():
    """Name to function: task to (judge of a row, what was learned). Its attribute `prepare`, where it has one,
    is done before and not counted to alignment: the writing of traces."""
    import arms_budget
    import arms_dspy
    import arms_mlflow
    import arms_plain

    return arms_plain.ARMS | arms_dspy.ARMS | arms_mlflow.ARMS | arms_budget.ARMS


def usage(task):
    """What the server counted for this task's key, by model; None where the server does not count."""
    headers = {"Authorization": f"Bearer {task['key']}"}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(task["server"] + "/usage", headers=headers)
        ) as reply:
            return json.load(reply)
    except OSError:
        return None


def difference(after, before):
    if after is None or before is None:
        return None
    found = {}
    for model, counts in after.items():
        rest = {name: n - before.get(model, {}).get(name, 0) for name, n in counts.items()}
        if rest["calls"]:
            found[model] = rest
    return found


def perform(task, known):
    """One task from beginning to end; an error of the rival's is a part of the result."""
    result = {"verdicts": [None] * len(task["held_out"]), "errors": {}, "learned": {}, "error": None}
    result |= {"seconds": {}, "cpu_seconds": {}, "calls": {}}

    def timed(phase, work):
        before, wall, cpu = usage(task), time.perf_counter(), time.process_time()
        try:
            return work()
        finally:
            result["seconds"][phase] = round(time.perf_counter() - wall, 3)
            result["cpu_seconds"][phase] = round(time.process_time() - cpu, 3)
            result["calls"][phase] = difference(usage(task), before)

    try:
        arm = known[task["arm"]]
        if hasattr(arm, "prepare"):
            task["prepared"] = timed("prepare", lambda: arm.prepare(task))
        judge, result["learned"] = timed("align", lambda: arm(task))
    except Exception as error:  # noqa: BLE001 - whatever a rival raises is its result
        result["error"] = f"{type(error).__name__}: {error}"[:2000]
        result["traceback"] = traceback.format_exc()[-4000:]
        return result

    def one(row):
        try:
            value = judge(row)
        except Exception as error:  # noqa: BLE001
            return None, f"{type(error).__name__}: {error}"[:300]
        return (None, "no verdict") if value is None else (str(value), "")

    def all_rows():
        with ThreadPoolExecutor(task.get("threads") or 1) as pool:
            return list(pool.map(one, task["held_out"]))

    found = timed("judge", all_rows)
    result["verdicts"] = [value for value, _ in found]
    result["errors"] = {row["id"]: why for row, (_, why) in zip(task["held_out"], found, strict=False) if why}
    return result


def in_child(task, known, out):
    """Run the task in this forked process, write its result, and end."""
    signal.alarm(int(task.get("limit_s") or 3600))
    folder = Path(tempfile.mkdtemp(dir=WORK))
    os.environ.update(
        OPENAI_API_KEY=task["key"], OPENAI_API_BASE=task["server"], OPENAI_BASE_URL=task["server"],
        MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db",
    )  # fmt: skip
    shutil.copyfile(WORK / "mlflow.db", folder / "mlflow.db")
    os.chdir(folder)
    line = json.dumps(perform(task, known)) + "\n"
    data = line.encode()
    while data:
        data = data[os.write(out, data) :]
    os._exit(0)


def main():
    out = os.dup(1)
    os.dup2(2, 1)  # what the rivals print goes to stderr
    known = arms()
    if os.fork() == 0:  # an empty tracking database, made once; every task has a copy
        import arms_mlflow

        arms_mlflow.make_database(WORK / "mlflow.db")
        os._exit(0)
    os.wait()
    os.write(out, json.dumps({"arms": sorted(known)}).encode() + b"\n")
    for line in sys.stdin:
        task = json.loads(line)
        pid = os.fork()
        if pid == 0:
            in_child(task, known, out)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            why = "ran past its limit" if status == -signal.SIGALRM else f"its process ended with {status}"
            nothing = [None] * len(task["held_out"])
            failed = {"verdicts": nothing, "errors": {}, "learned": {}, "error": why}
            failed |= {"seconds": {}, "cpu_seconds": {}, "calls": {"align": usage(task)}}
            os.write(out, json.dumps(failed).encode() + b"\n")
    for folder in (WORK, os.environ["DSPY_CACHEDIR"]):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
