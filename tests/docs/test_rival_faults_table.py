"""docs/memory.md is true about the rival's faults: each is there, and each test that it names exists."""

import pytest
from named_tests import lines, named

FAULTS = ["1", "2", "7", "9", "12", "13", "15", "17"]
LINES = lines("memory.md", r"\d+")


def test_every_fault_is_there_in_order() -> None:
    assert list(dict.fromkeys(line[0] for line in LINES)) == FAULTS


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_its_tests_are_there_and_called_by_its_number(line: list[str]) -> None:
    number, fault, here, tests = line
    found = named(tests)
    assert fault
    assert here
    assert found
    for file, name in found:
        if file.name.startswith("test_rival_faults"):
            assert name.startswith(f"test_{int(number):02}_")
