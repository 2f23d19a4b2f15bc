"""docs/reliability.md is true: it names every id, each test that it names exists, on the databases it says."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+(?:::\w+)?)`")
BOTH, SERVER = {"store_url", "bare_url"}, {"postgres", "postgres_url"}
DATABASES = ("both", "SQLite", "PostgreSQL", "none")


def lines() -> list[list[str]]:
    """The table's lines: id, what happens, tests, databases."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    table = [line.strip("|").split("|") for line in text.splitlines() if re.match(r"\| [A-Z]\d ", line)]
    return [[cell.strip() for cell in line] for line in table]


@cache
def functions(file: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions of a file by name, methods as Class::name."""
    found = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        members = node.body if isinstance(node, ast.ClassDef) else []
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for one in (node, *members):
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef):
                found[prefix + one.name] = one
    return found


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
    assert list(dict.fromkeys(line[0] for line in lines())) == IDS


@pytest.mark.parametrize("line", lines(), ids=lambda line: line[0])
def test_what_a_line_says_is_so(line: list[str]) -> None:
    _, what, tests, databases = line
    named = NAMED.findall(tests)
    assert what
    assert databases in DATABASES
    assert len(named) == tests.count("`") // 2, "a test is named otherwise than `tests/file.py::name`"
    assert bool(named) == (tests != "not yet")
    for path, name in named:
        file = ROOT / path
        there = name in functions(file) or f"\n{name} = " in file.read_text(encoding="utf-8")
        assert there, f"{path} has no {name}"
        needs = fixtures(file, name)
        if databases == "both":
            assert needs & BOTH, f"{path}::{name} does not run on both databases"
        if databases == "PostgreSQL":
            assert needs & SERVER, f"{path}::{name} needs no PostgreSQL"
