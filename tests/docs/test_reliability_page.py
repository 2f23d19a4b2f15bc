"""docs/reliability.md is true: it names every id, each test that it names exists, on the databases it says."""

from pathlib import Path

import pytest
from named_tests import ROOT, functions, lines, named

IDS = [
    *(f"F{n}" for n in range(1, 8)),
    *(f"K{n}" for n in range(1, 5)),
    *(f"C{n}" for n in range(1, 4)),
    *(f"D{n}" for n in range(1, 5)),
    *(f"S{n}" for n in range(1, 9)),
    *(f"V{n}" for n in range(1, 3)),
    *(f"M{n}" for n in range(1, 6)),
    *(f"R{n}" for n in range(1, 4)),
]
BOTH, SERVER = {"store_url", "bare_url"}, {"postgres", "postgres_url"}
DATABASES = ("both", "SQLite", "PostgreSQL", "none")
LINES = lines("reliability.md", r"[A-Z]\d")


def fixtures(file: Path, name: str) -> set[str]:
    """Every fixture that a test needs, also those that its fixtures need."""
    homes = [file, *(folder / "conftest.py" for folder in file.parents if ROOT in folder.parents)]
    text = file.read_text(encoding="utf-8")
    if f"\n{name} = " in text:  # a state machine of hypothesis, which takes no fixtures
        return set()
    seen: set[str] = set()
    waiting = [argument.arg for argument in functions(file)[name].args.args]
    while waiting:
        fixture = waiting.pop()
        if fixture in seen:
            continue
        seen.add(fixture)
        home = next((one for one in homes if one.is_file() and fixture in functions(one)), None)
        if home is not None:
            waiting += [argument.arg for argument in functions(home)[fixture].args.args]
    return seen


def test_every_id_is_there_in_order() -> None:
    assert list(dict.fromkeys(line[0] for line in LINES)) == IDS


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[0])
def test_what_a_line_says_is_so(line: list[str]) -> None:
    _, what, tests, databases = line
    found = named(tests)
    assert what
    assert databases in DATABASES
    assert bool(found) == (tests != "not yet")
    for file, name in found:
        needs = fixtures(file, name)
        if databases == "both":
            assert needs & BOTH, f"{file.name}::{name} does not run on both databases"
        if databases == "PostgreSQL":
            assert needs & SERVER, f"{file.name}::{name} needs no PostgreSQL"
