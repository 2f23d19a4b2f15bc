"""One arm, in a process of its own: `python benchmarks/overhead/arms.py ARM PORT CALLS` prints one JSON line.

CPU is this whole process's (all threads, user and system), over the measured calls only; the imports, and
calls that warm it up, come before. Every call asks about another item, so that no cache answers.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

WARM = 60
WIDTH = 32
RULES = "Answer yes only when every fact in the answer is supported, and be strict about numbers. " * 8
MODEL = "gpt-4.1-mini"
"""A name that every arm's price list knows, as a user's does."""
INSTRUCTIONS = f"Decide whether {{{{ outputs }}}} answers {{{{ inputs }}}} correctly. {RULES}"
numbers = iter(range(10**9))
closing: list[Callable[[], Any]] = []


def item() -> dict[str, Any]:
    """About 300 tokens with the instructions, as in a judge for correctness."""
    question = f"Number {next(numbers)}: what is the capital of France and how many live in it? " * 5
    return {
        "inputs": {"question": question},
        "outputs": "The capital of France is Paris, with 2.1 million. " * 8,
    }


def seconds(run: Callable[[int], Any], calls: int) -> dict[str, float]:
    """CPU and wall milliseconds a call."""
    run(WARM)
    cpu, wall = time.process_time(), time.perf_counter()
    run(calls)
    return {
        "cpu_ms": (time.process_time() - cpu) / calls * 1e3,
        "wall_ms": (time.perf_counter() - wall) / calls * 1e3,
    }


LAYERS = (
    ("network: system calls", ("'_socket.socket'", "select.epoll", "select.poll")),
    ("store: SQLite, with the disk", ("sqlite3",)),
    (
        "HTTP: llhttp and our connections",
        ("judge_opt/llm/connection", "judge_opt/llm/aconnection", "httptools"),
    ),
    ("store: our code", ("judge_opt/llm/store", "judge_opt/llm/commits", "judge_opt/llm/ledger")),
    ("key, request, single flight", ("llm/keys", "llm/direct", "llm/flight", "llm/lm.py", "hashlib")),
    ("limiter, budget, retries", ("llm/limiter", "llm/purchase", "llm/retry", "llm/budget", "llm/circuit")),
    ("engine and wire format", ("judge_opt/llm",)),
    ("judge: prompt and verdict", ("judge_opt/",)),
    ("DSPy: request and response types", ("_vendor/lm15",)),
    ("DSPy: modules", ("/dspy/",)),
    ("event loop", ("asyncio", "_contextvars", "_asyncio")),
    ("JSON", ("json", "orjson")),
)


def profiled(run: Callable[[int], Any], calls: int) -> dict[str, float]:
    """Share of the profiled time by layer. A profiler makes Python dearer and leaves C as it is."""
    import cProfile
    import pstats

    run(WARM)
    profile = cProfile.Profile()
    profile.enable()
    run(calls)
    profile.disable()
    shares: dict[str, float] = {}
    for (path, _, name), (_, _, own, _, _) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        where = path + " " + name
        layer = next(
            (one for one, marks in LAYERS if any(mark in where for mark in marks)), "everything else"
        )
        shares[layer] = shares.get(layer, 0.0) + own
    return {layer: own / sum(shares.values()) for layer, own in shares.items()}


def one_thread(call: Callable[[], Any]) -> Callable[[int], None]:
    return lambda calls: [call() for _ in range(calls)] and None


def on_threads(call: Callable[[], Any]) -> Callable[[int], None]:
    """Forever the same 32 threads."""
    import contextvars

    pool = ThreadPoolExecutor(WIDTH)
    contexts = [contextvars.copy_context() for _ in range(WIDTH)]

    def work(context: contextvars.Context, left: Any) -> None:
        for _ in left:
            context.run(call)

    def run(calls: int) -> None:
        left = iter(range(calls))
        for done in [pool.submit(work, context, left) for context in contexts]:
            done.result()

    return run


def on_a_loop(call: Callable[[], Awaitable[Any]]) -> Callable[[int], None]:
    """32 tasks on one loop, which stays open."""
    loop = asyncio.new_event_loop()
    closing.append(lambda: loop.run_until_complete(loop.shutdown_asyncgens()))

    async def main(calls: int) -> None:
        left = iter(range(calls))

        async def work() -> None:
            for _ in left:
                await call()

        await asyncio.gather(*[work() for _ in range(WIDTH)])

    return lambda calls: loop.run_until_complete(main(calls))


def raw(port: int, road: str, keep: Callable[[bytes, bytes], None] | None = None) -> Callable[[int], Any]:
    """The floor: one keep-alive connection a worker, JSON in, JSON out, nothing else.

    Args:
        keep: is given each request's and each reply's bytes, before the reply is used.
    """
    import http.client
    import threading

    local = threading.local()

    def call() -> None:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection("127.0.0.1", port)
        made = item()
        messages = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": f"{made['inputs']['question']}\n{made['outputs']}"},
        ]
        body = json.dumps({"model": MODEL, "messages": messages, "temperature": 0.0, "max_tokens": 512})
        headers = {"Content-Type": "application/json"}
        local.connection.request("POST", "/judge/v1/chat/completions", body.encode(), headers)
        answer = local.connection.getresponse().read()
        if keep is not None:
            keep(body.encode(), answer)
        reply = json.loads(answer)
        assert json.loads(reply["choices"][0]["message"]["content"])["verdict"] == "yes"

    return one_thread(call) if road == "1" else on_threads(call)


def raw_with_a_row(port: int) -> Callable[[int], Any]:
    """The floor of what is durable: `raw`, and the reply in SQLite, synced, under its request's hash. It has
    no other call to remember: no ledger, no single flight, no second process, no budget, no retry."""
    import hashlib
    import sqlite3

    database = sqlite3.connect(f"{tempfile.mkdtemp(prefix='judge_opt_overhead_')}/c.db", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE calls (seq INTEGER PRIMARY KEY, key TEXT UNIQUE, reply BLOB)")

    def keep(request: bytes, reply: bytes) -> None:
        row = (hashlib.sha256(request).hexdigest(), reply)
        database.execute("INSERT INTO calls (key, reply) VALUES (?, ?)", row)

    return raw(port, "1", keep)


def raw_with_a_line(port: int) -> Callable[[int], Any]:
    """As `raw_with_a_row`, with an appended and synced line in place of a database."""
    import hashlib

    path = f"{tempfile.mkdtemp(prefix='judge_opt_overhead_')}/lines"
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def keep(request: bytes, reply: bytes) -> None:
        os.write(file, hashlib.sha256(request).hexdigest().encode() + b" " + reply + b"\n")
        os.fdatasync(file)

    return raw(port, "1", keep)


def raw_loop(port: int, road: str) -> Callable[[int], Any]:
    """The floor of event loops: aiohttp as it comes."""
    import aiohttp

    async def opened() -> AsyncGenerator[aiohttp.ClientSession, None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:
            while True:
                yield client

    clients = opened()  # ended with the loop
    client: list[aiohttp.ClientSession] = []

    async def call() -> None:
        if not client:
            client.append(await anext(clients))
        made = item()
        messages = [
            {"role": "system", "content": INSTRUCTIONS},
            {"role": "user", "content": f"{made['inputs']['question']}\n{made['outputs']}"},
        ]
        body = json.dumps({"model": MODEL, "messages": messages, "temperature": 0.0, "max_tokens": 512})
        headers = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{port}/judge/v1/chat/completions"
        async with client[0].post(url, data=body.encode(), headers=headers) as answer:
            reply = json.loads(await answer.read())
        assert json.loads(reply["choices"][0]["message"]["content"])["verdict"] == "yes"

    run = on_a_loop(call)
    return run


def ours(port: int, road: str) -> Callable[[int], Any]:
    """`judge(...)`: everything on, a durable ledger and a durable cache, every call a miss."""
    from judge_opt import make_judge
    from judge_opt.llm.session import Session, _current

    _current.set(Session(Path(tempfile.mkdtemp(prefix="judge_opt_overhead_"))))
    values = Literal["yes", "no"]
    base_url = f"http://127.0.0.1:{port}/judge/v1"
    judge = make_judge(
        "correct", INSTRUCTIONS, f"openai:/{MODEL}", feedback_value_type=values, base_url=base_url
    )

    def call() -> None:
        assert judge(**item()).value == "yes"

    async def acall() -> None:
        assert (await judge.acall(**item())).value == "yes"

    if road == "async":
        return on_a_loop(acall)
    return one_thread(call) if road == "1" else on_threads(call)


def predict(port: int, road: str, engine: str) -> Callable[[int], Any]:
    """`dspy.Predict` with a signature of the same fields, its caches off."""
    import dspy

    base_url = f"http://127.0.0.1:{port}/dspy/v1"
    lm = dspy.LM(
        f"openai/{MODEL}", engine=engine, api_base=base_url, api_key="none", cache=False, temperature=0.0,
        max_tokens=512,
    )  # fmt: skip
    fields = {
        "inputs": (dict[str, Any], dspy.InputField()),
        "outputs": (str, dspy.InputField()),
        "rationale": (str, dspy.OutputField()),
        "verdict": (Literal["yes", "no"], dspy.OutputField()),
    }
    dspy.configure(lm=lm)
    module = dspy.Predict(dspy.make_signature(fields, INSTRUCTIONS))

    def call() -> None:
        assert module(**item()).verdict == "yes"

    return one_thread(call) if road == "1" else on_threads(call)


def mlflow(port: int, road: str) -> Callable[[int], Any]:
    """MLflow's judge as its documentation makes one."""
    from mlflow.genai.judges import make_judge

    judge = make_judge(
        name="correct",
        instructions=INSTRUCTIONS,
        model=f"openai:/{MODEL}",
        feedback_value_type=Literal["yes", "no"],
    )

    def call() -> None:
        found = judge(**item())
        assert found.value == "yes", found

    return one_thread(call) if road == "1" else on_threads(call)


