"""Group commit: together on the disk, each with the guarantee of its own."""

import asyncio
import threading
import time

import pytest

from judge_opt.llm.commits import Entry, GroupCommit


class Disk:
    """A write that takes as long as it is held, and remembers its batches."""

    def __init__(self):
        self.batches = []
        self.free = threading.Event()
        self.free.set()
        self.begun = threading.Event()
        self.stored = []

    def write(self, batch):
        self.begun.set()
        self.free.wait(30)
        bad = [e for e in batch if e.row == ("bad",)]
        if bad:
            raise ValueError("cannot be stored")
        if any(e.row == ("interrupted",) for e in batch):
            for entry in batch:
                if entry.row == ("interrupted",):
                    entry.row = ("after all",)
            raise KeyboardInterrupt
        self.batches.append([e.row[0] for e in batch])
        self.stored += [e.row[0] for e in batch]
        for entry in batch:
            entry.inserted = entry.done = True


@pytest.fixture
def disk():
    return Disk()


def started(commits, *rows):
    """Threads that commit; what each of them met."""
    met = {}

    def one(row):
        entry = Entry(None, (row,))
        try:
            commits.commit(entry)
            met[row] = entry.inserted
        except BaseException as error:  # noqa: BLE001
            met[row] = error

    threads = [threading.Thread(target=one, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    return threads, met


def joined(threads):
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def waiting(commits, count):
    deadline = time.monotonic() + 30
    while len(commits._waiting) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_waits_goes_together(disk):
    commits = GroupCommit(disk.write)
    disk.free.clear()
    first, met = started(commits, "first")
    disk.begun.wait(30)
    rest, met_rest = started(commits, *[f"r{i}" for i in range(20)])
    waiting(commits, 20)
    assert met == met_rest == {}  # nobody is let go before the disk has it
    disk.free.set()
    joined(first + rest)
    assert disk.batches[0] == ["first"]
    assert sorted(disk.batches[1]) == sorted(f"r{i}" for i in range(20))
    assert len(disk.batches) == 2
    assert set(met_rest.values()) == {True}


def test_tasks_and_threads_share_a_batch(disk):
    commits = GroupCommit(disk.write)
    disk.free.clear()

    async def main():
        loop = asyncio.get_running_loop()
        entries = [Entry(None, (f"task {i}",)) for i in range(5)]
        for entry in entries:
            entry.future = loop.create_future()
            commits.commit_soon(entry)
        assert await asyncio.to_thread(disk.begun.wait, 30)  # the first batch is closed: the thread waits
        threads, met = started(commits, "thread")
        await asyncio.to_thread(waiting, commits, 1)
        disk.free.set()
        await asyncio.wait_for(asyncio.gather(*[entry.future for entry in entries]), 30)
        await asyncio.to_thread(joined, threads)
        assert met == {"thread": True}

    asyncio.run(main())
    commits.close()
    assert sorted(disk.stored) == [*[f"task {i}" for i in range(5)], "thread"]


def test_one_that_cannot_be_stored_does_not_take_the_others_with_it(disk):
    commits = GroupCommit(disk.write)
    disk.free.clear()
    first, _ = started(commits, "first")
    disk.begun.wait(30)
    rest, met = started(commits, "a", "bad", "b")
    waiting(commits, 3)
    disk.free.set()
    joined(first + rest)
    assert met["a"] is met["b"] is True
    assert isinstance(met["bad"], ValueError)


def test_where_the_writer_is_interrupted_the_others_are_stored(disk):
    commits = GroupCommit(disk.write)
    disk.free.clear()
    first, met = started(commits, "interrupted")
    disk.begun.wait(30)
    rest, others = started(commits, "a", "b")
    waiting(commits, 2)
    disk.free.set()
    joined(first + rest)
    assert isinstance(met["interrupted"], KeyboardInterrupt)
    assert others == {"a": True, "b": True}
    commits.close()
    assert sorted(disk.stored) == ["a", "after all", "b"]
    assert not commits._led


def test_a_loop_that_is_gone_holds_up_nobody(disk):
    commits = GroupCommit(disk.write)
    disk.free.clear()

    async def leaves():
        entry = Entry(None, ("task",))
        entry.future = asyncio.get_running_loop().create_future()
        commits.commit_soon(entry)

    asyncio.run(leaves())
    threads, met = started(commits, "thread")
    disk.free.set()
    joined(threads)
    assert met == {"thread": True}
    commits.close()
    assert sorted(disk.stored) == ["task", "thread"]


def test_many_threads_for_a_while(disk):
    commits = GroupCommit(disk.write)
    threads, met = [], {}
    for start in range(0, 400, 40):
        some, found = started(commits, *[str(i) for i in range(start, start + 40)])
        threads += some
        met[start] = found
    joined(threads)
    assert sorted(disk.stored, key=int) == [str(i) for i in range(400)]
    assert all(set(found.values()) == {True} for found in met.values())
