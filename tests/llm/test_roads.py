"""Threads, event loops and DSPy's executors: the same store, the same flights, no usage lost."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
import warnings

import dspy
import pytest
from llm_helpers import lm_of

from judge_opt.llm import Budget, map_threads, repeat
from judge_opt.testing.fault_server import FaultServer, Reply


def question(text):
    return [{"role": "user", "content": str(text)}]


async def gathered(lm, texts):
    return [reply.text for reply in await asyncio.gather(*[lm.aask(question(t)) for t in texts])]


def echo(body):
    return "echo " + body["messages"][-1]["content"]


def test_equal_calls_on_a_loop_are_bought_once(session, server):
    server.answer = lambda body: Reply(text="yes", delay=0.3)
    assert asyncio.run(gathered(lm_of(session, server), ["q"] * 50)) == ["yes"] * 50
    assert server.completions == 1
    (line,) = session.ledger()
    assert (line.calls, line.hits) == (1, 49)


def test_equal_calls_of_threads_and_loops_are_bought_once(session, server):
    release = threading.Event()
    server.answer = lambda body: (release.wait(20), "yes")[1]
    lm = lm_of(session, server)
    roads = [
        threading.Thread(target=lambda: lm.ask(question("q"))),
        threading.Thread(target=lambda: asyncio.run(gathered(lm, ["q"] * 5))),
        threading.Thread(target=lambda: asyncio.run(gathered(lm, ["q"] * 5))),
    ]
    for road in roads:
        road.start()
    while not server.completions:
        time.sleep(0.01)
    time.sleep(0.2)
    release.set()
    for road in roads:
        road.join(30)
    assert server.completions == 1
    assert session.ledger()[0].hits == 10


def test_a_thread_that_blocks_its_own_loop_does_not_wait_for_it(session, server):
    server.answer = lambda body: Reply(text="yes", delay=0.2)
    lm = lm_of(session, server)

    async def both():
        task = asyncio.create_task(lm.aask(question("q")))
        await asyncio.sleep(0.05)
        return lm.ask(question("q")).text, (await task).text

    assert asyncio.run(asyncio.wait_for(both(), 30)) == ("yes", "yes")
    assert session.ledger()[0].calls == server.completions <= 2


def test_several_loops_one_after_another(session, server):
    server.answer = echo
    lm = lm_of(session, server)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no connection is left behind unclosed
        for round_ in range(3):
            texts = [f"{round_}-{i}" for i in range(8)]
            assert asyncio.run(gathered(lm, texts)) == [f"echo {t}" for t in texts]
    assert session.ledger()[0].calls == server.completions == 24
    deadline = time.monotonic() + 20
    while server.open_connections and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.open_connections == 0


def test_connections_are_one_a_worker(session, server):
    lm = lm_of(session, server)

    async def rounds():
        for round_ in range(6):
            await gathered(lm, [f"{round_}-{i}" for i in range(8)])
            await asyncio.sleep(0.02)

    asyncio.run(rounds())
    assert server.completions == 48
    assert server.connections == 8


def test_closing_the_session_closes_the_connections_of_a_running_loop(make_session, server):
    session = make_session()
    lm = lm_of(session, server)

    async def use():
        await gathered(lm, range(4))
        session.close()
        for _ in range(2000):
            if not server.open_connections:
                return True
            await asyncio.sleep(0.01)
        return False

    assert asyncio.run(use())


def test_a_purchase_whose_caller_is_cancelled_is_stored(session, server):
    server.answer = lambda body: Reply(text="yes", delay=0.3)
    lm = lm_of(session, server)

    async def impatient():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await lm.aask(question("q"))
        return (await lm.aask(question("q"))).text

    assert asyncio.run(impatient()) == "yes"
    assert server.completions == 1
    (line,) = session.ledger()
    assert (line.calls, line.failed) == (1, 0)


def test_a_purchase_that_dies_with_its_loop_is_booked(session, server):
    server.answer = lambda body: Reply(text="yes", delay=3)
    lm = lm_of(session, server)

    async def gone():
        asyncio.get_running_loop().create_task(lm.aask(question("q")))
        while not server.completions:
            await asyncio.sleep(0.01)

    asyncio.run(gone())
    (line,) = session.ledger()
    assert (line.calls, line.failed, line.attempts) == (0, 1, 1)
    server.answer = echo
    assert lm.ask(question("q")).text == "echo q"


def test_followers_share_a_failure_and_nothing_is_left_unsaid(session, server, caplog):
    server.answer = lambda body: Reply(status=401, delay=0.2)
    lm = lm_of(session, server)

    async def all_fail():
        tasks = [asyncio.create_task(lm.aask(question("q"))) for _ in range(6)]
        await asyncio.sleep(0.05)
        tasks[0].cancel()  # the one that leads
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    got = [type(one).__name__ for one in asyncio.run(all_fail())]
    gc.collect()
    assert got == ["CancelledError"] * 2 + ["CredentialsError"] * 4
    assert server.completions == 1
    assert "never retrieved" not in caplog.text


def test_repeats_reach_tasks(session, server):
    lm = lm_of(session, server, temperature=1.0)

    async def sampled():
        for index in range(3):
            with repeat(index):
                await lm.aask(question("q"))

    for _ in range(2):
        asyncio.run(sampled())
    assert server.completions == 3


def test_the_loop_does_not_wait_for_the_disk(session, server):
    """While a commit waits for another process's transaction, the loop goes on."""
    lm = lm_of(session, server)
    lm.ask(question("first"))

    async def beats():
        with session.store._database.use(writing=True) as db:
            db.execute("BEGIN IMMEDIATE")
            task = asyncio.create_task(lm.aask(question("q")))
            steps = 0
            while not server.completions > 1 or steps < 50:
                await asyncio.sleep(0.005)
                steps += 1
            assert not task.done()
            db.execute("ROLLBACK")
        return (await asyncio.wait_for(task, 30)).text

    assert asyncio.run(beats()) == "ok"