ARMS: dict[str, Callable[[int], Callable[[int], Any]]] = {
    "raw http.client, 1 thread": lambda port: raw(port, "1"),
    "raw http.client, 32 threads": lambda port: raw(port, "32"),
    "raw http.client and a synced line, 1 thread": raw_with_a_line,
    "raw http.client and a synced SQLite row, 1 thread": raw_with_a_row,
    "raw aiohttp, 32 tasks": lambda port: raw_loop(port, "async"),
    "judge_opt, 1 thread": lambda port: ours(port, "1"),
    "judge_opt, 32 threads": lambda port: ours(port, "32"),
    "judge_opt, 32 tasks": lambda port: ours(port, "async"),
    "dspy.Predict, LiteLLM, 1 thread": lambda port: predict(port, "1", "litellm"),
    "dspy.Predict, native, 1 thread": lambda port: predict(port, "1", "lm15"),
    "MLflow judge, 1 thread": lambda port: mlflow(port, "1"),
    "MLflow judge, 32 threads": lambda port: mlflow(port, "32"),
}


def main() -> None:
    arm, port, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if arm.startswith("MLflow"):
        url = f"http://127.0.0.1:{port}/mlflow/v1"
        os.environ.update(OPENAI_API_KEY="none", OPENAI_API_BASE=url, OPENAI_BASE_URL=url)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{tempfile.mkdtemp(prefix='judge_opt_overhead_')}/m.db"
    run = ARMS[arm](port)
    found = profiled(run, calls) if "--profile" in sys.argv else seconds(run, calls)
    for close in closing:
        close()
    print("RESULT " + json.dumps(found))


if __name__ == "__main__":
    main()
