"""What one judgement costs its client, beside the model's own time.

python -m benchmarks.overhead.run [--repeats 5]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.overhead import mlflow_env
from benchmarks.record import ROOT, check, write_results

HERE = Path(__file__).parent
ARMS = {  # name: (calls of one repeat, workers)
    "raw http.client, 1 thread": (2000, 1),
    "raw http.client, 32 threads": (2000, 32),
    "raw http.client and a synced line, 1 thread": (1000, 1),
    "raw http.client and a synced SQLite row, 1 thread": (1000, 1),
    "raw aiohttp, 32 tasks": (2000, 32),
    "judge_opt, 1 thread": (1000, 1),
    "judge_opt, 32 threads": (2000, 32),
    "judge_opt, 32 tasks": (2000, 32),
    "dspy.Predict, native, 1 thread": (400, 1),
    "dspy.Predict, LiteLLM, 1 thread": (200, 1),
    "MLflow judge, 1 thread": (300, 1),
    "MLflow judge, 32 threads": (300, 32),
}
OURS = [name for name in ARMS if name.startswith("judge_opt")]
QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_MODEL_CATALOG_URI": "",
    "GIT_PYTHON_REFRESH": "quiet",
    "NO_PROXY": "*",
}


@contextmanager
def server(latency: float = 0.0) -> Iterator[int]:
    """The model server, in its own process; gives its port."""
    command = [sys.executable, str(HERE / "server.py"), str(latency)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def stats(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=30) as answer:
        found: dict[str, int] = json.loads(answer.read())
    return found


def measure(arm: str, port: int, calls: int, *more: str) -> dict[str, Any]:
    """One repeat of one arm, in a process of its own."""
    rival = arm.startswith("MLflow")
    interpreter = str(mlflow_env.python()) if rival else sys.executable
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "MLFLOW_", "JUDGE_OPT_"))}
    env |= {**QUIET, "DSPY_CACHEDIR": tempfile.mkdtemp(prefix="judge_opt_overhead_")}
    if not rival:
        env["PYTHONPATH"] = str(ROOT)
    command = [interpreter, str(HERE / "arms.py"), arm, str(port), str(calls), *more]
    before = stats(port)
    done = subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=600)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not lines:
        raise SystemExit(f"{arm}: {done.stderr[-2000:]}")
    after = stats(port)
    found: dict[str, Any] = json.loads(lines[-1].removeprefix("RESULT "))
    return {**found, "connections": after["connections"] - before["connections"]}


def equal_calls(port: int) -> int:
    """How many of 50 equal judgements, made at the same time, reach the server."""
    from judge_opt import make_judge
    from judge_opt.llm.session import Session, use_session

    with tempfile.TemporaryDirectory() as home, Session(Path(home)) as session:
        url = f"http://127.0.0.1:{port}/judge/v1"
        judge = make_judge(
            "same", "Is {{ outputs }} right?", "openai:/gpt-4.1-mini", feedback_value_type=str, base_url=url
        )

        def one(_: int) -> None:
            with use_session(session):
                judge(outputs="the same")

        before = stats(port)["requests"]
        with ThreadPoolExecutor(50) as pool:
            list(pool.map(one, range(50)))
        return stats(port)["requests"] - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    mlflow_env.python()
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ARMS}
    with server() as port:
        for number in range(repeats):
            for name, (calls, _) in ARMS.items():
                found[name].append(measure(name, port, calls))
                one = found[name][-1]
                print(
                    f"{number + 1}/{repeats} {name:<50} {one['cpu_ms']:.3f} ms CPU, {one['wall_ms']:.3f} ms wall"
                )
        profiles = {name: measure(name, port, 500, "--profile") for name in OURS if "threads" not in name}
    with server(0.2) as slow:
        bought = equal_calls(slow)
    rows = [row(name, found[name]) for name in ARMS]
    rows += [
        {"profile": name, "layer": layer, "share": round(share, 3)}
        for name, shares in profiles.items()
        for layer, share in sorted(shares.items(), key=lambda pair: -pair[1])
        if layer != "connections"
    ]
    write_results(
        HERE,
        f"python -m benchmarks.overhead.run --repeats {repeats}",
        rows,
        checks(rows, bought),
        ("dspy", "litellm", "httptools", "aiohttp", "orjson"),
        rival="mlflow 3.18.0",
        load_average=os.getloadavg()[0],
        over_rival_at_its_cheapest=cheapest(rows),
    )


def row(name: str, repeats: list[dict[str, Any]]) -> dict[str, Any]:
    cpu, wall = [one["cpu_ms"] for one in repeats], [one["wall_ms"] for one in repeats]
    return {
        "arm": name,
        "calls": ARMS[name][0],
        "repeats": len(repeats),
        "cpu_ms": round(statistics.median(cpu), 3),
        "cpu_ms_range": [round(min(cpu), 3), round(max(cpu), 3)],
        "wall_ms": round(statistics.median(wall), 3),
        "wall_ms_range": [round(min(wall), 3), round(max(wall), 3)],
        "connections": max(one["connections"] for one in repeats),
    }


def cheapest(rows: list[dict[str, Any]]) -> dict[str, float]:
    """CPU of each of our arms over that of MLflow's judge in its cheaper arm."""
    by_name = {one["arm"]: one["cpu_ms"] for one in rows if "arm" in one}
    rival = min(cpu for name, cpu in by_name.items() if name.startswith("MLflow"))
    return {name.removeprefix("judge_opt, "): round(by_name[name] / rival, 4) for name in OURS}


def checks(rows: list[dict[str, Any]], bought: int) -> list[dict[str, Any]]:
    by_name = {one["arm"]: one for one in rows if "arm" in one}
    rival = min(one["cpu_ms"] for name, one in by_name.items() if name.startswith("MLflow"))
    out = []
    for name in OURS:
        cpu = by_name[name]["cpu_ms"]
        short = name.removeprefix("judge_opt, ")
        out.append(check(f"cpu_{short}", f"CPU ms a judgement, {short} (median)", cpu, "<=", 0.6))
        same = by_name.get(f"MLflow judge, {short}", {}).get("cpu_ms", rival)
        what = f"CPU over that of MLflow's judge on as many threads (in a loop: at its cheapest), {short} (medians)"
        out.append(check(f"fifth_{short}", what, cpu / same, "<=", 0.2))
        what = f"connections beyond one a worker, {short}"
        out.append(check(f"connections_{short}", what, by_name[name]["connections"] - ARMS[name][1], "<=", 0))
    out.append(
        check("single_flight", "calls bought for 50 equal judgements at the same time", bought, "==", 1)
    )
    return out


if __name__ == "__main__":
    main()
