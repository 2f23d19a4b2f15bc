"""One arm, in a process of its own: `python -m benchmarks.throughput.arms ARM PORT ROWS WIDTH`, one JSON line."""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Literal

from benchmarks.overhead.arms import INSTRUCTIONS, item


def raw(port: int, rows: list[dict[str, Any]], width: int) -> float:
    """aiohttp as it comes, `width` tasks; JSON in, JSON out, nothing else."""
    import aiohttp

    url = f"http://127.0.0.1:{port}/judge/v1/chat/completions"

    async def main() -> float:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as client:

            async def work(left: Any) -> None:
                for row in left:
                    user = {"role": "user", "content": f"{row['inputs']['question']}\n{row['outputs']}"}
                    messages = [{"role": "system", "content": INSTRUCTIONS}, user]
                    body = json.dumps({"model": "any", "messages": messages, "temperature": 0.0}).encode()
                    async with client.post(
                        url, data=body, headers={"Content-Type": "application/json"}
                    ) as answer:
                        reply = json.loads(await answer.read())
                    assert json.loads(reply["choices"][0]["message"]["content"])["verdict"] == "yes"

            async def everything(some: list[dict[str, Any]]) -> None:
                left = iter(some)
                await asyncio.gather(*[work(left) for _ in range(width)])

            await everything(rows[:width])
            began = time.perf_counter()
            await everything(rows[width:])
            return time.perf_counter() - began

    return asyncio.run(main())


def ours(port: int, rows: list[dict[str, Any]], width: int, road: str) -> float:
    """`judge.batch`, or `judge.abatch`: a durable ledger and a durable cache, every call a miss."""
    from judge_opt import make_judge
    from judge_opt.llm.session import Session, use_session

    values = Literal["yes", "no"]
    base_url = f"http://127.0.0.1:{port}/judge/v1"
    judge = make_judge("correct", INSTRUCTIONS, "openai:/any", feedback_value_type=values, base_url=base_url)

    async def on_a_loop() -> tuple[float, list[Any]]:
        await judge.abatch(rows[:width], concurrency=width)
        began = time.perf_counter()
        found = await judge.abatch(rows[width:], concurrency=width)
        return time.perf_counter() - began, found

    with tempfile.TemporaryDirectory() as home, Session(Path(home)) as session, use_session(session):
        if road == "loop":
            seconds, found = asyncio.run(on_a_loop())
        else:
            judge.batch(rows[:width], concurrency=width)
            began = time.perf_counter()
            found = judge.batch(rows[width:], concurrency=width)
            seconds = time.perf_counter() - began
        assert all(one.value == "yes" for one in found)
        assert session.ledger()[0].calls == len(rows)
    return seconds


def main() -> None:
    arm, port, count, width = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    rows = [item() for _ in range(count + width)]  # the first `width` warm up and open the connections
    if arm == "raw aiohttp":
        seconds = raw(port, rows, width)
    else:
        seconds = ours(port, rows, width, "loop" if arm == "judge.abatch" else "threads")
    print("RESULT " + json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
