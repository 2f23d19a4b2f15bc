"""Ctrl-C while threads work: every item in flight ends, also the one whose thread is waited for."""

import os
import signal
import subprocess
import sys
from pathlib import Path

RUN = """
import sys, time
from judge_opt.llm.parallel import map_threads

def say(line):  # one write: `print` writes the line and its end apart, and two threads' lines would mix
    sys.stdout.write(line + "\\n")
    sys.stdout.flush()

def work(item):
    say(f"begun {item}")
    time.sleep(3.0 if item == 0 else 0.2)
    say(f"ended {item}")

map_threads(work, range(100), concurrency=2)
"""


def test_the_slowest_item_in_flight_ends_too() -> None:
    """The first thread is the one that a `join` in order would be interrupted at."""
    child = subprocess.Popen(
        [sys.executable, "-c", RUN],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    begun = [child.stdout.readline() for _ in range(2)]
    assert "begun 0\n" in begun
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in err
    said = "".join([*begun, out]).splitlines()
    assert {line.split()[1] for line in said if line.startswith("begun")} == {
        line.split()[1] for line in said if line.startswith("ended")
    }
    assert len(said) < 100