def test_dspy_executors_lose_no_usage(make_session, server):
    server.answer = lambda body: "[[ ## answer ## ]]\nblue\n\n[[ ## completed ## ]]"
    session = make_session(budget=Budget(calls=40))
    lm = lm_of(session, server)
    with dspy.context(lm=lm):
        predict = dspy.Predict("question -> answer")
        examples = [dspy.Example(question=f"q{i}").with_inputs("question") for i in range(20)]
        parallel = dspy.Parallel(num_threads=4, disable_progress_bar=True)
        parallel([(predict, example) for example in examples])

        async def some():
            return await asyncio.gather(*[predict.acall(question=f"a{i}") for i in range(20)])

        asyncio.run(some())
    (line,) = session.ledger()
    assert line.calls == server.completions == session.budget.used.calls == 40
    assert line.prompt_tokens == 400


def test_a_thousand_calls_in_every_way_are_all_booked(session, server):
    server.answer = echo
    lm = lm_of(session, server)
    loops = [
        threading.Thread(target=lambda n=n: asyncio.run(gathered(lm, [f"{n}-{i}" for i in range(40)])))
        for n in range(3)
    ]
    for loop in loops:
        loop.start()
    texts = map_threads(lambda i: lm.ask(question(f"t-{i}")).text, range(120), 16)
    for loop in loops:
        loop.join(60)
    assert texts == [f"echo t-{i}" for i in range(120)]
    assert session.ledger()[0].calls == server.completions == 240


KILLED = """
import asyncio, sys
from pathlib import Path
from judge_opt.llm import Session
base_url, home, width = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
async def main(lm):
    numbers = iter(range(40))
    replies = {}
    async def work():
        for i in numbers:
            replies[i] = (await lm.aask([{"role": "user", "content": f"question {i}"}])).text
    await asyncio.gather(*[work() for _ in range(width)])
    print("|".join(replies[i] for i in range(40)))
with Session(home, run_id="run") as session:
    asyncio.run(main(session.lm("openai:/any", base_url=base_url)))
"""


@pytest.mark.parametrize("point", ["llm.before_call:9", "llm.reply_received:9", "llm.committed:9"])
def test_a_killed_loop_buys_again_only_what_was_in_flight(tmp_path, point):
    width = 6

    def run(server, kill_at=""):
        env = {**os.environ, "PYTHONPATH": os.getcwd(), "JUDGE_OPT_KILL_AT": kill_at}
        args = [sys.executable, "-c", KILLED, server.base_url, str(tmp_path), str(width)]
        return subprocess.run(args, env=env, capture_output=True, text=True, timeout=120)

    from judge_opt.llm.store import CallStore

    with FaultServer(echo) as server:
        assert run(server, point).returncode == -9
        server.settle()
        sent = server.completions
        (line,) = CallStore(tmp_path / "calls.db").summary("run") or [None]
        stored = line.calls if line else 0
        assert 0 <= sent - stored <= width
        resumed = run(server)
        assert resumed.returncode == 0, resumed.stderr
        assert server.completions - sent == 40 - stored
    assert resumed.stdout == "|".join(f"echo question {i}" for i in range(40)) + "\n"


def test_a_forked_child_talks_on_its_own_connections(session, server):
    server.answer = echo
    lm = lm_of(session, server)
    lm.ask(question("parent"))
    child = os.fork()
    if child == 0:
        ok = (
            lm.ask(question("parent")).text == "echo parent"
            and lm.ask(question("child")).text == "echo child"
        )
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert lm.ask(question("child")).text == "echo child"
    assert server.completions == 2
    assert server.connections == 2
